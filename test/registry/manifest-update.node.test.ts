import { describe, expect, it } from "vitest";
import { createHostClient } from "../../src/registry/client.ts";
import { ConnectionBudget } from "../../src/registry/connection-budget.ts";
import type { Manifest } from "../../src/registry/contract.ts";
import { digestOf } from "../../src/registry/digest.ts";
import type { HostClient } from "../../src/registry/host-client.ts";
import { updateManifest } from "../../src/registry/manifest-update.ts";
import { OCI_INDEX } from "../../src/registry/media-types.ts";
import { settingsFor } from "./settings.ts";
import { json, NotingGate, refusal, serve } from "./support.ts";

function client(host: string): HostClient {
  return createHostClient({
    settings: settingsFor(host),
    side: "target",
    gate: new NotingGate(),
    fetch,
    now: Date.now,
    log: () => {},
    budget: new ConnectionBudget(),
    refusalOf: () => null,
  });
}

function index(...names: string[]): Manifest {
  const text = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], names });
  const bytes = new TextEncoder().encode(text);
  return { digest: digestOf(bytes), mediaType: OCI_INDEX, bytes };
}

const namesIn = (text: string): string[] => JSON.parse(text).names;

const adding =
  (name: string) =>
  (current: Manifest | null): Manifest | null => {
    const names = current === null ? [] : namesIn(new TextDecoder().decode(current.bytes));
    return names.includes(name) ? null : index(...names, name);
  };

/** One tag at a registry; `heeds`: it looks at If-Match. `meanwhile` runs before each write. */
async function oneTag(heeds: boolean, etagOf: (text: string) => string | null, meanwhile: (write: number) => void) {
  const tag: { text: string | null } = { text: null };
  let writes = 0;
  const server = await serve(({ method, headers, body }, response) => {
    if (method === "GET") {
      const etag = tag.text === null ? null : etagOf(tag.text);
      return tag.text === null
        ? json(response, 404, { errors: [{ code: "MANIFEST_UNKNOWN" }] })
        : response.writeHead(200, { "content-type": OCI_INDEX, ...(etag !== null && { etag }) }).end(tag.text);
    }
    meanwhile(++writes);
    const condition = headers["if-match"];
    if (heeds && condition !== undefined && condition !== etagOf(tag.text ?? "")) {
      return json(response, 412, {});
    }
    tag.text = body;
    return response.writeHead(201).end();
  });
  return { server, tag };
}

const strong = (text: string): string => `"${text.length}"`;

describe("changing what is under a tag", () => {
  it("creates it, changes it, and writes nothing where nothing is to change", async () => {
    const { server, tag } = await oneTag(true, strong, () => {});
    await using registry = server;
    for (const name of ["a", "b", "b"]) {
      await updateManifest(client(registry.host), "r", "t", adding(name));
    }
    expect(namesIn(tag.text ?? "")).toEqual(["a", "b"]);
    expect(registry.seen.map(({ method, headers }) => [method, headers["if-match"] !== undefined])).toEqual([
      ["GET", false],
      ["PUT", false],
      ["GET", false],
      ["PUT", true],
      ["GET", false],
    ]);
  });

  it("keeps what somebody else has written in between, where the registry heeds the condition", async () => {
    const other = new TextDecoder().decode(index("a", "other").bytes);
    const { server, tag } = await oneTag(true, strong, (write) => {
      if (write === 2) {
        tag.text = other;
      }
    });
    await using registry = server;
    await updateManifest(client(registry.host), "r", "t", adding("a"));
    await updateManifest(client(registry.host), "r", "t", adding("b"));
    expect(namesIn(tag.text ?? "")).toEqual(["a", "other", "b"]);
  });

  it("sets no condition on an ETag that can never match", async () => {
    const { server, tag } = await oneTag(
      true,
      (text) => `W/"${text.length}"`,
      () => {},
    );
    await using registry = server;
    await updateManifest(client(registry.host), "r", "t", adding("a"));
    await updateManifest(client(registry.host), "r", "t", adding("b"));
    expect(namesIn(tag.text ?? "")).toEqual(["a", "b"]);
  });

  it("writes without the condition where the registry refuses its own ETag", async () => {
    let reads = 0;
    await using registry = await serve(({ method, headers }, response) => {
      if (method === "GET") {
        reads++;
        return response.writeHead(200, { "content-type": OCI_INDEX, etag: '"e"' }).end('{"manifests":[],"names":[]}');
      }
      return json(response, headers["if-match"] === undefined ? 201 : 412, {});
    });
    await updateManifest(client(registry.host), "r", "t", adding("a"));
    expect(reads).toBe(2);
  });

  it("gives up where it is always overtaken, and passes other refusals on", async () => {
    let version = 0;
    await using busy = await serve(({ method }, response) =>
      method === "GET"
        ? response
            .writeHead(200, { "content-type": OCI_INDEX, etag: `"${version++}"` })
            .end('{"manifests":[],"names":[]}')
        : json(response, 412, {}),
    );
    expect((await refusal(updateManifest(client(busy.host), "r", "t", adding("a")))).status).toBe(412);
    expect(version).toBe(8);
    await using closed = await serve((_seen, response) => json(response, 403, {}));
    expect(await refusal(updateManifest(client(closed.host), "r", "t", adding("a")))).toMatchObject({
      code: "denied",
      side: "target",
    });
  });
});

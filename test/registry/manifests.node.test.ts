import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { digestOf } from "../../src/registry/digest.ts";
import { DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from "../../src/registry/media-types.ts";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { clientOf, json, refusal, serve } from "./support.ts";

const TEXT = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
const BYTES = new TextEncoder().encode(TEXT);
const DIGEST = digestOf(BYTES);

let store: TestRegistry;

beforeAll(async () => {
  store = await startRegistry();
  const repository = store.storage.repository("a/b");
  repository.manifests.set(DIGEST, { bytes: Buffer.from(BYTES), mediaType: OCI_INDEX });
  repository.tags.set("latest", DIGEST);
});
afterAll(() => store.close());

/** A registry that answers every manifest request the same way. */
const answering = (status: number, headers: Record<string, string>, body: string) =>
  serve((seen, response) => response.writeHead(status, headers).end(seen.method === "HEAD" ? undefined : body));

describe("looking a manifest up", () => {
  it.each(["latest", DIGEST])("tells digest, type and size of %s in one request", async (reference) => {
    const { registry, gate } = clientOf(store.host);
    expect(await registry.headManifest("a/b", reference)).toEqual({
      digest: DIGEST,
      mediaType: OCI_INDEX,
      sizeBytes: BYTES.length,
    });
    expect(registry.usage.requests).toBe(1);
    expect(gate.acquired).toEqual([{ kind: "head", bytes: 0 }]);
    expect(gate.outcomes).toEqual([{ class: "ok" }]);
  });

  it("is null for what is not there", async () => {
    const { registry } = clientOf(store.host);
    expect(await registry.headManifest("a/b", "other")).toBeNull();
    expect(await registry.headManifest("nobody", "latest")).toBeNull();
  });

  it.each([400, 403, 405])("reads it instead when HEAD is answered with %i", async (status) => {
    await using registry = await serve((seen, response) =>
      seen.method === "HEAD" ? response.writeHead(status).end() : response.end(TEXT),
    );
    const head = await clientOf(registry.host).registry.headManifest("a", "latest");
    expect(head).toEqual({ digest: DIGEST, mediaType: OCI_INDEX, sizeBytes: BYTES.length });
  });

  it("reads it instead when HEAD says no digest, unless the digest is what was asked for", async () => {
    await using registry = await answering(200, { "content-type": OCI_INDEX }, TEXT);
    const { registry: client } = clientOf(registry.host);
    expect((await client.headManifest("a", "latest"))?.digest).toBe(DIGEST);
    expect(registry.seen.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
    expect((await client.headManifest("a", DIGEST))?.digest).toBe(DIGEST);
    expect(registry.seen).toHaveLength(3);
  });

  it("is null when only the GET says that it is not there", async () => {
    await using registry = await serve((seen, response) =>
      response.writeHead(seen.method === "HEAD" ? 405 : 404).end(),
    );
    expect(await clientOf(registry.host).registry.headManifest("a", "latest")).toBeNull();
  });
});

describe("reading a manifest", () => {
  it.each(["latest", DIGEST])("gives the bytes of %s as they are", async (reference) => {
    const { registry, gate } = clientOf(store.host);
    expect(await registry.getManifest("a/b", reference)).toEqual({
      digest: DIGEST,
      mediaType: OCI_INDEX,
      bytes: BYTES,
    });
    expect(gate.acquired.map(({ kind }) => kind)).toEqual(["manifest"]);
    const accept = store.requests.at(-1)?.headers["accept"] ?? "";
    expect(accept).toContain(OCI_MANIFEST);
    expect(accept).toContain(DOCKER_MANIFEST);
    expect(accept).not.toMatch(/v1\+prettyjws|\*/);
  });

  it("says in the registry's words what is not there", async () => {
    const detail = await refusal(clientOf(store.host).registry.getManifest("a/b", "nope"));
    expect(detail).toMatchObject({
      code: "not_found",
      side: "source",
      host: store.host,
      status: 404,
      retryable: false,
    });
    expect(detail.operation).toBe("read manifest");
    expect(detail.message).toContain("a/b:nope");
  });

  it.each<[string, Record<string, string>, string, string]>([
    [
      "the header's, without parameters",
      { "content-type": `${OCI_MANIFEST}; charset=utf-8` },
      '{"layers":[]}',
      OCI_MANIFEST,
    ],
    ["the body's, if the header is generic", { "content-type": "application/json" }, TEXT, OCI_INDEX],
    ["the body's, if the header differs", { "content-type": DOCKER_MANIFEST }, TEXT, OCI_INDEX],
    ["that of an index, from its shape", {}, '{"schemaVersion":2,"manifests":[]}', OCI_INDEX],
    ["that of a manifest, from its shape", {}, '{"schemaVersion":2,"layers":[]}', OCI_MANIFEST],
    [
      "an unknown one untouched",
      { "content-type": "application/vnd.example.thing+json" },
      "{}",
      "application/vnd.example.thing+json",
    ],
  ])("takes the media type: %s", async (_name, headers, body, expected) => {
    await using registry = await answering(200, headers, body);
    expect((await clientOf(registry.host).registry.getManifest("a", "latest")).mediaType).toBe(expected);
  });

  it.each<[string, Record<string, string>, string]>([
    ["by header", { "content-type": "application/vnd.docker.distribution.manifest.v1+prettyjws" }, "{}"],
    ["by shape", { "content-type": "application/json" }, '{"schemaVersion":1,"fsLayers":[]}'],
  ])("refuses schema 1, known %s", async (_name, headers, body) => {
    await using registry = await answering(200, headers, body);
    const detail = await refusal(clientOf(registry.host).registry.getManifest("a", "latest"));
    expect(detail).toMatchObject({ code: "unsupported", retryable: false });
    expect(detail.message).toContain("schema 1");
  });

  it("refuses what is no manifest at all", async () => {
    await using registry = await answering(200, { "content-type": "text/plain" }, "hello");
    const detail = await refusal(clientOf(registry.host).registry.getManifest("a", "latest"));
    expect(detail.code).toBe("manifest_invalid");
  });

  it.each([true, false])("stops at 4 MiB (size announced: %s)", async (isAnnounced) => {
    await using registry = await serve((_seen, response) => {
      const bytes = Buffer.alloc(4 * 1024 * 1024 + 1, " ");
      if (isAnnounced) {
        response.setHeader("content-length", bytes.length);
      }
      response.write(bytes);
      // Without an end on purpose: a client that waited for it would never come back.
    });
    const detail = await refusal(clientOf(registry.host).registry.getManifest("a", "latest"));
    expect(detail).toMatchObject({ code: "manifest_too_large", retryable: false });
  });

  it("reads exactly 4 MiB", async () => {
    const body = `{"layers":[]}${" ".repeat(4 * 1024 * 1024 - 13)}`;
    await using registry = await answering(200, {}, body);
    expect((await clientOf(registry.host).registry.getManifest("a", "latest")).bytes.length).toBe(4 * 1024 * 1024);
  });

  it("reads again when the bytes do not have the digest, three times in all, and then says so", async () => {
    await using flaky = await serve((_seen, response) => response.end(flaky.seen.length < 3 ? "{}" : TEXT));
    expect((await clientOf(flaky.host).registry.getManifest("a", DIGEST)).digest).toBe(DIGEST);

    await using wrong = await answering(200, { "content-type": OCI_INDEX }, "{}");
    const detail = await refusal(clientOf(wrong.host).registry.getManifest("a", DIGEST));
    expect(detail).toMatchObject({ code: "digest_mismatch", side: "source", retryable: false });
    expect(wrong.seen).toHaveLength(3);

    await using lying = await answering(200, { "docker-content-digest": `sha256:${"0".repeat(64)}` }, TEXT);
    expect((await refusal(clientOf(lying.host).registry.getManifest("a", "latest"))).code).toBe("digest_mismatch");
  });

  it("reads again what broke off on the way", async () => {
    await using registry = await startRegistry({ rules: [{ times: 1, action: { type: "truncate", afterBytes: 5 } }] });
    const repository = registry.storage.repository("a");
    repository.manifests.set(DIGEST, { bytes: Buffer.from(BYTES), mediaType: OCI_INDEX });
    const { registry: client, gate } = clientOf(registry.host);
    expect((await client.getManifest("a", DIGEST)).bytes).toEqual(BYTES);
    expect(gate.outcomes.map((outcome) => outcome.class)).toEqual(["failed", "ok"]);
  });

  it("keeps digests of other algorithms, and checks those it can", async () => {
    const sha512 = digestOf(BYTES, "sha512");
    await using registry = await answering(200, { "docker-content-digest": sha512 }, TEXT);
    const { registry: client } = clientOf(registry.host);
    expect((await client.getManifest("a", "latest")).digest).toBe(sha512);
    expect((await client.getManifest("a", sha512)).digest).toBe(sha512);
    const blake3 = `blake3:${"0".repeat(64)}`;
    expect((await client.getManifest("a", blake3)).digest).toBe(blake3);
  });

  it("asks for nothing but tags and digests", async () => {
    const detail = await refusal(clientOf(store.host).registry.getManifest("a", "../../token"));
    expect(detail.code).toBe("invalid_request");
  });
});

describe("writing a manifest", () => {
  const manifest = { digest: DIGEST, mediaType: OCI_INDEX, bytes: BYTES };

  it("sends exactly its bytes under its type", async () => {
    const { registry, gate } = clientOf(store.host, { client: { side: "target" } });
    expect(await registry.putManifest("new", "v1", manifest)).toEqual({ subject: null });
    expect(store.storage.manifestIn("new", "v1")).toEqual({
      digest: DIGEST,
      mediaType: OCI_INDEX,
      bytes: Buffer.from(BYTES),
    });
    expect(gate.asked[0]?.scopes).toEqual(["repository:new:pull,push"]);
    expect(store.requests.at(-1)?.headers["content-length"]).toBe(String(BYTES.length));
  });

  it.each([200, 201, 202])("takes %i for done, and passes OCI-Subject on", async (status) => {
    await using registry = await answering(status, { "oci-subject": DIGEST }, "");
    expect(await clientOf(registry.host).registry.putManifest("a", "v1", manifest)).toEqual({ subject: DIGEST });
  });

  it("does not believe a registry that stored something else", async () => {
    await using wrong = await answering(201, { "docker-content-digest": `sha256:${"0".repeat(64)}` }, "");
    const detail = await refusal(
      clientOf(wrong.host, { client: { side: "target" } }).registry.putManifest("a", "v1", manifest),
    );
    expect(detail).toMatchObject({ code: "digest_mismatch", side: "target", retryable: false });
    await using other = await answering(201, { "docker-content-digest": digestOf(BYTES, "sha512") }, "");
    await clientOf(other.host).registry.putManifest("a", "v1", manifest);
  });

  it.each<[number, string, string]>([
    [400, "MANIFEST_INVALID", "manifest_invalid"],
    [400, "", "manifest_invalid"],
    [400, "TAG_INVALID", "invalid_request"],
    [403, "DENIED", "denied"],
    [409, "", "manifest_invalid"],
    [413, "", "manifest_invalid"],
  ])("fails at once on %i %s", async (status, code, expected) => {
    await using registry = await serve((_seen, response) =>
      json(response, status, { errors: [{ code, message: "because" }] }),
    );
    const detail = await refusal(clientOf(registry.host).registry.putManifest("a", "v1", manifest));
    expect(detail).toMatchObject({ code: expected, status, retryable: false });
    expect(detail.message).toContain("because");
    expect(registry.seen).toHaveLength(1);
  });

  it("says of a registry that takes none that it may be read-only", async () => {
    await using registry = await serve((_seen, response) => response.writeHead(405).end("Method not allowed\n"));
    const detail = await refusal(clientOf(registry.host).registry.putManifest("a", "v1", manifest));
    expect(detail).toMatchObject({ code: "unsupported", status: 405, retryable: false });
    expect(detail.message).toMatch(
      /Method not allowed \(\S+ takes no pushes there: it is read-only, or a pull-through cache/,
    );
  });

  it.each<[number, string]>([
    [400, "MANIFEST_BLOB_UNKNOWN"],
    [404, "MANIFEST_BLOB_UNKNOWN"],
    [404, "BLOB_UNKNOWN"],
    [400, "MANIFEST_UNKNOWN"],
    [404, "NAME_UNKNOWN"],
    [404, ""],
  ])("leaves it to whoever knows the content when %i %s says that some is missing", async (status, code) => {
    await using registry = await serve((_seen, response) =>
      json(response, status, { errors: [{ code, message: "because" }] }),
    );
    const detail = await refusal(clientOf(registry.host).registry.putManifest("a", "v1", manifest));
    expect(detail).toMatchObject({ code: "content_missing", status, retryable: true });
    expect(registry.seen).toHaveLength(1);
  });

  it.each(["HEAD", "GET"])("believes the %s more than the digest that the answer to the PUT names", async (asked) => {
    await using registry = await serve((seen, response) => {
      const digest = seen.method === "PUT" ? `sha256:${"0".repeat(64)}` : DIGEST;
      const named = seen.method === asked || seen.method === "PUT" ? { "docker-content-digest": digest } : {};
      response.writeHead(seen.method === "PUT" ? 201 : 200, { "content-type": OCI_INDEX, ...named });
      response.end(seen.method === "GET" ? BYTES : undefined);
    });
    const { registry: client } = clientOf(registry.host, { client: { side: "target" } });
    expect(await client.putManifest("a", "v1", manifest)).toEqual({ subject: null });
    expect(registry.seen.filter(({ method }) => method === "PUT")).toHaveLength(1);
  });
});

describe("listing tags", () => {
  it("goes page by page to the end", async () => {
    await using registry = await startRegistry({ tagPageSize: 2 });
    const repository = registry.storage.repository("a");
    repository.manifests.set(DIGEST, { bytes: Buffer.from(BYTES), mediaType: OCI_INDEX });
    for (const tag of ["a", "b", "c", "d", "e"]) {
      repository.tags.set(tag, DIGEST);
    }
    const { registry: client } = clientOf(registry.host);
    const pages: string[][] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page = await client.listTags("a", { limit: 2, ...(cursor === undefined ? {} : { cursor }) });
      pages.push(page?.tags ?? []);
      cursor = page?.next ?? null;
    }
    expect(pages).toEqual([["a", "b"], ["c", "d"], ["e"]]);
    expect(await client.listTags("nobody")).toBeNull();
  });

  it.each<[string, string | undefined, string, unknown]>([
    ["no tags said as null", undefined, '{"name":"a","tags":null}', { tags: [], next: null }],
    ["a page that is its own next", '</v2/a/tags/list?n=1>; rel="next"', '{"tags":["x"]}', { tags: ["x"], next: null }],
    [
      "a token of the registry's own",
      "</v2/a/tags/list?next_page=abc&n=1>; rel=next",
      '{"tags":["x"]}',
      { tags: ["x"], next: "?next_page=abc&n=1" },
    ],
    ["another relation", '</v2/a/tags/list?last=x>; rel="prev"', '{"tags":["x"]}', { tags: ["x"], next: null }],
  ])("copes with %s", async (_name, link, body, expected) => {
    await using registry = await answering(200, link === undefined ? {} : { link }, body);
    expect(await clientOf(registry.host).registry.listTags("a", { limit: 1 })).toEqual(expected);
  });

  it("stays in the repository whatever the next page is said to be", async () => {
    await using registry = await answering(200, { link: '</v2/other/secret?last=x>; rel="next"' }, '{"tags":[]}');
    const { registry: client } = clientOf(registry.host);
    const page = await client.listTags("a");
    await client.listTags("a", { cursor: page?.next ?? "" });
    expect(registry.seen.map(({ url }) => url)).toEqual(["/v2/a/tags/list", "/v2/a/tags/list?last=x"]);
    expect((await refusal(client.listTags("a", { cursor: "/elsewhere" }))).code).toBe("invalid_request");
  });

  it.each(["nonsense", '{"names":[]}', "[]"])("refuses %s for a list", async (body) => {
    await using registry = await answering(200, {}, body);
    expect((await refusal(clientOf(registry.host).registry.listTags("a"))).code).toBe("unsupported");
  });
});

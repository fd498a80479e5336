/** Manifests that mean harm, through the whole service: a clear error, few requests, nothing at the target. */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { copyOf, Home } from "../e2e/command.ts";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { digestOf, MEDIA_TYPES } from "../support/sample-image.ts";

const EMPTY = digestOf(Buffer.from("{}"));

interface Entry {
  digest: string;
  size: number;
  mediaType?: string;
}

const entry = (digest: string, size: number, mediaType: string = MEDIA_TYPES.index): Entry => ({
  digest,
  size,
  mediaType,
});

function index(manifests: unknown[]): object {
  return { schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests };
}

function image(layers: unknown[]): object {
  const config = { mediaType: MEDIA_TYPES.config, digest: EMPTY, size: 2 };
  return { schemaVersion: 2, mediaType: MEDIA_TYPES.manifest, config, layers };
}

const HOSTILE: { what: string; top: (put: (document: object) => Entry) => object; says: RegExp; requests: number }[] = [
  {
    what: "an index nested a thousand deep",
    top: (put) => {
      let inner = put(index([]));
      for (let depth = 0; depth < 1000; depth++) {
        inner = put(index([inner]));
      }
      return index([inner]);
    },
    says: /more than 32 indexes within each other/,
    requests: 50,
  },
  {
    what: "an index of too many manifests",
    top: () => index(Array.from({ length: 5000 }, (_, number) => entry(digestOf(Buffer.from(String(number))), 100))),
    says: /more than 2000 manifests/,
    requests: 50,
  },
  {
    what: "a layer of negative size",
    top: () => image([entry(EMPTY, -5)]),
    says: /layers\[0\] .* without a valid size/,
    requests: 5,
  },
  {
    what: "a layer of a fraction of a byte",
    top: () => image([entry(EMPTY, 0.5)]),
    says: /without a valid size/,
    requests: 5,
  },
  {
    what: "a layer of petabytes",
    top: () => image([entry(digestOf(Buffer.from("huge")), 2 ** 52)]),
    says: /4503599627370496 bytes, which nothing can have/,
    requests: 5,
  },
  {
    what: "one digest with two sizes",
    top: () => image([entry(EMPTY, 3)]),
    says: /two sizes/,
    requests: 5,
  },
  {
    what: "a digest that leads out of the repository",
    top: () => image([entry("sha256:../../../etc/passwd", 2)]),
    says: /without a valid digest/,
    requests: 5,
  },
];

describe.skipIf(inject("withoutRegistry"))("a source that serves", () => {
  let home: Home;
  beforeAll(async () => {
    home = await Home.create();
  });
  afterAll(() => home[Symbol.asyncDispose]());

  it.each(HOSTILE)("$what is refused", async ({ top, says, requests }) => {
    await using source = await startRegistry();
    await using target = await startRegistry();
    tag(source, top);
    const ended = await home.run("copy", "--json", `${source.host}/team/app:v1`, `${target.host}/mirror/app:v1`);
    expect(ended.status).toBe(1);
    const { error } = copyOf(ended);
    expect(error).toMatchObject({ code: "manifest_invalid", side: "source", host: source.host, retryable: false });
    expect(error?.message).toMatch(says);
    expect(source.requests.length).toBeLessThanOrEqual(requests);
    expect(target.storage.repositories.get("mirror/app")?.tags.size ?? 0).toBe(0);
    expect(target.openUploads()).toEqual([]);
  });

  it("an index that holds itself, by a digest nobody can compute, is refused", async () => {
    await using source = await startRegistry();
    await using target = await startRegistry();
    const text = (size: number): string => JSON.stringify(index([entry("odd:loop", size)]));
    const bytes = Buffer.from(text(text(100).length));
    store(source, bytes, "v1");
    source.storage.repository("team/app").manifests.set("odd:loop", { bytes, mediaType: MEDIA_TYPES.index });
    const ended = await home.run("copy", "--json", `${source.host}/team/app:v1`, `${target.host}/mirror/app:v1`);
    expect(ended.status).toBe(1);
    expect(copyOf(ended).error).toMatchObject({ code: "manifest_invalid", side: "source" });
    expect(copyOf(ended).error?.message).toContain("refers to itself");
    expect(source.requests.length).toBeLessThanOrEqual(6);
  });

  it("arrays nested a million deep is refused", async () => {
    await using source = await startRegistry();
    await using target = await startRegistry();
    const text = `{"schemaVersion":2,"manifests":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`;
    store(source, Buffer.from(text), "v1");
    const ended = await home.run("copy", "--json", `${source.host}/team/app:v1`, `${target.host}/mirror/app:v1`);
    expect(ended.status).toBe(1);
    expect(copyOf(ended).error).toMatchObject({ code: "manifest_invalid", side: "source" });
  });
});

function tag(source: TestRegistry, top: (put: (document: object) => Entry) => object): void {
  const put = (document: object): Entry => {
    const bytes = Buffer.from(JSON.stringify(document));
    return entry(store(source, bytes), bytes.length);
  };
  store(source, Buffer.from(JSON.stringify(top(put))), "v1");
}

function store({ storage }: TestRegistry, bytes: Buffer, name?: string): string {
  const digest = digestOf(bytes);
  const { manifests, tags } = storage.repository("team/app");
  manifests.set(digest, { bytes, mediaType: MEDIA_TYPES.index });
  if (name !== undefined) {
    tags.set(name, digest);
  }
  return digest;
}

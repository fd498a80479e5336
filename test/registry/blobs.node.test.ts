import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { digestOf } from "../../src/registry/digest.ts";
import type { Upload } from "../../src/registry/contract.ts";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { clientOf, json, never, refusal, serve, streamOf, type Bench } from "./support.ts";

const TEXT = "the bytes of a blob";
const SIZE_BYTES = TEXT.length;
const DIGEST = digestOf(new TextEncoder().encode(TEXT));
const OTHER = `sha256:${"0".repeat(64)}`;

let store: TestRegistry;

beforeAll(async () => {
  store = await startRegistry({ minChunkBytes: 4 });
});
afterAll(() => store.close());
beforeEach(() => {
  store.storage.addBlob("a/b", DIGEST, { sizeBytes: SIZE_BYTES, pieces: [Buffer.from(TEXT)] });
});

const target = (host: string): Bench => clientOf(host, { client: { side: "target" } });

async function open(bench: Bench, repository: string): Promise<Upload> {
  const started = await bench.registry.startUpload(repository, { digest: DIGEST, signal: never });
  if (started.mounted) {
    throw new Error("expected an upload, not a mount");
  }
  return started.upload;
}

describe("looking a blob up", () => {
  it("tells its size, and null for what is not there", async () => {
    const { registry } = clientOf(store.host);
    expect(await registry.headBlob("a/b", DIGEST)).toBe(SIZE_BYTES);
    expect(await registry.headBlob("a/b", OTHER)).toBeNull();
  });

  it("takes a redirect for a yes where the store answers no HEAD", async () => {
    await using away = await serve((_seen, response) => response.writeHead(403).end());
    await using registry = await serve((_seen, response) =>
      response.writeHead(307, { location: `http://${away.host}/x` }).end(),
    );
    expect(await clientOf(registry.host).registry.headBlob("a", DIGEST)).toBe(-1);
  });

  it("takes no refusal of the registry itself for a yes", async () => {
    await using registry = await serve((_seen, response) => response.writeHead(403).end());
    expect(await refusal(clientOf(registry.host).registry.headBlob("a", DIGEST))).toMatchObject({
      code: "denied",
      status: 403,
    });
  });
});

describe("reading a blob", () => {
  it("hands the stream over, and the slot back, when the headers are there", async () => {
    const { registry, gate } = clientOf(store.host);
    const body = await registry.openBlob("a/b", DIGEST, { signal: never });
    expect(body).toMatchObject({ contentLength: SIZE_BYTES, firstByte: 0 });
    expect(gate.held).toBe(0);
    expect(gate.acquired).toEqual([{ kind: "blob", bytes: 0 }]);
    expect(await new Response(body.stream).text()).toBe(TEXT);
  });

  it("goes on from a byte", async () => {
    const body = await clientOf(store.host).registry.openBlob("a/b", DIGEST, { fromByte: 4, signal: never });
    expect(body).toMatchObject({ firstByte: 4, contentLength: SIZE_BYTES - 4 });
    expect(await new Response(body.stream).text()).toBe(TEXT.slice(4));
  });

  it("says so when the registry sends the whole all the same", async () => {
    await using registry = await serve((_seen, response) => response.end(TEXT));
    const body = await clientOf(registry.host).registry.openBlob("a", DIGEST, { fromByte: 4, signal: never });
    expect(body.firstByte).toBe(0);
    await body.stream.cancel();
  });

  it("refuses a range that was not asked for", async () => {
    await using registry = await serve((_seen, response) =>
      response.writeHead(206, { "content-range": "bytes 2-9/10" }).end("12345678"),
    );
    const reading = clientOf(registry.host).registry.openBlob("a", DIGEST, { fromByte: 4, signal: never });
    expect(await refusal(reading)).toMatchObject({ code: "unsupported", status: 206 });
  });

  it("says that the blob is shorter where there is nothing left to read", async () => {
    const reading = clientOf(store.host).registry.openBlob("a/b", DIGEST, { fromByte: 1000, signal: never });
    expect(await refusal(reading)).toMatchObject({ code: "size_mismatch", status: 416, retryable: false });
  });

  it("of no bytes is an empty stream", async () => {
    await using registry = await serve((_seen, response) => response.writeHead(200, { "content-length": 0 }).end());
    const body = await clientOf(registry.host).registry.openBlob("a", DIGEST, { signal: never });
    expect(body.contentLength).toBe(0);
    expect(await new Response(body.stream).text()).toBe("");
  });
});

describe("an upload", () => {
  it("in one piece takes two requests", async () => {
    const bench = target(store.host);
    const upload = await open(bench, "new/one");
    expect(upload).toMatchObject({ repository: "new/one", minChunkBytes: 4 });
    expect(upload.location).toMatch(new RegExp(`^http://${store.host}/v2/new/one/blobs/uploads/.+_state=`));
    await bench.registry.putBlob(upload, {
      digest: DIGEST,
      sizeBytes: SIZE_BYTES,
      body: streamOf(TEXT),
      signal: never,
    });
    expect(store.storage.blobIn("new/one", DIGEST)?.sizeBytes).toBe(SIZE_BYTES);
    expect(bench.registry.usage.requests).toBe(2);
    const [post, put] = store.requests.slice(-2);
    expect(post?.headers["content-length"]).toBe("0");
    expect(put?.headers).toMatchObject({
      "content-length": String(SIZE_BYTES),
      "content-type": "application/octet-stream",
    });
    expect(put?.headers["content-range"]).toBeUndefined();
    expect(bench.gate.held).toBe(0);
  });

  it("in chunks uses the newest location each time", async () => {
    const bench = target(store.host);
    let upload = await open(bench, "new/chunks");
    for (let firstByte = 0; firstByte < SIZE_BYTES; firstByte += 5) {
      const chunk = TEXT.slice(firstByte, firstByte + 5);
      upload = await bench.registry.patchBlob(upload, {
        firstByte,
        sizeBytes: chunk.length,
        body: streamOf(chunk),
        signal: never,
      });
      expect(await bench.registry.uploadOffset(upload)).toMatchObject({ offsetBytes: firstByte + chunk.length });
    }
    await bench.registry.putBlob(upload, { digest: DIGEST, sizeBytes: 0, body: null, signal: never });
    expect(store.storage.blobIn("new/chunks", DIGEST)?.sizeBytes).toBe(SIZE_BYTES);
    expect(store.requests.find(({ method }) => method === "PATCH")?.headers["content-range"]).toBe("0-4");
  });

  it("is spared by a mount, and opened by one that is not granted", async () => {
    const bench = target(store.host);
    const options = { digest: DIGEST, mountFrom: "a/b", signal: never };
    expect(await bench.registry.startUpload("new/mounted", options)).toEqual({ mounted: true });
    expect(store.storage.blobIn("new/mounted", DIGEST)).toBeDefined();
    expect(bench.gate.asked.map(({ scopes }) => scopes)).toEqual([
      ["repository:new/mounted:pull,push", "repository:a/b:pull"],
    ]);

    const opened = await bench.registry.startUpload("new/other", { ...options, mountFrom: "nobody" });
    expect(opened.mounted).toBe(false);
    expect(bench.registry.usage.requests).toBe(2);
  });

  it("is never spared by a mount where the digest is no sha256", async () => {
    const digest = `sha512:${"0".repeat(128)}`;
    const opened = await target(store.host).registry.startUpload("new/512", {
      digest,
      mountFrom: "a/b",
      signal: never,
    });
    expect(opened.mounted).toBe(false);
    expect(store.requests.at(-1)?.query).toEqual({ "digest-algorithm": "sha512" });
  });

  it.each([400, 401, 403, 404, 405])("is opened plainly when a mount is answered with %i", async (status) => {
    await using registry = await serve((seen, response) =>
      seen.url.includes("mount=") ? json(response, status, {}) : response.writeHead(202, { location: "/u" }).end(),
    );
    const started = await target(registry.host).registry.startUpload("a", {
      digest: DIGEST,
      mountFrom: "b",
      signal: never,
    });
    expect(started).toMatchObject({ mounted: false, upload: { location: `http://${registry.host}/u` } });
    expect(registry.seen.map(({ url }) => url.split("?")[1] ?? "")).toEqual([
      `mount=${encodeURIComponent(DIGEST)}&from=b`,
      "",
    ]);
  });

  it("asks Docker Hub for no repository but its own", async () => {
    const bench = clientOf("docker.io", { settings: { hostname: store.host }, client: { side: "target" } });
    await bench.registry.startUpload("new/hub", { digest: DIGEST, mountFrom: "a/b", signal: never });
    expect(bench.gate.asked.map(({ scopes }) => scopes)).toEqual([["repository:new/hub:pull,push"]]);
  });

  it("says with which algorithm it comes, unless that is sha256", async () => {
    await using registry = await serve((_seen, response) => response.writeHead(202, { location: "/u" }).end());
    await target(registry.host).registry.startUpload("a", { digest: `sha512:${"a".repeat(128)}`, signal: never });
    expect(registry.seen[0]?.url).toBe("/v2/a/blobs/uploads/?digest-algorithm=sha512");
  });

  it.each([
    ["/up?x=1&_state=a%2Fb", `/up?x=1&_state=a%2Fb&digest=${encodeURIComponent(DIGEST)}`],
    ["/up", `/up?digest=${encodeURIComponent(DIGEST)}`],
  ])("keeps the location %s as it is and adds the digest", async (location, expected) => {
    await using registry = await serve((seen, response) =>
      response.writeHead(seen.method === "POST" ? 202 : 201, { location }).end(),
    );
    const bench = target(registry.host);
    const upload = await open(bench, "a");
    await bench.registry.putBlob(upload, { digest: DIGEST, sizeBytes: 0, body: null, signal: never });
    expect(registry.seen[1]?.url).toBe(expected);
    expect(registry.seen[1]?.headers["content-length"]).toBe("0");
  });

  it("goes to another host without credentials when the location says so", async () => {
    await using away = await serve((_seen, response) => response.writeHead(201).end());
    await using registry = await serve((seen, response) =>
      seen.headers.authorization === undefined
        ? json(response, 401, {}, { "www-authenticate": "Basic" })
        : response.writeHead(202, { location: `http://${away.host}/up` }).end(),
    );
    const bench = clientOf(registry.host, { credential: { kind: "basic", username: "me", password: "hunter2" } });
    const upload = await open(bench, "a");
    await bench.registry.putBlob(upload, {
      digest: DIGEST,
      sizeBytes: SIZE_BYTES,
      body: streamOf(TEXT),
      signal: never,
    });
    expect(away.seen[0]).toMatchObject({ method: "PUT", body: TEXT });
    expect(away.seen[0]?.headers.authorization).toBeUndefined();
  });

  it.each([
    ["http://registry.example.com/up", "https://registry.example.com/up"],
    ["https://store.example.com/up", "https://store.example.com/up"],
    ["http://store.example.com/up", null],
    ["https://10.0.0.5/up", null],
  ])("from a public registry may be told to go to %s: %s", async (location, expected) => {
    const { registry } = clientOf("registry.example.com", {
      settings: { tls: "enabled" },
      fetch: async () => new Response(null, { status: 202, headers: { location } }),
    });
    const starting = registry.startUpload("a", { digest: DIGEST, signal: never });
    if (expected === null) {
      expect((await refusal(starting)).code).toBe("denied");
    } else {
      expect(await starting).toMatchObject({ upload: { location: expected } });
    }
  });

  it.each([
    [405, true],
    [400, false],
    [501, false],
  ])("is refused with %i: said to be read-only: %s", async (status, isSaid) => {
    await using registry = await serve((_seen, response) => response.writeHead(status).end("no"));
    const { message } = await refusal(open(target(registry.host), "a"));
    expect(message.includes("takes no pushes there: it is read-only, or a pull-through cache")).toBe(isSaid);
  });

  it("needs a location", async () => {
    await using registry = await serve((_seen, response) => response.writeHead(202).end());
    expect(await refusal(open(target(registry.host), "a"))).toMatchObject({ code: "upload_rejected", side: "target" });
  });

  it.each<[number, string, string, boolean]>([
    [400, "DIGEST_INVALID", "digest_mismatch", false],
    [400, "SIZE_INVALID", "size_mismatch", false],
    [404, "BLOB_UPLOAD_UNKNOWN", "upload_lost", true],
    [404, "", "upload_lost", true],
    [404, "NAME_UNKNOWN", "not_found", false],
    [416, "BLOB_UPLOAD_INVALID", "upload_lost", true],
    [413, "", "upload_rejected", false],
    [200, "", "upload_rejected", true],
  ])("ended by %i %s is %s, to be tried again: %s", async (status, code, expected, retryable) => {
    await using registry = await serve((_seen, response) =>
      json(response, status, { errors: [{ code, message: "no" }] }),
    );
    const upload = { repository: "a", location: `http://${registry.host}/u`, minChunkBytes: 0 };
    const putting = target(registry.host).registry.putBlob(upload, {
      digest: DIGEST,
      sizeBytes: SIZE_BYTES,
      body: streamOf(TEXT),
      signal: never,
    });
    expect(await refusal(putting)).toMatchObject({
      code: expected,
      status,
      retryable,
      operation: "upload blob",
    });
  });

  it("with a body is sent once, however it ends", async () => {
    await using registry = await serve((_seen, response) => response.writeHead(503).end());
    const bench = target(registry.host);
    const upload = { repository: "a", location: `http://${registry.host}/u`, minChunkBytes: 0 };
    const options = { digest: DIGEST, sizeBytes: SIZE_BYTES, body: streamOf(TEXT), signal: never };
    expect(await refusal(bench.registry.putBlob(upload, options))).toMatchObject({
      code: "unavailable",
      retryable: true,
    });
    expect(registry.seen).toHaveLength(1);
    expect(bench.gate.outcomes).toEqual([{ class: "failed" }]);
  });

  it("that the registry closed by itself at the last chunk is only looked up", async () => {
    await using registry = await serve((seen, response) =>
      response.writeHead(seen.method === "PATCH" ? 201 : 200, { location: "/v2/a/blobs/x" }).end(),
    );
    const bench = target(registry.host);
    const upload = { repository: "a", location: `http://${registry.host}/u`, minChunkBytes: 0 };
    const chunk = { firstByte: 0, sizeBytes: SIZE_BYTES, body: streamOf(TEXT), signal: never };
    const closed = await bench.registry.patchBlob(upload, chunk);
    await bench.registry.putBlob(closed, { digest: DIGEST, sizeBytes: 0, body: null, signal: never });
    await bench.registry.cancelUpload(closed);
    expect(registry.seen.map(({ method }) => method)).toEqual(["PATCH", "HEAD"]);
  });

  it("can be cancelled, once or twice, and no failure of that matters", async () => {
    const bench = target(store.host);
    const upload = await open(bench, "new/cancelled");
    expect(store.openUploads().map(({ repository }) => repository)).toContain("new/cancelled");
    await bench.registry.cancelUpload(upload);
    await bench.registry.cancelUpload(upload);
    expect(store.openUploads().map(({ repository }) => repository)).not.toContain("new/cancelled");
    expect(await bench.registry.uploadOffset(upload)).toBeNull();

    await using broken = await serve((_seen, response) => response.socket?.destroy());
    await target(broken.host).registry.cancelUpload({ ...upload, location: `http://${broken.host}/u` });
    expect(broken.seen).toHaveLength(2);
  });

  it.each<[string | undefined, number | null]>([
    ["0-99", 100],
    ["bytes=0-99", 100],
    ["0-0", 0],
    [undefined, 0],
    ["5-99", null],
    ["nonsense", null],
  ])("whose offset is told as %s stands at %s", async (range, expected) => {
    await using registry = await serve((_seen, response) =>
      response.writeHead(204, range === undefined ? {} : { range }).end(),
    );
    const upload = { repository: "a", location: `http://${registry.host}/u`, minChunkBytes: 0 };
    const offset = await target(registry.host).registry.uploadOffset(upload);
    expect(offset?.offsetBytes ?? null).toBe(expected);
  });
});

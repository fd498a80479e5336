import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseRange } from "./blobs.ts";
import { errorCode, locationOf, pushBlob, send, sha256 } from "./client.ts";
import { startRegistry, type TestRegistry } from "./server.ts";

describe("blobs", () => {
  let registry: TestRegistry;
  let blob: string;
  beforeAll(async () => {
    registry = await startRegistry();
    const digest = await pushBlob(registry.url, "a/b", "0123456789");
    blob = `${registry.url}/v2/a/b/blobs/${digest}`;
  });
  afterAll(() => registry.close());

  test("GET gives the bytes, HEAD their length only", async () => {
    const got = await send("GET", blob);
    expect([got.status, await got.text()]).toEqual([200, "0123456789"]);
    expect(got.headers.get("docker-content-digest")).toBe(sha256("0123456789"));
    const head = await send("HEAD", blob);
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "10", ""]);
  });

  test.each([
    ["bytes=0-3", "0123", "bytes 0-3/10"],
    ["bytes=4-", "456789", "bytes 4-9/10"],
    ["bytes=-2", "89", "bytes 8-9/10"],
    ["bytes=8-100", "89", "bytes 8-9/10"],
  ])("Range %s gives 206", async (range, body, contentRange) => {
    const got = await send("GET", blob, { range });
    expect([got.status, await got.text(), got.headers.get("content-range")]).toEqual([206, body, contentRange]);
    expect(got.headers.get("content-length")).toBe(String(body.length));
  });

  test("a range beyond the end is 416 and says the size", async () => {
    const got = await send("GET", blob, { range: "bytes=10-" });
    expect([got.status, got.headers.get("content-range")]).toEqual([416, "bytes */10"]);
  });

  test.each(["bytes=0-1,3-4", "lines=1-2", "bytes=5-4", "bytes=-"])("%s is ignored", (range) => {
    expect(parseRange(range, 10)).toBeNull();
  });

  test("a blob is only in the repositories it was put into", async () => {
    const got = await send("GET", blob.replace("/a/b/", "/c/d/"));
    expect([got.status, await errorCode(got)]).toEqual([404, "BLOB_UNKNOWN"]);
  });

  test("DELETE takes it out of one repository", async () => {
    const digest = await pushBlob(registry.url, "gone", "0123456789");
    const url = `${registry.url}/v2/gone/blobs/${digest}`;
    expect((await send("DELETE", url)).status).toBe(202);
    expect((await send("HEAD", url)).status).toBe(404);
    expect((await send("DELETE", url)).status).toBe(404);
    expect((await send("HEAD", blob)).status).toBe(200);
  });

  test("a large blob can be held in the memory of one block", async () => {
    const block = Buffer.from("abc");
    const digest = registry.storage.addRepeatedBlob("big", block, 8);
    expect(digest).toBe(sha256("abcabcab"));
    expect(await (await send("GET", `${registry.url}/v2/big/blobs/${digest}`)).text()).toBe("abcabcab");
  });
});

describe("redirected blob reads", () => {
  test("end at a second listener that serves ranges, refuses credentials and forgets its links", async () => {
    let nowMs = 1_000_000;
    await using registry = await startRegistry({ redirect: { lifeSeconds: 60 }, now: () => nowMs });
    const digest = await pushBlob(registry.url, "a/b", "0123456789");
    const sent = await send("GET", `${registry.url}/v2/a/b/blobs/${digest}`);
    const location = locationOf(sent, registry.url);
    expect([sent.status, new URL(location).host]).toEqual([307, registry.cdnHost]);
    expect(await (await send("GET", location)).text()).toBe("0123456789");
    expect(await (await send("GET", location, { range: "bytes=2-3" })).text()).toBe("23");
    expect((await send("GET", location, { authorization: "Bearer x" })).status).toBe(400);
    expect((await send("HEAD", location)).status).toBe(403);
    expect((await send("GET", location.replace("signature=", "signature=0"))).status).toBe(403);
    nowMs += 60_000;
    expect((await send("GET", location)).status).toBe(403);
  });

  test("small blobs and HEAD are answered by the registry itself", async () => {
    await using registry = await startRegistry({ redirect: { minBytes: 11 } });
    const digest = await pushBlob(registry.url, "a/b", "0123456789");
    expect((await send("GET", `${registry.url}/v2/a/b/blobs/${digest}`)).status).toBe(200);
    expect((await send("HEAD", `${registry.url}/v2/a/b/blobs/${digest}`)).status).toBe(200);
  });
});

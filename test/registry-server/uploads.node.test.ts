import { createHash } from "node:crypto";
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorCode, locationOf, openUpload, pushBlob, send, sha256 } from "./client.ts";
import { startRegistry, type TestRegistry } from "./server.ts";

const CONTENT = "hello, registry";
const DIGEST = sha256(CONTENT);
const chunk = (first: number, last: number): Record<string, string> => ({ "content-range": `${first}-${last}` });

describe("uploads", () => {
  let registry: TestRegistry;
  let uploads: string;
  const blob = (repository: string): Promise<Response> =>
    send("GET", `${registry.url}/v2/${repository}/blobs/${DIGEST}`);
  beforeAll(async () => {
    registry = await startRegistry();
    uploads = `${registry.url}/v2/up/blobs/uploads/`;
  });
  afterAll(() => registry.close());

  test("POST and PUT", async () => {
    const opened = await send("POST", uploads);
    expect([opened.status, opened.headers.get("range")]).toEqual([202, "0-0"]);
    const put = await send("PUT", `${locationOf(opened, registry.url)}&digest=${DIGEST}`, {}, CONTENT);
    expect([put.status, put.headers.get("location")]).toEqual([201, `/v2/up/blobs/${DIGEST}`]);
    expect(await (await blob("up")).text()).toBe(CONTENT);
  });

  test("one POST with the digest", async () => {
    const post = await send("POST", `${registry.url}/v2/one/blobs/uploads/?digest=${DIGEST}`, {}, CONTENT);
    expect(post.status).toBe(201);
    expect(await (await blob("one")).text()).toBe(CONTENT);
  });

  test("a PATCH without Content-Range, then an empty PUT", async () => {
    const patched = await send("PATCH", await openUpload(registry.url, "patch"), {}, CONTENT);
    expect([patched.status, patched.headers.get("range")]).toEqual([202, `0-${CONTENT.length - 1}`]);
    const put = await send("PUT", `${locationOf(patched, registry.url)}&digest=${DIGEST}`);
    expect(put.status).toBe(201);
    expect(await (await blob("patch")).text()).toBe(CONTENT);
  });

  test("chunks in order, the last one with the PUT", async () => {
    const first = await send("PATCH", await openUpload(registry.url, "chunks"), chunk(0, 4), CONTENT.slice(0, 5));
    const second = await send("PATCH", locationOf(first, registry.url), chunk(5, 9), CONTENT.slice(5, 10));
    expect([second.status, second.headers.get("range")]).toEqual([202, "0-9"]);
    const url = `${locationOf(second, registry.url)}&digest=${DIGEST}`;
    expect((await send("PUT", url, chunk(10, 14), CONTENT.slice(10))).status).toBe(201);
    expect(await (await blob("chunks")).text()).toBe(CONTENT);
  });

  test.each([
    ["out of order", chunk(3, 7), 416],
    ["with a unit", { "content-range": "bytes 0-4" }, 416],
    ["of another length than it says", chunk(0, 9), 400],
  ])("a chunk %s is refused, the session goes on where it was", async (_, headers, status) => {
    const location = await openUpload(registry.url, "order");
    const refused = await send("PATCH", location, headers, "01234");
    expect(refused.status).toBe(status);
    if (status === 416) {
      expect(refused.headers.get("range")).toBe("0-0");
    }
    expect((await send("PATCH", location, chunk(0, 4), "01234")).status).toBe(202);
  });

  test("only the newest Location takes bytes, any of them tells the newest", async () => {
    const old = await openUpload(registry.url, "stale");
    await send("PATCH", old, {}, CONTENT.slice(0, 5));
    expect((await send("PATCH", old, {}, CONTENT.slice(5))).status).toBe(416);
    const status = await send("GET", old);
    expect([status.status, status.headers.get("range")]).toEqual([204, "0-4"]);
    expect((await send("PATCH", locationOf(status, registry.url), {}, CONTENT.slice(5))).status).toBe(202);
  });

  test("a Location whose query was dropped is refused", async () => {
    const location = new URL(await openUpload(registry.url, "query"));
    const put = await send("PUT", `${location.origin}${location.pathname}?digest=${DIGEST}`, {}, CONTENT);
    expect([put.status, await errorCode(put)]).toEqual([400, "BLOB_UPLOAD_INVALID"]);
  });

  test("a wrong digest ends the session", async () => {
    const url = `${await openUpload(registry.url, "wrong")}&digest=${sha256("other")}`;
    const put = await send("PUT", url, {}, CONTENT);
    expect([put.status, await errorCode(put)]).toEqual([400, "DIGEST_INVALID"]);
    expect(await errorCode(await send("PUT", url, {}, CONTENT))).toBe("BLOB_UPLOAD_UNKNOWN");
    expect((await blob("wrong")).status).toBe(404);
  });

  test("sha512 is verified too", async () => {
    const digest = `sha512:${createHash("sha512").update(CONTENT).digest("hex")}`;
    const put = await send("PUT", `${await openUpload(registry.url, "sha512")}&digest=${digest}`, {}, CONTENT);
    expect(put.status).toBe(201);
    const other = digest.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    const wrong = `${await openUpload(registry.url, "sha512")}&digest=${other}`;
    expect((await send("PUT", wrong, {}, CONTENT)).status).toBe(400);
  });

  test("DELETE closes a session", async () => {
    const location = await openUpload(registry.url, "cancel");
    const open = (): number => registry.openUploads().filter(({ repository }) => repository === "cancel").length;
    expect(open()).toBe(1);
    expect((await send("DELETE", location)).status).toBe(204);
    expect(open()).toBe(0);
    expect((await send("GET", location)).status).toBe(404);
  });

  test("what a client sent before it broke off stays, and can be gone on from", async () => {
    const location = await openUpload(registry.url, "cut");
    const half = request(location, { method: "PATCH", headers: { "content-length": CONTENT.length } });
    half.on("error", () => {});
    half.write(CONTENT.slice(0, 5));
    await expect.poll(() => registry.openUploads().find((upload) => upload.repository === "cut")?.offsetBytes).toBe(5);
    half.destroy();
    await expect.poll(() => registry.recorder.active).toBe(0);
    const status = await send("GET", location);
    expect(status.headers.get("range")).toBe("0-4");
    const url = `${locationOf(status, registry.url)}&digest=${DIGEST}`;
    expect((await send("PUT", url, {}, CONTENT.slice(5))).status).toBe(201);
  });

  test("mounts from a repository, or from wherever it is", async () => {
    await pushBlob(registry.url, "from", CONTENT);
    expect((await send("POST", `${registry.url}/v2/to/blobs/uploads/?mount=${DIGEST}&from=from`)).status).toBe(201);
    expect((await send("POST", `${registry.url}/v2/any/blobs/uploads/?mount=${DIGEST}`)).status).toBe(201);
    expect(await (await blob("to")).text()).toBe(CONTENT);
    const elsewhere = await send("POST", `${registry.url}/v2/to2/blobs/uploads/?mount=${DIGEST}&from=nowhere`);
    expect(elsewhere.status).toBe(202);
    expect((await send("GET", locationOf(elsewhere, registry.url))).status).toBe(204);
  });
});

describe("a registry that is set up otherwise", () => {
  test("mount: from refuses anonymous mounts with a session", async () => {
    await using registry = await startRegistry({ mount: "from" });
    await pushBlob(registry.url, "from", CONTENT);
    expect((await send("POST", `${registry.url}/v2/to/blobs/uploads/?mount=${DIGEST}`)).status).toBe(202);
    expect((await send("POST", `${registry.url}/v2/to/blobs/uploads/?mount=${DIGEST}&from=from`)).status).toBe(201);
  });

  test("singlePost: false answers a POST with digest by a session", async () => {
    await using registry = await startRegistry({ singlePost: false });
    const post = await send("POST", `${registry.url}/v2/a/blobs/uploads/?digest=${DIGEST}`, {}, CONTENT);
    expect(post.status).toBe(202);
    const put = await send("PUT", `${locationOf(post, registry.url)}&digest=${DIGEST}`, {}, CONTENT);
    expect(put.status).toBe(201);
  });

  test("minChunkBytes is advertised, and a short chunk must be the last", async () => {
    await using registry = await startRegistry({ minChunkBytes: 5 });
    const opened = await send("POST", `${registry.url}/v2/a/blobs/uploads/`);
    expect(opened.headers.get("oci-chunk-min-length")).toBe("5");
    const short = await send("PATCH", locationOf(opened, registry.url), chunk(0, 3), CONTENT.slice(0, 4));
    expect(short.status).toBe(202);
    const next = await send("PATCH", locationOf(short, registry.url), chunk(4, 8), CONTENT.slice(4, 9));
    expect(next.status).toBe(416);
  });

  test("maxBodyBytes refuses large bodies with 413, large chunks with 416", async () => {
    await using registry = await startRegistry({ maxBodyBytes: 5 });
    const location = await openUpload(registry.url, "a");
    expect((await send("PATCH", location, chunk(0, 14), CONTENT)).status).toBe(416);
    expect((await send("PUT", `${location}&digest=${DIGEST}`, {}, CONTENT)).status).toBe(413);
  });

  test("discard counts and hashes, and keeps nothing", async () => {
    await using registry = await startRegistry({ discard: true });
    await pushBlob(registry.url, "a", CONTENT);
    expect(registry.storage.blobIn("a", DIGEST)).toEqual({ sizeBytes: CONTENT.length, pieces: null });
  });

  test("location: absolute", async () => {
    await using registry = await startRegistry({ location: "absolute" });
    const opened = await send("POST", `${registry.url}/v2/a/blobs/uploads/`);
    expect(opened.headers.get("location")).toMatch(`${registry.url}/v2/a/blobs/uploads/`);
  });
});

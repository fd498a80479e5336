/** Wrong bytes, lying lengths, lost answers and expired addresses on the way of one blob, by a lane in workerd. */
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Driver } from "../lane/driver/workerd.ts";
import type { FaultAction } from "../registry-server/server.ts";
import { digestOf, noise } from "../support/sample-image.ts";
import { OneBlob } from "./one-blob.ts";

const MIB = 1024 ** 2;
const BYTES = noise("bytes", 2 * MIB);
/** What workerd may hold in all, a hostile header or body included. */
const MEMORY_BYTES = 200 * MIB;

let driver: Driver;
beforeAll(async () => {
  driver = await Driver.start();
});
afterAll(() => driver[Symbol.asyncDispose]());

const get = (action: FaultAction, times?: number) => ({
  match: { method: "GET", path: /blobs/ },
  action,
  ...(times !== undefined && { times }),
});

describe("a source that", () => {
  it.each<[string, FaultAction, string, RegExp]>([
    ["sends another byte", { type: "corrupt", atByte: 1000 }, "digest_mismatch", /sent bytes with the digest/],
    ["offers more bytes", { type: "content-length", off: 7 }, "size_mismatch", /offers 2097159 bytes/],
    ["offers fewer bytes", { type: "content-length", off: -7 }, "size_mismatch", /offers 2097145 bytes/],
    ["sends something else", { type: "wrong-body", body: "<html>" }, "size_mismatch", /offers 6 bytes/],
  ])("%s is named, and nothing is left open", async (_what, action, code, words) => {
    await using pair = await OneBlob.between({ rules: [get(action)] }, {});
    const { result } = await pair.move(driver, BYTES);
    expect(result).toMatchObject({ kind: "failed", error: { code, side: "source", retryable: true } });
    expect(result.kind === "failed" ? result.error.message : "").toMatch(words);
    expect(pair.holds(BYTES)).toBe(false);
    expect(pair.target.openUploads()).toEqual([]);
  });

  it("labels what is gzip by nature as encoded is right all the same", async () => {
    const rules = [get({ type: "headers", set: { "content-encoding": "gzip" } })];
    await using pair = await OneBlob.between({ rules }, {});
    const layer = gzipSync(BYTES);
    expect((await pair.move(driver, layer)).result).toEqual({ kind: "copied" });
    expect(pair.holds(layer)).toBe(true);
  });

  it("encodes what it was asked not to encode is told so", async () => {
    const encoded = gzipSync(BYTES);
    await using pair = await OneBlob.between(
      { rules: [get({ type: "headers", set: { "content-encoding": "gzip" } })] },
      {},
    );
    // The registry hands out the encoded bytes under the digest of the plain ones.
    const { result } = await pair.move(driver, encoded, { digest: digestOf(BYTES) });
    expect(result).toMatchObject({ kind: "failed", error: { code: "digest_mismatch", side: "source" } });
    expect(result.kind === "failed" ? result.error.message : "").toContain("encoded as gzip");
  });

  it("sends a header of megabytes is not read", async () => {
    const rules = [get({ type: "headers", set: { "x-long": "x".repeat(4 * MIB) } })];
    await using pair = await OneBlob.between({ rules }, {});
    const { result } = await pair.move(driver, BYTES);
    expect(result).toMatchObject({ kind: "failed", error: { code: "connection", side: "source" } });
    expect((await driver.peakMemoryBytes()) ?? 0).toBeLessThan(MEMORY_BYTES);
  });

  it.each([403, 404, 401, 400, 500])("redirects to a store that answers %i once is asked anew", async (status) => {
    await using pair = await OneBlob.between({ redirect: true }, {});
    pair.source.cdnFaults.add({ times: 1, action: { type: "status", status } });
    expect((await pair.move(driver, BYTES)).result).toEqual({ kind: "copied" });
    expect(pair.source.requests.map(({ listener }) => listener)).toEqual(["registry", "cdn", "registry", "cdn"]);
  });

  it("redirects to a store that always refuses is named with the store, to be tried later", async () => {
    await using pair = await OneBlob.between({ redirect: true }, {});
    pair.source.cdnFaults.add({ action: { type: "status", status: 403 } });
    const { result, source } = await pair.move(driver, BYTES);
    expect(result).toMatchObject({ kind: "failed", error: { code: "unavailable", side: "source", retryable: true } });
    const message = result.kind === "failed" ? result.error.message : "";
    expect(message).toContain(pair.source.cdnHost);
    expect(source.class).toBe("failed");
    expect(pair.source.requests).toHaveLength(4);
  });
});

describe("a target that", () => {
  it("does not know the digest's algorithm says so", async () => {
    await using pair = await OneBlob.between({}, {});
    const { result } = await pair.move(driver, BYTES, { digest: "odd:abc" });
    expect(result).toMatchObject({ kind: "failed", error: { side: "target", retryable: false } });
  });

  it.each([500, 502, 504])("stores a blob and says %i is not sent it again", async (status) => {
    const action: FaultAction = { type: "late-error", status };
    await using pair = await OneBlob.between({}, { rules: [{ match: { method: "PUT" }, times: 1, action }] });
    const first = await pair.move(driver, BYTES);
    expect(first.result).toMatchObject({ kind: "failed", error: { retryable: true } });
    const second = await pair.move(driver, BYTES, { attempt: 2 });
    expect(second).toMatchObject({ result: { kind: "present" }, requests: { source: 0, target: 1 } });
  });

  it.each(["PUT", "PATCH"])("has lost the session of a %s is asked for another one", async (method) => {
    const chunkBytes = method === "PATCH" ? MIB : 0;
    const rules = [{ match: { method, path: /uploads/ }, times: 1, action: { type: "lose-upload" as const } }];
    await using pair = await OneBlob.between({}, { rules });
    const settings = { chunkBytes };
    const first = await pair.move(driver, BYTES, { settings });
    expect(first.result).toMatchObject({ kind: "failed", error: { code: "upload_lost", retryable: true } });
    expect((await pair.move(driver, BYTES, { attempt: 2, settings })).result).toEqual({ kind: "copied" });
  });

  it.each([403, 405])("answers HEADs with %i is sent the blob", async (status) => {
    const rules = [{ match: { method: "HEAD" }, action: { type: "status" as const, status } }];
    await using pair = await OneBlob.between({}, { rules });
    expect((await pair.move(driver, BYTES, { attempt: 2 })).result).toEqual({ kind: "copied" });
  });

  it("answers 401 out of nowhere is asked once more", async () => {
    const rules = [{ match: { method: "POST" }, times: 1, action: { type: "status" as const, status: 401 } }];
    await using pair = await OneBlob.between({}, { rules });
    expect((await pair.move(driver, BYTES)).result).toEqual({ kind: "copied" });
    expect(pair.steps).toEqual(["POST 401", "POST 202", "PUT 201"]);
  });
});

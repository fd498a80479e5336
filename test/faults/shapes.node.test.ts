/** Uploads in every shape, and what refusals teach, by a lane in workerd. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { initialShape } from "../../src/registry/upload-shape.ts";
import { Driver } from "../lane/driver/workerd.ts";
import type { RegistryOptions } from "../registry-server/server.ts";
import { noise } from "../support/sample-image.ts";
import { OneBlob } from "./one-blob.ts";

const MIB = 1024 ** 2;
const BYTES = noise("shapes", 3 * MIB + 5);
const PLAIN = initialShape({ host: "registry.example", chunkBytes: 0 });
const PATCH = { ...PLAIN, whole: "patch" as const, lessons: 1 };
const CHUNKS = { ...PLAIN, maxWholeBytes: MIB, chunkBytes: MIB, lessons: 1 };

let driver: Driver;
beforeAll(async () => {
  driver = await Driver.start();
});
afterAll(() => driver[Symbol.asyncDispose]());

describe("a blob goes up", () => {
  it("by one PATCH of exact length without Content-Range, and an empty PUT", async () => {
    await using pair = await OneBlob.between({}, { forms: ["patch"] });
    expect((await pair.move(driver, BYTES, { shape: PATCH })).result).toEqual({ kind: "copied" });
    expect(pair.steps).toEqual(["POST 202", "PATCH 202", "PUT 201"]);
    const [, patch] = pair.target.requests;
    expect(patch?.headers).toMatchObject({ "content-length": String(BYTES.length) });
    expect(patch?.headers).not.toHaveProperty("content-range");
    expect(pair.holds(BYTES)).toBe(true);
  });

  it("by a PATCH that closes the upload, which is made sure of by a HEAD", async () => {
    await using pair = await OneBlob.between({}, { forms: ["patch"], closesOnPatch: true });
    expect((await pair.move(driver, BYTES, { shape: PATCH })).result).toEqual({ kind: "copied" });
    expect(pair.steps).toEqual(["POST 202", "PATCH 201", "HEAD 200"]);
    expect(pair.holds(BYTES)).toBe(true);
  });

  it("in chunks whose answers stand still, which is learned, not heeded", async () => {
    await using pair = await OneBlob.between({}, { rangeStandsStill: true });
    const report = await pair.move(driver, BYTES, { shape: CHUNKS });
    expect(report).toMatchObject({ result: { kind: "copied" }, learned: { tellsOffset: false, lessons: 2 } });
    expect(pair.holds(BYTES)).toBe(true);
    const again = await pair.move(driver, noise("again", 2 * MIB), { shape: { ...CHUNKS, tellsOffset: false } });
    expect(again).not.toHaveProperty("learned");
  });

  it("in chunks within the bounds that the session tells", async () => {
    await using pair = await OneBlob.between({}, { maxChunkBytes: MIB, tellsMaxChunk: true, maxPutBytes: MIB });
    expect((await pair.move(driver, BYTES)).result).toEqual({ kind: "copied" });
    expect(pair.steps).toEqual(["POST 202", "PATCH 202", "PATCH 202", "PATCH 202", "PATCH 202", "PUT 201"]);
  });
});

describe("a host that takes", () => {
  it.each<[string, RegistryOptions, string[]]>([
    ["no body in a PUT", { forms: ["patch", "chunks"] }, ["PUT 400", "PATCH 202", "PUT 201"]],
    ["chunks only", { forms: ["chunks"] }, ["PUT 400", "PATCH 405", "PATCH 202", "PUT 201"]],
    ["no large body", { maxBodyBytes: 2 * MIB }, ["PUT 413", "PATCH 202", "PATCH 202", "PUT 201"]],
    [
      "no large body, and small chunks only",
      { maxPutBytes: 2 * MIB, maxChunkBytes: MIB / 2 },
      ["PUT 413", "PATCH 416", ...Array.from({ length: 7 }, () => "PATCH 202"), "PUT 201"],
    ],
  ])("%s is found out", async (_what, target, steps) => {
    await using pair = await OneBlob.between({}, target);
    expect((await pair.insist(driver, BYTES)).result).toEqual({ kind: "copied" });
    expect(pair.steps.filter((step) => /^(PUT|PATCH)/.test(step))).toEqual(steps);
    expect(pair.holds(BYTES)).toBe(true);
    expect(pair.target.openUploads()).toEqual([]);
  });

  it("nothing at all is told in the registry's words", async () => {
    await using pair = await OneBlob.between({}, { forms: [] });
    const { result } = await pair.insist(driver, BYTES);
    expect(result).toMatchObject({ kind: "failed", error: { side: "target", retryable: false } });
    expect(pair.target.openUploads()).toEqual([]);
  });

  it("what chunk_bytes says is not offered anything else", async () => {
    await using pair = await OneBlob.between({}, { forms: ["put"] });
    const report = await pair.move(driver, BYTES, { settings: { chunkBytes: MIB } });
    expect(report).toMatchObject({ result: { kind: "failed", error: { retryable: false, status: 400 } } });
    expect(report).not.toHaveProperty("learned");
  });
});

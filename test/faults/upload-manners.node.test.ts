import { describe, expect, it } from "vitest";
import { UploadManners } from "../../src/host/upload-manners.ts";
import { initialShape } from "../../src/registry/upload-shape.ts";

const HOST = { host: "registry.example", chunkBytes: 0 };
const DAY_MS = 24 * 3_600_000;
const initial = initialShape(HOST);
const patch = { ...initial, whole: "patch" as const, lessons: 1 };
const chunks = { ...patch, whole: "chunks" as const, lessons: 2 };

describe("what a host knows of its uploads", () => {
  it("begins with what its name and settings say, and goes on with what lanes have learned", () => {
    const manners = new UploadManners(HOST);
    expect(manners.shape(0)).toEqual(initial);
    expect(manners.learn(patch, 1)).toEqual({ shape: patch, atMs: 1 });
    expect(manners.shape(2)).toEqual(patch);
  });

  it("does not go back to what a slower lane has learned", () => {
    const manners = new UploadManners(HOST, { shape: chunks, atMs: 0 });
    expect(manners.learn(patch, 1)).toBeUndefined();
    expect(manners.learn(chunks, 1)).toBeUndefined();
    expect(manners.shape(2)).toEqual(chunks);
  });

  it("is found out again after a week, or on request", () => {
    const manners = new UploadManners(HOST, { shape: chunks, atMs: 0 });
    expect(manners.shape(6 * DAY_MS)).toEqual(chunks);
    expect(manners.shape(8 * DAY_MS)).toEqual(initial);
    expect(manners.learn(patch, 8 * DAY_MS)).toEqual({ shape: patch, atMs: 8 * DAY_MS });
    manners.forget();
    expect(manners.shape(8 * DAY_MS)).toEqual(initial);
  });

  it("is below what the settings demand", () => {
    const settings = { ...HOST, chunkBytes: 1_000_000 };
    expect(new UploadManners(settings, { shape: patch, atMs: 0 }).shape(1)).toEqual(initialShape(settings));
  });
});

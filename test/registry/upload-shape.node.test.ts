import { describe, expect, it } from "vitest";
import {
  initialShape,
  isNewer,
  learnFrom,
  learnFromOffset,
  planUpload,
  type UploadPlan,
  type UploadShape,
} from "../../src/registry/upload-shape.ts";

const MIB = 1024 ** 2;
const NO_BOUNDS = { minChunkBytes: 0, maxChunkBytes: 0 };

function shapeOf(host: string, chunkBytes = 0): UploadShape {
  return initialShape({ host, chunkBytes });
}

function refused(plan: UploadPlan, sizeBytes: number, status: number, message = "no", firstByte = 0) {
  return { plan, sizeBytes, firstByte, error: { code: "upload_rejected" as const, status, message } };
}

describe("the shape to begin with", () => {
  const cases: { host: string; sizeBytes: number; plan: UploadPlan }[] = [
    { host: "registry.example", sizeBytes: 1024 * MIB, plan: { way: "put" } },
    { host: "registry.example", sizeBytes: 1025 * MIB, plan: { way: "chunks", chunkBytes: 16 * MIB } },
    { host: "ghcr.io", sizeBytes: 1024 * MIB, plan: { way: "put" } },
    { host: "ghcr.io", sizeBytes: 10_000 * MIB, plan: { way: "chunks", chunkBytes: 4 * MIB } },
    { host: "europe-docker.pkg.dev", sizeBytes: 10_000 * MIB, plan: { way: "put" } },
    { host: "eu.gcr.io", sizeBytes: 10_000 * MIB, plan: { way: "put" } },
    { host: "team.azurecr.io", sizeBytes: 15 * MIB, plan: { way: "put" } },
    { host: "team.azurecr.io", sizeBytes: 100 * MIB, plan: { way: "chunks", chunkBytes: 16 * MIB } },
    { host: "registry.cloudflare.com", sizeBytes: 90 * MIB, plan: { way: "put" } },
    { host: "registry.cloudflare.com", sizeBytes: 300 * MIB, plan: { way: "chunks", chunkBytes: 95 * MIB } },
    { host: "quay.io", sizeBytes: 21_000_000_000, plan: { way: "chunks", chunkBytes: 512 * MIB } },
  ];
  it.each(cases)("of $host sends $sizeBytes bytes by $plan.way", ({ host, sizeBytes, plan }) => {
    expect(planUpload(shapeOf(host), sizeBytes, NO_BOUNDS)).toEqual(plan);
  });

  it("says why, for every host that is known", () => {
    expect(shapeOf("123456789012.dkr.ecr.eu-west-1.amazonaws.com")).toMatchObject({
      tellsOffset: false,
      reason: expect.stringContaining("ECR"),
    });
    expect(shapeOf("notghcr.io").reason).toContain("nothing is known");
  });

  it("is what chunk_bytes demands, whatever is known of the host", () => {
    expect(planUpload(shapeOf("gcr.io", MIB), 3 * MIB, NO_BOUNDS)).toEqual({ way: "chunks", chunkBytes: MIB });
    expect(planUpload(shapeOf("gcr.io", MIB), MIB, NO_BOUNDS)).toEqual({ way: "put" });
  });
});

describe("a plan", () => {
  const shape = shapeOf("registry.example");

  it("keeps to the bounds that the session tells", () => {
    expect(planUpload(shape, 10 * MIB, { minChunkBytes: 0, maxChunkBytes: 4 * MIB })).toEqual({
      way: "chunks",
      chunkBytes: 4 * MIB,
    });
    expect(planUpload(shapeOf("a.example", MIB), 10 * MIB, { minChunkBytes: 5 * MIB, maxChunkBytes: 0 })).toEqual({
      way: "chunks",
      chunkBytes: 5 * MIB,
    });
  });

  it("sends a blob whole that would be a single chunk", () => {
    expect(planUpload(shapeOf("a.example", MIB), 2 * MIB, { minChunkBytes: 5 * MIB, maxChunkBytes: 0 })).toEqual({
      way: "put",
    });
  });

  it("goes over to chunks when a large blob keeps failing, but not for small ones, and never where chunks are refused", () => {
    expect(planUpload(shape, 100 * MIB, NO_BOUNDS, 3)).toEqual({ way: "chunks", chunkBytes: 16 * MIB });
    expect(planUpload(shape, MIB, NO_BOUNDS, 3)).toEqual({ way: "put" });
    expect(planUpload(shapeOf("gcr.io"), 100 * MIB, NO_BOUNDS, 5)).toEqual({ way: "put" });
  });
});

describe("a refusal", () => {
  const shape = shapeOf("registry.example");
  const chunks: UploadPlan = { way: "chunks", chunkBytes: 16 * MIB };

  it.each<[string, UploadShape, ReturnType<typeof refused>, Partial<UploadShape> | null]>([
    ["413 to a PUT", shape, refused({ way: "put" }, 100 * MIB, 413), { maxWholeBytes: 16 * MIB, chunkBytes: 16 * MIB }],
    [
      "413 to a PUT below a chunk",
      shape,
      refused({ way: "put" }, 3 * MIB, 413),
      { maxWholeBytes: MIB, chunkBytes: MIB },
    ],
    [
      "413 that names its limit",
      shape,
      refused({ way: "put" }, 100 * MIB, 413, "at most 10 MB are taken"),
      { maxWholeBytes: 10_000_000, chunkBytes: 10_000_000 },
    ],
    [
      "416 that names its limit",
      shape,
      refused(chunks, 100 * MIB, 416, "exceeds the maximum permissible limit of 4.00MiB"),
      { chunkBytes: 4 * MIB },
    ],
    ["416 to a first chunk", shape, refused(chunks, 100 * MIB, 416), { chunkBytes: 4 * MIB }],
    [
      "416 to a small first chunk",
      shape,
      refused({ way: "chunks", chunkBytes: 4 * MIB }, 100 * MIB, 416),
      { chunkBytes: 0, maxWholeBytes: 0 },
    ],
    ["416 to a later chunk", shape, refused(chunks, 100 * MIB, 416, "no", 16 * MIB), { chunkBytes: 0 }],
    ["201 to a first chunk", shape, refused(chunks, 100 * MIB, 201), { chunkBytes: 0 }],
    ["400 to a PUT", shape, refused({ way: "put" }, MIB, 400), { whole: "patch" }],
    ["405 to a PUT", shape, refused({ way: "put" }, MIB, 405), { whole: "patch" }],
    ["400 to a PATCH", { ...shape, whole: "patch" }, refused({ way: "patch" }, MIB, 400), { whole: "chunks" }],
    ["400 to the last form", { ...shape, whole: "chunks" }, refused(chunks, MIB, 400), null],
    ["413 where no chunks are taken", shapeOf("gcr.io"), refused({ way: "put" }, 100 * MIB, 413), null],
    ["413 to a body that is tiny already", shape, refused({ way: "put" }, 1000, 413), null],
    ["500", shape, refused({ way: "put" }, 100 * MIB, 500), null],
  ])("with %s teaches what can be taught", (_what, before, refusal, expected) => {
    const after = learnFrom(before, refusal);
    if (expected === null) {
      expect(after).toBeNull();
    } else {
      expect(after).toMatchObject({ ...expected, lessons: 1, reason: expect.stringMatching(/^learned: /) });
    }
  });

  it.each(["unauthorized", "denied", "rate_limited", "digest_mismatch", "upload_lost", "not_found"] as const)(
    "because of %s teaches nothing",
    (code) => {
      expect(
        learnFrom(shape, { ...refused({ way: "put" }, MIB, 400), error: { code, status: 400, message: "" } }),
      ).toBeNull();
    },
  );

  it("leads, one after the other, to an end", () => {
    for (const status of [400, 413, 416]) {
      let known: UploadShape | null = shape;
      let lessons = 0;
      while (known !== null) {
        expect(lessons++).toBeLessThan(12);
        known = learnFrom(known, refused(planUpload(known, 100 * MIB, NO_BOUNDS), 100 * MIB, status));
      }
    }
  });
});

describe("an offset that was not sent", () => {
  it("is not relied on again", () => {
    const shape = shapeOf("registry.example");
    expect(learnFromOffset(shape, 2 * MIB, MIB)).toMatchObject({ tellsOffset: false, lessons: 1 });
    expect(learnFromOffset(shape, MIB, MIB)).toBeNull();
    expect(learnFromOffset({ ...shape, tellsOffset: false }, 2 * MIB, MIB)).toBeNull();
  });
});

it("of two shapes the one with more lessons is newer", () => {
  const known = { ...shapeOf("a.example"), lessons: 2 };
  expect([1, 2, 3].map((lessons) => isNewer({ ...known, lessons }, known))).toEqual([false, false, true]);
});

import { describe, expect, test } from "vitest";
import type { CopyView } from "../../src/job/contract.ts";
import { dataPointOf } from "../../src/ledger/data-point.ts";
import { DURATION_BOUNDS_SECONDS, noTotals, withCopy } from "../../src/ledger/totals.ts";
import { copy } from "../notify/support.ts";

function took(seconds: number): CopyView {
  const acceptedMs = Date.UTC(2026, 10, 24);
  return copy({
    times: {
      acceptedAt: new Date(acceptedMs).toISOString(),
      firstByteAt: null,
      doneAt: new Date(acceptedMs + seconds * 1000).toISOString(),
    },
  });
}

describe("totals", () => {
  test("grow by what a copy has come to", () => {
    const totals = withCopy(withCopy(noTotals(), copy()), copy({ state: "failed", asked: null }));
    expect(totals).toMatchObject({
      ended: { succeeded: { api: 1 }, failed: { unknown: 1, api: 0 }, cancelled: { api: 0 } },
      bytes: { copied: 1_400, mounted: 400, present: 0 },
      blobs: { copied: 4, mounted: 2, present: 0, unfinished: 2 },
      manifests: { copied: 2 },
      requests: { source: 8, target: 18 },
      durations: { sumSeconds: 3 },
    });
  });

  test.each([
    ["a dry run", copy({ dryRun: true })],
    ["a copy that runs", copy({ state: "running" })],
  ])("do not count %s", (_name, made) => {
    expect(withCopy(noTotals(), made)).toEqual(noTotals());
  });

  test.each([
    [0, 0],
    [0.25, 0],
    [0.26, 1],
    [60, 7],
    [100_000, DURATION_BOUNDS_SECONDS.length],
  ])("have a copy of %f s under the bound number %i", (seconds, slot) => {
    const { counts } = withCopy(noTotals(), took(seconds)).durations;
    expect(counts.indexOf(1)).toBe(slot);
    expect(counts.reduce((sum, count) => sum + count)).toBe(1);
  });
});

test("a data point has its columns in the documented order", () => {
  expect(dataPointOf(copy())).toEqual({
    indexes: ["registry.example.com"],
    blobs: ["succeeded", "ghcr.io", "registry.example.com", "api", "", "", ""],
    doubles: [1.5, 700, 2, 1, 0, 4, 9],
  });
});

/** A chaos run fails for each single thing that is wrong, and says what. */
import { expect, it } from "vitest";
import { faultsOf, linesOf, type Report } from "./report.ts";

const RIGHT: Report = {
  seed: 7,
  copies: 3,
  ends: { succeeded: 2, cancelled: 1 },
  misses: [],
  longestMs: 1_500,
  blows: { "kill lane": 2 },
  faults: { reset: 1 },
  messages: { twice: 1 },
  uploadsLeft: [],
  uploadsLost: { "its lane was killed": 1 },
  slotsLeaked: [],
  damaged: [],
  limits: [],
  peakBytes: 100 * 1024 ** 2,
  cpuMs: 2_000,
  tookMs: 10_000,
};

it("passes when nothing is wrong, and says so last", () => {
  expect(faultsOf(RIGHT)).toEqual([]);
  expect(linesOf(RIGHT).at(-1)).toBe("passed");
  expect(linesOf(RIGHT).join("\n")).toContain("1 cancelled, 2 succeeded; 3 right");
});

it.each(["misses", "uploadsLeft", "slotsLeaked", "damaged", "limits"] as const)("fails for %s", (field) => {
  const wrong = { ...RIGHT, [field]: ["copy 1 (succeed, id): of the test"] };
  expect(faultsOf(wrong)).toHaveLength(1);
  expect(linesOf(wrong).join("\n")).toContain("of the test");
  expect(linesOf(wrong).at(-1)).toBe("FAILED: 1 wrong; again with --seed 7");
});

it("counts a copy with two problems once", () => {
  const misses = ["copy 1 (succeed, id): this", "copy 1 (succeed, id): that"];
  expect(linesOf({ ...RIGHT, misses }).join("\n")).toContain("; 2 right");
});

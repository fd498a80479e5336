import { expect, test } from "vitest";
import { Pace } from "../../src/host/pace.ts";

const GAP_MS = 20;

test("the first word goes at once, the next after the gap, and each receiver has its own", () => {
  const pace = new Pace(GAP_MS);
  expect(pace.wait("a", 1_000)).toBe(0);
  expect(pace.wait("a", 1_005)).toBe(15);
  expect(pace.wait("b", 1_005)).toBe(0);
  expect(pace.wait("a", 1_020)).toBe(0);
  expect(pace.wait("a", 1_021)).toBe(19);
});

test("whoever is told to wait is not put off further by asking", () => {
  const pace = new Pace(GAP_MS);
  pace.wait("a", 1_000);
  for (let now = 1_001; now < 1_020; now++) {
    expect(pace.wait("a", now)).toBe(1_020 - now);
  }
  expect(pace.wait("a", 1_020)).toBe(0);
});

test("a clock that is set back keeps nobody waiting", () => {
  const pace = new Pace(GAP_MS);
  pace.wait("a", 1_000_000);
  expect(pace.wait("a", 1_000)).toBe(0);
  expect(pace.wait("a", 1_001)).toBe(GAP_MS - 1);
});

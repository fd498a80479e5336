import { describe, expect, test } from "vitest";
import { Rate } from "../../src/host/rate.ts";

describe("requests per second", () => {
  test("without a limit everything goes at once", () => {
    const rate = new Rate(0);
    expect([rate.reserve(7), rate.reserve(7), rate.opensAtMs()]).toEqual([7, 7, 0]);
  });

  test("ten at once take nine intervals", () => {
    const rate = new Rate(20);
    expect(Array.from({ length: 10 }, () => rate.reserve(1000)).at(-1)).toBe(1000 + 9 * 50);
  });

  test.each([
    [0.5, 2000],
    [1, 1000],
    [3, 1000 / 3],
  ])("%d a second opens again after %d ms", (perSecond, intervalMs) => {
    const rate = new Rate(perSecond);
    rate.reserve(1000);
    expect(rate.opensAtMs()).toBe(1000 + intervalMs);
  });

  test("what was not used is not saved up", () => {
    const rate = new Rate(10);
    rate.reserve(0);
    expect([rate.reserve(10_000), rate.reserve(10_000)]).toEqual([10_000, 10_100]);
  });

  test("goes on after a restart where it was", () => {
    const before = new Rate(1);
    before.reserve(0);
    before.reserve(0);
    expect(new Rate(1, before.opensAtMs()).reserve(0)).toBe(2000);
  });

  test("holds nobody back once the limit is lifted", () => {
    const before = new Rate(0.001);
    before.reserve(0);
    expect(new Rate(0, before.opensAtMs()).opensAtMs()).toBe(0);
  });
});

import { describe, expect, test } from "vitest";
import { ASSUMED_WINDOW_MS, heldBackUntil, seenQuota, type SeenQuota } from "../../src/host/quota.ts";

const SEEN_MS = 1_000_000;
const HUNDRED_SECONDS_MS = 100_000;

function seen(remaining: number, windowSeconds?: number): SeenQuota {
  return { limit: 100, remaining, seenAtMs: SEEN_MS, ...(windowSeconds === undefined ? {} : { windowSeconds }) };
}

describe("until when background requests are held back", () => {
  test.each<[string, SeenQuota | null, number, number, number | undefined]>([
    ["nothing was said of a quota", null, 20, 0, undefined],
    ["no reserve is set, and nothing is left", seen(0, 100), 0, 0, undefined],
    ["more than the reserve is left", seen(21, 100), 20, 0, undefined],
    ["just the reserve is left", seen(20, 100), 20, 0, undefined],
    ["less than the reserve is left: a window after that was seen", seen(19, 100), 20, 0, HUNDRED_SECONDS_MS],
    ["nothing is left", seen(0, 100), 1, 0, HUNDRED_SECONDS_MS],
    ["the window is all but over", seen(0, 100), 1, HUNDRED_SECONDS_MS - 1, HUNDRED_SECONDS_MS],
    ["the window is over", seen(0, 100), 1, HUNDRED_SECONDS_MS, undefined],
    ["the host does not say how long its window is", seen(0), 1, 0, ASSUMED_WINDOW_MS],
    ["the host's window has no length", seen(0, 0), 1, 0, ASSUMED_WINDOW_MS],
  ])("%s", (_name, quota, reserve, laterMs, untilMs) => {
    const expected = untilMs === undefined ? undefined : SEEN_MS + untilMs;
    expect(heldBackUntil(quota, reserve, SEEN_MS + laterMs)).toBe(expected);
  });
});

describe("what is remembered of a quota", () => {
  test("is the last that was said, and when", () => {
    expect(seenQuota(seen(5, 100), { limit: 200, remaining: 150 }, 7)).toEqual({
      limit: 200,
      remaining: 150,
      seenAtMs: 7,
    });
  });

  test("stays as it is, its age included, after an answer that says nothing", () => {
    expect(seenQuota(seen(5, 100), undefined, SEEN_MS + 50)).toEqual(seen(5, 100));
    expect(seenQuota(null, undefined, SEEN_MS)).toBeNull();
  });
});

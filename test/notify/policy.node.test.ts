import { describe, expect, test } from "vitest";
import { type Attempt, judge, MAX_ATTEMPTS, PAUSES_MS } from "../../src/notify/policy.ts";

const NOW_MS = Date.UTC(2026, 10, 24, 8);
const HOUR_MS = 3_600_000;

const answered = (status: number, retryAfter: string | null = null): Attempt => ({
  kind: "answered",
  status,
  retryAfter,
});
const unanswered: Attempt = { kind: "unanswered", reason: "hung up" };

describe("a message", () => {
  test.each([200, 201, 202, 204])("answered with %i is delivered", (status) => {
    expect(judge(answered(status), 1, NOW_MS, 0)).toEqual({ kind: "delivered" });
  });

  test.each<[string, Attempt, RegExp]>([
    ["a server's failure", answered(500), /answered 500/],
    ["too many requests", answered(429), /answered 429/],
    ["a refusal, which somebody may mend", answered(401), /answered 401/],
    ["a redirect, which is not followed", answered(301), /redirects are not followed/],
    ["no answer", unanswered, /hung up/],
  ])("is sent again after %s", (_name, attempt, words) => {
    const verdict = judge(attempt, 1, NOW_MS, 0);
    expect(verdict).toMatchObject({ kind: "again", atMs: NOW_MS + 5_000, reason: expect.stringMatching(words) });
  });

  test("is dead at once when the receiver wants no more", () => {
    expect(judge(answered(410), 1, NOW_MS, 0)).toMatchObject({ kind: "dead" });
  });

  test("is dead after the last attempt, and no sooner", () => {
    expect(judge(unanswered, MAX_ATTEMPTS - 1, NOW_MS, 0)).toMatchObject({ kind: "again" });
    expect(judge(unanswered, MAX_ATTEMPTS, NOW_MS, 0)).toEqual({ kind: "dead", reason: "hung up" });
  });
});

describe("pauses", () => {
  test("grow from seconds to hours, over a day in all", () => {
    expect(PAUSES_MS.toSorted((a, b) => a - b)).toEqual(PAUSES_MS);
    const totalMs = PAUSES_MS.reduce((sum, pause) => sum + pause, 0);
    expect(totalMs).toBeGreaterThan(24 * HOUR_MS);
    expect(totalMs).toBeLessThan(48 * HOUR_MS);
  });

  test.each([
    [0, 5_000],
    [0.5, 5_500],
    [1, 6_000],
  ])("with chance at %f the first is %i ms", (random, pauseMs) => {
    expect(judge(unanswered, 1, NOW_MS, random)).toMatchObject({ atMs: NOW_MS + pauseMs });
  });

  test.each<[string, string, number]>([
    ["seconds that are longer than ours", "90", 90_000],
    ["a date", new Date(NOW_MS + 600_000).toUTCString(), 600_000],
    ["seconds that are shorter than ours", "1", 5_000],
    ["years, of which a day is believed", "99999999", 24 * HOUR_MS],
    ["nonsense", "soon", 5_000],
  ])("honour Retry-After: %s", (_name, header, pauseMs) => {
    expect(judge(answered(503, header), 1, NOW_MS, 0)).toMatchObject({ atMs: NOW_MS + pauseMs });
  });
});

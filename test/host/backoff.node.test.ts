import { describe, expect, test } from "vitest";
import {
  Backoff,
  FIRST_PAUSE_MS,
  LONGEST_PAUSE_MS,
  MAX_REFUSING_MS,
  MAX_RETRY_AFTER_MS,
  SUCCESSES_PER_STEP,
} from "../../src/host/backoff.ts";

const NOW = 1_000_000;

/** Fails `times` times, each as soon as the pause before is over; answers the lengths of the pauses. */
function failInARow(backoff: Backoff, times: number, random = 0, from = NOW): number[] {
  let now = from;
  return Array.from({ length: times }, () => {
    backoff.failed(now, random);
    const pauseMs = backoff.pausedUntil() - now;
    now = backoff.pausedUntil();
    return pauseMs;
  });
}

function succeed(backoff: Backoff, times: number, now = 2 * NOW): void {
  for (let count = 0; count < times; count++) {
    backoff.succeeded(now);
  }
}

describe("a host's backoff", () => {
  test("at first nothing is paused", () => {
    const backoff = new Backoff();
    expect([backoff.pausedUntil(), backoff.reason, backoff.givesUpUntil(NOW), backoff.trial]).toEqual([
      0,
      "",
      undefined,
      false,
    ]);
  });

  test("pauses double from 0.1 s to 30 s and no further", () => {
    expect(failInARow(new Backoff(), 12)).toEqual([
      100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000,
    ]);
  });

  test.each([
    [0, FIRST_PAUSE_MS],
    [0.5, 0.75 * FIRST_PAUSE_MS],
    [1, 0.5 * FIRST_PAUSE_MS],
  ])("chance %d makes the first pause %d ms", (random, expected) => {
    expect(failInARow(new Backoff(), 1, random)).toEqual([expected]);
  });

  test("a hundred failures of requests that were under way together are one step", () => {
    const backoff = new Backoff();
    for (let count = 0; count < 100; count++) {
      backoff.failed(NOW + count / 2, 0);
    }
    expect(backoff.pausedUntil()).toBe(NOW + FIRST_PAUSE_MS);
  });

  test("so is one that was sent before the pause and fails long after it", () => {
    const backoff = new Backoff();
    backoff.failed(NOW, 0, NOW - 10);
    backoff.failed(NOW + 60_000, 0, NOW - 5);
    expect(backoff.snapshot().step).toBe(1);
    backoff.failed(NOW + 60_000, 0, NOW + 50_000);
    expect(backoff.snapshot().step).toBe(2);
  });

  test("five successes in a row take one step back, and a failure between them starts the count again", () => {
    const backoff = new Backoff();
    failInARow(backoff, 3);
    succeed(backoff, SUCCESSES_PER_STEP - 1);
    expect(failInARow(backoff, 1, 0, 2 * NOW)).toEqual([800]);
    succeed(backoff, SUCCESSES_PER_STEP, 3 * NOW);
    expect(failInARow(backoff, 1, 0, 3 * NOW)).toEqual([800]);
    succeed(backoff, 4 * SUCCESSES_PER_STEP, 4 * NOW);
    expect([backoff.pausedUntil(), backoff.reason]).toEqual([0, ""]);
    expect(failInARow(backoff, 1, 0, 4 * NOW)).toEqual([FIRST_PAUSE_MS]);
  });

  test("a success that arrives during the pause is of an earlier request and changes nothing", () => {
    const backoff = new Backoff();
    failInARow(backoff, 1);
    succeed(backoff, 100, NOW + 1);
    expect(backoff.pausedUntil()).toBe(NOW + FIRST_PAUSE_MS);
  });

  test("after three failures in a row the host is tried with one request, until that succeeds", () => {
    const backoff = new Backoff();
    failInARow(backoff, 2);
    expect(backoff.trial).toBe(false);
    failInARow(backoff, 1, 0, 2 * NOW);
    expect(backoff.trial).toBe(true);
    succeed(backoff, 1, 3 * NOW);
    expect(backoff.trial).toBe(false);
  });

  test("429 without Retry-After is a failure like any other", () => {
    const backoff = new Backoff();
    backoff.throttled(NOW, undefined, 0);
    expect(backoff.pausedUntil()).toBe(NOW + FIRST_PAUSE_MS);
    backoff.throttled(2 * NOW, 0, 0);
    expect(backoff.pausedUntil()).toBe(2 * NOW + 2 * FIRST_PAUSE_MS);
    expect(backoff.reason).toContain("429");
  });

  test("Retry-After is honoured to the millisecond, by chance untouched, and counts as no step", () => {
    const backoff = new Backoff();
    backoff.throttled(NOW, 61_234, 0.7);
    expect(backoff.pausedUntil()).toBe(NOW + 61_234);
    expect(backoff.snapshot().step).toBe(0);
    expect(backoff.reason).toContain("Retry-After");
    expect(backoff.givesUpUntil(NOW)).toBeUndefined();
  });

  test("neither a shorter Retry-After nor a failure shortens a pause", () => {
    const backoff = new Backoff();
    backoff.throttled(NOW, 60_000, 0);
    backoff.throttled(NOW + 1, 1000, 0);
    backoff.failed(NOW + 2, 0);
    expect(backoff.pausedUntil()).toBe(NOW + 60_000);
    backoff.throttled(NOW + 3, 90_000, 0);
    expect(backoff.pausedUntil()).toBe(NOW + 3 + 90_000);
  });

  test("a Retry-After beyond the cap pauses as long as the cap, and tells what the host asked for until then", () => {
    const backoff = new Backoff();
    const asked = 6 * 60 * 60 * 1000;
    backoff.throttled(NOW, asked, 0);
    expect(backoff.pausedUntil()).toBe(NOW + MAX_RETRY_AFTER_MS);
    expect(backoff.givesUpUntil(NOW + MAX_RETRY_AFTER_MS)).toBe(NOW + asked);
    expect(backoff.givesUpUntil(NOW + asked)).toBeUndefined();
  });

  test("exactly the cap is waited for", () => {
    const backoff = new Backoff();
    backoff.throttled(NOW, MAX_RETRY_AFTER_MS, 0);
    expect(backoff.givesUpUntil(NOW)).toBeUndefined();
  });

  test("a host that is well again before it said so is not given up any more", () => {
    const backoff = new Backoff();
    backoff.throttled(NOW, 2 * MAX_RETRY_AFTER_MS, 0);
    backoff.succeeded(NOW + MAX_RETRY_AFTER_MS);
    expect(backoff.givesUpUntil(NOW + MAX_RETRY_AFTER_MS)).toBeUndefined();
  });

  test("goes on after a restart where it was", () => {
    const before = new Backoff();
    failInARow(before, 3);
    const after = new Backoff(structuredClone(before.snapshot()));
    expect(after.pausedUntil()).toBe(before.pausedUntil());
    expect(failInARow(after, 1, 0, 2 * NOW)).toEqual([800]);
    expect(before.snapshot().step).toBe(3);
  });

  test("however long it fails, no pause is longer than the longest", () => {
    expect(Math.max(...failInARow(new Backoff(), 1000))).toBe(LONGEST_PAUSE_MS);
  });
});

test("after a 429 one request goes first; the others follow when it has not been refused for twice the time that took", () => {
  const backoff = new Backoff();
  backoff.throttled(1_400, 1_000, 0, 1_000);
  expect(backoff.opensAt()).toBe(2_400);
  backoff.sent(2_500);
  expect(backoff.opensAt()).toBe(3_300);
  backoff.sent(3_300);
  expect(backoff.opensAt()).toBe(3_300);
});

test("after a failure of another kind nobody goes first", () => {
  const backoff = new Backoff();
  backoff.failed(1_000, 0, 900);
  backoff.sent(1_100);
  expect(backoff.opensAt()).toBe(1_100);
});

describe("a host that answers nothing but 429", () => {
  /** 429s from the start on, each as soon as the pause before it is over. */
  function refuseFor(backoff: Backoff, ms: number): number {
    let now = 1_000_000;
    for (const endMs = now + ms; now < endMs; now = backoff.opensAt() + 50) {
      backoff.throttled(now, undefined, 0, now);
    }
    return now;
  }

  test("is waited for up to a limit in all, then given up until the end of its pause", () => {
    const backoff = new Backoff();
    expect(backoff.givesUpUntil(refuseFor(backoff, MAX_REFUSING_MS - 60_000) - 60)).toBeUndefined();
    const again = new Backoff();
    refuseFor(again, MAX_REFUSING_MS + 60_000);
    expect(again.givesUpUntil(again.pausedUntil() - 1)).toBe(again.pausedUntil());
    expect(again.givesUpUntil(again.pausedUntil())).toBeUndefined();
  });

  test("is a host like any other again after one success, or when nobody has asked it for a while", () => {
    const backoff = new Backoff();
    const now = refuseFor(backoff, MAX_REFUSING_MS + 60_000);
    backoff.succeeded(now);
    backoff.throttled(now + 1, undefined, 0);
    expect(backoff.givesUpUntil(now + 2)).toBeUndefined();
    const forgotten = new Backoff();
    const later = refuseFor(forgotten, MAX_REFUSING_MS + 60_000) + 3_600_000;
    forgotten.throttled(later, undefined, 0);
    expect(forgotten.givesUpUntil(later + 1)).toBeUndefined();
  });
});

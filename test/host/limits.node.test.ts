/** Which of a host's limits an outcome moves. */
import { describe, expect, test } from "vitest";
import { START_LIMIT } from "../../src/host/concurrency.ts";
import { Limits, type OutcomeContext } from "../../src/host/limits.ts";
import type { Outcome } from "../../src/registry/gate.ts";

const NOW_MS = 1_000_000_000;

function after(outcome: Outcome, active: number): Limits {
  const limits = new Limits({ host: "h", reqConcurrent: 0, reqPerSec: 0, quotaReserve: 0 });
  const context: OutcomeContext = { startedAt: NOW_MS - 10, active, sentAmong: active, small: false, wanted: true };
  limits.outcome(outcome, context, NOW_MS, 0);
  return limits;
}

describe("an outcome", () => {
  test.each<[Outcome["class"], number, { slots: number; isPaused: boolean }]>([
    ["throttled", 1, { slots: 1, isPaused: true }],
    ["throttled", 4, { slots: 2, isPaused: true }],
    ["refused", 4, { slots: 2, isPaused: true }],
    // Down, or an idle connection that it has closed: that says nothing of how many it would bear.
    ["refused", 1, { slots: START_LIMIT, isPaused: true }],
    ["failed", 4, { slots: START_LIMIT, isPaused: true }],
    ["unused", 4, { slots: START_LIMIT, isPaused: false }],
  ])("%s with %i under way", (outcome, active, { slots, isPaused }) => {
    const limits = after({ class: outcome }, active);
    expect(limits.limit.slots).toBe(slots);
    expect(limits.pausedUntilMs > NOW_MS).toBe(isPaused);
  });

  test("that names a time pauses until then, a failure too", () => {
    for (const outcome of ["throttled", "failed", "refused"] as const) {
      expect(after({ class: outcome, retryAfterMs: 7_000 }, 1).pausedUntilMs).toBe(NOW_MS + 7_000);
    }
  });
});

import { describe, expect, test } from "vitest";
import { type Minute, MINUTES_KEPT, oldestMinute, OutcomeLog } from "../../src/host/outcomes.ts";

const MINUTE_MS = 60_000;
/** Half past a minute. */
const START_MS = 1_000_000 * MINUTE_MS + MINUTE_MS / 2;

const NOTHING = {
  grants: { head: 0, manifest: 0, query: 0, blob: 0 },
  outcomes: { ok: 0, throttled: 0, refused: 0, failed: 0, unused: 0 },
};

describe("the counts of the last hour", () => {
  test("are kept by kind and by what became of them, over all minutes", () => {
    const log = new OutcomeLog();
    log.granted("head", START_MS);
    log.granted("blob", START_MS);
    log.granted("blob", START_MS + MINUTE_MS);
    log.booked("ok", START_MS);
    log.booked("throttled", START_MS + MINUTE_MS);
    log.booked("ok", START_MS + 2 * MINUTE_MS);
    expect(log.lastHour(START_MS + 2 * MINUTE_MS)).toEqual({
      grants: { ...NOTHING.grants, head: 1, blob: 2 },
      outcomes: { ...NOTHING.outcomes, ok: 2, throttled: 1 },
    });
  });

  test.each([
    [0, 1],
    [MINUTES_KEPT - 1, 1],
    [MINUTES_KEPT, 0],
    [10 * MINUTES_KEPT, 0],
  ])("%i minutes later, %i is counted", (minutes, count) => {
    const log = new OutcomeLog();
    log.booked("failed", START_MS);
    expect(log.lastHour(START_MS + minutes * MINUTE_MS).outcomes.failed).toBe(count);
  });

  test("a minute ends where the clock's does, not sixty seconds after its first request", () => {
    const log = new OutcomeLog();
    log.booked("ok", START_MS);
    log.booked("ok", START_MS + MINUTE_MS / 2 - 1);
    log.booked("ok", START_MS + MINUTE_MS / 2);
    expect(log.takeChanged().map(({ outcomes }) => outcomes.ok)).toEqual([2, 1]);
  });
});

describe("what is written down", () => {
  test("is each changed minute once, with all that it has so far", () => {
    const log = new OutcomeLog();
    log.granted("head", START_MS);
    expect(log.takeChanged()).toHaveLength(1);
    expect(log.takeChanged()).toEqual([]);
    log.granted("head", START_MS + 1);
    log.granted("query", START_MS + MINUTE_MS);
    expect(log.takeChanged().map(({ minute, grants }) => [minute, grants.head, grants.query])).toEqual([
      [Math.floor(START_MS / MINUTE_MS), 2, 0],
      [Math.floor(START_MS / MINUTE_MS) + 1, 0, 1],
    ]);
  });

  test("is enough to go on after a restart", () => {
    const log = new OutcomeLog();
    log.granted("blob", START_MS);
    log.booked("refused", START_MS + 5 * MINUTE_MS);
    const again = new OutcomeLog(log.takeChanged());
    again.granted("blob", START_MS);
    expect(again.lastHour(START_MS + 5 * MINUTE_MS)).toEqual({
      grants: { ...NOTHING.grants, blob: 2 },
      outcomes: { ...NOTHING.outcomes, refused: 1 },
    });
  });

  test("leaves out what nobody may ask for any more", () => {
    const log = new OutcomeLog();
    log.booked("ok", START_MS);
    const later = START_MS + MINUTES_KEPT * MINUTE_MS;
    log.booked("ok", later);
    expect(log.takeChanged().map(({ minute }) => minute)).toEqual([Math.floor(later / MINUTE_MS)]);
  });
});

describe("the counts of all time", () => {
  const outcomes = (more: object) => ({ ...NOTHING.outcomes, ...more });

  test("only grow, through hours of silence and restarts with what was written down", () => {
    let log = new OutcomeLog();
    const kept = new Map<number, Minute>();
    const restart = (now: number): OutcomeLog => {
      for (const minute of log.takeChanged()) {
        kept.set(minute.minute, minute);
      }
      const newest = Math.max(...kept.keys());
      // As the store gives them: those of the last hour, and the newest.
      return new OutcomeLog(
        [...kept.values()].filter(({ minute }) => minute >= oldestMinute(now) || minute === newest),
      );
    };
    expect(log.total()).toEqual(outcomes({}));
    for (let round = 1; round <= 5; round += 1) {
      const now = START_MS + round * 7 * 60 * MINUTE_MS;
      log.booked("ok", now);
      log.booked("throttled", now + MINUTE_MS);
      expect(log.total()).toEqual(outcomes({ ok: round, throttled: round }));
      log = restart(now + MINUTE_MS);
      expect(log.total()).toEqual(outcomes({ ok: round, throttled: round }));
    }
    expect(log.lastHour(START_MS + 37 * 60 * MINUTE_MS).outcomes).toEqual(outcomes({}));
  });

  test("go on from what was kept before they were counted, and do not shrink when the clock is set back", () => {
    const log = new OutcomeLog([{ ...NOTHING, minute: 999_990, outcomes: outcomes({ ok: 3 }) }]);
    log.booked("ok", START_MS);
    expect(log.total()).toEqual(outcomes({ ok: 4 }));
    log.booked("ok", START_MS - 30 * MINUTE_MS);
    expect(log.total()).toEqual(outcomes({ ok: 5 }));
  });
});

test("the oldest minute that counts is the first of sixty", () => {
  expect(oldestMinute(START_MS)).toBe(1_000_000 - 59);
});

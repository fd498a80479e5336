import { describe, expect, test } from "vitest";
import { describeScheduleFaults, nextDue, SPREAD_MS, spreadOf } from "../../src/sync/schedule.ts";

const NAME = "nightly";

/** The next times of a schedule, as a clock in UTC shows them. */
function times(cron: string, timeZone: string, after: string, count: number): string[] {
  const found: string[] = [];
  for (let atMs = Date.parse(after); found.length < count;) {
    const due = nextDue(NAME, { cron, timeZone }, atMs);
    if (due === null) {
      break;
    }
    found.push(new Date(due.slotMs).toISOString().slice(0, 16));
    atMs = due.startMs;
  }
  return found;
}

test.each<[string, string, string, string, string[]]>([
  ["daily", "30 3 * * *", "UTC", "2026-11-24T12:00:00Z", ["2026-11-25T03:30", "2026-11-26T03:30"]],
  ["in a zone", "30 3 * * *", "Europe/Berlin", "2026-11-24T12:00:00Z", ["2026-11-25T02:30", "2026-11-26T02:30"]],
  ["every quarter of an hour", "*/15 * * * *", "UTC", "2026-11-24T12:01:00Z", ["2026-11-24T12:15", "2026-11-24T12:30"]],
  ["on weekdays", "0 9 * * 1-5", "UTC", "2026-11-27T12:00:00Z", ["2026-11-30T09:00", "2026-12-01T09:00"]],
  ["by name", "@daily", "UTC", "2026-11-24T12:00:00Z", ["2026-11-25T00:00"]],
  ["on the last of a month", "0 0 L * *", "UTC", "2027-02-01T00:00:00Z", ["2027-02-28T00:00", "2027-03-31T00:00"]],
  // Berlin's clock jumps from 02:00 to 03:00 on 2026-03-29 and from 03:00 back to 02:00 on 2026-10-25.
  [
    "at a time that is skipped",
    "30 2 * * *",
    "Europe/Berlin",
    "2026-03-28T12:00:00Z",
    ["2026-03-29T01:00", "2026-03-30T00:30"],
  ],
  [
    "at a time that comes twice",
    "30 2 * * *",
    "Europe/Berlin",
    "2026-10-24T12:00:00Z",
    ["2026-10-25T00:30", "2026-10-26T01:30"],
  ],
  [
    "hourly over a jump forward",
    "0 * * * *",
    "Europe/Berlin",
    "2026-03-28T23:30:00Z",
    ["2026-03-29T00:00", "2026-03-29T01:00", "2026-03-29T02:00"],
  ],
  [
    "hourly over a jump back",
    "0 * * * *",
    "Europe/Berlin",
    "2026-10-24T23:30:00Z",
    ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
  ],
  [
    "in the other half of the world",
    "0 2 * * *",
    "America/New_York",
    "2026-11-01T00:00:00Z",
    ["2026-11-01T07:00", "2026-11-02T07:00"],
  ],
])("a schedule %s", (_, cron, zone, after, expected) => {
  expect(times(cron, zone, after, expected.length)).toEqual(expected);
});

describe("the beginning of a run", () => {
  test("lies within a minute after its time, always the same for one name", () => {
    const schedule = { cron: "0 3 * * *", timeZone: "UTC" };
    const due = nextDue(NAME, schedule, Date.parse("2026-11-24T12:00:00Z"));
    expect(due?.startMs).toBe((due?.slotMs ?? 0) + spreadOf(NAME));
    expect(spreadOf(NAME)).toBeLessThan(SPREAD_MS);
  });

  test("is not lost when it is asked for between the time and the beginning", () => {
    const schedule = { cron: "* * * * *", timeZone: "UTC" };
    const slotMs = Date.parse("2026-11-24T12:00:00Z");
    const due = nextDue(NAME, schedule, slotMs + spreadOf(NAME) - 1);
    expect(due?.slotMs).toBe(slotMs);
    expect(nextDue(NAME, schedule, due?.startMs ?? 0)?.slotMs).toBe(slotMs + 60_000);
  });

  test("comes once for all that was missed", () => {
    const schedule = { cron: "0 * * * *", timeZone: "UTC" };
    const nowMs = Date.parse("2026-11-24T12:30:00Z");
    expect(nextDue(NAME, schedule, nowMs)?.slotMs).toBe(Date.parse("2026-11-24T13:00:00Z"));
  });

  test("of a thousand rules are spread: no second has more than a twentieth of them", () => {
    const seconds = Map.groupBy(
      Array.from({ length: 1000 }, (_, at) => Math.floor(spreadOf(`rule-${at}`) / 1000)),
      (second) => second,
    );
    expect(Math.max(...[...seconds.values()].map(({ length }) => length))).toBeLessThan(50);
    expect(seconds.size).toBe(60);
  });
});

test.each<[string, string, string[]]>([
  ["30 3 * * *", "Europe/Berlin", []],
  ["@hourly", "UTC", []],
  ["30 3 * *", "UTC", ["cron"]],
  ["0 30 3 * * *", "UTC", ["cron"]],
  ["61 * * * *", "UTC", ["cron"]],
  ["2027-01-01T03:30:00", "UTC", ["cron"]],
  ["0 0 30 2 *", "UTC", ["cron"]],
  ["soon", "Mars/Olympus", ["cron", "time_zone"]],
  ["0 3 * * *", "Berlin", ["time_zone"]],
  ["0 3 * * *", "+02:00", ["time_zone"]],
  ["0 3 * * *", "", ["time_zone"]],
])("of %j in %j these fields are wrong: %j", (cron, timeZone, fields) => {
  const faults = describeScheduleFaults({ cron, timeZone }, Date.parse("2026-11-24T12:00:00Z"));
  expect(faults.map(({ field }) => field)).toEqual(fields);
});

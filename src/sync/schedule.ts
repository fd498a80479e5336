/**
 * When a rule's schedule comes due. Pure: time is an argument. The times themselves are `croner`'s, summer time included: a
 * fixed time that a clock skips comes when the clock has jumped, one that it shows twice comes once; `*` and `/` follow the
 * time that passes.
 */
import { Cron } from "croner";
import type { Schedule } from "./contract.ts";

/** Rules of one minute begin within so much after it, each at its own moment, so that a thousand do not start at once. */
export const SPREAD_MS = 60_000;

/** A time of the schedule, and when the rule begins for it. Milliseconds since the epoch. */
export interface Due {
  slotMs: number;
  startMs: number;
}

/** What is wrong with a schedule, field by field, as ends of sentences; empty: nothing. */
export function describeScheduleFaults(
  { cron, timeZone }: Schedule,
  nowMs: number,
): { field: string; message: string }[] {
  const zoneFault = isTimeZone(timeZone)
    ? []
    : [{ field: "time_zone", message: 'is no time zone; give a name such as "Europe/Berlin" or "UTC"' }];
  let found: Cron;
  try {
    if (cron.includes(":")) {
      // A moment, which the library takes too, comes once.
      throw new Error("it has a colon");
    }
    found = cronOf({ cron, timeZone: "UTC" });
  } catch (thrown) {
    const words = thrown instanceof Error ? thrown.message.replace(/^Cron\w+: /, "") : "not understood";
    return [
      {
        field: "cron",
        message: `is no cron expression such as "30 3 * * *" (minute hour day month weekday): ${words}`,
      },
      ...zoneFault,
    ];
  }
  const isNever = found.nextRun(new Date(nowMs)) === null;
  return [...(isNever ? [{ field: "cron", message: "never comes" }] : []), ...zoneFault];
}

/** The next time whose start lies after `nowMs`; null: there is none any more. */
export function nextDue(name: string, schedule: Schedule, nowMs: number): Due | null {
  const spreadMs = spreadOf(name);
  const slotMs = cronOf(schedule)
    .nextRun(new Date(nowMs - spreadMs))
    ?.getTime();
  return slotMs === undefined ? null : { slotMs, startMs: slotMs + spreadMs };
}

/** How long after its time a rule begins: always the same for one name, and names lie evenly. */
export function spreadOf(name: string): number {
  // FNV-1a, 32 bits.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  // Its low bits alone differ little between names that differ in one digit.
  hash ^= hash >>> 15;
  return Math.floor(((Math.imul(hash, 0x2c1b3c6d) >>> 0) / 2 ** 32) * SPREAD_MS);
}

function cronOf({ cron, timeZone }: Schedule): Cron {
  return new Cron(cron, { timezone: timeZone, paused: true, mode: "5-part" });
}

function isTimeZone(name: string): boolean {
  try {
    // Offsets such as "+02:00" are taken as well, but know no summer time: a name says what is meant.
    return !/^[+-]/.test(name) && new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

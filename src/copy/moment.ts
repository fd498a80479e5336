/** Moments as users write them: how long ago, or a date. Pure. */

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const DURATION = /^(?:\d{1,9}[smhdw])+$/;
const DATE = /^(\d{4}-\d{2}-\d{2})(?:[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2}))?$/;

/** For errors: what {@link parseMoment} reads. */
export const MOMENT_FORMS =
  "a duration such as 30d, 12h or 1w (units s, m, h, d, w), or a date such as 2026-01-31 or 2026-01-31T12:00:00Z";

/** A duration as so long before `now`, a date without time as its midnight in UTC; null: neither. Milliseconds since the epoch. */
export function parseMoment(text: string, now: number): number | null {
  const trimmed = text.trim();
  const agoMs = parseDuration(trimmed);
  if (agoMs !== null) {
    return now - agoMs;
  }
  const date = DATE.exec(trimmed);
  // The 31st of a month that has none would silently be the 1st of the next.
  if (date?.[1] === undefined || !isDay(date[1])) {
    return null;
  }
  const atMs = Date.parse(trimmed.replace(" ", "T").toUpperCase());
  return Number.isNaN(atMs) ? null : atMs;
}

/** `1h30m`, `30d`, in milliseconds; null: no duration. */
export function parseDuration(text: string): number | null {
  if (!DURATION.test(text)) {
    return null;
  }
  let sumMs = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhdw])/g)) {
    sumMs += Number(count) * (UNIT_MS[unit ?? ""] ?? 0);
  }
  return sumMs;
}

function isDay(text: string): boolean {
  const atMs = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(text);
}

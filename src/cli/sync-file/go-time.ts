/** Moments written in a layout of Go's (`20060102-1504`), in UTC. Pure. */

const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const two = (value: number): string => String(value).padStart(2, "0");
const twelve = (hours: number): number => hours % 12 || 12;

/** Parts of a layout by their text in Go's reference time, Mon Jan 2 15:04:05 2006. The longest that fits counts. */
const PARTS: Readonly<Record<string, (at: Date) => string>> = {
  January: (at) => MONTHS[at.getUTCMonth()] ?? "",
  Monday: (at) => DAYS[at.getUTCDay()] ?? "",
  Jan: (at) => (MONTHS[at.getUTCMonth()] ?? "").slice(0, 3),
  Mon: (at) => (DAYS[at.getUTCDay()] ?? "").slice(0, 3),
  MST: () => "UTC",
  "2006": (at) => String(at.getUTCFullYear()).padStart(4, "0"),
  "-0700": () => "+0000",
  "01": (at) => two(at.getUTCMonth() + 1),
  "02": (at) => two(at.getUTCDate()),
  "03": (at) => two(twelve(at.getUTCHours())),
  "04": (at) => two(at.getUTCMinutes()),
  "05": (at) => two(at.getUTCSeconds()),
  "06": (at) => two(at.getUTCFullYear() % 100),
  "15": (at) => two(at.getUTCHours()),
  PM: (at) => (at.getUTCHours() < 12 ? "AM" : "PM"),
  "1": (at) => String(at.getUTCMonth() + 1),
  "2": (at) => String(at.getUTCDate()),
  "3": (at) => String(twelve(at.getUTCHours())),
  "4": (at) => String(at.getUTCMinutes()),
  "5": (at) => String(at.getUTCSeconds()),
};

/** Go takes `Jan` and `Mon` for parts only where no word goes on. */
const PART = /January|Monday|Jan(?![a-z])|Mon(?![a-z])|MST|2006|-0700|0[1-6]|15|PM|[1-5]/g;

/** Parts of Go's that are not here: padded days, days of the year, fractions of seconds, other ways to write a zone. */
const UNKNOWN_PART = /_{1,2}2(?!006)|002|pm|Z07|-07(?!00(?!00))|[.,](?:0+|9+)(?!\d)/;

/** The first part of a layout that Go has and {@link goTime} has not; null: there is none. */
export function unknownTimePart(layout: string): string | null {
  return UNKNOWN_PART.exec(layout)?.[0] ?? null;
}

/** @param nowMs Milliseconds since the epoch. @param layout Without an {@link unknownTimePart}. */
export function goTime(layout: string, nowMs: number): string {
  const at = new Date(nowMs);
  return layout.replaceAll(PART, (part) => PARTS[part]?.(at) ?? part);
}

/** `Retry-After` (RFC 9110, section 10.2.3): seconds or a date. Pure. Caps are the host's policy, not decided here. */

/** Thirty years, and no more seconds are read: a moment much later than a date may be cannot be told any more. */
const MOST_MS = 999_999_999_000;

/** What the header asks for, in milliseconds from now (0 for a date gone by); null: it says nothing that can be read. */
export function parseRetryAfter(header: string | null, nowMs: number): number | null {
  const text = (header ?? "").trim();
  // Some registries send fractions of a second, which the RFC does not have.
  if (/^[0-9]{1,9}(?:\.[0-9]+)?$/.test(text)) {
    return Math.min(Math.ceil(Number(text) * 1000), MOST_MS);
  }
  // A date has a weekday or at least a month in it; without this check Date.parse would read "-5" or "2026".
  if (!/[A-Za-z]{3}/.test(text)) {
    return null;
  }
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : Math.min(Math.max(0, atMs - nowMs), MOST_MS);
}

/** `Retry-After` (RFC 9110, section 10.2.3): seconds or a date. Pure. Caps are the host's policy, not decided here. */

/** What the header asks for, in milliseconds from now (0 for a date gone by); null: it says nothing that can be read. */
export function parseRetryAfter(header: string | null, nowMs: number): number | null {
  const text = (header ?? "").trim();
  // Some registries send fractions of a second, which the RFC does not have.
  if (/^[0-9]{1,9}(?:\.[0-9]+)?$/.test(text)) {
    return Math.ceil(Number(text) * 1000);
  }
  // A date has a weekday or at least a month in it; without this check Date.parse would read "-5" or "2026".
  if (!/[A-Za-z]{3}/.test(text)) {
    return null;
  }
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}

/** "Did you mean": the nearest known name to a mistyped one. Pure. */

/** More than two slips, and the guess would more often be wrong than right. */
const MAX_SLIPS = 2;

/** The known name that `name` most likely stands for, or null. Other spellings (`reqConcurrent`) count as equal. */
export function nearest(name: string, known: readonly string[]): string | null {
  let best: { name: string; slips: number } | null = null;
  const given = plain(name);
  for (const candidate of known) {
    const wanted = plain(candidate);
    // Whoever sends a name may make it as long as a request can be.
    const isFar = Math.abs(given.length - wanted.length) > MAX_SLIPS;
    const slips = isFar ? Infinity : distance(given, wanted);
    if (slips <= MAX_SLIPS && slips < (best?.slips ?? Infinity)) {
      best = { name: candidate, slips };
    }
  }
  return best?.name ?? null;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

/** Letters to insert, delete or replace to get from one text to the other (Levenshtein), one row at a time. */
function distance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [row, letter] of from.split("").entries()) {
    const current = [row + 1];
    for (const [column, other] of to.split("").entries()) {
      const replaced = (above[column] ?? 0) + (letter === other ? 0 : 1);
      current.push(Math.min(replaced, (above[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1));
    }
    above = current;
  }
  return above[to.length] ?? 0;
}

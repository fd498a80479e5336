/** Sequences with wildcards in them: letters of a text, elements of a path. Pure; quadratic at worst, whatever is asked. */

/**
 * Whether `items` fit `pattern`, in which `any` stands for any number of items, none included, and everything else for the
 * one item that `fitsOne` grants it. Only the last `any` is ever widened, which is enough: it can take over all that an
 * earlier one could.
 */
export function fitsSequence(
  pattern: readonly string[],
  items: readonly string[],
  any: string,
  fitsOne: (part: string, item: string) => boolean,
): boolean {
  let at = 0;
  let place = 0;
  let widened: { at: number; place: number } | null = null;
  for (;;) {
    const part = pattern[at];
    const item = items[place];
    if (part === any) {
      at += 1;
      widened = { at, place };
    } else if (part !== undefined && item !== undefined && fitsOne(part, item)) {
      at += 1;
      place += 1;
    } else if (part === undefined && item === undefined) {
      return true;
    } else if (widened !== null && widened.place < items.length) {
      widened = { at: widened.at, place: widened.place + 1 };
      ({ at, place } = widened);
    } else {
      return false;
    }
  }
}

/** Whether a text fits a pattern in which `*` stands for any characters, none included. Upper and lower case differ. */
export function fitsWildcard(pattern: string, text: string): boolean {
  return fitsSequence(pattern.split(""), text.split(""), "*", (letter, other) => letter === other);
}

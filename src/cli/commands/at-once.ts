/** Bounds how many of many pieces of work run at once; the others wait in order. */

export type Gate = <T>(work: () => Promise<T>) => Promise<T>;

/** @param limit `Infinity`: no bound. */
export function gateOf(limit: number): Gate {
  let free = limit;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (free > 0) {
      free -= 1;
    } else {
      // Whoever ends hands its place over.
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) {
        free += 1;
      } else {
        next();
      }
    }
  };
}

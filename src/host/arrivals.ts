/**
 * Calls that arrive in one turn of the event loop, taken together: their rows are one commit, which costs more than
 * everything else about a call. Answers still wait until their rows are written (the output gate).
 */
export class Arrivals {
  readonly #waiting: ((now: number) => void)[] = [];
  readonly #soon: () => void;

  /** @param soon Called in the next turn; it is to call {@link take}. */
  constructor(soon: () => void) {
    this.#soon = soon;
  }

  /** Answers what `arrive` answers when it is taken. */
  add<T>(arrive: (now: number) => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const arrival = (now: number): void => {
        try {
          resolve(arrive(now));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      if (this.#waiting.push(arrival) === 1) {
        setTimeout(this.#soon, 0);
      }
    });
  }

  /** Takes all that have arrived, in their order. */
  take(now: number): void {
    for (const arrival of this.#waiting.splice(0)) {
      arrival(now);
    }
  }
}

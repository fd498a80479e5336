/** Lets a word to a receiver go at once, and the next no sooner than after a gap: what comes meanwhile goes with that. */
export class Pace {
  readonly #gapMs: number;
  readonly #lastMs = new Map<string, number>();

  constructor(gapMs: number) {
    this.#gapMs = gapMs;
  }

  /** How long the receiver is to be left alone still, in milliseconds; 0: it is told something now. */
  wait(receiver: string, now: number): number {
    const sinceMs = now - (this.#lastMs.get(receiver) ?? -Infinity);
    // A clock that was set back makes nobody wait.
    if (sinceMs >= 0 && sinceMs < this.#gapMs) {
      return this.#gapMs - sinceMs;
    }
    this.#lastMs.delete(receiver);
    this.#forgetOld(now);
    this.#lastMs.set(receiver, now);
    return 0;
  }

  /** The oldest come first. */
  #forgetOld(now: number): void {
    for (const [receiver, lastMs] of this.#lastMs) {
      if (Math.abs(now - lastMs) < this.#gapMs) {
        return;
      }
      this.#lastMs.delete(receiver);
    }
  }
}

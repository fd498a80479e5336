/**
 * The opt-in limit of requests per second, as reservations: who asks is told when to go. No timers, no waiting here.
 */
export class Rate {
  readonly #intervalMs: number;
  #opensAtMs: number;

  /**
   * @param perSecond Requests per second, may be a fraction; 0: no limit.
   * @param opensAtMs What {@link opensAtMs} said before, to go on after a restart.
   */
  constructor(perSecond: number, opensAtMs = 0) {
    this.#intervalMs = perSecond > 0 ? 1000 / perSecond : 0;
    this.#opensAtMs = perSecond > 0 ? opensAtMs : 0;
  }

  /** When the next reservation could go, in milliseconds since the epoch; in the past: at once. */
  opensAtMs(): number {
    return this.#opensAtMs;
  }

  /** A reservation is not used after all. */
  giveBack(): void {
    this.#opensAtMs -= this.#intervalMs;
  }

  /** Reserves the next place and answers when the request may go: `now` or later, in milliseconds since the epoch. */
  reserve(now: number): number {
    if (this.#intervalMs === 0) {
      return now;
    }
    const at = Math.max(now, this.#opensAtMs);
    this.#opensAtMs = at + this.#intervalMs;
    return at;
  }
}

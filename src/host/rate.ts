/**
 * The opt-in limit of requests per second, as reservations: who asks is told when to go. No timers, no waiting here.
 */
export class Rate {
  readonly #intervalMs: number;
  #nextAt: number;

  /**
   * @param perSecond Requests per second, may be a fraction; 0: no limit.
   * @param nextAt What {@link nextAt} said before, to go on after a restart.
   */
  constructor(perSecond: number, nextAt = 0) {
    this.#intervalMs = perSecond > 0 ? 1000 / perSecond : 0;
    this.#nextAt = nextAt;
  }

  /** When the next reservation could go, in milliseconds since the epoch; in the past: at once. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** Reserves the next place and answers when the request may go: `now` or later, in milliseconds since the epoch. */
  reserve(now: number): number {
    if (this.#intervalMs === 0) return now;
    const at = Math.max(now, this.#nextAt);
    this.#nextAt = at + this.#intervalMs;
    return at;
  }
}

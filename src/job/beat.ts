/**
 * Has what arrives close together go on in one turn of the event loop, while much is under way: its rows are one commit then,
 * which costs more than the rest of a step. A copy that has little under way waits for nothing.
 */
import { sleep } from "./waiting.ts";

/** Between two turns, in milliseconds: little beside a request to a registry. */
const BEAT_MS = 10;
/** Requests under way from which on it is worth while. */
const MANY = 4;

export class Beat {
  readonly #now: () => number;
  #underWay = 0;
  #lastMs = -Infinity;
  #coming: Promise<void> | null = null;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** What comes of it, with the next turn. */
  async bring<T>(underWay: Promise<T>): Promise<T> {
    this.#underWay += 1;
    try {
      return await underWay;
    } finally {
      await this.#next();
      this.#underWay -= 1;
    }
  }

  /** Resolves with the next turn: at once, unless the last was just now. */
  async #next(): Promise<void> {
    const sinceMs = this.#now() - this.#lastMs;
    // A clock that was set back makes nobody wait.
    const isDue = this.#underWay < MANY || sinceMs < 0 || sinceMs >= BEAT_MS;
    if (isDue && this.#coming === null) {
      this.#lastMs = this.#now();
      return;
    }
    this.#coming ??= this.#turn(BEAT_MS - sinceMs);
    await this.#coming;
  }

  async #turn(waitMs: number): Promise<void> {
    await sleep(waitMs);
    this.#coming = null;
    this.#lastMs = this.#now();
  }
}

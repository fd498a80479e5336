/**
 * Notices that one end of a transfer stands still. Knows which end is being waited for, and since when; knows nothing
 * of streams. What it watches must end by itself when the transfer's signal is aborted.
 */
import type { Side } from "./failures.ts";

/** How often it looks, as a part of the shortest patience: a stall is seen at most this much too late. */
const LOOKS_PER_LIMIT = 4;
const LONGEST_LOOK_MS = 5_000;

/** `either`: who is being waited for cannot be told. */
export type Awaited = Side | "either";

interface Wait {
  side: Awaited;
  limitMs: number;
  dueMs: number;
}

export class Watchdog {
  readonly #now: () => number;
  readonly #waits = new Set<Wait>();
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * @param idleMs The shortest limit that will be asked for.
   * @param bark Called once per wait that has lasted too long.
   */
  constructor(idleMs: number, now: () => number, bark: (side: Awaited, limitMs: number) => void) {
    this.#now = now;
    this.#timer = setInterval(
      () => {
        for (const wait of this.#waits) {
          if (wait.dueMs > now()) {
            continue;
          }
          this.#waits.delete(wait);
          bark(wait.side, wait.limitMs);
        }
      },
      Math.min(LONGEST_LOOK_MS, Math.ceil(idleMs / LOOKS_PER_LIMIT)),
    );
  }

  /** Waits for one step of one end, at most `limitMs`. */
  async watch<T>(side: Awaited, limitMs: number, step: Promise<T>): Promise<T> {
    const wait = { side, limitMs, dueMs: this.#now() + limitMs };
    this.#waits.add(wait);
    try {
      return await step;
    } finally {
      this.#waits.delete(wait);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#waits.clear();
  }
}

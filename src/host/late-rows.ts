/**
 * Rows that are not written in the step they come from: those that nobody misses when they are lost, and what the host has
 * taught. Of the latter a pause is written at once, so that whoever comes after a restart leaves the host alone as well;
 * the rest when all is quiet, since an object with nothing to do is gone within seconds, before its alarm rings.
 */
import type { Limits } from "./limits.ts";
import type { HostStore } from "./store.ts";

/** Such rows are written together after so long, in milliseconds: each write of its own costs a commit. */
const WRITE_LATER_MS = 250;

export class LateRows {
  readonly #store: HostStore;
  readonly #limits: Limits;
  readonly #isBusy: () => boolean;
  #waiting = false;
  /** The end of the pause as it was written down. */
  #keptPauseMs: number;

  constructor(store: HostStore, limits: Limits, isBusy: () => boolean) {
    this.#store = store;
    this.#limits = limits;
    this.#isBusy = isBusy;
    this.#keptPauseMs = limits.pausedUntilMs;
  }

  /** To be called after each step. */
  afterStep(now: number): void {
    if (this.#limits.pausedUntilMs !== this.#keptPauseMs) {
      this.#writeLearned(now);
    }
    if (!this.#waiting && (this.#store.hasLater || this.#hasQuietNews)) {
      this.#waiting = true;
      setTimeout(() => {
        this.#waiting = false;
        this.#store.writeLater();
        if (this.#hasQuietNews) {
          this.#writeLearned(Date.now());
        }
      }, WRITE_LATER_MS);
    }
  }

  /** Writes all there is. */
  write(now: number): void {
    this.#store.writeLater();
    this.#writeLearned(now);
  }

  get #hasQuietNews(): boolean {
    return this.#limits.hasNews && !this.#isBusy();
  }

  #writeLearned(now: number): void {
    this.#keptPauseMs = this.#limits.pausedUntilMs;
    if (this.#limits.hasNews) {
      this.#store.putLimits(this.#limits.snapshot());
      this.#store.putMinutes(this.#limits.takeChangedMinutes(), now);
    }
  }
}

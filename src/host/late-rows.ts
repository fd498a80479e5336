/**
 * Rows that are not written in the step they come from: those that nobody misses when they are lost, and what the host has
 * taught. Of the latter a pause is written at once, so that whoever comes after a restart leaves the host alone as well;
 * the rest when all is quiet, since an object with nothing to do is gone within seconds, before its alarm rings.
 */
import type { Limits } from "./limits.ts";
import type { HostScheduler } from "./scheduler.ts";
import type { HostStore } from "./store.ts";

/** Such rows are written together after so long, in milliseconds: each write of its own costs a commit. */
const WRITE_LATER_MS = 250;

export class LateRows {
  readonly #store: HostStore;
  readonly #limits: Limits;
  readonly #scheduler: Pick<HostScheduler, "busy" | "owners">;
  #waiting = false;
  /** The end of the pause as it was written down. */
  #keptPauseMs: number;

  constructor(store: HostStore, limits: Limits, scheduler: Pick<HostScheduler, "busy" | "owners">) {
    this.#store = store;
    this.#limits = limits;
    this.#scheduler = scheduler;
    this.#keptPauseMs = limits.pausedUntilMs;
  }

  /** To be called after each step. */
  afterStep(now: number): void {
    if (this.#limits.pausedUntilMs !== this.#keptPauseMs) {
      this.#writeLearned(now);
    }
    this.#writeSoon();
  }

  #writeSoon(): void {
    if (!this.#waiting && (this.#store.hasLater || this.#hasQuietNews || this.#scheduler.owners.anyIdle)) {
      this.#waiting = true;
      setTimeout(() => {
        this.#waiting = false;
        this.#store.writeLater();
        this.#deleteIdle();
        if (this.#hasQuietNews) {
          this.#writeLearned(Date.now());
        }
        this.#writeSoon();
      }, WRITE_LATER_MS);
    }
  }

  #deleteIdle(): void {
    const idle = this.#scheduler.owners.takeIdle();
    if (idle.length > 0) {
      this.#store.deleteOwners(idle);
    }
  }

  /** Writes all there is. */
  write(now: number): void {
    this.#store.writeLater();
    this.#deleteIdle();
    this.#writeLearned(now);
  }

  get #hasQuietNews(): boolean {
    return this.#limits.hasNews && !this.#scheduler.busy;
  }

  #writeLearned(now: number): void {
    this.#keptPauseMs = this.#limits.pausedUntilMs;
    if (this.#limits.hasNews) {
      this.#store.putLimits(this.#limits.snapshot());
      this.#store.putMinutes(this.#limits.takeChangedMinutes(), now);
    }
  }
}

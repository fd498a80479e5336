/** How offers end, and that their jobs come to know: told at once, told again, and in the end forgotten. */
import type { Settlement } from "./contract.ts";
import type { Offers, OfferState } from "./offers.ts";
import type { SchedulerPort } from "./port.ts";
import type { Slots } from "./slots.ts";

/** A job that could not be told of an end is told again after this, and after twice as long each further time. */
export const TELL_AGAIN_MS = 5_000;
/**
 * Then the end is forgotten: it has been told for ten minutes. A job that is still there offers again what it misses; the
 * blob is found where it was put.
 */
export const MAX_TELLS = 8;

export type End = Partial<Settlement> & Pick<Settlement, "outcome">;

export class Endings {
  #offers: Offers;
  #slots: Slots;
  #port: SchedulerPort;
  /** No job is to be told again before this, milliseconds since the epoch. */
  #dueAtMs = Infinity;

  constructor(offers: Offers, slots: Slots, port: SchedulerPort) {
    this.#offers = offers;
    this.#slots = slots;
    this.#port = port;
  }

  /**
   * Ends an offer, and with a blob that has arrived all that wait for the same one.
   * @returns After a failure the next offer of the same blob: its job may have another source, so it is to be tried.
   */
  settle(state: OfferState, end: End, now: number): OfferState | undefined {
    let next = this.#end(state, end, now);
    if (end.outcome === "failed") {
      return next;
    }
    // Not by calling itself: as many may wait for one blob as there are copies.
    while (next !== undefined) {
      next = this.#end(next, { outcome: "present" }, now);
    }
    return undefined;
  }

  #end(state: OfferState, end: End, now: number): OfferState | undefined {
    const { id, digest } = state.offer;
    const nothing = { bytes: 0, requests: { source: 0, target: 0 }, warnings: [] };
    const next = this.#offers.settle(state, { id, digest, ...nothing, ...end });
    this.#slots.setJobBytesLeft(state.job, this.#offers.jobBytesLeft(state.job));
    this.tell(state, now);
    return next;
  }

  tell(state: OfferState, now: number): void {
    const { job, settlement } = state;
    if (settlement !== undefined) {
      state.tells += 1;
      state.toldAtMs = now;
      this.#dueAtMs = Math.min(this.#dueAtMs, tellAgainAtMs(state));
      this.#port.settle(job, settlement, this.#offers.countOfJob(job));
    }
  }

  /** When {@link tick} may have a job to tell again; undefined: it has not. */
  get dueAtMs(): number | undefined {
    return this.unacknowledged === 0 ? undefined : this.#dueAtMs;
  }

  tick(now: number): void {
    if (now < this.#dueAtMs) {
      return;
    }
    this.#dueAtMs = Infinity;
    const forgotten: string[] = [];
    for (const state of this.#offers.inPhase("settled")) {
      if (tellAgainAtMs(state) > now) {
        this.#dueAtMs = Math.min(this.#dueAtMs, tellAgainAtMs(state));
        continue;
      }
      if (state.tells < MAX_TELLS) {
        this.tell(state, now);
      } else {
        forgotten.push(state.offer.id);
      }
    }
    if (forgotten.length > 0) {
      this.acknowledged(forgotten);
    }
  }

  /** An answer that comes late may name an offer that has begun anew since: that one has not ended. */
  acknowledged(ids: string[]): void {
    const ended = ids.filter((id) => this.#offers.get(id)?.phase === "settled");
    for (const id of ended) {
      this.#offers.remove(id);
    }
    this.#port.deleteOffersLater(ended);
  }

  /** Ends that their jobs do not know of yet. */
  get unacknowledged(): number {
    return this.#offers.count("settled");
  }
}

function tellAgainAtMs({ toldAtMs, tells }: OfferState): number {
  return toldAtMs + TELL_AGAIN_MS * 2 ** (tells - 1);
}

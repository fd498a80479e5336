/**
 * What lanes have left of blobs they could not finish: kept with the offer for the next lane, and deleted at the registry
 * when nobody is to go on with it. Knows nothing of slots.
 */
import type { BlobOffer, Handover } from "./contract.ts";
import type { OfferState } from "./offers.ts";
import type { SchedulerPort } from "./port.ts";

/** Registries purge uploads that nobody touches, and what signs their addresses runs out: the oldest are not worth asking. */
export const HANDOVER_LIFE_MS = 24 * 3_600_000;

/** A handover and when a lane last told it. */
export interface KeptHandover {
  handover: Handover;
  atMs: number;
}

export class Handovers {
  #port: SchedulerPort;
  /** By lease: what a lane still has of an offer that was withdrawn. */
  #withdrawn = new Map<string, { offer: BlobOffer; handover: Handover }>();

  constructor(port: SchedulerPort) {
    this.#port = port;
  }

  /** What the next lane is given; undefined: it begins anew. */
  handOut(state: OfferState, now: number): Handover | undefined {
    if (state.kept !== undefined && state.kept.atMs + HANDOVER_LIFE_MS < now) {
      this.abandon(state);
    }
    if (state.isLeft) {
      this.abandonEmpty(state);
      state.isLeft = false;
    }
    state.beganAtByte = offsetOf(state);
    return state.kept?.handover;
  }

  keep(state: OfferState, handover: Handover, now: number): void {
    state.kept = { handover, atMs: now };
    this.#port.putHandover(state.offer.id, state.kept);
  }

  /** Whether the lane that has it, or had it last, has got further than the one before. */
  hasGained(state: OfferState): boolean {
    return offsetOf(state) > state.beganAtByte;
  }

  /** The upload is over. */
  forget(state: OfferState): void {
    if (state.kept !== undefined) {
      delete state.kept;
      this.#port.putHandover(state.offer.id, null);
    }
  }

  /** Nobody is to go on with the upload. */
  abandon(state: OfferState): void {
    if (state.kept !== undefined) {
      this.#port.abandon(state.offer.targetRepository, state.kept.handover);
      this.forget(state);
    }
  }

  /** A lane has died over an upload that holds nothing to go on with. */
  abandonEmpty(state: OfferState): void {
    if (offsetOf(state) === 0) {
      this.abandon(state);
    }
  }

  /** The offer is gone, but a lane has it still, and deletes the upload if it lives to hear of it. */
  leaveTo(lease: string, { offer, kept }: OfferState): void {
    if (kept !== undefined) {
      this.#withdrawn.set(lease, { offer, handover: kept.handover });
    }
  }

  /** That lane has ended. `isDead`: without having told what became of the upload. */
  laneEnded(lease: string, isDead: boolean): void {
    const left = this.#withdrawn.get(lease);
    this.#withdrawn.delete(lease);
    if (left !== undefined && isDead) {
      this.#port.abandon(left.offer.targetRepository, left.handover);
    }
  }
}

function offsetOf({ kept }: OfferState): number {
  return kept?.handover.offsetBytes ?? 0;
}

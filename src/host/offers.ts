/**
 * The blobs that jobs want moved into this host: who waits for which, what is under way, how much each job has left.
 * Knows nothing of slots, lanes or time.
 */
import type { BlobOffer, Settlement } from "./contract.ts";
import type { KeptHandover } from "./handovers.ts";

/**
 * - `waiting`: may be dispatched;
 * - `parked`: the same blob is on its way into the same repository for another job;
 * - `asking`: its slot here is reserved while the source is asked, which takes one call;
 * - `queued`: waits in the source's queue;
 * - `running`: a lane has it;
 * - `settled`: has ended, the job does not know yet.
 */
export type Phase = "waiting" | "parked" | "asking" | "queued" | "running" | "settled";

export interface OfferState {
  readonly job: string;
  readonly offer: BlobOffer;
  phase: Phase;
  /** Tries that failed for a reason of their own. */
  attempts: number;
  /** Tries that ended with their lane. */
  cuts: number;
  /** Tries that the host answered with 429. */
  throttles: number;
  /** Tries in which its bytes were not those of its digest. */
  damages: number;
  /** A slot here stays reserved for it while it waits for one at the source. */
  holding: boolean;
  /** Names the present loan at the source: a slot given back is never taken for the next one. */
  round: number;
  /** It waits for the quota of its source, which may take hours: no lane is kept for it. */
  heldBack: boolean;
  /** When the source was last asked, milliseconds since the epoch. */
  askedAtMs: number;
  /** What a try before this one found out: the blob may be there although the registry said it failed. */
  mayExist: boolean;
  /** It is from before a restart: a lane may have had it, and has not come back for it. */
  isLeft: boolean;
  /** What a lane could not finish. */
  kept?: KeptHandover;
  /** How much of it there was when the lane took it that has it, or had it last, in bytes. */
  beganAtByte: number;
  settlement?: Settlement;
  /** How often the job was told of the settlement, and when last, milliseconds since the epoch. */
  tells: number;
  toldAtMs: number;
}

export class Offers {
  #byId = new Map<string, OfferState>();
  #idsByJob = new Map<string, Set<string>>();
  /** Offers of one blob into one repository, in order of arrival; the first is the one that moves. */
  #sameBlob = new Map<string, Set<string>>();
  #bytesLeftByJob = new Map<string, number>();
  #bytesLeft = 0;
  #heldBack = 0;
  #queuedBySource = new Map<string, number>();
  #idsByPhase: Record<Phase, Set<string>> = {
    waiting: new Set(),
    parked: new Set(),
    asking: new Set(),
    queued: new Set(),
    running: new Set(),
    settled: new Set(),
  };

  /** Undefined when it is known already. */
  add(job: string, offer: BlobOffer, { attempts, cuts } = { attempts: 0, cuts: 0 }): OfferState | undefined {
    if (this.#byId.has(offer.id)) {
      return undefined;
    }
    const same = this.#sameBlob.get(blobKey(offer)) ?? new Set();
    const state: OfferState = {
      job,
      offer,
      phase: same.size === 0 ? "waiting" : "parked",
      attempts,
      cuts,
      throttles: 0,
      damages: 0,
      holding: false,
      heldBack: false,
      round: 1,
      askedAtMs: 0,
      mayExist: offer.mayExist || attempts > 0,
      isLeft: false,
      beganAtByte: 0,
      tells: 0,
      toldAtMs: 0,
    };
    this.#byId.set(offer.id, state);
    this.#sameBlob.set(blobKey(offer), same.add(offer.id));
    const ids = this.#idsByJob.get(job) ?? new Set();
    this.#idsByJob.set(job, ids.add(offer.id));
    this.#idsByPhase[state.phase].add(offer.id);
    this.#addBytes(job, offer.sizeBytes);
    return state;
  }

  get(id: string): OfferState | undefined {
    return this.#byId.get(id);
  }

  ofJob(job: string): OfferState[] {
    return this.#states(this.#idsByJob.get(job) ?? []);
  }

  countOfJob(job: string): number {
    return this.#idsByJob.get(job)?.size ?? 0;
  }

  inPhase(phase: Phase): OfferState[] {
    return this.#states(this.#idsByPhase[phase]);
  }

  count(phase: Phase): number {
    return this.#idsByPhase[phase].size;
  }

  /** Offers that have not ended. */
  get unsettled(): number {
    return this.#byId.size - this.#idsByPhase.settled.size;
  }

  /** Hosts at which offers are queued. */
  queuedSources(): string[] {
    return [...this.#queuedBySource.keys()];
  }

  move(state: OfferState, phase: Phase): void {
    this.#leave(state);
    this.#idsByPhase[phase].add(state.offer.id);
    state.phase = phase;
    this.#countQueued(state, 1);
    this.setHeldBack(state, false);
  }

  setHeldBack(state: OfferState, heldBack: boolean): void {
    this.#heldBack += Number(heldBack) - Number(state.heldBack);
    state.heldBack = heldBack;
  }

  get heldBack(): number {
    return this.#heldBack;
  }

  /** Ends an offer; answers the next of the same blob, if it was the one that moved. */
  settle(state: OfferState, settlement: Settlement): OfferState | undefined {
    if (state.phase === "settled") {
      return undefined;
    }
    this.move(state, "settled");
    state.settlement = settlement;
    this.#addBytes(state.job, -state.offer.sizeBytes);
    return this.#nextAfter(state);
  }

  /** Forgets an offer; answers the next of the same blob, if it was the one that moved. */
  remove(id: string): OfferState | undefined {
    const state = this.#byId.get(id);
    if (state === undefined) {
      return undefined;
    }
    const next = state.phase === "settled" ? undefined : this.#nextAfter(state);
    if (state.phase !== "settled") {
      this.#addBytes(state.job, -state.offer.sizeBytes);
    }
    this.#byId.delete(id);
    this.#leave(state);
    this.setHeldBack(state, false);
    const ids = this.#idsByJob.get(state.job);
    ids?.delete(id);
    if (ids?.size === 0) {
      this.#idsByJob.delete(state.job);
      this.#bytesLeftByJob.delete(state.job);
    }
    return next;
  }

  /** Bytes of all offers that have not ended. */
  get bytesLeft(): number {
    return this.#bytesLeft;
  }

  jobBytesLeft(job: string): number {
    return this.#bytesLeftByJob.get(job) ?? 0;
  }

  /** Takes a state out of the line of its blob; the one behind it is answered when it stood first. */
  #nextAfter(state: OfferState): OfferState | undefined {
    const key = blobKey(state.offer);
    const line = this.#sameBlob.get(key) ?? new Set();
    const [first] = line;
    line.delete(state.offer.id);
    const [next] = line;
    if (next === undefined) {
      this.#sameBlob.delete(key);
      return undefined;
    }
    return first === state.offer.id ? this.#byId.get(next) : undefined;
  }

  #leave(state: OfferState): void {
    this.#idsByPhase[state.phase].delete(state.offer.id);
    this.#countQueued(state, -1);
  }

  #countQueued({ phase, offer }: OfferState, change: 1 | -1): void {
    if (phase !== "queued") {
      return;
    }
    const count = (this.#queuedBySource.get(offer.sourceHost) ?? 0) + change;
    if (count > 0) {
      this.#queuedBySource.set(offer.sourceHost, count);
    } else {
      this.#queuedBySource.delete(offer.sourceHost);
    }
  }

  #states(ids: Iterable<string>): OfferState[] {
    return [...ids].flatMap((id) => this.#byId.get(id) ?? []);
  }

  #addBytes(job: string, bytes: number): void {
    this.#bytesLeft += bytes;
    this.#bytesLeftByJob.set(job, (this.#bytesLeftByJob.get(job) ?? 0) + bytes);
  }
}

function blobKey(offer: BlobOffer): string {
  return `${offer.targetRepository}@${offer.digest}`;
}

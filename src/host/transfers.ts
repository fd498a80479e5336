/**
 * The blobs that go into this host, from offer to settlement: which wait, which ask their source for the other slot
 * (source-asks.ts), which a lane has. See scheduler.ts for the rule that keeps both ends free of deadlock and starvation.
 */
import type { BlobOffer, Handover, HeldSlot, Settlement, TransferReport } from "./contract.ts";
import { Endings, type End } from "./endings.ts";
import { Handovers, type KeptHandover } from "./handovers.ts";
import type { Lease } from "./leases.ts";
import { Offers, type OfferState } from "./offers.ts";
import type { SchedulerPort } from "./port.ts";
import { LANE_WIDTH, type Seats } from "./seats.ts";
import type { Slots } from "./slots.ts";
import { SourceAsks, UNUSED } from "./source-asks.ts";
import { countCut, countFailure, gainedNothing } from "./tries.ts";
import { mayMount } from "../access/scopes.ts";
import type { ErrorDetail } from "../registry/errors.ts";

/** An offer as it was written down. */
export interface KeptOffer {
  job: string;
  offer: BlobOffer;
  attempts: number;
  cuts: number;
  kept?: KeptHandover;
}

export interface TransfersOptions {
  host: string;
  maxWaitMs: number;
  slots: Slots;
  seats: Seats;
  port: SchedulerPort;
}

export class Transfers {
  #host: string;
  #slots: Slots;
  #seats: Seats;
  #port: SchedulerPort;
  #offers = new Offers();
  #handovers: Handovers;
  /** What it asks of its blobs' sources. */
  readonly asks: SourceAsks;
  readonly endings: Endings;

  constructor({ host, maxWaitMs, slots, seats, port }: TransfersOptions) {
    this.#host = host;
    this.#slots = slots;
    this.#seats = seats;
    this.#port = port;
    this.#handovers = new Handovers(port);
    this.endings = new Endings(this.#offers, slots, port);
    this.asks = new SourceAsks({
      host,
      maxWaitMs,
      offers: this.#offers,
      slots,
      seats,
      port,
      take: (state, now) => this.#take(state, now),
      refused: (state, error, now) => this.#settle(state, { outcome: "failed", error }, now),
    });
  }

  restore(offers: KeptOffer[]): void {
    for (const { job, offer, attempts, cuts, kept } of offers) {
      const state = this.#offers.add(job, offer, { attempts, cuts });
      if (state !== undefined) {
        // It may have arrived, and only its end be unknown: look before it is sent again.
        state.mayExist = true;
        state.isLeft = true;
        if (kept !== undefined) {
          state.kept = kept;
        }
      }
    }
    for (const state of this.#offers.inPhase("waiting")) {
      this.#wait(state);
    }
  }

  /**
   * A lane has come back to an object that was restarted, and tells of a transfer that it has. Where it is not to go on with
   * it, because the job took its offer back or the blob has been given to another, the slot is its own until it has left off.
   */
  takeUp(slot: Extract<HeldSlot, { kind: "blob" }>, by: { lane: string; session: string }, now: number): void {
    const { lease: id, kind, bytes, job, offer, sourceHost, loan: loanId } = slot;
    const state = this.#offers.get(offer);
    const goesOn = state?.phase === "waiting" || state?.phase === "asking" || state?.phase === "queued";
    const use = { type: "transfer", job, lane: by.lane, offerId: goesOn ? offer : "", sourceHost, loanId } as const;
    const lease = this.#slots.takeUp({ id, kind, bytes, use, holder: by.session }, now);
    lease.withdrawn = !goesOn;
    if (!goesOn) {
      return;
    }
    state.isLeft = false;
    this.#slots.stopWaiting(offer);
    if (state.phase !== "waiting") {
      this.asks.takeBack(state);
    }
    this.#offers.move(state, "running");
  }

  offer(job: string, offers: BlobOffer[], now: number): void {
    const added = offers.flatMap((offer) => this.#offers.add(job, offer) ?? []);
    this.#port.putOffers(
      job,
      added.map((state) => state.offer),
    );
    for (const state of added) {
      if (state.phase === "waiting") {
        this.#wait(state);
      }
    }
    // A job that offers again has missed what it was told: tell it once more.
    for (const { id } of offers) {
      const state = this.#offers.get(id);
      if (state?.phase === "settled") {
        state.tells = 0;
        this.endings.tell(state, now);
      }
    }
    this.#slots.setJobBytesLeft(job, this.#offers.jobBytesLeft(job));
  }

  withdraw(job: string): void {
    const states = this.#offers.ofJob(job);
    for (const state of states) {
      const { id } = state.offer;
      this.#slots.stopWaiting(id);
      if (state.phase === "asking" || state.phase === "queued") {
        this.asks.takeBack(state);
      }
      if (state.phase === "running") {
        this.#leaveToLane(state);
      } else {
        this.#handovers.abandon(state);
      }
      // One of those behind it goes on; the others wait for the end of that one.
      const next = this.#offers.remove(id);
      if (next !== undefined) {
        this.#wait(next);
      }
    }
    for (const lease of this.#slots.leases.values()) {
      if (lease.use.type === "transfer" && lease.use.job === job) {
        lease.withdrawn = true;
      }
    }
    this.#port.deleteOffers(states.map((state) => state.offer.id));
    this.#slots.setJobBytesLeft(job, 0);
  }

  report(report: TransferReport, now: number): void {
    const lease = this.#slots.leases.get(report.lease);
    if (lease?.use.type !== "transfer") {
      return;
    }
    const { offerId, sourceHost, loanId } = lease.use;
    this.#slots.free(lease.id);
    this.#slots.outcome(report.target, lease, now);
    if (loanId === null) {
      this.#slots.outcome(report.source, lease, now);
    } else {
      this.#port.giveBack(sourceHost, loanId, report.source);
    }
    this.#handovers.laneEnded(lease.id, report.handover !== undefined);
    const state = this.#offers.get(offerId);
    if (state?.phase === "running") {
      if (report.handover === undefined) {
        this.#handovers.forget(state);
      } else {
        this.#handovers.keep(state, report.handover, now);
      }
      this.#ended(state, report, now);
    }
  }

  /** A lane tells what the next would need, should it die. */
  handOver(lease: Lease, handover: Handover, now: number): void {
    const state = lease.use.type === "transfer" ? this.#offers.get(lease.use.offerId) : undefined;
    if (state?.phase === "running") {
      this.#handovers.keep(state, handover, now);
    }
  }

  /** A lease whose holder is gone: its work goes back into the queue. */
  lost(lease: Lease, now: number): void {
    this.#slots.free(lease.id);
    if (lease.use.type !== "transfer") {
      return;
    }
    const { offerId, sourceHost, loanId } = lease.use;
    if (loanId !== null) {
      this.#port.giveBack(sourceHost, loanId, UNUSED);
    }
    this.#handovers.laneEnded(lease.id, true);
    const state = this.#offers.get(offerId);
    if (state?.phase === "running") {
      this.#handovers.abandonEmpty(state);
      this.#again(state, this.#handovers.hasGained(state) ? undefined : countCut(state, this.#host), now);
    }
  }

  /** False: this is not an offer. */
  start(id: string, now: number): boolean {
    const state = this.#offers.get(id);
    if (state === undefined) {
      return false;
    }
    if (state.offer.sourceHost === this.#host) {
      this.#take(state, now);
    } else {
      this.asks.begin(state, now);
    }
    return true;
  }

  tick(now: number): void {
    this.asks.tick(now);
    this.endings.tick(now);
  }

  /** Times at which {@link tick} has something to do before the watchdog's next round. */
  get dueAtMs(): number[] {
    return [this.asks.retryAtMs ?? [], this.endings.dueAtMs ?? []].flat();
  }

  /** Ends what waits, here or at its source; what is just being asked for there has its answer before long. */
  failWaiting(error: ErrorDetail, now: number): void {
    for (const state of [...this.#offers.inPhase("waiting"), ...this.#offers.inPhase("queued")]) {
      this.#slots.stopWaiting(state.offer.id);
      if (state.phase === "queued") {
        this.asks.takeBack(state);
      }
      this.#settle(state, { outcome: "failed", error }, now);
    }
  }

  /** Offers that may soon need a lane. */
  get pending(): number {
    return this.#waiting + this.#queued + this.#offers.count("asking");
  }

  /**
   * Transfers that lanes should be there for, besides those under way. Of those that wait at a source no more are counted
   * than could come soon, going by what runs: a slow source is not to keep many lanes idle here.
   */
  get startable(): number {
    const soon = this.#offers.count("running") + LANE_WIDTH;
    return this.#waiting + Math.min(this.#queued, soon);
  }

  /** Offers that wait, but not in this host's queue. */
  get waitingElsewhere(): number {
    return this.#offers.count("queued") + this.#offers.count("parked");
  }

  /** Offers that wait at their sources. */
  get queuedCount(): number {
    return this.#offers.count("queued");
  }

  get heldBackElsewhere(): number {
    return this.#offers.heldBack;
  }

  get unsettled(): number {
    return this.#offers.unsettled;
  }

  get bytesLeft(): number {
    return this.#offers.bytesLeft;
  }

  /** Offers that a lane could take on at once. */
  get #waiting(): number {
    return this.#offers.count("waiting") - this.#slots.heldOffers;
  }

  /** Offers whose turn at their source may come any time. */
  get #queued(): number {
    return this.#offers.count("queued") - this.#offers.heldBack;
  }

  /** Gives an offer that has a slot at its source one here, and a lane; false when there is no room. */
  #take(state: OfferState, now: number): boolean {
    const { offer, job } = state;
    const reserved = this.#slots.endReservation(offer.id);
    state.holding = false;
    this.#slots.stopWaiting(offer.id);
    // A slot that was kept is good for its place, not for a pause that has begun since.
    const admitted = reserved ? this.#slots.limits.pausedUntilMs <= now : this.#slots.admitsBlob(now);
    const seat = admitted && this.#seats.free > this.#slots.reserved.size ? this.#seats.take() : undefined;
    if (seat === undefined) {
      this.#wait(state);
      return false;
    }
    const { id: offerId, sourceHost, sizeBytes, since } = offer;
    const loanId = sourceHost === this.#host ? null : this.asks.loanIdOf(state);
    const lane = this.#seats.laneOf(seat.session);
    const use = { type: "transfer", job, lane, offerId, sourceHost, loanId } as const;
    const lease = this.#slots.grant(
      { id: offerId, kind: "blob", bytes: sizeBytes, job, since },
      use,
      seat.session,
      now,
    );
    this.#offers.move(state, "running");
    const handover = this.#handovers.handOut(state, now);
    this.#port.hand(seat.id, {
      lease: lease.id,
      loan: loanId,
      offer: { ...offer, mayExist: state.mayExist },
      job,
      mountFrom: sourceHost === this.#host ? [offer.sourceRepository] : this.#candidates(offer),
      attempt: state.attempts + state.cuts + 1,
      ...(handover === undefined ? {} : { handover }),
    });
    return true;
  }

  /** Where the blob may be mounted from. That somebody else has brought it somewhere gives nobody a right to it. */
  #candidates({ digest, targetRepository, mountable = [] }: BlobOffer): string[] {
    return this.#port
      .known(digest)
      .filter((repository) => repository !== targetRepository && mayMount(mountable, this.#host, repository));
  }

  #ended(state: OfferState, report: TransferReport, now: number): void {
    const { result, requests, warnings, firstByteAt } = report;
    if (result.kind === "returned") {
      const isInVain = report.bytes > 0 && report.handover !== undefined && !this.#handovers.hasGained(state);
      if (isInVain) {
        this.#retry(state, gainedNothing(this.#host), now, { requests, warnings });
      } else {
        this.#wait(state);
      }
    } else if (result.kind === "failed") {
      this.#retry(state, result.error, now, { requests, warnings });
    } else {
      const { targetRepository, digest } = state.offer;
      this.#port.putKnown(targetRepository, digest, now);
      const firstByte = firstByteAt === undefined ? {} : { firstByteAt };
      this.#settle(state, { outcome: result.kind, bytes: report.bytes, requests, warnings, ...firstByte }, now);
    }
  }

  #retry(state: OfferState, error: ErrorDetail, now: number, spent: Partial<Settlement>): void {
    // What moves on comes to its end, however often it breaks.
    const verdict = error.retryable && this.#handovers.hasGained(state) ? undefined : countFailure(state, error);
    this.#again(state, verdict, now, spent);
  }

  /** Once more, under its old age, or the end. What was said to have failed may be there all the same. */
  #again(state: OfferState, verdict: ErrorDetail | undefined, now: number, spent: Partial<Settlement> = {}): void {
    state.mayExist = true;
    if (verdict === undefined) {
      this.#port.putTries(state.offer.id, state);
      this.#wait(state);
    } else {
      this.#settle(state, { ...spent, outcome: "failed", error: verdict }, now);
    }
  }

  #settle(state: OfferState, end: End, now: number): void {
    this.#handovers.abandon(state);
    const next = this.endings.settle(state, end, now);
    if (next !== undefined) {
      this.#wait(next);
    }
  }

  /** Back into this host's queue; whatever it had at its source is not its own any more. */
  #wait(state: OfferState): void {
    state.round += 1;
    this.#offers.move(state, "waiting");
    const { id, sizeBytes, since, background } = state.offer;
    const entry = { id, kind: "blob", bytes: sizeBytes, job: state.job, since, tie: id } as const;
    this.#slots.wait(entry, "slot and lane", background === true ? state.job : undefined);
  }

  #leaveToLane(state: OfferState): void {
    for (const { id, use } of this.#slots.leases.values()) {
      if (use.type === "transfer" && use.offerId === state.offer.id) {
        this.#handovers.leaveTo(id, state);
      }
    }
  }
}

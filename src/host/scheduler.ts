/**
 * Who may talk to this registry host, and what goes next: the queue, the policy, the limits, the leases and the
 * protocol between two hosts, as one synchronous state machine. No I/O and no clock: `now` is an argument, everything
 * that leaves goes through the port.
 *
 * Both ends of a transfer: a slot here is reserved only while the source is asked (one call). Refused there, the offer
 * waits in the source's queue and holds nothing here. One exception keeps the oldest from starving: an offer that has
 * waited longer than `maxWaitMs` keeps its slot here while it waits at the source (one per host), and a source takes a
 * slot so kept away from a younger offer to give it to an older one. So the oldest offer of all always gets both ends,
 * and no circle of holders can stand.
 */
import type { BlobOffer, LoanAnswer, LoanRequest, Settlement, SmallRequest, TransferReport } from "./contract.ts";
import type { Lease, LeaseUse } from "./leases.ts";
import { LEASE_MS, Leases } from "./leases.ts";
import type { Limits } from "./limits.ts";
import type { OfferState } from "./offers.ts";
import { Offers } from "./offers.ts";
import type { Policy } from "./policy.ts";
import { nextSmall } from "./policy.ts";
import type { SchedulerPort } from "./port.ts";
import type { Entry } from "./queue.ts";
import { WaitingQueue } from "./queue.ts";
import { Seats } from "./seats.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { Outcome, RequestKind } from "../registry/gate.ts";

/** A blob that has failed so often, for reasons of its own, fails its copy. */
export const MAX_ATTEMPTS = 6;
/** 429s are the host's way of pacing, so they count less; but not nothing, else a copy could go on for ever. */
export const MAX_THROTTLES = 50;
/** A source that was asked so long ago may have been restarted and have forgotten: ask again. */
export const REASK_MS = 15_000;
/** A source's object that could not be reached is asked again after this. */
const ASK_RETRY_MS = 2_000;
/** How often borrowed slots are kept alive; a third of {@link LEASE_MS}, so that two calls may be lost. */
const KEEP_MS = 20_000;

const UNUSED: Outcome = { class: "unused" };

/** Answers whoever still waits for a caller that is gone. */
const GONE: ErrorDetail = {
  code: "cancelled",
  side: "service",
  host: "",
  operation: "wait for a slot",
  retryable: true,
  message: "The caller has left.",
};

export interface SchedulerSettings {
  host: string;
  maxWaitMs: number;
  policy: Policy;
}

export class HostScheduler {
  readonly seats: Seats;
  #settings: SchedulerSettings;
  #limits: Limits;
  #port: SchedulerPort;
  #offers = new Offers();
  #leases = new Leases();
  #smalls = new Map<string, { session: string; request: SmallRequest }>();
  #loans = new Map<string, LoanRequest>();
  /** Everything that may be dispatched. */
  #queue = new WaitingQueue();
  /** The part of it that needs no lane of this host: small requests and loans. */
  #lendable = new WaitingQueue();
  #reserved = new Set<string>();
  /** The loan that a caller is asking for right now: granted, it is the answer of that call. */
  #asker: { loanId: string; lease?: string } | undefined;
  #keptAtMs = 0;
  grants = 0;

  constructor(settings: SchedulerSettings, limits: Limits, port: SchedulerPort) {
    this.#settings = settings;
    this.#limits = limits;
    this.#port = port;
    this.seats = new Seats();
  }

  // --- after a restart ----------------------------------------------------------------------------------------------

  /** Takes up what the last life of this object had written down. */
  restore(offers: { job: string; offer: BlobOffer; attempts: number }[], leases: Lease[], now: number): void {
    for (const { job, offer, attempts } of offers) {
      this.#offers.add(job, offer, attempts);
    }
    for (const lease of leases) {
      this.#leases.add(lease);
      if (lease.use.type === "transfer") {
        const state = this.#offers.get(lease.use.offerId);
        if (state === undefined) {
          lease.withdrawn = true;
        } else {
          this.#offers.move(state, "running");
        }
      }
    }
    for (const state of this.#offers.inPhase("waiting")) {
      this.#enqueueOffer(state);
    }
    this.#dispatch(now);
  }

  // --- blobs into this host -------------------------------------------------------------------------------------------

  offer(job: string, offers: BlobOffer[], now: number): void {
    const added = offers.flatMap((offer) => this.#offers.add(job, offer) ?? []);
    if (added.length > 0) {
      this.#port.putOffers(
        job,
        added.map((state) => state.offer),
      );
    }
    for (const state of added) {
      if (state.phase === "waiting") {
        this.#enqueueOffer(state);
      }
    }
    // A job that offers again has missed what it was told: tell it once more.
    for (const offer of offers) {
      const settlement = this.#offers.get(offer.id)?.settlement;
      if (settlement !== undefined) {
        this.#port.settle(job, settlement);
      }
    }
    this.#jobBytesChanged(job);
    this.#dispatch(now);
  }

  withdraw(job: string, now: number): void {
    const states = this.#offers.ofJob(job);
    for (const state of states) {
      const loanId = state.offer.id;
      this.#unqueue(loanId);
      if (state.phase === "asking" || state.phase === "queued") {
        this.#reserved.delete(loanId);
        this.#port.giveBack(state.offer.sourceHost, loanId, UNUSED);
      }
      for (const freed of this.#offers.remove(loanId)) {
        this.#wait(freed);
      }
    }
    for (const lease of this.#leases.values()) {
      if (lease.use.type === "transfer" && lease.use.job === job) {
        lease.withdrawn = true;
      }
    }
    this.#port.deleteOffers(states.map((state) => state.offer.id));
    this.#dispatch(now);
  }

  /** The job knows how these offers ended. */
  acknowledged(ids: string[]): void {
    for (const id of ids) {
      this.#offers.remove(id);
    }
    this.#port.deleteOffers(ids);
  }

  unacknowledged(): { job: string; settlement: Settlement }[] {
    return this.#offers
      .inPhase("settled")
      .flatMap(({ job, settlement }) => (settlement === undefined ? [] : [{ job, settlement }]));
  }

  // --- lanes ------------------------------------------------------------------------------------------------------------

  /** A caller has joined; answers the leases among `held` that it may go on with. */
  join(session: string, name: string, isLane: boolean, held: string[], now: number): void {
    if (isLane) {
      this.seats.joined(session, name);
    }
    for (const id of held) {
      const lease = this.#leases.get(id);
      if (lease !== undefined) {
        this.#leases.moveTo(lease, session);
        lease.expiresAtMs = now + LEASE_MS;
      }
    }
  }

  /** The caller's invocation has ended, however it ended: nothing it held is held any more. */
  leave(session: string, now: number): void {
    for (const seat of this.seats.left(session)) {
      this.#port.hand(seat, null);
    }
    for (const [id, small] of this.#smalls) {
      if (small.session === session) {
        this.#smalls.delete(id);
        this.#unqueue(id);
        this.#port.refuse(id, GONE);
      }
    }
    for (const lease of this.#leases.ofHolder(session)) {
      this.#lost(lease);
    }
    this.#leases.forgetHolder(session);
    this.#dispatch(now);
  }

  /** A lane is ready for one more transfer. */
  seat(session: string, seat: string, now: number): void {
    this.seats.add(session, seat, now);
    this.#dispatch(now);
  }

  report(report: TransferReport, now: number): void {
    const lease = this.#leases.get(report.lease);
    if (lease?.use.type !== "transfer") {
      return;
    }
    const { offerId, sourceHost, job } = lease.use;
    this.#free(lease.id);
    this.#outcome(report.target, lease, now);
    if (sourceHost === this.#settings.host) {
      this.#outcome(report.source, lease, now);
    } else {
      this.#port.giveBack(sourceHost, offerId, report.source);
    }
    const state = this.#offers.get(offerId);
    if (state !== undefined && state.phase === "running") {
      this.#ended(state, report, now);
      this.#jobBytesChanged(job);
    }
    this.#dispatch(now);
  }

  /** Answers the leases that are no longer the caller's. */
  renew(session: string, ids: string[], now: number): string[] {
    const lost: string[] = [];
    for (const id of ids) {
      const lease = this.#leases.get(id);
      if (lease === undefined || lease.withdrawn || lease.holder !== session) {
        lost.push(id);
      } else {
        lease.expiresAtMs = now + LEASE_MS;
      }
    }
    return lost;
  }

  offerOfLease(id: string): { job: string; offerId: string } | undefined {
    const use = this.#leases.get(id)?.use;
    return use?.type === "transfer" ? { job: use.job, offerId: use.offerId } : undefined;
  }

  // --- small requests -------------------------------------------------------------------------------------------------

  request(session: string, request: SmallRequest, now: number): void {
    if (this.#leases.get(request.id) !== undefined) {
      this.#port.admit(request.id, request.id);
      return;
    }
    this.#smalls.set(request.id, { session, request });
    const { id, kind, bytes, job } = request;
    this.#enqueue({ id, kind, bytes, job, since: now }, true);
    this.#dispatch(now);
  }

  release(leaseId: string, outcome: Outcome, now: number): void {
    const lease = this.#free(leaseId);
    if (lease !== undefined) {
      this.#outcome(outcome, lease, now);
      this.#dispatch(now);
    }
  }

  // --- this host as a source --------------------------------------------------------------------------------------------

  borrow(request: LoanRequest, now: number): LoanAnswer {
    const lease = this.#leases.ofLoan(request.id);
    if (lease !== undefined) {
      lease.expiresAtMs = now + LEASE_MS;
      return { lease: lease.id };
    }
    const retryAtMs = this.#limits.givesUpUntil(now);
    if (retryAtMs !== undefined) {
      return { refused: { ...this.#limits.gaveUp(retryAtMs), side: "source" } };
    }
    const asker: { loanId: string; lease?: string } = { loanId: request.id };
    this.#asker = asker;
    this.#loans.set(request.id, request);
    this.#queue.setJobBytesLeft(request.job, request.jobBytesLeft);
    this.#lendable.setJobBytesLeft(request.job, request.jobBytesLeft);
    const { id, bytes, job, since } = request;
    this.#enqueue({ id, kind: "blob", bytes, job, since }, true);
    if (request.starving) {
      this.#yieldHoldTo(since, id);
    }
    this.#dispatch(now);
    this.#asker = undefined;
    return asker.lease === undefined ? { queued: true } : { lease: asker.lease };
  }

  giveBack(loanId: string, outcome: Outcome, now: number): void {
    this.#unqueue(loanId);
    this.#loans.delete(loanId);
    const lease = this.#leases.ofLoan(loanId);
    if (lease !== undefined) {
      this.#free(lease.id);
      this.#outcome(outcome, lease, now);
    }
    this.#dispatch(now);
  }

  keep(loanIds: string[], now: number): void {
    for (const id of loanIds) {
      const lease = this.#leases.ofLoan(id);
      if (lease !== undefined) {
        lease.expiresAtMs = now + LEASE_MS;
      }
    }
  }

  /** The borrower has taken the slot that was offered, or passes it on. */
  lentAnswered(loanId: string, taken: boolean, now: number): void {
    const lease = this.#leases.ofLoan(loanId);
    if (!taken && lease !== undefined) {
      this.#free(lease.id);
      this.#dispatch(now);
    }
  }

  // --- this host as a borrower --------------------------------------------------------------------------------------------

  /** The source's answer to `borrow`; undefined: it could not be reached. */
  borrowed(id: string, answer: LoanAnswer | undefined, now: number): void {
    const state = this.#offers.get(id);
    if (state === undefined || (state.phase !== "asking" && state.phase !== "queued")) {
      return;
    }
    if (answer !== undefined && "lease" in answer) {
      if (!this.#take(state, now)) {
        this.#port.giveBack(state.offer.sourceHost, id, UNUSED);
      }
    } else if (answer !== undefined && "refused" in answer) {
      this.#reserved.delete(id);
      this.#settle(state, { outcome: "failed", error: answer.refused });
    } else if (state.phase === "asking") {
      this.#offers.move(state, "queued");
      if (answer === undefined) {
        state.askedAtMs = now - REASK_MS + ASK_RETRY_MS;
        this.#reserved.delete(id);
      } else {
        state.holding = this.#mayHold(state, now);
        if (!state.holding) {
          this.#reserved.delete(id);
        }
      }
    }
    this.#dispatch(now);
  }

  /** The source has a slot for this offer now. False: pass it on. */
  lent(id: string, now: number): boolean {
    const state = this.#offers.get(id);
    if (state === undefined || !["asking", "queued", "waiting"].includes(state.phase)) {
      return false;
    }
    const taken = this.#take(state, now);
    this.#dispatch(now);
    return taken;
  }

  // --- time -----------------------------------------------------------------------------------------------------------------

  tick(now: number): void {
    for (const lease of this.#leases.expired(now)) {
      this.#lost(lease);
    }
    for (const state of this.#offers.inPhase("queued")) {
      if (state.askedAtMs + REASK_MS <= now) {
        this.#ask(state, now);
      }
    }
    if (this.#keptAtMs + KEEP_MS <= now) {
      this.#keptAtMs = now;
      this.#keepBorrowed();
    }
    const retryAtMs = this.#limits.givesUpUntil(now);
    if (retryAtMs !== undefined) {
      this.#giveUp(retryAtMs);
    }
    this.#dispatch(now);
  }

  /** When `tick` has something to do, milliseconds since the epoch; undefined: never, nothing is going on. */
  nextTickAtMs(now: number): number | undefined {
    const due: number[] = [];
    if (this.#queue.size > 0) {
      const opensAtMs = this.#limits.opensAtMs(now);
      if (opensAtMs > now) {
        due.push(opensAtMs);
      }
    }
    if (this.#offers.unsettled > 0 || this.#leases.size > 0) {
      due.push(now + REASK_MS);
    }
    if (this.seats.free > 0 && !this.#workForLanes) {
      due.push(this.seats.nextDueAtMs(now));
    }
    return due.length === 0 ? undefined : Math.min(...due);
  }

  // --- seen from outside ------------------------------------------------------------------------------------------------------

  waiting(): Record<RequestKind, number> {
    const counts = this.#queue.countByKind();
    return { ...counts, blob: counts.blob + this.#offers.count("queued") + this.#offers.count("parked") };
  }

  active(): Record<RequestKind, number> {
    const counts: Record<RequestKind, number> = { head: 0, manifest: 0, query: 0, blob: 0 };
    for (const lease of this.#leases.values()) {
      counts[lease.kind] += 1;
    }
    return counts;
  }

  get busy(): boolean {
    return this.#offers.unsettled > 0 || this.#leases.size > 0 || this.#queue.size > 0;
  }

  // --- inside -----------------------------------------------------------------------------------------------------------------

  #dispatch(now: number): void {
    for (;;) {
      const used = this.#leases.size + this.#reserved.size;
      const entry = this.#limits.admitsBlob(used, now)
        ? this.#pick(now)
        : this.#limits.admitsSmall(used, now)
          ? nextSmall(this.#lendable)
          : undefined;
      if (entry === undefined) {
        break;
      }
      this.#start(entry, now);
    }
    this.#orderLanes(now);
    for (const seat of this.seats.overdue(now, this.#workForLanes, this.#limits.pausedUntilMs)) {
      this.#port.hand(seat, null);
    }
  }

  /** Whether some blob may soon need a lane. */
  get #workForLanes(): boolean {
    return this.#offers.count("waiting") + this.#offers.count("queued") + this.#offers.count("asking") > 0;
  }

  #pick(now: number): Entry | undefined {
    const queue = this.seats.free > this.#reserved.size ? this.#queue : this.#lendable;
    if (queue.size === 0) {
      return undefined;
    }
    return this.#settings.policy(queue, {
      now,
      slots: this.#limits.blobSlots,
      active: [...this.#leases.values()],
      bytesLeft: this.#offers.bytesLeft + this.#lendable.totalBlobBytes,
      maxWaitMs: this.#settings.maxWaitMs,
    });
  }

  #start(entry: Entry, now: number): void {
    this.#unqueue(entry.id);
    const small = this.#smalls.get(entry.id);
    if (small !== undefined) {
      this.#smalls.delete(entry.id);
      // The request's own id names the lease, so that asking twice for it cannot take two.
      this.#grant(entry, { type: "small", job: entry.job }, small.session, now, entry.id);
      this.#port.admit(entry.id, entry.id);
      return;
    }
    const loan = this.#loans.get(entry.id);
    if (loan !== undefined) {
      const use: LeaseUse = { type: "loan", job: loan.job, loanId: loan.id, borrower: loan.borrower };
      const lease = this.#grant(entry, use, `host:${loan.borrower}`, now);
      this.#loans.delete(entry.id);
      if (this.#asker?.loanId === loan.id) {
        this.#asker.lease = lease.id;
      } else {
        this.#port.lend(loan.borrower, loan.id, lease.id);
      }
      return;
    }
    const state = this.#offers.get(entry.id);
    if (state === undefined) {
      return;
    }
    if (state.offer.sourceHost === this.#settings.host) {
      this.#take(state, now);
    } else {
      this.#offers.move(state, "asking");
      this.#reserved.add(entry.id);
      this.#ask(state, now);
    }
  }

  #ask(state: OfferState, now: number): void {
    state.askedAtMs = now;
    const { id, sizeBytes, since, sourceHost } = state.offer;
    this.#port.borrow(sourceHost, {
      id,
      borrower: this.#settings.host,
      job: state.job,
      bytes: sizeBytes,
      jobBytesLeft: this.#offers.jobBytesLeft(state.job),
      since,
      starving: this.#starving(state, now),
    });
  }

  /** Gives an offer that has a slot at its source one here, and to a lane; false when there is no room. */
  #take(state: OfferState, now: number): boolean {
    const { id } = state.offer;
    const reserved = this.#reserved.delete(id);
    state.holding = false;
    this.#unqueue(id);
    const used = this.#leases.size + this.#reserved.size;
    const seat =
      (reserved || this.#limits.admitsBlob(used, now)) && this.seats.free > this.#reserved.size
        ? this.seats.take()
        : undefined;
    if (seat === undefined) {
      this.#wait(state);
      return false;
    }
    const { offer, job } = state;
    const use: LeaseUse = {
      type: "transfer",
      job,
      offerId: id,
      sourceHost: offer.sourceHost,
      sizeBytes: offer.sizeBytes,
    };
    const entry: Entry = { id, kind: "blob", bytes: offer.sizeBytes, job, since: offer.since };
    const lease = this.#grant(entry, use, seat.session, now);
    this.#offers.move(state, "running");
    const mountFrom = this.#port.known(offer.digest).filter((repository) => repository !== offer.targetRepository);
    this.#port.hand(seat.id, {
      lease: lease.id,
      offer: { ...offer, mayExist: state.mayExist },
      job,
      mountFrom: offer.sourceHost === this.#settings.host ? [offer.sourceRepository] : mountFrom,
      attempt: state.attempts + 1,
    });
    return true;
  }

  #grant(entry: Entry, use: LeaseUse, holder: string, now: number, id = this.#port.newId()): Lease {
    const { kind, bytes } = entry;
    const lease: Lease = {
      id,
      kind,
      bytes,
      use,
      holder,
      grantedAtMs: now,
      expiresAtMs: now + LEASE_MS,
      withdrawn: false,
    };
    this.#leases.add(lease);
    this.#port.putLease(lease);
    this.#limits.granted(now);
    this.grants += 1;
    return lease;
  }

  #free(leaseId: string): Lease | undefined {
    const lease = this.#leases.remove(leaseId);
    if (lease !== undefined) {
      this.#port.deleteLease(leaseId);
    }
    return lease;
  }

  /** A lease whose holder is gone: its work goes back into the queue. */
  #lost(lease: Lease): void {
    this.#free(lease.id);
    if (lease.use.type !== "transfer") {
      return;
    }
    const { offerId, sourceHost, job } = lease.use;
    if (sourceHost !== this.#settings.host) {
      this.#port.giveBack(sourceHost, offerId, UNUSED);
    }
    const state = this.#offers.get(offerId);
    if (state !== undefined && state.phase === "running") {
      // A blob that kills its lanes must not do so for ever.
      state.attempts += 1;
      state.mayExist = true;
      this.#port.putAttempts(offerId, state.attempts);
      if (state.attempts >= MAX_ATTEMPTS) {
        this.#settle(state, { outcome: "failed", error: this.#lanesLost() });
      } else {
        this.#wait(state);
      }
      this.#jobBytesChanged(job);
    }
  }

  #ended(state: OfferState, report: TransferReport, now: number): void {
    const { result } = report;
    const done = { requests: report.requests, warnings: report.warnings };
    const firstByte = report.firstByteAt === undefined ? {} : { firstByteAt: report.firstByteAt };
    if (result.kind === "returned") {
      this.#wait(state);
    } else if (result.kind !== "failed") {
      const { targetRepository, digest } = state.offer;
      this.#port.putKnown(targetRepository, digest, now);
      this.#settle(state, { outcome: result.kind, bytes: report.bytes, ...done, ...firstByte });
    } else {
      const throttled = result.error.code === "rate_limited";
      state.attempts += throttled ? 0 : 1;
      state.throttles += throttled ? 1 : 0;
      state.mayExist = true;
      this.#port.putAttempts(state.offer.id, state.attempts);
      if (result.error.retryable && state.attempts < MAX_ATTEMPTS && state.throttles < MAX_THROTTLES) {
        this.#wait(state);
      } else {
        this.#settle(state, { outcome: "failed", error: result.error, ...done });
      }
    }
  }

  #settle(state: OfferState, end: Partial<Settlement> & Pick<Settlement, "outcome">): void {
    const { id, digest } = state.offer;
    const settlement: Settlement = {
      id,
      digest,
      bytes: 0,
      requests: { source: 0, target: 0 },
      warnings: [],
      ...end,
    };
    const behind = this.#offers.settle(state, settlement);
    this.#port.settle(state.job, settlement);
    if (end.outcome === "failed") {
      // Another job may have another source for it: the next in line tries on its own.
      const [next] = behind;
      if (next !== undefined) {
        this.#wait(next);
      }
      return;
    }
    for (const other of behind) {
      this.#settle(other, { outcome: "present" });
    }
  }

  #wait(state: OfferState): void {
    this.#offers.move(state, "waiting");
    this.#enqueueOffer(state);
  }

  #enqueueOffer(state: OfferState): void {
    const { id, sizeBytes, since } = state.offer;
    this.#enqueue({ id, kind: "blob", bytes: sizeBytes, job: state.job, since }, false);
  }

  #enqueue(entry: Entry, lendable: boolean): void {
    this.#queue.add(entry);
    if (lendable) {
      this.#lendable.add(entry);
    }
  }

  #unqueue(id: string): void {
    this.#queue.remove(id);
    this.#lendable.remove(id);
  }

  #jobBytesChanged(job: string): void {
    this.#queue.setJobBytesLeft(job, this.#offers.jobBytesLeft(job));
  }

  /** Books the outcome of a lease that was just freed. */
  #outcome(outcome: Outcome, lease: Lease, now: number): void {
    const context = {
      startedAt: lease.grantedAtMs,
      active: this.#leases.size + 1,
      wanted: this.#queue.size > 0 || this.#offers.count("queued") > 0,
    };
    this.#limits.outcome(outcome, context, now, this.#port.random());
  }

  #orderLanes(now: number): void {
    const free = this.#limits.blobSlots - this.#leases.size;
    if (this.#limits.pausedUntilMs > now || free <= 0) {
      return;
    }
    for (const lane of this.seats.wanted(Math.min(this.#offers.count("waiting"), free), now)) {
      this.#port.order(lane);
    }
  }

  #keepBorrowed(): void {
    const bySource = new Map<string, string[]>();
    for (const { use } of this.#leases.values()) {
      if (use.type === "transfer" && use.sourceHost !== this.#settings.host) {
        bySource.set(use.sourceHost, [...(bySource.get(use.sourceHost) ?? []), use.offerId]);
      }
    }
    for (const [sourceHost, ids] of bySource) {
      this.#port.keep(sourceHost, ids);
    }
  }

  #starving(state: OfferState, now: number): boolean {
    return now - state.offer.since > this.#settings.maxWaitMs;
  }

  /** Only the oldest starving offer keeps its slot while it waits at its source. */
  #mayHold(state: OfferState, now: number): boolean {
    if (!this.#starving(state, now)) {
      return false;
    }
    const holder = [...this.#reserved].flatMap((id) => this.#offers.get(id) ?? []).find((other) => other.holding);
    if (holder === undefined) {
      return true;
    }
    if (!older(state.offer, holder.offer)) {
      return false;
    }
    this.#endHold(holder);
    return true;
  }

  #yieldHoldTo(since: number, id: string): void {
    for (const heldId of this.#reserved) {
      const holder = this.#offers.get(heldId);
      if (holder?.holding === true && older({ since, id }, holder.offer)) {
        this.#endHold(holder);
      }
    }
  }

  #endHold(state: OfferState): void {
    state.holding = false;
    this.#reserved.delete(state.offer.id);
  }

  /** The host wants to be left alone for longer than anyone should wait: say so instead of waiting. */
  #giveUp(retryAtMs: number): void {
    const error = this.#limits.gaveUp(retryAtMs);
    for (const [id] of this.#smalls) {
      this.#unqueue(id);
      this.#smalls.delete(id);
      this.#port.refuse(id, error);
    }
    for (const loanId of this.#loans.keys()) {
      this.#unqueue(loanId);
    }
    // Its borrower asks again before long, and is told then.
    this.#loans.clear();
    for (const state of this.#offers.inPhase("waiting")) {
      this.#unqueue(state.offer.id);
      this.#settle(state, { outcome: "failed", error });
    }
  }

  #lanesLost(): ErrorDetail {
    return {
      code: "internal",
      side: "service",
      host: this.#settings.host,
      operation: "copy blob",
      retryable: true,
      message: `The transfer was cut off ${MAX_ATTEMPTS} times by the end of the Worker that ran it. Try the copy again.`,
    };
  }
}

function older(a: { since: number; id: string }, b: { since: number; id: string }): boolean {
  return a.since < b.since || (a.since === b.since && a.id < b.id);
}

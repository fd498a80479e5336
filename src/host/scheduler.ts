/**
 * Who may talk to this registry host, and what goes next: queue, policy, limits, leases and the protocol between two
 * hosts, as one synchronous state machine. No I/O and no clock: `now` is an argument, what leaves goes through the port.
 *
 * Both ends of a transfer: a slot here is reserved only while the source is asked, which takes one call. Refused there,
 * the offer waits in the source's queue and holds nothing here. One exception keeps the oldest from starving: an offer
 * that has waited longer than `maxWaitMs` keeps its slot here while it waits at its source (one offer per host), and a
 * source takes a slot kept in this way from a younger offer to give it to an older one. So the oldest offer of all always
 * gets both ends, and no circle of holders can stand.
 */
import type {
  BlobOffer,
  Exchange,
  ExchangeAnswer,
  Joiner,
  HeldLoan,
  HeldSlot,
  LentAnswer,
  LoanRequest,
  Progress,
  Renewal,
  SmallRequest,
  TransferReport,
} from "./contract.ts";
import { LEASE_MS, lifeMsOf, type Lease } from "./leases.ts";
import type { Limits } from "./limits.ts";
import { Loans } from "./loans.ts";
import type { Policy } from "./policy.ts";
import type { SchedulerPort } from "./port.ts";
import { jobOwner, laneOwner, type KeptOwner, type Owners } from "./owners.ts";
import { Seats } from "./seats.ts";
import { Slots } from "./slots.ts";
import { SmallRequests } from "./small-requests.ts";
import { reaskMs } from "./source-asks.ts";
import { Transfers, type KeptOffer } from "./transfers.ts";
import type { Outcome, RequestKind } from "../registry/gate.ts";

export interface SchedulerSettings {
  host: string;
  /** Whoever has waited longer goes before all others. */
  maxWaitMs: number;
  policy: Policy;
}

export class HostScheduler {
  #settings: SchedulerSettings;
  #port: SchedulerPort;
  #slots: Slots;
  #seats = new Seats();
  #transfers: Transfers;
  #loans: Loans;
  #smalls: SmallRequests;

  constructor(settings: SchedulerSettings, limits: Limits, port: SchedulerPort) {
    const { host, maxWaitMs } = settings;
    this.#settings = settings;
    this.#port = port;
    this.#slots = new Slots(limits, port);
    this.#transfers = new Transfers({ host, maxWaitMs, slots: this.#slots, seats: this.#seats, port });
    this.#loans = new Loans(this.#slots, port);
    this.#smalls = new SmallRequests(this.#slots, port);
  }

  /** Takes up what the last life of this object had written down. */
  restore(offers: KeptOffer[], owners: KeptOwner[], now: number): void {
    this.#slots.owners.restore(owners, this.#slots.limits.totalSlots, now);
    this.#transfers.restore(offers);
    this.#loans.askBorrowers(now);
    for (const job of this.#slots.owners.untoldJobs()) {
      this.#port.askSlots(job);
    }
    this.#dispatch(now);
  }

  // --- jobs -----------------------------------------------------------------------------------------------------------

  offer(job: string, offers: BlobOffer[], now: number): void {
    this.#seats.recall();
    this.#transfers.offer(job, offers, now);
    this.#dispatch(now);
  }

  /** Takes back all that a job has offered; running transfers find their lease lost. */
  withdraw(job: string, now: number): void {
    this.#transfers.withdraw(job);
    this.#seats.dismiss();
    this.#dispatch(now);
  }

  /** The job knows how these offers ended. */
  acknowledged(ids: string[]): void {
    this.#transfers.endings.acknowledged(ids);
  }

  // --- sessions -------------------------------------------------------------------------------------------------------

  /** A lane or a job has come, or has come back with what it still holds. */
  join(session: string, { name, width, held }: Joiner, now: number): void {
    if (width > 0) {
      this.#seats.joined(session, name, width - held.length, now);
    } else {
      this.#seats.jobJoined(session);
      this.#smalls.joined(
        name,
        held.map(({ lease }) => lease),
      );
    }
    const isNews = this.#slots.owners.told(width > 0 ? laneOwner(name) : jobOwner(name), held.length);
    for (const slot of held) {
      const lease = this.#slots.leases.get(slot.lease);
      if (lease !== undefined) {
        this.#slots.leases.moveTo(lease, session);
        lease.expiresAtMs = now + lifeMsOf(lease.use);
      } else if (isNews && slot.kind === "blob") {
        this.#transfers.takeUp(slot, { lane: name, session }, now);
      } else if (isNews && slot.kind !== "blob") {
        this.#smalls.takeUp(slot, { job: name, session }, now);
      }
    }
    this.#dispatch(now);
  }

  /** A job's answer to which slots it has, after a restart; it may have come back meanwhile. */
  slotsTold(job: string, held: HeldSlot[], now: number): void {
    if (this.#slots.owners.told(jobOwner(job), held.length)) {
      for (const slot of held) {
        this.#smalls.takeUp(slot, { job, session: "" }, now);
      }
    }
    this.#dispatch(now);
  }

  /** The caller's invocation has ended, however it ended: nothing it held is held any more. */
  leave(session: string, now: number): void {
    this.#gone(session, now);
    this.#dispatch(now);
  }

  #gone(session: string, now: number): void {
    for (const seat of this.#seats.left(session)) {
      this.#port.hand(seat, null);
    }
    this.#smalls.leave(session);
    for (const lease of this.#slots.leases.ofHolder(session)) {
      this.#transfers.lost(lease, now);
    }
    this.#slots.leases.forgetHolder(session);
  }

  /** A lane takes on nothing more, and goes on with what it has. */
  retire(session: string, now: number): void {
    for (const seat of this.#seats.givenUp(session)) {
      this.#port.hand(seat, null);
    }
    this.#dispatch(now);
  }

  /** A lane is ready for one more transfer. */
  seat(session: string, seat: string, now: number): void {
    if (this.#seats.knows(session)) {
      this.#seats.add(session, seat, now);
    } else {
      // It was given up, and lives after all: it may join anew.
      this.#port.hand(seat, null);
    }
    this.#dispatch(now);
  }

  report(report: TransferReport, now: number): void {
    this.#transfers.report(report, now);
    this.#dispatch(now);
  }

  /** Extends leases; answers those that are not the caller's any more. */
  renew(session: string, progress: Progress[], now: number): Renewal {
    const lost: string[] = [];
    const withdrawn: string[] = [];
    for (const { lease: id, bytes, handover } of progress) {
      const lease = this.#slots.leases.get(id);
      if (lease === undefined || lease.withdrawn || lease.holder !== session) {
        lost.push(id);
        if (lease?.withdrawn === true) {
          withdrawn.push(id);
        }
        continue;
      }
      lease.expiresAtMs = now + LEASE_MS;
      lease.movedBytes = bytes;
      if (handover !== undefined) {
        this.#transfers.handOver(lease, handover, now);
      }
    }
    return { lost, withdrawn };
  }

  offerOfLease(id: string): { job: string; offerId: string } | undefined {
    const use = this.#slots.leases.get(id)?.use;
    return use?.type === "transfer" ? { job: use.job, offerId: use.offerId } : undefined;
  }

  request(session: string, request: SmallRequest, now: number): void {
    this.#smalls.ask(session, request, now);
    this.#dispatch(now);
  }

  release(leaseId: string, outcome: Outcome, now: number): void {
    this.#smalls.release(leaseId, outcome, now);
    this.#dispatch(now);
  }

  // --- other hosts, this one being the source -------------------------------------------------------------------------

  exchange(exchange: Exchange, now: number): ExchangeAnswer {
    for (const request of exchange.requests) {
      const waitsForQuota = request.background === true && this.#slots.limits.heldBackUntilMs(now) !== undefined;
      if (request.starving && !waitsForQuota) {
        this.#transfers.asks.endHoldsYoungerThan(request);
      }
    }
    return this.#loans.exchange(exchange, now, () => this.#dispatch(now));
  }

  keep(loanIds: string[], now: number): void {
    this.#loans.keep(loanIds, now);
  }

  /** A borrower's answer to which loans it has; null: it does not know yet, or could not be reached. */
  loansTold(borrower: string, loans: HeldLoan[] | null, now: number): void {
    this.#loans.told(borrower, loans, now);
    this.#dispatch(now);
  }

  lentAnswered(borrower: string, loanId: string, answer: LentAnswer, now: number): void {
    this.#loans.answered(borrower, loanId, answer);
    this.#dispatch(now);
  }

  // --- other hosts, this one being the target ---------------------------------------------------------------------------

  /** How many slots a source may lend now, to be told with these requests. */
  roomFor(sourceHost: string, requests: LoanRequest[], now: number): number {
    return this.#transfers.asks.roomFor(sourceHost, requests, now);
  }

  /** A source's answer to what it was told; undefined: it could not be reached. */
  exchanged(sourceHost: string, requests: LoanRequest[], answer: ExchangeAnswer | undefined, now: number): void {
    this.#transfers.asks.exchanged(sourceHost, requests, answer, now);
    this.#dispatch(now);
  }

  /** All slots that it has of a source; null: lanes that may have some have not told yet, after a restart. */
  loansOf(sourceHost: string): HeldLoan[] | null {
    return this.#slots.owners.anyLaneUntold ? null : (this.#slots.leases.borrowed().get(sourceHost) ?? []);
  }

  lent(id: string, now: number): LentAnswer {
    const answer = this.#transfers.asks.lent(id, now);
    this.#dispatch(now);
    return answer;
  }

  // --- time -----------------------------------------------------------------------------------------------------------

  tick(now: number): void {
    this.#slots.owners.expire(now);
    if (this.#loans.askAgainAtMs <= now) {
      this.#loans.askBorrowers(now);
    }
    for (const lease of this.#slots.leases.expired(now)) {
      if (lease.use.type === "transfer" && this.#slots.leases.isForsaken(lease.holder, now)) {
        // Nobody has heard of the lane for a whole lease. Its seats would swallow one transfer after the other.
        this.#gone(lease.holder, now);
      } else {
        this.#transfers.lost(lease, now);
      }
    }
    this.#transfers.tick(now);
    const retryAtMs = this.#slots.limits.givesUpUntil(now);
    if (retryAtMs !== undefined) {
      const error = this.#slots.limits.gaveUp(retryAtMs, now);
      this.#smalls.refuseAll(error);
      this.#loans.dropAll();
      this.#transfers.failWaiting(error, now);
    }
    this.#dispatch(now);
  }

  /** When `tick` has something to do, milliseconds since the epoch; undefined: nothing is going on. */
  nextTickAtMs(now: number): number | undefined {
    const due = this.#transfers.dueAtMs.map((atMs) => Math.max(now, atMs));
    const opensAtMs = this.#slots.limits.opensAtMs(now);
    if (opensAtMs > now && (this.#slots.queue.size > 0 || this.#transfers.queuedCount > 0)) {
      due.push(this.#slots.limits.givesUpUntil(now) === undefined ? opensAtMs : now);
    }
    if (this.busy) {
      due.push(now + reaskMs(this.#settings.maxWaitMs));
    }
    const heldBackUntilMs = this.#slots.heldBackUntilMs(now);
    if (heldBackUntilMs !== undefined) {
      due.push(heldBackUntilMs);
    }
    const expiresAtMs = this.#slots.leases.nextExpiryMs();
    if (expiresAtMs !== undefined) {
      due.push(Math.max(now, expiresAtMs));
    }
    const untoldUntilMs = this.#slots.owners.nextExpiryMs();
    if (untoldUntilMs !== undefined) {
      due.push(Math.max(now, Math.min(untoldUntilMs, this.#loans.askAgainAtMs)));
    }
    if (this.#seats.free > 0 && this.#transfers.pending === 0) {
      due.push(this.#seats.nextDueAtMs(now));
    }
    return due.length === 0 ? undefined : Math.min(...due);
  }

  // --- seen from outside ----------------------------------------------------------------------------------------------

  /** What waits by kind, and how much of it is held back for the quota, here or at its source. */
  waiting(): { waiting: Record<RequestKind, number>; heldBack: number } {
    const { waiting, heldBack } = this.#slots.waiting();
    const { waitingElsewhere, heldBackElsewhere } = this.#transfers;
    const blob = waiting.blob + this.#loans.parkedCount + waitingElsewhere;
    return { waiting: { ...waiting, blob }, heldBack: heldBack + heldBackElsewhere };
  }

  active(): Record<RequestKind, number> {
    const counts: Record<RequestKind, number> = { head: 0, manifest: 0, query: 0, blob: 0 };
    for (const lease of this.#slots.leases.values()) {
      counts[lease.kind] += 1;
    }
    return counts;
  }

  /** Slots in use. */
  get leases(): Iterable<Lease> {
    return this.#slots.leases.values();
  }

  /** Those whose rows are needed no more, or will not be before long. */
  get owners(): Pick<Owners, "anyIdle" | "takeIdle"> {
    return this.#slots.owners;
  }

  lanes(now: number): { joined: number; ordered: number } {
    return { joined: this.#seats.joinedCount, ordered: this.#seats.orderedCount(now) };
  }

  /** Whether anything is to come, were it only the answer of a job that was told of an end. */
  get busy(): boolean {
    const { unsettled, endings } = this.#transfers;
    const isWaitedFor = !this.#slots.idle || this.#loans.parkedCount > 0;
    return unsettled > 0 || endings.unacknowledged > 0 || this.#slots.leases.size > 0 || isWaitedFor;
  }

  // --- inside ---------------------------------------------------------------------------------------------------------

  /** Grants all that may be granted now, and sends for lanes, or home. */
  #dispatch(now: number): void {
    this.#slots.heedQuota(now);
    for (;;) {
      const situation = {
        lanes: this.#seats.free > this.#slots.reserved.size,
        bytesLeft: this.#transfers.bytesLeft + this.#slots.lendableBytes,
        maxWaitMs: this.#settings.maxWaitMs,
      };
      const entry = this.#slots.next(this.#settings.policy, situation, now);
      if (entry === undefined) {
        break;
      }
      this.#slots.stopWaiting(entry.id);
      // Whoever knows the entry takes it on.
      void (
        this.#smalls.start(entry.id, now) ||
        this.#loans.start(entry.id, now) ||
        this.#transfers.start(entry.id, now)
      );
    }
    const { pausedUntilMs } = this.#slots.limits;
    if (pausedUntilMs <= now) {
      const transfers = Math.min(this.#transfers.startable, this.#slots.freeBlobSlots);
      // A reserved slot has its seat among the free ones.
      for (const lane of this.#seats.wanted(transfers + this.#slots.reserved.size, now)) {
        this.#port.order(lane);
      }
    }
    this.#transfers.asks.tellRoom(now);
    for (const seat of this.#seats.overdue(now, this.#transfers.pending > 0, pausedUntilMs)) {
      this.#port.hand(seat, null);
    }
  }
}

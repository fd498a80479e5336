/**
 * The slots that blobs of this host ask for at their sources: who has asked, who waits there, who may keep a slot here
 * meanwhile. See scheduler.ts for the rule that keeps both ends free of deadlock and starvation.
 */
import type { ExchangeAnswer, LentAnswer, LoanAnswer, LoanRequest } from "./contract.ts";
import { LEASE_MS } from "./leases.ts";
import { offerOfLoan } from "./loans.ts";
import type { Offers, OfferState } from "./offers.ts";
import type { SchedulerPort } from "./port.ts";
import type { Seats } from "./seats.ts";
import type { Slots } from "./slots.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { Outcome } from "../registry/gate.ts";

/** A source that was asked so long ago may have been restarted and have forgotten: ask again. */
export const REASK_MS = 15_000;
/** Not more often than this, however short the longest wait is. */
const LEAST_REASK_MS = 1_000;
/** A source's object that could not be reached is asked again after this. */
const ASK_RETRY_MS = 2_000;
/** How often borrowed slots are kept alive; a third of their lease, so that two calls may be lost. */
const KEEP_MS = LEASE_MS / 3;

/**
 * How often a source is asked again. An offer that has begun to starve since it last asked says so with the next asking,
 * which must not be late by more than half of what it may wait.
 */
export function reaskMs(maxWaitMs: number): number {
  return Math.min(REASK_MS, Math.max(LEAST_REASK_MS, maxWaitMs / 2));
}

/** A slot that was given back without a request. */
export const UNUSED: Outcome = { class: "unused" };

export interface SourceAsksOptions {
  host: string;
  maxWaitMs: number;
  offers: Offers;
  slots: Slots;
  seats: Seats;
  port: SchedulerPort;
  /** Gives an offer that has a slot at its source one here, and a lane; false when there is no room. */
  take: (state: OfferState, now: number) => boolean;
  /** The source is to be left alone for longer than anyone should wait. */
  refused: (state: OfferState, error: ErrorDetail, now: number) => void;
}

export class SourceAsks {
  #options: SourceAsksOptions;
  #offers: Offers;
  #slots: Slots;
  #port: SchedulerPort;
  /** Makes the names of loans unlike those of this object's lives before a restart. */
  #life: string;
  #reaskMs: number;
  #keptAtMs = 0;
  /** How many slots each source may still lend, as far as it was told here. */
  #toldRoom = new Map<string, number>();
  /** When a source that could not be reached is to be asked again, milliseconds since the epoch; Infinity: none is. */
  #retryAtMs = Infinity;

  constructor(options: SourceAsksOptions) {
    this.#options = options;
    this.#offers = options.offers;
    this.#slots = options.slots;
    this.#port = options.port;
    this.#reaskMs = reaskMs(options.maxWaitMs);
    this.#life = options.port.newId();
  }

  /** Asks the source of an offer whose turn it is here; its slot here is kept for the one call that takes. */
  begin(state: OfferState, now: number): void {
    this.#offers.move(state, "asking");
    this.#slots.reserve(state.offer.id, now);
    this.#ask(state, now);
  }

  /** Ends what an offer has at its source, and what is kept for it here. */
  takeBack(state: OfferState): void {
    this.#endHold(state);
    this.#port.giveBack(state.offer.sourceHost, this.loanIdOf(state), UNUSED);
  }

  /** Names the present loan of an offer. */
  loanIdOf(state: OfferState): string {
    return `${state.offer.id}#${this.#life}.${state.round}`;
  }

  /** How many slots a source may lend now, to be told with these requests. */
  roomFor(sourceHost: string, requests: LoanRequest[], now: number): number {
    const asking = requests.filter(({ id }) => {
      const state = this.#offerOfLoan(id);
      return state?.phase === "asking" && this.#slots.reserved.has(state.offer.id);
    }).length;
    const room = this.#room(now) + asking;
    this.#toldRoom.set(sourceHost, room);
    return room;
  }

  /** The source's answer to an exchange; undefined: it could not be reached. */
  exchanged(sourceHost: string, requests: LoanRequest[], answer: ExchangeAnswer | undefined, now: number): void {
    if (answer === undefined) {
      this.#toldRoom.delete(sourceHost);
    }
    requests.forEach(({ id }, index) => this.#borrowed(id, answer?.answers[index], now));
    for (const loanId of answer?.lent ?? []) {
      if (this.lent(loanId, now) !== "taken") {
        this.#port.giveBack(sourceHost, loanId, UNUSED);
      }
    }
  }

  /** Sources that wait for a word of it are told that there is room again. */
  tellRoom(now: number): void {
    const sources = this.#offers.queuedSources();
    if (sources.length === 0 || this.#room(now) <= 0) {
      return;
    }
    for (const sourceHost of sources) {
      if ((this.#toldRoom.get(sourceHost) ?? 0) <= 0) {
        this.#toldRoom.set(sourceHost, this.#room(now));
        this.#port.tellRoom(sourceHost);
      }
    }
  }

  #borrowed(loanId: string, answer: LoanAnswer | undefined, now: number): void {
    const state = this.#offerOfLoan(loanId);
    if (state === undefined || (state.phase !== "asking" && state.phase !== "queued")) {
      return;
    }
    const { id, sourceHost } = state.offer;
    if (answer === undefined) {
      this.#slots.endReservation(id);
      this.#offers.move(state, "queued");
      state.askedAtMs = now - this.#reaskMs + Math.min(ASK_RETRY_MS, this.#reaskMs);
      this.#retryAtMs = Math.min(this.#retryAtMs, now + ASK_RETRY_MS);
    } else if ("lease" in answer) {
      this.#spend(sourceHost);
      if (!this.#options.take(state, now)) {
        this.#port.giveBack(sourceHost, loanId, UNUSED);
      }
    } else if ("refused" in answer) {
      this.#slots.endReservation(id);
      this.#options.refused(state, answer.refused, now);
    } else {
      const heldBack = answer.heldBack === true;
      if (state.phase === "asking") {
        this.#offers.move(state, "queued");
        state.holding = !heldBack && this.#mayHold(state, now);
      } else if (heldBack) {
        state.holding = false;
      }
      this.#offers.setHeldBack(state, heldBack);
      if (!state.holding) {
        this.#slots.endReservation(id);
      }
    }
  }

  /** The source has a slot for this offer now. */
  lent(loanId: string, now: number): LentAnswer {
    const state = this.#offerOfLoan(loanId);
    if (state?.phase !== "asking" && state?.phase !== "queued") {
      // Told twice: it has been taken already.
      return state?.phase === "running" ? "taken" : "unwanted";
    }
    const { sourceHost } = state.offer;
    this.#spend(sourceHost);
    if (this.#room(now) <= 0) {
      // What is here goes before what is only being asked for. Two offers that wait for each other's slots would
      // otherwise pass them back and forth.
      this.#yieldReservation(loanId);
    }
    if (this.#options.take(state, now)) {
      return "taken";
    }
    this.#toldRoom.delete(sourceHost);
    return "full";
  }

  /** Takes the slot that a younger offer keeps here while it waits at its source. */
  endHoldsYoungerThan(other: { since: number; id: string }): void {
    for (const holder of this.#holders()) {
      if (older(other, holder.offer)) {
        this.#endHold(holder);
      }
    }
  }

  /** When {@link tick} has a source to ask again that could not be reached; undefined: it has not. */
  get retryAtMs(): number | undefined {
    return this.#retryAtMs === Infinity ? undefined : this.#retryAtMs;
  }

  /** Asks again where an answer may be lost, and keeps alive what is borrowed. */
  tick(now: number): void {
    if (this.#retryAtMs <= now) {
      this.#retryAtMs = Infinity;
    }
    for (const state of [...this.#offers.inPhase("queued"), ...this.#offers.inPhase("asking")]) {
      if (state.askedAtMs + this.#reaskMs <= now) {
        this.#ask(state, now);
      }
    }
    if (this.#keptAtMs + KEEP_MS <= now) {
      this.#keptAtMs = now;
      for (const [sourceHost, loans] of this.#slots.leases.borrowed()) {
        this.#port.keep(
          sourceHost,
          loans.map(({ id }) => id),
        );
      }
    }
  }

  #ask(state: OfferState, now: number): void {
    state.askedAtMs = now;
    const { sizeBytes, since, sourceHost, background } = state.offer;
    this.#port.borrow(sourceHost, {
      id: this.loanIdOf(state),
      borrower: this.#options.host,
      job: state.job,
      bytes: sizeBytes,
      jobBytesLeft: this.#offers.jobBytesLeft(state.job),
      since,
      ...(background === true ? { background } : {}),
      starving: this.#starving(state, now),
    });
  }

  /** Transfers that could begin at once, had they a slot at their source. */
  #room(now: number): number {
    if (!this.#slots.admitsBlob(now)) {
      return 0;
    }
    return Math.max(0, Math.min(this.#slots.freeBlobSlots, this.#options.seats.free - this.#slots.reserved.size));
  }

  #spend(sourceHost: string): void {
    this.#toldRoom.set(sourceHost, (this.#toldRoom.get(sourceHost) ?? 0) - 1);
  }

  #starving(state: OfferState, now: number): boolean {
    return now - state.offer.since > this.#options.maxWaitMs;
  }

  /** Only the oldest starving offer keeps its slot while it waits at its source. */
  #mayHold(state: OfferState, now: number): boolean {
    if (!this.#starving(state, now)) {
      return false;
    }
    const [holder] = this.#holders();
    if (holder === undefined) {
      return true;
    }
    if (!older(state.offer, holder.offer)) {
      return false;
    }
    this.#endHold(holder);
    return true;
  }

  /** Undefined when the loan is not the offer's present one. */
  #offerOfLoan(loanId: string): OfferState | undefined {
    const state = this.#offers.get(offerOfLoan(loanId));
    return state !== undefined && this.loanIdOf(state) === loanId ? state : undefined;
  }

  #holders(): OfferState[] {
    return [...this.#slots.reserved].flatMap((id) => this.#offers.get(id) ?? []).filter((state) => state.holding);
  }

  #yieldReservation(loanId: string): void {
    for (const id of this.#slots.reserved) {
      const state = this.#offers.get(id);
      if (state?.phase === "asking" && this.loanIdOf(state) !== loanId) {
        this.#slots.endReservation(id);
        return;
      }
    }
  }

  #endHold(state: OfferState): void {
    state.holding = false;
    this.#slots.endReservation(state.offer.id);
  }
}

function older(a: { since: number; id: string }, b: { since: number; id: string }): boolean {
  return a.since < b.since || (a.since === b.since && a.id < b.id);
}

/**
 * What the scheduler makes happen outside itself. Rows are written at once and synchronously; calls to others go out
 * after the step that asked for them, and their answers come back as further steps.
 */
import type { BlobOffer, Handover, LoanRequest, Settlement, Transfer } from "./contract.ts";
import type { KeptHandover } from "./handovers.ts";
import type { KeptOwner } from "./owners.ts";
import type { Outcome } from "../registry/gate.ts";
import type { Tries } from "./tries.ts";
import type { ErrorDetail } from "../registry/errors.ts";

export interface SchedulerPort {
  /** A fresh, unguessable name. */
  newId(): string;
  random(): number;

  putOffers(job: string, offers: BlobOffer[]): void;
  putTries(id: string, tries: Pick<Tries, "attempts" | "cuts">): void;
  /** Null: there is none any more. */
  putHandover(offerId: string, kept: KeptHandover | null): void;
  deleteOffers(ids: string[]): void;
  /** The same, soon: after a restart before that they are there once more. */
  deleteOffersLater(ids: string[]): void;
  putOwner(owner: KeptOwner): void;
  putKnown(repository: string, digest: string, now: number): void;
  /** Repositories of this host that hold the digest, newest first. */
  known(digest: string): string[];

  /** Deletes an upload at the registry, if it is still there. */
  abandon(repository: string, handover: Handover): void;
  /** Sends a work order for a lane of this name. */
  order(lane: string): void;
  /** Asks a source for a slot, with the next exchange; the answer comes back through `exchanged`. */
  borrow(sourceHost: string, request: LoanRequest): void;
  /** With the next exchange. */
  giveBack(sourceHost: string, loanId: string, outcome: Outcome): void;
  /** Has an exchange with a source even if there is nothing to ask or to give back: it is to know how much room there is. */
  tellRoom(sourceHost: string): void;
  keep(sourceHost: string, loanIds: string[]): void;
  /** Asks a job which slots it has for its own requests; the answer comes back through `slotsTold`. */
  askSlots(job: string): void;
  /** Asks a borrower which loans it has; the answer comes back through `loansTold`. */
  askLoans(borrower: string): void;
  /** Offers a lent slot to its borrower; the answer comes back through `lentAnswered`. */
  lend(borrower: string, loanId: string): void;
  /**
   * Tells a job; `acknowledged` follows when it knows.
   * @param left Offers of the job that are still to be acknowledged.
   */
  settle(job: string, settlement: Settlement, left: number): void;
  /** Tells a background job that it waits for this host's quota. */
  heldBack(job: string): void;

  /** Answers a waiting `next`. */
  hand(seat: string, transfer: Transfer | null): void;
  /** Answers a waiting `acquire`. */
  admit(requestId: string, lease: string): void;
  refuse(requestId: string, error: ErrorDetail): void;
}

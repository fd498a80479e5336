/** This host as a source: the slots it lends to the hosts that its blobs go to. */
import type { LoanAnswer, LoanRequest } from "./contract.ts";
import { LEASE_MS } from "./leases.ts";
import type { SchedulerPort } from "./port.ts";
import type { Entry } from "./queue.ts";
import type { Slots } from "./slots.ts";
import type { Outcome } from "../registry/gate.ts";

export class Loans {
  /** By the name under which they wait. */
  #waiting = new Map<string, LoanRequest>();
  #waitingByJob = new Map<string, number>();
  /** The loan that is being asked for right now: granted, it is the answer to that very call. */
  #asked: { id: string; lease?: string } | undefined;
  #slots: Slots;
  #port: SchedulerPort;

  constructor(slots: Slots, port: SchedulerPort) {
    this.#slots = slots;
    this.#port = port;
  }

  /**
   * A slot now, or a place in the queue under the loan's own age.
   * @param dispatch Grants what may be granted, in the policy's order: a newcomer overtakes nobody.
   */
  borrow(request: LoanRequest, now: number, dispatch: () => void): LoanAnswer {
    const lease = this.#slots.leases.ofLoan(request.id);
    if (lease !== undefined) {
      lease.expiresAtMs = now + LEASE_MS;
      return { lease: lease.id };
    }
    const retryAtMs = this.#slots.limits.givesUpUntil(now);
    if (retryAtMs !== undefined) {
      return { refused: { ...this.#slots.limits.gaveUp(retryAtMs, now), side: "source" } };
    }
    const asked: { id: string; lease?: string } = { id: request.id };
    this.#asked = asked;
    this.#wait(request);
    dispatch();
    this.#asked = undefined;
    if (asked.lease !== undefined) {
      return { lease: asked.lease };
    }
    const heldBack = request.background === true && this.#slots.heldBackUntilMs(now) !== undefined;
    return heldBack ? { queued: true, heldBack } : { queued: true };
  }

  /** False: this is not a loan. */
  start(entryId: string, now: number): boolean {
    const loan = this.#waiting.get(entryId);
    if (loan === undefined) {
      return false;
    }
    this.#forget(loan);
    const { id, job, borrower } = loan;
    const use = { type: "loan", job, loanId: id, borrower } as const;
    const lease = this.#slots.grant(entryOf(loan), use, `host:${borrower}`, now);
    if (this.#asked?.id === id) {
      this.#asked.lease = lease.id;
    } else {
      this.#port.lend(borrower, id, lease.id);
    }
    return true;
  }

  giveBack(id: string, outcome: Outcome, now: number): void {
    const loan = this.#waiting.get(entryName(id));
    if (loan !== undefined) {
      this.#forget(loan);
    }
    const lease = this.#slots.leases.ofLoan(id);
    if (lease !== undefined) {
      this.#slots.free(lease.id);
      this.#slots.outcome(outcome, lease, now);
    }
  }

  keep(ids: string[], now: number): void {
    for (const id of ids) {
      const lease = this.#slots.leases.ofLoan(id);
      if (lease !== undefined) {
        lease.expiresAtMs = now + LEASE_MS;
      }
    }
  }

  /** The borrower has taken the slot that was offered to it, or passes it on. */
  answered(id: string, taken: boolean): void {
    const lease = this.#slots.leases.ofLoan(id);
    if (!taken && lease !== undefined) {
      this.#slots.free(lease.id);
    }
  }

  /** Their borrowers ask again before long, and are told then. */
  dropAll(): void {
    for (const loan of this.#waiting.values()) {
      this.#forget(loan);
    }
  }

  #wait(loan: LoanRequest): void {
    const entry = entryOf(loan);
    if (!this.#waiting.has(entry.id)) {
      this.#waitingByJob.set(entry.job, (this.#waitingByJob.get(entry.job) ?? 0) + 1);
    }
    this.#waiting.set(entry.id, loan);
    this.#slots.wait(entry, "slot", loan.background === true ? loan.job : undefined);
    this.#slots.setJobBytesLeft(entry.job, loan.jobBytesLeft);
  }

  /** Ends the waiting of a loan, and with the last of its job what is known of that job. */
  #forget(loan: LoanRequest): void {
    const { id, job } = entryOf(loan);
    this.#slots.stopWaiting(id);
    this.#waiting.delete(id);
    const others = (this.#waitingByJob.get(job) ?? 1) - 1;
    if (others > 0) {
      this.#waitingByJob.set(job, others);
    } else {
      this.#waitingByJob.delete(job);
      this.#slots.setJobBytesLeft(job, 0);
    }
  }
}

/** The id of the offer that a loan is for: a loan's own names the try as well. */
export function offerOfLoan(loanId: string): string {
  return loanId.slice(0, loanId.lastIndexOf("#"));
}

/** A host may be source and target at once, even for one job: loans wait under names that no offer has. */
function entryName(name: string): string {
  return `loan:${name}`;
}

function entryOf({ id, bytes, job, since }: LoanRequest): Entry {
  return { id: entryName(id), kind: "blob", bytes, job: entryName(job), since, tie: offerOfLoan(id) };
}

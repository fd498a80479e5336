/** This host as a source: the slots it lends to the hosts that its blobs go to. */
import type { LoanAnswer, LoanRequest } from "./contract.ts";
import { LEASE_MS } from "./leases.ts";
import type { SchedulerPort } from "./port.ts";
import type { Slots } from "./slots.ts";
import type { Outcome } from "../registry/gate.ts";

export class Loans {
  #waiting = new Map<string, LoanRequest>();
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
      return { refused: { ...this.#slots.limits.gaveUp(retryAtMs), side: "source" } };
    }
    const { id, bytes, job, since, jobBytesLeft } = request;
    const asked: { id: string; lease?: string } = { id };
    this.#asked = asked;
    this.#waiting.set(id, request);
    this.#slots.setJobBytesLeft(job, jobBytesLeft);
    this.#slots.wait({ id, kind: "blob", bytes, job, since }, "slot");
    dispatch();
    this.#asked = undefined;
    return asked.lease === undefined ? { queued: true } : { lease: asked.lease };
  }

  /** False: this is not a loan. */
  start(id: string, now: number): boolean {
    const loan = this.#waiting.get(id);
    if (loan === undefined) {
      return false;
    }
    this.#waiting.delete(id);
    const { bytes, job, since, borrower } = loan;
    const use = { type: "loan", job, loanId: id, borrower } as const;
    const lease = this.#slots.grant({ id, kind: "blob", bytes, job, since }, use, `host:${borrower}`, now);
    if (this.#asked?.id === id) {
      this.#asked.lease = lease.id;
    } else {
      this.#port.lend(borrower, id, lease.id);
    }
    return true;
  }

  giveBack(id: string, outcome: Outcome, now: number): void {
    this.#slots.stopWaiting(id);
    this.#waiting.delete(id);
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
    for (const id of this.#waiting.keys()) {
      this.#slots.stopWaiting(id);
    }
    this.#waiting.clear();
  }
}

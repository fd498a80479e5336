/** This host as a source: the slots it lends to the hosts that its blobs go to. */
import type { Exchange, ExchangeAnswer, HeldLoan, LentAnswer, LoanAnswer, LoanRequest } from "./contract.ts";
import { Credit } from "./credit.ts";
import { LEASE_MS } from "./leases.ts";
import { borrowerOwner } from "./owners.ts";
import type { SchedulerPort } from "./port.ts";
import type { Entry } from "./queue.ts";
import type { Slots } from "./slots.ts";
import type { Outcome } from "../registry/gate.ts";

/** A borrower that could not say which slots it has is asked again after this, and then ever twice as late, */
const ASK_AGAIN_MS = 250;
/** … up to this. */
const MOST_ASK_AGAIN_MS = 2_000;

/** An exchange under way: what is lent to its borrower meanwhile is its answer. */
interface Answering {
  borrower: string;
  /** Leases by loan. */
  granted: Map<string, string>;
}

export class Loans {
  /** By the name under which they wait. */
  #waiting = new Map<string, LoanRequest>();
  #waitingByJob = new Map<string, number>();
  #credit = new Credit();
  #answering: Answering | undefined;
  #askAgainAtMs = Infinity;
  #askAgainMs = ASK_AGAIN_MS;
  /** Given back before their borrower's answer came, which may have been on its way already. */
  readonly #returnedEarly = new Set<string>();
  #slots: Slots;
  #port: SchedulerPort;

  constructor(slots: Slots, port: SchedulerPort) {
    this.#slots = slots;
    this.#port = port;
  }

  /** Loans that wait until their borrowers have room. */
  get parkedCount(): number {
    return this.#credit.parkedCount;
  }

  /**
   * Takes back what is returned, and answers what is asked with a slot now or a place in the queue under the loan's own age.
   * @param dispatch Grants what may be granted, in the policy's order: a newcomer overtakes nobody.
   */
  exchange({ borrower, room, returns, requests }: Exchange, now: number, dispatch: () => void): ExchangeAnswer {
    for (const { id, outcome } of returns) {
      this.giveBack(id, outcome, now);
    }
    const placed = requests.map((request) => this.#place(request, now));
    this.#tellCredit(borrower, room);
    const granted = new Map<string, string>();
    this.#answering = { borrower, granted };
    dispatch();
    this.#answering = undefined;
    const answers = requests.map((request, index): LoanAnswer => {
      const answer = placed[index];
      return answer ?? this.#answerOf(request, granted.get(request.id), now);
    });
    const asked = new Set(requests.map(({ id }) => id));
    return { answers, lent: [...granted.keys()].filter((id) => !asked.has(id)) };
  }

  /** False: this is not a loan. */
  start(entryId: string, now: number): boolean {
    const loan = this.#waiting.get(entryId);
    if (loan === undefined) {
      return false;
    }
    const { id, job, borrower, starving } = loan;
    // It may keep a slot of its own there, of which its host's room says nothing.
    if (!starving && !this.#credit.spend(borrower, entryId)) {
      return true;
    }
    this.#forget(loan);
    const use = { type: "loan", job, loanId: id, borrower } as const;
    const lease = this.#slots.grant(entryOf(loan), use, borrowerOwner(borrower), now);
    if (this.#answering?.borrower === borrower) {
      this.#answering.granted.set(id, lease.id);
    } else {
      this.#port.lend(borrower, id);
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
    } else if (this.#slots.owners.untoldBorrowers().length > 0) {
      this.#returnedEarly.add(id);
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

  /** After a restart nobody but their borrowers knows of the loans that were out: they are asked. */
  askBorrowers(now: number): void {
    const untold = this.#slots.owners.untoldBorrowers();
    for (const borrower of untold) {
      this.#port.askLoans(borrower);
    }
    if (untold.length === 0) {
      this.#askAgainAtMs = Infinity;
      this.#returnedEarly.clear();
      return;
    }
    this.#askAgainAtMs = now + this.#askAgainMs;
    this.#askAgainMs = Math.min(2 * this.#askAgainMs, MOST_ASK_AGAIN_MS);
  }

  /** When borrowers that have not told are to be asked again, milliseconds since the epoch; Infinity: all have. */
  get askAgainAtMs(): number {
    return this.#askAgainAtMs;
  }

  /** The borrower says which loans it has; null: it does not know, or could not be asked. */
  told(borrower: string, loans: HeldLoan[] | null, now: number): void {
    const holder = borrowerOwner(borrower);
    if (loans === null || !this.#slots.owners.told(holder, loans.length)) {
      return;
    }
    for (const { id, job, bytes } of loans) {
      const isLent = this.#slots.leases.ofLoan(id) !== undefined;
      if (!isLent && !this.#returnedEarly.has(id)) {
        const use = { type: "loan", job, loanId: id, borrower } as const;
        this.#slots.takeUp({ id: this.#port.newId(), kind: "blob", bytes, use, holder }, now);
      }
    }
  }

  /** What the borrower made of the slot that was offered to it. */
  answered(borrower: string, id: string, answer: LentAnswer): void {
    if (answer === "taken") {
      return;
    }
    if (answer === "full") {
      this.#credit.exhausted(borrower);
    } else {
      this.#credit.refund(borrower);
    }
    const lease = this.#slots.leases.ofLoan(id);
    if (lease !== undefined) {
      this.#slots.free(lease.id);
    }
  }

  /** Their borrowers ask again before long, and are told then. */
  dropAll(): void {
    for (const loan of this.#waiting.values()) {
      this.#forget(loan);
    }
  }

  /** Undefined: it waits now. */
  #place(request: LoanRequest, now: number): LoanAnswer | undefined {
    const lease = this.#slots.leases.ofLoan(request.id);
    if (lease !== undefined) {
      lease.expiresAtMs = now + LEASE_MS;
      return { lease: lease.id };
    }
    const retryAtMs = this.#slots.limits.givesUpUntil(now);
    if (retryAtMs !== undefined) {
      return { refused: { ...this.#slots.limits.gaveUp(retryAtMs, now), side: "source" } };
    }
    this.#wait(request);
    return undefined;
  }

  #answerOf(request: LoanRequest, lease: string | undefined, now: number): LoanAnswer {
    if (lease !== undefined) {
      return { lease };
    }
    const heldBack = request.background === true && this.#slots.heldBackUntilMs(now) !== undefined;
    return heldBack ? { queued: true, heldBack } : { queued: true };
  }

  #tellCredit(borrower: string, room: number): void {
    for (const entryId of this.#credit.told(borrower, room)) {
      const loan = this.#waiting.get(entryId);
      if (loan !== undefined) {
        this.#enqueue(loan);
      }
    }
  }

  #wait(loan: LoanRequest): void {
    const entry = entryOf(loan);
    if (!this.#waiting.has(entry.id)) {
      this.#waitingByJob.set(entry.job, (this.#waitingByJob.get(entry.job) ?? 0) + 1);
    }
    this.#waiting.set(entry.id, loan);
    this.#credit.unpark(loan.borrower, entry.id);
    this.#enqueue(loan);
  }

  #enqueue(loan: LoanRequest): void {
    const entry = entryOf(loan);
    this.#slots.wait(entry, "slot", loan.background === true ? loan.job : undefined);
    this.#slots.setJobBytesLeft(entry.job, loan.jobBytesLeft);
  }

  /** Ends the waiting of a loan, and with the last of its job what is known of that job. */
  #forget(loan: LoanRequest): void {
    const { id, job } = entryOf(loan);
    this.#slots.stopWaiting(id);
    this.#waiting.delete(id);
    this.#credit.unpark(loan.borrower, id);
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

/**
 * How many slots each borrower can use, going by what it last told, and which of its loans wait until it can use more.
 * Without this a source with free slots would offer each to one loan after the other of a borrower that is full.
 */

interface Borrower {
  /** Loans that it has room for. */
  room: number;
  /** Names of loans whose turn came when there was no room, in the order in which it came. */
  parked: Set<string>;
}

export class Credit {
  #borrowers = new Map<string, Borrower>();
  #parkedCount = 0;

  /** Parked loans of all borrowers. */
  get parkedCount(): number {
    return this.#parkedCount;
  }

  /** The borrower has told how many it can use. Answers the parked loans that may go into the queue again. */
  told(name: string, room: number): string[] {
    const borrower = this.#of(name);
    borrower.room = room;
    const freed: string[] = [];
    for (const loan of borrower.parked) {
      if (freed.length >= room) {
        break;
      }
      freed.push(loan);
    }
    for (const loan of freed) {
      this.unpark(name, loan);
    }
    return freed;
  }

  /** A loan's turn has come. False: its borrower has no room, and the loan is parked. */
  spend(name: string, loan: string): boolean {
    const borrower = this.#of(name);
    if (borrower.room > 0) {
      borrower.room -= 1;
      return true;
    }
    this.#parkedCount += borrower.parked.has(loan) ? 0 : 1;
    borrower.parked.add(loan);
    return false;
  }

  /** A slot was offered for a loan that the borrower knows nothing of: its room is still there. */
  refund(name: string): void {
    this.#of(name).room += 1;
  }

  /** The borrower had no room for what it was offered. */
  exhausted(name: string): void {
    this.#of(name).room = 0;
  }

  /** The loan waits in the queue again, or not at all. */
  unpark(name: string, loan: string): void {
    if (this.#of(name).parked.delete(loan)) {
      this.#parkedCount -= 1;
    }
  }

  #of(name: string): Borrower {
    const borrower = this.#borrowers.get(name) ?? { room: 0, parked: new Set() };
    this.#borrowers.set(name, borrower);
    return borrower;
  }
}

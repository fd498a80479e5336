/**
 * The lanes at this host: who has joined, how many transfers they could take on (each waiting `next` is a seat), and
 * how many more lanes to send for.
 */

/** Transfers one lane runs at once: an upload holds one of an invocation's six connections until it is answered. */
export const LANE_WIDTH = 5;
/** A lane with nothing to do waits this long before it ends: cheaper than sending for another when a job goes on reading. */
export const LINGER_MS = 2_000;
/** A lane does not sit out a pause longer than this; it is sent again in time. */
export const LANE_PATIENCE_MS = 5_000;
/** A work order that nobody has taken up after this long is sent again. */
export const ORDER_LOST_MS = 15_000;

/** A lane asks for transfers as soon as it has joined; one that has not after this long may never. */
const COMING_MS = 1_000;

interface Seat {
  id: string;
  session: string;
  sinceMs: number;
}

export class Seats {
  #lanes = new Map<string, string>();
  #seats: Seat[] = [];
  #orders = new Map<string, number>();
  /** Of lanes that have just joined, by session: seats that are about to come. */
  #coming = new Map<string, { seats: number; untilMs: number }>();
  /** Sessions of jobs, which may offer more. */
  #jobs = new Set<string>();
  #isDismissed = false;
  #count = 0;

  joined(session: string, lane: string, seats: number, now: number): void {
    this.#lanes.set(session, lane);
    this.#orders.delete(lane);
    this.#coming.set(session, { seats, untilMs: now + COMING_MS });
  }

  jobJoined(session: string): void {
    this.#jobs.add(session);
    this.#isDismissed = false;
  }

  /** A job has ended: unless another is here, or comes, lanes need not linger. Whoever waits for their end is not kept. */
  dismiss(): void {
    this.#isDismissed = true;
  }

  recall(): void {
    this.#isDismissed = false;
  }

  knows(session: string): boolean {
    return this.#lanes.has(session);
  }

  /** The name of a lane, which outlasts its sessions. */
  laneOf(session: string): string {
    return this.#lanes.get(session) ?? session;
  }

  /** Answers the seats that nobody waits on any more. */
  left(session: string): string[] {
    this.#lanes.delete(session);
    this.#jobs.delete(session);
    return this.givenUp(session);
  }

  /** A lane gives up its seats and stays; answers them. */
  givenUp(session: string): string[] {
    this.#coming.delete(session);
    const gone = this.#seats.filter((seat) => seat.session === session);
    this.#seats = this.#seats.filter((seat) => seat.session !== session);
    return gone.map((seat) => seat.id);
  }

  add(session: string, id: string, now: number): void {
    this.#seats.push({ id, session, sinceMs: now });
    const coming = this.#coming.get(session);
    if (coming !== undefined) {
      coming.seats -= 1;
    }
  }

  get free(): number {
    return this.#seats.length;
  }

  take(): { id: string; session: string } | undefined {
    return this.#seats.shift();
  }

  get joinedCount(): number {
    return this.#lanes.size;
  }

  /** Lanes that were sent for and may still come. */
  orderedCount(now: number): number {
    this.#forgetLostOrders(now);
    return this.#orders.size;
  }

  /** Names of further lanes to send for, so that `transfers` more could run. */
  wanted(transfers: number, now: number): string[] {
    this.#forgetLostOrders(now);
    const missing = transfers - this.#seats.length - this.#comingCount(now) - this.#orders.size * LANE_WIDTH;
    const lanes: string[] = [];
    for (let covered = 0; covered < missing; covered += LANE_WIDTH) {
      this.#count += 1;
      const lane = `${now.toString(36)}-${this.#count}`;
      this.#orders.set(lane, now);
      lanes.push(lane);
    }
    return lanes;
  }

  /** Seats to be sent home, removed: nothing waits for a lane, or the host is paused for too long. */
  overdue(now: number, workWaits: boolean, pausedUntilMs: number): string[] {
    const longPause = pausedUntilMs - now > LANE_PATIENCE_MS;
    const lingerMs = this.#isDismissed && this.#jobs.size === 0 ? 0 : LINGER_MS;
    const isOverdue = (seat: Seat): boolean => longPause || (!workWaits && seat.sinceMs + lingerMs <= now);
    const overdue = this.#seats.filter(isOverdue);
    this.#seats = this.#seats.filter((seat) => !isOverdue(seat));
    return overdue.map((seat) => seat.id);
  }

  #forgetLostOrders(now: number): void {
    for (const [lane, orderedAtMs] of this.#orders) {
      if (orderedAtMs + ORDER_LOST_MS <= now) {
        this.#orders.delete(lane);
      }
    }
  }

  #comingCount(now: number): number {
    let count = 0;
    for (const [session, { seats, untilMs }] of this.#coming) {
      if (seats <= 0 || untilMs <= now) {
        this.#coming.delete(session);
      } else {
        count += seats;
      }
    }
    return count;
  }

  /** When the first seat has lingered long enough, should nothing wait for a lane. */
  nextDueAtMs(now: number): number {
    return Math.max(now + 1, (this.#seats[0]?.sinceMs ?? now) + LINGER_MS);
  }
}

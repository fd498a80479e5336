/**
 * Who may hold how many slots, by the names that outlast a session: lanes, jobs, hosts that borrow. Of a grant nothing is
 * written down but that its owner may now hold more than before, which a busy owner needs once or twice. After a restart
 * the slots of each owner count as taken until it has told which it has, or is past the time to: so an object that was
 * thrown out of memory grants no more than its limit, and a grant costs no row.
 */
import { LEASE_MS, REJOIN_MS, type LeaseUse } from "./leases.ts";
import { LANE_WIDTH } from "./seats.ts";

/** An owner as it was written down: it may hold so many slots. */
export interface KeptOwner {
  name: string;
  slots: number;
}

interface Owner {
  /** Slots that it may hold by what is written down. */
  slots: number;
  held: number;
  /** It has held something since somebody last looked for owners whose rows are needed no more. */
  isBusy: boolean;
}

export class Owners {
  readonly #byName = new Map<string, Owner>();
  /** Owners of the last life that have not told what they hold: how much that may be, and the end of their time to tell. */
  readonly #untold = new Map<string, { slots: number; untilMs: number }>();
  /** The most that the last life can have granted, less what has been told of it. */
  #untoldMost = 0;
  readonly #put: (owner: KeptOwner) => void;

  constructor(put: (owner: KeptOwner) => void) {
    this.#put = put;
  }

  /**
   * Takes up what the last life had written down.
   * @param most Slots that were there to be granted.
   */
  restore(kept: readonly KeptOwner[], most: number, now: number): void {
    this.#untoldMost = most;
    for (const { name, slots } of kept) {
      this.#byName.set(name, { slots, held: 0, isBusy: true });
      // A lane is back within seconds; a borrower's object calls less often.
      this.#untold.set(name, { slots, untilMs: now + (name.startsWith(BORROWER) ? LEASE_MS : REJOIN_MS) });
    }
  }

  /** It has one more. */
  granted(name: string): void {
    const owner = this.#byName.get(name) ?? { slots: 0, held: 0, isBusy: true };
    this.#byName.set(name, owner);
    owner.held += 1;
    owner.isBusy = true;
    // What it may have from before comes on top, should this life end too before it has told.
    if (owner.held + (this.#untold.get(name)?.slots ?? 0) > owner.slots) {
      owner.slots = slotsAfter(name, owner.slots);
      this.#put({ name, slots: owner.slots });
    }
  }

  /** It has one less. */
  freed(name: string): void {
    const owner = this.#byName.get(name);
    if (owner !== undefined) {
      owner.held -= 1;
    }
  }

  /**
   * It says what it holds.
   * @returns Whether that is news: it was granted before a restart.
   */
  told(name: string, held: number): boolean {
    const isNews = this.#untold.delete(name);
    if (isNews) {
      this.#untoldMost -= held;
    }
    return isNews;
  }

  /** Hosts that have not told yet what they had borrowed before a restart. */
  untoldBorrowers(): string[] {
    return [...this.#untold.keys()].flatMap((name) => (name.startsWith(BORROWER) ? name.slice(BORROWER.length) : []));
  }

  /** Jobs that have not told yet what they held. */
  untoldJobs(): string[] {
    return [...this.#untold.keys()].flatMap((name) => (name.startsWith(JOB) ? name.slice(JOB.length) : []));
  }

  /** Whether there are lanes that have not told yet what they held. */
  get anyLaneUntold(): boolean {
    return [...this.#untold.keys()].some((name) => name.startsWith(LANE));
  }

  /** Slots that may still be held by those who have not told. */
  get untoldSlots(): number {
    let slots = 0;
    for (const untold of this.#untold.values()) {
      slots += untold.slots;
    }
    return Math.max(0, Math.min(slots, this.#untoldMost));
  }

  /** Whoever has not told by now has died with the last life. */
  expire(now: number): void {
    for (const [name, { untilMs }] of this.#untold) {
      if (untilMs <= now) {
        this.#untold.delete(name);
      }
    }
  }

  /** When the next of those who have not told is past its time; undefined: all have. */
  nextExpiryMs(): number | undefined {
    return this.#untold.size === 0 ? undefined : Math.min(...[...this.#untold.values()].map(({ untilMs }) => untilMs));
  }

  /** Whether there are owners without a slot, whose rows may go before long. */
  get anyIdle(): boolean {
    for (const [name, owner] of this.#byName) {
      if (this.#isIdle(name, owner)) {
        return true;
      }
    }
    return false;
  }

  /** Forgets those who have held nothing since this was last asked; their rows may go. */
  takeIdle(): string[] {
    const idle: string[] = [];
    for (const [name, owner] of this.#byName) {
      if (!this.#isIdle(name, owner)) {
        continue;
      }
      if (owner.isBusy) {
        owner.isBusy = false;
      } else {
        this.#byName.delete(name);
        idle.push(name);
      }
    }
    return idle;
  }

  #isIdle(name: string, { held }: Owner): boolean {
    return held <= 0 && !this.#untold.has(name);
  }
}

const LANE = "lane/";
const JOB = "job/";
const BORROWER = "host/";

export function laneOwner(lane: string): string {
  return `${LANE}${lane}`;
}

export function jobOwner(job: string): string {
  return `${JOB}${job}`;
}

export function borrowerOwner(host: string): string {
  return `${BORROWER}${host}`;
}

/** Whose slot this is. */
export function ownerOf(use: LeaseUse): string {
  if (use.type === "small") {
    return jobOwner(use.job);
  }
  return use.type === "transfer" ? laneOwner(use.lane) : borrowerOwner(use.borrower);
}

/** How many slots an owner is written down for that had so many: not far above what it needs, and seldom. */
function slotsAfter(name: string, slots: number): number {
  return name.startsWith(JOB) ? Math.max(1, slots * 2) : Math.max(LANE_WIDTH, slots * 8);
}

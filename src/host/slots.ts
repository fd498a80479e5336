/**
 * The slots of this host and who waits for one: what the transfers into it, the loans out of it and the small requests
 * share. Grants what it is told to grant; the order is the policy's matter.
 */
import type { Lease, LeaseUse } from "./leases.ts";
import { Leases, lifeMsOf } from "./leases.ts";
import type { Limits } from "./limits.ts";
import { ownerOf, Owners } from "./owners.ts";
import { nextSmall, type Policy } from "./policy.ts";
import type { SchedulerPort } from "./port.ts";
import { isSmall, WaitingQueue, type Entry } from "./queue.ts";
import type { Outcome, RequestKind } from "../registry/gate.ts";

/** What an entry needs to go: a loan and a small request a slot, an offer also a lane to move it. */
export type Needs = "slot" | "slot and lane";

interface Background {
  entry: Entry;
  needs: Needs;
  /** The copy that nobody waits for. */
  job: string;
}

export class Slots {
  readonly leases = new Leases();
  readonly owners: Owners;
  readonly limits: Limits;
  /** Everything that waits here. */
  readonly queue = new WaitingQueue();
  /** The part of it that needs no lane of this host: small requests and loans. */
  readonly #lendable = new WaitingQueue();
  /** What waits for background copies. While the host's quota is low it is held back: in neither of the queues. */
  readonly #background = new Map<string, Background>();
  #holdsBack = false;
  #heldOffers = 0;
  readonly #toldJobs = new Set<string>();
  readonly #reserved = new Set<string>();
  readonly #port: SchedulerPort;

  constructor(limits: Limits, port: SchedulerPort) {
    this.limits = limits;
    this.#port = port;
    this.owners = new Owners((owner) => port.putOwner(owner));
  }

  /** @param backgroundJob The copy it is for, when nobody waits for that. */
  wait(entry: Entry, needs: Needs, backgroundJob?: string): void {
    if (backgroundJob !== undefined && !this.#background.has(entry.id)) {
      this.#background.set(entry.id, { entry, needs, job: backgroundJob });
      if (this.#holdsBack) {
        this.#heldOffers += needs === "slot and lane" ? 1 : 0;
        this.#tell(backgroundJob);
      }
    }
    if (!(this.#holdsBack && this.#background.has(entry.id))) {
      this.#enqueue(entry, needs);
    }
  }

  stopWaiting(id: string): void {
    this.queue.remove(id);
    this.#lendable.remove(id);
    const background = this.#background.get(id);
    if (background !== undefined) {
      this.#background.delete(id);
      this.#heldOffers -= this.#holdsBack && background.needs === "slot and lane" ? 1 : 0;
    }
  }

  /** Offers that are held back, and need no lane for now. */
  get heldOffers(): number {
    return this.#heldOffers;
  }

  /** Whether nothing waits, not even held back. */
  get idle(): boolean {
    return this.queue.size === 0 && (!this.#holdsBack || this.#background.size === 0);
  }

  /** What waits and may go as soon as there is room, and what is held back, by kind. */
  waiting(): { waiting: Record<RequestKind, number>; heldBack: number } {
    const waiting = this.queue.countByKind();
    if (this.#holdsBack) {
      for (const { entry } of this.#background.values()) {
        waiting[entry.kind] += 1;
      }
    }
    return { waiting, heldBack: this.#holdsBack ? this.#background.size : 0 };
  }

  /** When what is held back may go; undefined: nothing is held back. */
  heldBackUntilMs(now: number): number | undefined {
    return this.#holdsBack && this.#background.size > 0 ? (this.limits.heldBackUntilMs(now) ?? now) : undefined;
  }

  /** Holds back what waits for background copies, or lets it go on, as the host's quota demands now. */
  heedQuota(now: number): void {
    const holdsBack = this.limits.heldBackUntilMs(now) !== undefined;
    if (holdsBack === this.#holdsBack) {
      return;
    }
    this.#holdsBack = holdsBack;
    this.#heldOffers = 0;
    this.#toldJobs.clear();
    for (const { entry, needs, job } of this.#background.values()) {
      if (holdsBack) {
        this.queue.remove(entry.id);
        this.#lendable.remove(entry.id);
        this.#heldOffers += needs === "slot and lane" ? 1 : 0;
        this.#tell(job);
      } else {
        this.#enqueue(entry, needs);
      }
    }
  }

  setJobBytesLeft(job: string, bytes: number): void {
    this.queue.setJobBytesLeft(job, bytes);
    this.#lendable.setJobBytesLeft(job, bytes);
  }

  /** Bytes of blobs that wait here for a way out. */
  get lendableBytes(): number {
    return this.#lendable.totalBlobBytes;
  }

  admitsBlob(now: number): boolean {
    return this.limits.admitsBlob(this.#used, now);
  }

  /**
   * Who gets the next slot; undefined: nobody may, or nobody waits.
   * @param situation `lanes`: whether a lane is free to move a blob into this host. `bytesLeft`: of the blobs that come in
   * and of those that wait for a way out; what is on its way out is added here.
   */
  next(
    policy: Policy,
    situation: { lanes: boolean; bytesLeft: number; maxWaitMs: number },
    now: number,
  ): Entry | undefined {
    if (!this.admitsBlob(now)) {
      return this.limits.admitsSmall(this.#used, now) ? nextSmall(this.#lendable) : undefined;
    }
    const queue = situation.lanes ? this.queue : this.#lendable;
    if (queue.size === 0) {
      return undefined;
    }
    const active = [...this.leases.values()];
    const lentBytes = active.reduce((sum, { use, bytes }) => sum + (use.type === "loan" ? bytes : 0), 0);
    const entry = policy(queue, {
      now,
      slots: this.limits.blobSlots,
      active,
      bytesLeft: situation.bytesLeft + lentBytes,
      maxWaitMs: situation.maxWaitMs,
    });
    // Whatever a policy answers, somebody who waits goes: nothing may stand still, or be granted that does not wait.
    return entry !== undefined && queue.has(entry.id) ? entry : queue.oldest();
  }

  grant(entry: Entry, use: LeaseUse, holder: string, now: number, id = this.#port.newId()): Lease {
    const { kind, bytes } = entry;
    this.limits.granted(kind, now);
    return this.#hold({ id, kind, bytes, use, holder, grantedAmong: this.leases.size + 1 }, now);
  }

  /** Counts a slot that its holder has since before a restart. */
  takeUp(slot: Pick<Lease, "id" | "kind" | "bytes" | "use" | "holder">, now: number): Lease {
    return this.#hold({ ...slot, grantedAmong: undefined }, now);
  }

  #hold(slot: Pick<Lease, "id" | "kind" | "bytes" | "use" | "holder" | "grantedAmong">, now: number): Lease {
    const expiresAtMs = now + lifeMsOf(slot.use);
    const lease: Lease = { ...slot, grantedAtMs: now, expiresAtMs, movedBytes: 0, withdrawn: false };
    this.leases.add(lease);
    this.owners.granted(ownerOf(lease.use));
    return lease;
  }

  free(leaseId: string): Lease | undefined {
    const lease = this.leases.remove(leaseId);
    if (lease !== undefined) {
      this.owners.freed(ownerOf(lease.use));
    }
    return lease;
  }

  /** Books the outcome of a lease that was just freed. */
  outcome(outcome: Outcome, lease: Lease, now: number): void {
    const context = {
      startedAt: lease.grantedAtMs,
      active: this.leases.size + 1,
      ...(lease.grantedAmong === undefined ? {} : { sentAmong: lease.grantedAmong }),
      small: isSmall(lease),
      wanted: this.queue.size > 0,
    };
    this.limits.outcome(outcome, context, now, this.#port.random());
  }

  /** Offers whose slot is kept while their source is asked, or while they wait there. */
  get reserved(): ReadonlySet<string> {
    return this.#reserved;
  }

  reserve(offerId: string, now: number): void {
    this.#reserved.add(offerId);
    this.limits.reserve(now);
  }

  /** An offer's slot is not kept any more. False: none was. */
  endReservation(offerId: string): boolean {
    const wasReserved = this.#reserved.delete(offerId);
    if (wasReserved) {
      this.limits.giveBack();
    }
    return wasReserved;
  }

  /** Blob slots that are free, whether or not the host is paused. */
  get freeBlobSlots(): number {
    return Math.max(0, this.limits.blobSlots - this.#used);
  }

  #enqueue(entry: Entry, needs: Needs): void {
    this.queue.add(entry);
    if (needs === "slot") {
      this.#lendable.add(entry);
    }
  }

  /** Each copy is told once in a time of holding back. */
  #tell(job: string): void {
    if (!this.#toldJobs.has(job)) {
      this.#toldJobs.add(job);
      this.#port.heldBack(job);
    }
  }

  get #used(): number {
    return this.leases.size + this.#reserved.size + this.owners.untoldSlots;
  }
}

/**
 * The slots of this host and who waits for one: what the transfers into it, the loans out of it and the small requests
 * share. Grants what it is told to grant; the order is the policy's matter.
 */
import type { Lease, LeaseUse } from "./leases.ts";
import { LEASE_MS, Leases } from "./leases.ts";
import type { Limits } from "./limits.ts";
import { nextSmall, type Policy } from "./policy.ts";
import type { SchedulerPort } from "./port.ts";
import { isSmall, WaitingQueue, type Entry } from "./queue.ts";
import type { Outcome } from "../registry/gate.ts";

export class Slots {
  readonly leases = new Leases();
  readonly limits: Limits;
  /** Everything that waits here. */
  readonly queue = new WaitingQueue();
  /** The part of it that needs no lane of this host: small requests and loans. */
  readonly #lendable = new WaitingQueue();
  /** Offers whose slot is kept while their source is asked, or while they wait there. */
  readonly reserved = new Set<string>();
  readonly #port: SchedulerPort;
  grants = 0;

  constructor(limits: Limits, port: SchedulerPort) {
    this.limits = limits;
    this.#port = port;
  }

  wait(entry: Entry, needs: "slot" | "slot and lane"): void {
    this.queue.add(entry);
    if (needs === "slot") {
      this.#lendable.add(entry);
    }
  }

  stopWaiting(id: string): void {
    this.queue.remove(id);
    this.#lendable.remove(id);
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
   * @param lanes Whether a lane is free to move a blob into this host.
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
    return policy(queue, {
      now,
      slots: this.limits.blobSlots,
      active: [...this.leases.values()],
      bytesLeft: situation.bytesLeft,
      maxWaitMs: situation.maxWaitMs,
    });
  }

  grant(entry: Entry, use: LeaseUse, holder: string, now: number, id = this.#port.newId()): Lease {
    const { kind, bytes } = entry;
    const expiresAtMs = now + LEASE_MS;
    const lease: Lease = {
      id,
      kind,
      bytes,
      use,
      holder,
      grantedAtMs: now,
      expiresAtMs,
      movedBytes: 0,
      withdrawn: false,
    };
    this.leases.add(lease);
    this.#port.putLease(lease);
    this.limits.granted(now);
    this.grants += 1;
    return lease;
  }

  free(leaseId: string): Lease | undefined {
    const lease = this.leases.remove(leaseId);
    if (lease !== undefined) {
      this.#port.deleteLease(leaseId);
    }
    return lease;
  }

  /** Books the outcome of a lease that was just freed. */
  outcome(outcome: Outcome, lease: Lease, now: number): void {
    const context = {
      startedAt: lease.grantedAtMs,
      active: this.leases.size + 1,
      small: isSmall(lease),
      wanted: this.queue.size > 0,
    };
    this.limits.outcome(outcome, context, now, this.#port.random());
  }

  /** Blob slots that are free, whether or not the host is paused. */
  get freeBlobSlots(): number {
    return Math.max(0, this.limits.blobSlots - this.#used);
  }

  get #used(): number {
    return this.leases.size + this.reserved.size;
  }
}

/** The small requests that callers wait to send: manifests, HEADs, lists. */
import type { HeldSlot, SmallRequest } from "./contract.ts";
import type { SchedulerPort } from "./port.ts";
import type { Slots } from "./slots.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { Outcome } from "../registry/gate.ts";

/** Answers whoever still waits for a caller that is gone. */
const GONE: ErrorDetail = {
  code: "cancelled",
  side: "service",
  host: "",
  operation: "wait for a slot",
  retryable: true,
  message: "The caller has left.",
};

export class SmallRequests {
  #waiting = new Map<string, { session: string; request: SmallRequest }>();
  #slots: Slots;
  #port: SchedulerPort;

  constructor(slots: Slots, port: SchedulerPort) {
    this.#slots = slots;
    this.#port = port;
  }

  /** The request's own id names its lease, so that asking twice for it cannot take two slots. */
  ask(session: string, request: SmallRequest, now: number): void {
    const { id, kind, bytes, job, background } = request;
    const lease = this.#slots.leases.get(id);
    if (lease !== undefined) {
      // It asks again because its session broke: the slot must not end with that one.
      this.#slots.leases.moveTo(lease, session);
      this.#port.admit(id, id);
      return;
    }
    this.#waiting.set(id, { session, request });
    this.#slots.wait({ id, kind, bytes, job, since: now }, "slot", background === true ? job : undefined);
  }

  /** A job that has come anew: of what it said to have before it holds what it says now, and nothing else. */
  joined(job: string, held: string[]): void {
    for (const lease of this.#slots.leases.values()) {
      const isForgotten = lease.use.type === "small" && lease.use.job === job && lease.holder === "";
      if (isForgotten && !held.includes(lease.id)) {
        this.#slots.free(lease.id);
      }
    }
  }

  /** A slot that its job has since before a restart; its session, "" until it comes back. */
  takeUp(slot: HeldSlot, { job, session }: { job: string; session: string }, now: number): void {
    const { lease: id, kind, bytes } = slot;
    this.#slots.takeUp({ id, kind, bytes, use: { type: "small", job }, holder: session }, now);
  }

  /** False: this is not a small request. */
  start(id: string, now: number): boolean {
    const small = this.#waiting.get(id);
    if (small === undefined) {
      return false;
    }
    this.#waiting.delete(id);
    const { kind, bytes, job } = small.request;
    this.#slots.grant({ id, kind, bytes, job, since: now }, { type: "small", job }, small.session, now, id);
    this.#port.admit(id, id);
    return true;
  }

  release(leaseId: string, outcome: Outcome, now: number): void {
    const lease = this.#slots.leases.get(leaseId);
    if (lease?.use.type === "small") {
      this.#slots.free(leaseId);
      this.#slots.outcome(outcome, lease, now);
    }
  }

  leave(session: string): void {
    for (const [id, small] of this.#waiting) {
      if (small.session === session) {
        this.#refuse(id, GONE);
      }
    }
  }

  refuseAll(error: ErrorDetail): void {
    for (const id of this.#waiting.keys()) {
      this.#refuse(id, error);
    }
  }

  #refuse(id: string, error: ErrorDetail): void {
    this.#waiting.delete(id);
    this.#slots.stopWaiting(id);
    this.#port.refuse(id, error);
  }
}

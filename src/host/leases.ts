/**
 * The slots in use at this host. A lease ends by its release, by the end of its holder, or by its time. It is not written
 * down: after a restart its owner tells of it (owners.ts).
 */
import type { HeldLoan } from "./contract.ts";
import type { RequestKind } from "../registry/gate.ts";

/** A holder that vanished with its machine gives its slots back after this long. */
export const LEASE_MS = 60_000;

/**
 * A small request is not renewed, and its client waits a minute for an answer and as long for the answer's body, after
 * asking for a token: its slot has to outlast that, or the host would not hear of a registry that stands still.
 */
export const SMALL_LEASE_MS = 180_000;

/**
 * After a restart of the host's object a lane notices within its renewal interval of a second and joins again. Whoever has
 * not come back after this long had died with the machine.
 */
export const REJOIN_MS = 10_000;

export interface Lease {
  readonly id: string;
  readonly kind: RequestKind;
  readonly bytes: number;
  readonly use: LeaseUse;
  readonly grantedAtMs: number;
  /** Slots in use when it was granted, itself included; undefined: that was before a restart. */
  readonly grantedAmong: number | undefined;
  /** The session that has it; of a loan its owner. */
  holder: string;
  expiresAtMs: number;
  /** Of a transfer: bytes that have reached the target, as its lane last told. */
  movedBytes: number;
  /** The job took its offer back: the lane is told at its next renewal. */
  withdrawn: boolean;
}

export type LeaseUse =
  | { type: "small"; job: string }
  /** A blob on its way into this host. `loanId`: its slot at the source, null where that is this host too. */
  | { type: "transfer"; job: string; lane: string; offerId: string; sourceHost: string; loanId: string | null }
  /** A blob on its way from this host into the borrower. */
  | { type: "loan"; job: string; loanId: string; borrower: string };

/** How long a lease of this use lasts without a renewal. */
export function lifeMsOf({ type }: LeaseUse): number {
  return type === "small" ? SMALL_LEASE_MS : LEASE_MS;
}

export class Leases {
  #byId = new Map<string, Lease>();
  #byHolder = new Map<string, Set<string>>();
  #byLoan = new Map<string, string>();

  add(lease: Lease): void {
    this.#byId.set(lease.id, lease);
    this.#hold(lease, lease.holder);
    if (lease.use.type === "loan") {
      this.#byLoan.set(lease.use.loanId, lease.id);
    }
  }

  get(id: string): Lease | undefined {
    return this.#byId.get(id);
  }

  remove(id: string): Lease | undefined {
    const lease = this.#byId.get(id);
    if (lease === undefined) {
      return undefined;
    }
    this.#byId.delete(id);
    this.#byHolder.get(lease.holder)?.delete(id);
    if (lease.use.type === "loan") {
      this.#byLoan.delete(lease.use.loanId);
    }
    return lease;
  }

  /** A lane that comes back for its lease under a new session. */
  moveTo(lease: Lease, holder: string): void {
    this.#byHolder.get(lease.holder)?.delete(lease.id);
    this.#hold(lease, holder);
  }

  ofHolder(holder: string): Lease[] {
    return [...(this.#byHolder.get(holder) ?? [])].flatMap((id) => this.#byId.get(id) ?? []);
  }

  /** Whether a holder has renewed nothing that it still has; "" is nobody. */
  isForsaken(holder: string, now: number): boolean {
    const isRenewed = ({ grantedAtMs, expiresAtMs }: Lease): boolean =>
      expiresAtMs > now && expiresAtMs > grantedAtMs + LEASE_MS;
    return holder !== "" && !this.ofHolder(holder).some(isRenewed);
  }

  forgetHolder(holder: string): void {
    this.#byHolder.delete(holder);
  }

  ofLoan(loanId: string): Lease | undefined {
    return this.#byId.get(this.#byLoan.get(loanId) ?? "");
  }

  /** When the first lease runs out, unless it is renewed; undefined: there is none. */
  nextExpiryMs(): number | undefined {
    let first: number | undefined;
    for (const { expiresAtMs } of this.#byId.values()) {
      first = first === undefined ? expiresAtMs : Math.min(first, expiresAtMs);
    }
    return first;
  }

  /** Slots at sources that transfers into this host hold: their loans, by source host. */
  borrowed(): Map<string, HeldLoan[]> {
    const bySource = new Map<string, HeldLoan[]>();
    for (const { use, bytes } of this.#byId.values()) {
      if (use.type === "transfer" && use.loanId !== null) {
        const loan = { id: use.loanId, job: use.job, bytes };
        bySource.set(use.sourceHost, [...(bySource.get(use.sourceHost) ?? []), loan]);
      }
    }
    return bySource;
  }

  expired(now: number): Lease[] {
    return [...this.#byId.values()].filter((lease) => lease.expiresAtMs <= now);
  }

  values(): Iterable<Lease> {
    return this.#byId.values();
  }

  get size(): number {
    return this.#byId.size;
  }

  #hold(lease: Lease, holder: string): void {
    lease.holder = holder;
    const ids = this.#byHolder.get(holder) ?? new Set();
    this.#byHolder.set(holder, ids.add(lease.id));
  }
}

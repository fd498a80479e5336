/** What others may ask of CopyIndex: the list of copies, the idempotency keys and the registry hosts. */
import type { CopyState } from "../job/contract.ts";

/** The one object of the class, while there is one tenant. */
export const INDEX_NAME = "default";

export interface CopyEntry {
  id: string;
  state: CopyState;
  source: string;
  target: string;
  /** Milliseconds since the epoch. */
  acceptedAtMs: number;
  doneAtMs: number | null;
}

/** A registry host that copies have named. Times in milliseconds since the epoch. */
export interface HostEntry {
  host: string;
  firstUsedAtMs: number;
  lastUsedAtMs: number;
}

export type RegisterAnswer =
  | { kind: "created"; id: string }
  /** The idempotency key was used before with the same request: this is its copy. */
  | { kind: "known"; id: string }
  /** The idempotency key was used before with another request. */
  | { kind: "conflict"; id: string };

export interface CopyIndexRpc {
  register(entry: {
    id: string;
    source: string;
    target: string;
    key?: string;
    fingerprint: string;
    /** Registry hosts that the copy will talk to, as in references. */
    hosts: string[];
  }): Promise<RegisterAnswer>;
  /** From CopyJob: its state has changed. */
  changed(id: string, state: CopyState): Promise<void>;
  /** Every registry host that a registered copy has named, most recently used first. */
  hosts(): Promise<HostEntry[]>;
  /** Newest first. `cursor` is what a page before has answered as `next`. */
  list(query: {
    state?: CopyState;
    limit: number;
    cursor?: string;
  }): Promise<{ copies: CopyEntry[]; next: string | null }>;
}

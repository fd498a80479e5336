/** What others may ask of CopyIndex: the list of copies and the idempotency keys. */
import type { CopyState } from "../job/contract.ts";

export interface CopyEntry {
  id: string;
  state: CopyState;
  source: string;
  target: string;
  /** Milliseconds since the epoch. */
  acceptedAtMs: number;
  doneAtMs: number | null;
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
  }): Promise<RegisterAnswer>;
  /** From CopyJob: its state has changed. */
  changed(id: string, state: CopyState): Promise<void>;
  /** Newest first. `cursor` is what a page before has answered as `next`. */
  list(query: {
    state?: CopyState;
    limit: number;
    cursor?: string;
  }): Promise<{ copies: CopyEntry[]; next: string | null }>;
}

/** Webhooks out: who is told of the ends of copies, and what others may ask of the Notifier. Plain data; crosses RPC. */
import type { CopyState, CopyView } from "../job/contract.ts";

/** The one object of the class, while there is one tenant. */
export const NOTIFIER_NAME = "default";

/** Ends that somebody can be told of. */
export const END_STATES = ["succeeded", "failed", "cancelled"] as const;

export type EndState = (typeof END_STATES)[number];

/** A receiver as configured. */
export interface NotificationTarget {
  name: string;
  url: string;
  /** Of these ends it is told. */
  events: readonly EndState[];
  /** Patterns over references (`access/pattern.ts`), one of which the copy must fit; null: every copy does. */
  sources: readonly string[] | null;
  targets: readonly string[] | null;
  /** Keys to sign with, in base64: each makes a signature, so that old and new live together. */
  keys: readonly string[];
}

/** A message that a receiver has not taken yet, or never took. Times in milliseconds since the epoch. */
export interface NotificationEntry {
  id: string;
  /** What the receiver sees as `webhook-id`, and as the event's `id`. */
  event: string;
  /** Name of the receiver. */
  receiver: string;
  copy: string;
  state: CopyState;
  attempts: number;
  createdAtMs: number;
  /** When it is tried next; null: it is dead. */
  nextAtMs: number | null;
  /** What the last attempt came to; null: there was none. */
  reason: string | null;
}

export interface NotificationCounts {
  pending: number;
  dead: number;
  /** Messages that were taken, and attempts that were not, since the service was set up. */
  delivered: number;
  refused: number;
}

export interface NotifierRpc {
  /** From CopyJob: a copy has ended. Telling it again changes nothing. */
  ended(copy: CopyView): Promise<void>;
  /** Oldest first. `cursor`: what a page before has answered as `next`. */
  list(query: {
    state: "pending" | "dead";
    limit: number;
    cursor?: string;
  }): Promise<{ entries: NotificationEntry[]; next: string | null }>;
  counts(): Promise<NotificationCounts>;
  /** Tries a dead message again, with all its attempts anew. Null: there is none with this id. */
  retry(id: string): Promise<NotificationEntry | null>;
  /** Forgets a dead message. False: there is none with this id. */
  discard(id: string): Promise<boolean>;
}

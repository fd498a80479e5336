/** What others may ask of CopyIndex: the list of copies, the idempotency keys, the registry hosts and the API keys. */
import type { Limits, Principal, Scopes } from "../access/contract.ts";
import type { Asked } from "../copy/request.ts";
import type { CopyState, CopyView } from "../job/contract.ts";
import type { Totals } from "./totals.ts";

/** The one object of the class, while there is one tenant. */
export const INDEX_NAME = "default";

export interface CopyEntry {
  id: string;
  state: CopyState;
  source: string;
  target: string;
  /** Id of the principal that made it. */
  owner: string;
  /** Milliseconds since the epoch. */
  acceptedAtMs: number;
  doneAtMs: number | null;
  /** Null: nobody knows. */
  asked: Asked | null;
  /** Id of the group that it is one of; null: it was asked for alone. */
  group: string | null;
  /** The copy as it ended; null: it has not, or did before records were kept. */
  record: CopyView | null;
}

/** How things stand with all copies. */
export interface IndexMetrics {
  /** Copies that have not ended. */
  open: { accepted: number; running: number };
  /** Runs of rules that wait for their turn. */
  runsWaiting: number;
  totals: Totals;
}

/** A registry host that copies have named. Times in milliseconds since the epoch. */
export interface HostEntry {
  host: string;
  firstUsedAtMs: number;
  lastUsedAtMs: number;
}

/** The copy is one too many for its principal. */
export interface Limited {
  kind: "limited";
  limit: keyof Limits;
  /** How many are allowed. */
  allowed: number;
  /** When to ask again, in milliseconds since the epoch; for copies at once a guess. */
  retryAtMs: number;
}

export type RegisterAnswer =
  | { kind: "created"; id: string }
  /** The idempotency key was used before with the same request: this is its copy. */
  | { kind: "known"; id: string }
  /** The idempotency key was used before with another request. */
  | { kind: "conflict"; id: string }
  | Limited;

export interface Registration {
  id: string;
  source: string;
  target: string;
  /** Belongs to its principal: the same text of another one is another key. */
  key?: string;
  fingerprint: string;
  /** Registry hosts that the copy will talk to, as in references. */
  hosts: string[];
  /** Who makes it, within which limits. */
  by: Pick<Principal, "id" | "limits" | "budget">;
  asked?: Asked;
}

/** Copies of one source; `id` is the group's. */
export interface GroupRegistration extends Omit<Registration, "target"> {
  /** In the order of the targets. */
  copies: { id: string; target: string }[];
}

/** An API key as the index has it: never its text, which nobody has but its bearer. Times in milliseconds since the epoch. */
export interface KeyEntry {
  id: string;
  name: string;
  /** Id of the principal that made it. */
  maker: string;
  scopes: Scopes;
  limits: Limits;
  createdAtMs: number;
  /** Null: it does not expire. */
  expiresAtMs: number | null;
  /** Null: it is good, unless it has expired. */
  revokedAtMs: number | null;
  /** To the hour; null: never. */
  lastUsedAtMs: number | null;
}

export interface NewKey {
  id: string;
  /** SHA-256 of its text, in hex. */
  hash: string;
  name: string;
  maker: string;
  scopes: Scopes;
  limits: Limits;
  budget: string;
  expiresAtMs: number | null;
}

export interface CopyIndexRpc {
  /** Puts a copy on the list, unless its idempotency key has one already or its principal's limits are reached. */
  register(entry: Registration): Promise<RegisterAnswer>;
  /** The same of all copies of a group at once: all are put on the list, or none. The answer's id is the group's. */
  registerGroup(group: GroupRegistration): Promise<RegisterAnswer>;
  /** From CopyJob: its state has changed. `copy`: as it is at its end, for the record. */
  changed(id: string, state: CopyState, copy?: CopyView): Promise<void>;
  metrics(): Promise<IndexMetrics>;
  /** Notes that a message with this id goes through the queue. */
  openProbe(id: string): Promise<void>;
  /** From the queue's consumer: the message with this id is there. */
  probeCame(id: string): Promise<void>;
  /** When it was there, in milliseconds since the epoch; null: not yet. */
  probeCameAtMs(id: string): Promise<number | null>;
  /** Every registry host that a registered copy has named, most recently used first. */
  hosts(): Promise<HostEntry[]>;
  /** Newest first. `cursor` is what a page before has answered as `next`: the id of its last copy. */
  list(query: {
    state?: CopyState;
    limit: number;
    cursor?: string;
    /** Only copies that it may see (`access/scopes.ts`): of others those among the newest 20,000; missing: all. */
    viewer?: Pick<Principal, "id" | "scopes">;
  }): Promise<{ copies: CopyEntry[]; next: string | null }>;
  /** One copy of the list; null: it is not on it, or the viewer may not see it. */
  find(id: string, viewer?: Pick<Principal, "id" | "scopes">): Promise<CopyEntry | null>;
  /** The copies of a group, in the order of its targets; none: there is no such group, or the viewer may not see all of it. */
  findGroup(id: string, viewer?: Pick<Principal, "id" | "scopes">): Promise<CopyEntry[]>;

  /** Keeps a new API key. `maker-gone`: its maker is a key that is no longer good; `too-many`: there are too many. */
  makeKey(key: NewKey): Promise<KeyEntry | "maker-gone" | "too-many">;
  /** Who has the key with this hash; null: there is no such key, or it was revoked or has expired. The same work for each. */
  principalByHash(hash: string): Promise<Principal | null>;
  /** Newest first; `maker`: only those made by it, and itself. */
  listKeys(query: {
    maker?: string;
    limit: number;
    cursor?: string;
  }): Promise<{ keys: KeyEntry[]; next: string | null }>;
  /** Revokes a key and all that were made by it, at once and for good. Null: there is none, or not of this maker. */
  revokeKey(id: string, maker?: string): Promise<KeyEntry | null>;
}

/** What others may ask of a CopyJob. Plain data; crosses RPC. */
import type { Asked, CopyRequest } from "../copy/request.ts";
import type { HeldSlot, Settlement } from "../host/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";

export type CopyState = "accepted" | "running" | "succeeded" | "failed" | "cancelled";

export const ENDED_STATES: readonly CopyState[] = ["succeeded", "failed", "cancelled"];

/** So long a copy's events and tags can be looked at after its end; then its record in the index stands for it. */
export const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

export interface Tally {
  all: number;
  copied: number;
  mounted: number;
  /** Were at the target already. */
  present: number;
}

/**
 * What became of one name that a copy writes:
 * - `waiting`: not looked at yet; `planned`: compared, and on its way;
 * - `copied`: at the target (in a dry run: would be copied); `unchanged`: was there already, with the same digest;
 * - `skipped`: the target has it with another digest, and it was to be left alone; or, where there is a `reason`, that;
 * - `failed`, `cancelled`;
 * - `obsolete`: a tag of the target that the selection does not name; `deleted`: it was, and has been removed.
 */
export const TAG_STATES = [
  "waiting",
  "planned",
  "copied",
  "unchanged",
  "skipped",
  "failed",
  "cancelled",
  "obsolete",
  "deleted",
] as const;

export type TagState = (typeof TAG_STATES)[number];

export interface TagTally {
  /** Names that the copy is about, those that still wait included. */
  all: number;
  copied: number;
  unchanged: number;
  skipped: number;
  failed: number;
  /** Only with `prune`; not among `all`. */
  obsolete: number;
  deleted: number;
}

/** One name, and what became of it. */
export interface TagView {
  /** Tag or digest at the source; null: it is only at the target (`obsolete`, `deleted`). */
  source: string | null;
  /** Tag or digest at the target; null while it is not known. */
  target: string | null;
  /** At the source; null while it is not known, and where nobody had to ask. */
  digest: string | null;
  /**
   * Digest of what is written in its place, where platforms were chosen: another index, or one image of it. Of a list of
   * referrers that was added to the target's: digest of that. Else null.
   */
  derivedDigest: string | null;
  /** What the target had under the name, where that was asked. */
  oldDigest: string | null;
  state: TagState;
  error: ErrorDetail | null;
  /** Why it is `skipped`, where a choice of the copy leaves it out: its media type. Else null. */
  reason: string | null;
}

/** A copy as the API shows it. Times are RFC 3339 strings, or null while they have not come. */
export interface CopyView {
  id: string;
  state: CopyState;
  /** Nothing is written at the target: all counts say what a copy would do. */
  dryRun: boolean;
  /** Who has asked for it, and by what; null: nobody knows. */
  asked: Asked | null;
  /** Id of the group that it is one of; null: it was asked for alone. */
  group: string | null;
  source: { reference: string; digest: string | null };
  target: { reference: string; digest: string | null };
  tags: TagTally;
  blobs: Tally;
  bytes: Tally;
  manifests: { all: number; copied: number; present: number };
  requests: { source: number; target: number };
  times: { acceptedAt: string; firstByteAt: string | null; doneAt: string | null };
  warnings: string[];
  error: ErrorDetail | null;
}

/**
 * One event of a copy.
 * - `state`, `warning`, `tags`, `tag`, `manifest`, `blob` are kept and can be read again from any `seq`;
 * - `progress` is transient (seq 0): bytes so far of transfers under way.
 */
export type CopyEvent =
  | { seq: number; at: string; type: "state"; data: CopyView }
  | { seq: number; at: string; type: "blob"; data: BlobEvent }
  /** Of a repository's copy: how many names it is about, and how many of them need no look. */
  | { seq: number; at: string; type: "tags"; data: TagTally }
  /** Of a repository's copy: a name has come to its end. */
  | { seq: number; at: string; type: "tag"; data: TagView }
  | {
      seq: number;
      at: string;
      type: "manifest";
      data: { digest: string; sizeBytes: number; state: "read" | "copied" | "present" };
    }
  | { seq: number; at: string; type: "warning"; data: { message: string } }
  | { seq: 0; at: string; type: "progress"; data: { blobs: { digest: string; bytes: number }[] } };

export interface BlobEvent {
  digest: string;
  sizeBytes: number;
  state: "waiting" | "copied" | "mounted" | "present" | "failed";
}

/** The RPC surface of CopyJob. */
export interface CopyJobRpc {
  /** Starts the copy; a second call with the same id answers with the copy as it is. */
  start(id: string, request: CopyRequest): Promise<CopyView>;
  /** Null: there is no such copy. Waits up to `waitMs` for its end. */
  view(waitMs: number): Promise<CopyView | null>;
  cancel(): Promise<CopyView | null>;
  /** A page of the names and what became of them. Null: there is no such copy. */
  tags(query: {
    state?: TagState;
    limit: number;
    cursor?: number;
  }): Promise<{ tags: TagView[]; next: number | null } | null>;
  /** Server-Sent Events from after `lastSeq` on; ends after the copy has ended. Null: there is no such copy. */
  events(lastSeq: number): Promise<ReadableStream<Uint8Array> | null>;
  /** From RegistryHost: offers that have come to an end. Idempotent. */
  settled(settlements: Settlement[]): Promise<void>;
  /** From RegistryHost: what those who follow the copy should know. Each text is kept once. */
  warned(messages: string[]): Promise<void>;
  /** A host that was restarted asks which of its slots the copy has for its own requests. */
  slotsAt(host: string): Promise<HeldSlot[]>;
  /** From RegistryHost: bytes so far, by offer id. */
  progressed(progress: { id: string; bytes: number }[]): Promise<void>;
}

/** What others may ask of a CopyJob. Plain data; crosses RPC. */
import type { CopyRequest } from "../copy/request.ts";
import type { Settlement } from "../host/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";

export type CopyState = "accepted" | "running" | "succeeded" | "failed" | "cancelled";

export const ENDED_STATES: readonly CopyState[] = ["succeeded", "failed", "cancelled"];

export interface Tally {
  all: number;
  copied: number;
  mounted: number;
  /** Were at the target already. */
  present: number;
}

/** A copy as the API shows it. Times are RFC 3339 strings, or null while they have not come. */
export interface CopyView {
  id: string;
  state: CopyState;
  source: { reference: string; digest: string | null };
  target: { reference: string; digest: string | null };
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
 * - `state`, `warning`, `manifest`, `blob` are kept and can be read again from any `seq`;
 * - `progress` is transient (seq 0): bytes so far of transfers under way.
 */
export type CopyEvent =
  | { seq: number; at: string; type: "state"; data: CopyView }
  | { seq: number; at: string; type: "blob"; data: BlobEvent }
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
  /** Server-Sent Events from after `lastSeq` on; ends after the copy has ended. Null: there is no such copy. */
  events(lastSeq: number): Promise<ReadableStream<Uint8Array> | null>;
  /** From RegistryHost: offers that have come to an end. Idempotent. */
  settled(settlements: Settlement[]): Promise<void>;
  /** From RegistryHost: what those who follow the copy should know. Each text is kept once. */
  warned(messages: string[]): Promise<void>;
  /** From RegistryHost: bytes so far, by offer id. */
  progressed(progress: { id: string; bytes: number }[]): Promise<void>;
}

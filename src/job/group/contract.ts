/** What others may ask of a CopyGroup: copies of one source to several targets. Plain data; crosses RPC. */
import type { CopyRequest } from "../../copy/request.ts";
import type { Manifest, ManifestHead } from "../../registry/contract.ts";
import type { ErrorDetail } from "../../registry/errors.ts";
import type { Place } from "../../registry/places.ts";
import type { CopyView } from "../contract.ts";

/** One copy of a group, as the group shows it: what it shares with the others is said once, by the group. */
export type GroupedCopy = Pick<
  CopyView,
  "id" | "state" | "target" | "tags" | "blobs" | "bytes" | "manifests" | "requests" | "times" | "error"
>;

/**
 * A group as the API shows it: a copy whose targets are many. Counts are sums over its copies; requests to the source
 * include those of the group itself. It runs until all have ended; then it has failed if one of them has.
 */
export interface GroupView extends Omit<CopyView, "target" | "group"> {
  /** In the order of the targets. */
  copies: GroupedCopy[];
}

/** One event of a group: all are kept and can be read again from any `seq`. */
export type GroupEvent =
  | { seq: number; at: string; type: "state"; data: GroupView }
  /** One of its copies has begun, or come to its end. */
  | { seq: number; at: string; type: "copy"; data: GroupedCopy }
  | { seq: number; at: string; type: "warning"; data: { message: string } };

/** What was read for all. `failed`: the source's own word. Null: nothing can be read here, each copy reads for itself. */
export type SharedRead<T> = { kind: "read"; value: T } | { kind: "failed"; error: ErrorDetail } | null;

/** A manifest with the place that has sent it. */
export interface SharedManifest extends Omit<Manifest, "place"> {
  from: Place;
}

/** What the copies of a group ask of it: a manifest is read once, and a tag stands for the same image for all of them. */
export interface SharedReader {
  head(reference: string): Promise<SharedRead<ManifestHead | null>>;
  manifest(reference: string): Promise<SharedRead<SharedManifest>>;
}

/** The RPC surface of CopyGroup. */
export interface CopyGroupRpc extends SharedReader {
  /**
   * Starts a copy for each request; a second call with the same id answers with the group as it is.
   * @param requests Of one source, all alike but for their targets.
   */
  start(id: string, requests: CopyRequest[]): Promise<GroupView>;
  /** Null: there is no such group. Waits up to `waitMs` until all have ended. */
  view(waitMs: number): Promise<GroupView | null>;
  /** Ends all copies that have not ended. */
  cancel(): Promise<GroupView | null>;
  /** Server-Sent Events from after `lastSeq` on; ends after the last copy has ended. Null: there is no such group. */
  events(lastSeq: number): Promise<ReadableStream<Uint8Array> | null>;
  /** From a CopyJob: it has ended. Idempotent. */
  ended(copy: CopyView): Promise<void>;
  /** From RegistryHost: what those who follow the group should know. Each text is kept once. */
  warned(messages: string[]): Promise<void>;
}

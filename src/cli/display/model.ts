/** What is known of a running copy, gathered from its events. Pure: the time is an argument; nothing is drawn here. */
import type { BlobEvent, CopyEvent, TagTally, TagView } from "../../job/contract.ts";

export interface BlobProgress {
  digest: string;
  sizeBytes: number;
  doneBytes: number;
  state: BlobEvent["state"];
  /** Was waiting before anybody looked: what of it has been sent since then is not known. */
  isFromBefore?: boolean;
}

export interface CopyModel {
  /** By digest, in order of appearance. */
  blobs: Map<string, BlobProgress>;
  /** Of a repository's copy, once its tags are known. */
  tags: TagTally | null;
  /** Of the blobs that were or are sent, not those that were there: these would make the speed a fiction. */
  sentBytes: number;
  /** Bytes sent so far at moments of the last seconds, oldest first: what the speed is measured on. */
  samples: { atMs: number; bytes: number }[];
}

export interface Totals {
  doneBytes: number;
  allBytes: number;
  doneBlobs: number;
  allBlobs: number;
  /** 0 while unknown. */
  bytesPerSecond: number;
  /** Null while unknown. */
  leftMs: number | null;
}

/** The speed is the mean over this long: short enough to follow a change, long enough not to flicker. */
const SPEED_WINDOW_MS = 5_000;

/** Before so much has been sent, or this part of all, nobody can say how long the rest takes: some bytes of a configuration came first. */
const ESTIMATE_FROM_BYTES = 1_000_000;
const ESTIMATE_FROM_PART = 0.01;

/** A speed over less than this says nothing. */
const SPEED_MINIMUM_MS = 1_000;

export function newModel(nowMs: number): CopyModel {
  return {
    blobs: new Map(),
    tags: null,
    sentBytes: 0,
    samples: [{ atMs: nowMs, bytes: 0 }],
  };
}

/** Takes one event in. `copy` tells the copies apart whose blobs are in one model. */
export function apply(model: CopyModel, event: CopyEvent, nowMs: number, copy = ""): void {
  switch (event.type) {
    case "blob":
      applyBlob(model, event.data, isPast(event, nowMs), copy);
      break;
    case "progress":
      for (const { digest, bytes } of event.data.blobs) {
        const blob = model.blobs.get(copy + digest);
        if (blob !== undefined && blob.state === "waiting") {
          const isFirstWord = blob.isFromBefore === true && blob.doneBytes === 0;
          change(model, blob, { doneBytes: Math.min(bytes, blob.sizeBytes) }, isFirstWord);
          blob.isFromBefore = false;
        }
      }
      break;
    case "tags":
      model.tags = { ...event.data };
      break;
    case "tag":
      countTag(model, event.data);
      break;
    case "state":
    case "manifest":
    case "warning":
      break;
  }
  if (event.type === "blob" || event.type === "progress") {
    sample(model, nowMs);
  }
}

/** Blobs whose bytes are on their way now. */
export function underWay(model: CopyModel): BlobProgress[] {
  return [...model.blobs.values()].filter((blob) => blob.state === "waiting" && blob.doneBytes > 0);
}

export function totals(model: CopyModel, nowMs: number): Totals {
  let doneBytes = 0;
  let allBytes = 0;
  let doneBlobs = 0;
  for (const blob of model.blobs.values()) {
    doneBytes += blob.doneBytes;
    allBytes += blob.sizeBytes;
    if (isDone(blob)) {
      doneBlobs += 1;
    }
  }
  const bytesPerSecond = speed(model, nowMs);
  const isEstimable = model.sentBytes >= Math.min(ESTIMATE_FROM_BYTES, allBytes * ESTIMATE_FROM_PART);
  const leftMs = bytesPerSecond > 0 && isEstimable ? ((allBytes - doneBytes) / bytesPerSecond) * 1_000 : null;
  return { doneBytes, allBytes, doneBlobs, allBlobs: model.blobs.size, bytesPerSecond, leftMs };
}

/** How many names have come to their end. */
export function endedTags(tags: TagTally): number {
  return tags.copied + tags.unchanged + tags.skipped + tags.failed;
}

function countTag(model: CopyModel, { state }: TagView): void {
  if (model.tags !== null && state !== "waiting" && state !== "planned" && state !== "cancelled") {
    model.tags[state] += 1;
  }
}

/** What is older than the window of the speed says nothing of it: a copy that is followed late tells its past first. */
function isPast({ at }: CopyEvent, nowMs: number): boolean {
  return Date.parse(at) < nowMs - SPEED_WINDOW_MS;
}

function applyBlob(model: CopyModel, event: BlobEvent, past: boolean, copy: string): void {
  const known = model.blobs.get(copy + event.digest);
  const blob = known ?? { digest: event.digest, sizeBytes: event.sizeBytes, doneBytes: 0, state: event.state };
  model.blobs.set(copy + event.digest, blob);
  const { state } = event;
  const doneBytes = isDone(event) ? event.sizeBytes : state === "failed" ? 0 : blob.doneBytes;
  change(model, blob, { state, doneBytes }, past);
  blob.isFromBefore = past;
}

/**
 * Keeps the sum with it: to add up all blobs at each event takes minutes where there are a hundred thousand.
 * @param past It came about before what the speed is measured on.
 */
function change(
  model: CopyModel,
  blob: BlobProgress,
  to: Partial<Pick<BlobProgress, "state" | "doneBytes">>,
  past: boolean,
): void {
  const before = sentBytes(blob);
  Object.assign(blob, to);
  const added = sentBytes(blob) - before;
  model.sentBytes += added;
  if (past && added !== 0) {
    for (const each of model.samples) {
      each.bytes += added;
    }
  }
}

function isDone({ state }: Pick<BlobProgress, "state">): boolean {
  return state === "copied" || state === "mounted" || state === "present";
}

function sentBytes({ state, doneBytes }: BlobProgress): number {
  return state === "copied" || state === "waiting" ? doneBytes : 0;
}

function sample(model: CopyModel, nowMs: number): void {
  // What comes at once is one sample: the past of a copy that is followed late may be a hundred thousand events.
  if (model.samples.length > 1 && model.samples.at(-1)?.atMs === nowMs) {
    model.samples.pop();
  }
  model.samples.push({ atMs: nowMs, bytes: model.sentBytes });
  while (model.samples.length > 2 && (model.samples[1]?.atMs ?? nowMs) <= nowMs - SPEED_WINDOW_MS) {
    model.samples.shift();
  }
}

function speed(model: CopyModel, nowMs: number): number {
  const first = model.samples[0];
  const last = model.samples.at(-1);
  if (first === undefined || last === undefined || nowMs - first.atMs < SPEED_MINIMUM_MS) {
    return 0;
  }
  return Math.max(0, ((last.bytes - first.bytes) * 1_000) / (nowMs - first.atMs));
}

/** What is known of a running copy, gathered from its events. Pure: the time is an argument; nothing is drawn here. */
import type { BlobEvent, CopyEvent, CopyView, TagTally, TagView } from "../../job/contract.ts";

export interface BlobProgress {
  digest: string;
  sizeBytes: number;
  doneBytes: number;
  state: BlobEvent["state"];
}

export interface CopyModel {
  view: CopyView | null;
  startedAtMs: number;
  /** By digest, in order of appearance. */
  blobs: Map<string, BlobProgress>;
  /** Of a repository's copy, once its tags are known. */
  tags: TagTally | null;
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

/** A speed over less than this says nothing. */
const SPEED_MINIMUM_MS = 1_000;

export function newModel(nowMs: number): CopyModel {
  return {
    view: null,
    startedAtMs: nowMs,
    blobs: new Map(),
    tags: null,
    samples: [{ atMs: nowMs, bytes: 0 }],
  };
}

/** Takes one event in. `copy` tells the copies apart whose blobs are in one model. */
export function apply(model: CopyModel, event: CopyEvent, nowMs: number, copy = ""): void {
  switch (event.type) {
    case "state":
      model.view = event.data;
      break;
    case "blob":
      applyBlob(model, event.data, copy);
      break;
    case "progress":
      for (const { digest, bytes } of event.data.blobs) {
        const blob = model.blobs.get(copy + digest);
        if (blob !== undefined && blob.state === "waiting") {
          blob.doneBytes = Math.min(bytes, blob.sizeBytes);
        }
      }
      break;
    case "tags":
      model.tags = { ...event.data };
      break;
    case "tag":
      countTag(model, event.data);
      break;
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
  const leftMs = bytesPerSecond > 0 ? ((allBytes - doneBytes) / bytesPerSecond) * 1_000 : null;
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

function applyBlob(model: CopyModel, event: BlobEvent, copy: string): void {
  const known = model.blobs.get(copy + event.digest);
  const blob = known ?? { digest: event.digest, sizeBytes: event.sizeBytes, doneBytes: 0, state: event.state };
  blob.state = event.state;
  if (isDone(blob)) {
    blob.doneBytes = event.sizeBytes;
  } else if (event.state === "failed") {
    blob.doneBytes = 0;
  }
  model.blobs.set(copy + event.digest, blob);
}

function isDone(blob: BlobProgress): boolean {
  return blob.state === "copied" || blob.state === "mounted" || blob.state === "present";
}

/** Bytes that were sent, not those that were there: these would make the speed a fiction. */
function sentBytes(model: CopyModel): number {
  let bytes = 0;
  for (const blob of model.blobs.values()) {
    if (blob.state === "copied" || blob.state === "waiting") {
      bytes += blob.doneBytes;
    }
  }
  return bytes;
}

function sample(model: CopyModel, nowMs: number): void {
  model.samples.push({ atMs: nowMs, bytes: sentBytes(model) });
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

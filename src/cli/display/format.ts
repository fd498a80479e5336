/** Turns a copy into lines of text that fit the terminal. Pure: no stream is touched here. */
import prettyBytes from "pretty-bytes";
import type { CopyView, TagTally, TagView } from "../../job/contract.ts";
import { endedTags, totals, underWay, type BlobProgress, type CopyModel } from "./model.ts";

export interface Screen {
  columns: number;
  rows: number;
  colour: boolean;
}

/** More lines than this say less. */
const BLOB_LINES_LIMIT = 10;

/** Rows left to what stood there before, the total and the line for the rest. */
const OTHER_ROWS = 4;

/** A colour or weight, as {@link strong} and {@link barOf} write them. */
const ESCAPE = new RegExp(`(${String.fromCharCode(27)}\\[[0-9;]*m)`);

/** What a dry run says in place of what was done. */
const WOULD = { copied: "would copy", mounted: "would mount", deleted: "would delete" } as const;

const BAR_COLUMNS = 20;

/** Below this width a bar would push out the numbers. */
const BAR_NEEDS_COLUMNS = 72;

/** The display of a running copy: a line per blob under way, one for the rest, one for everything. */
export function progressLines(model: CopyModel, screen: Screen, nowMs: number): string[] {
  const active = underWay(model);
  const limit = Math.max(0, Math.min(BLOB_LINES_LIMIT, screen.rows - OTHER_ROWS));
  const shown = active.length > limit ? active.slice(0, Math.max(0, limit)) : active;
  const lines = shown.map((blob) => blobLine(blob, screen));
  const rest = restLine(model, active.length - shown.length, active.length);
  if (rest !== null && screen.rows > 2) {
    lines.push(rest);
  }
  lines.push(totalLine(model, screen, nowMs));
  return lines.map((line) => fit(line, screen.columns));
}

function blobLine(blob: BlobProgress, screen: Screen): string {
  const part = blob.sizeBytes === 0 ? 1 : blob.doneBytes / blob.sizeBytes;
  const numbers = `${bytes(blob.doneBytes).padStart(8)} of ${bytes(blob.sizeBytes).padEnd(8)}`;
  const bar = screen.columns >= BAR_NEEDS_COLUMNS ? `  ${barOf(part, screen.colour)}` : "";
  return `  ${shortDigest(blob.digest)}  ${numbers}${bar} ${percent(part)}`;
}

function restLine(model: CopyModel, hidden: number, active: number): string | null {
  const waiting = [...model.blobs.values()].filter((blob) => blob.state === "waiting").length - active;
  const words = [];
  if (hidden > 0) {
    words.push(`${hidden} more under way`);
  }
  if (waiting > 0) {
    words.push(`${waiting} waiting`);
  }
  return words.length === 0 ? null : `  … ${words.join(", ")}`;
}

function totalLine(model: CopyModel, screen: Screen, nowMs: number): string {
  const total = totals(model, nowMs);
  const tags = model.tags === null ? [] : [`${endedTags(model.tags)}/${model.tags.all} tags`];
  if (total.allBlobs === 0) {
    return ["Reading manifests …", ...tags].join("  ");
  }
  const part = total.allBytes === 0 ? 1 : total.doneBytes / total.allBytes;
  const words = [
    `${bytes(total.doneBytes)} of ${bytes(total.allBytes)} ${percent(part).trim()}`,
    `${total.doneBlobs}/${total.allBlobs} blobs`,
    ...tags,
  ];
  if (total.bytesPerSecond > 0) {
    words.push(`${bytes(total.bytesPerSecond)}/s`);
  }
  if (total.leftMs !== null && total.doneBytes < total.allBytes) {
    words.push(`${duration(total.leftMs)} left`);
  }
  return `${strong("Total", screen.colour)}  ${words.join("  ")}`;
}

/** The last line of a copy that did what it was asked. */
export function summaryLine(view: CopyView): string {
  const took = view.times.doneAt === null ? 0 : Date.parse(view.times.doneAt) - Date.parse(view.times.acceptedAt);
  const digest = view.target.digest ?? view.source.digest;
  const what = `${view.source.reference} → ${view.target.reference}`;
  const verb = view.dryRun ? "Would copy" : "Copied";
  const many = tagWords(view.tags);
  const nothing = view.blobs.copied + view.blobs.mounted + view.manifests.copied === 0;
  const names = digest === null ? "" : `, ${digest}`;
  if (view.tags.all > 0 && view.tags.skipped === view.tags.all) {
    return `Nothing copied: ${what} (${many}${view.tags.all === 1 ? "skipped, " : ""}${duration(took)})`;
  }
  if (view.tags.all === 0) {
    return `Nothing to do: ${what}, no tag is chosen (${duration(took)})`;
  }
  if (nothing) {
    return `Nothing to do: ${what} is the same already (${many}${duration(took)}${names})`;
  }
  const blobs = [`${view.blobs.copied} copied`];
  if (view.blobs.mounted > 0) {
    blobs.push(`${view.blobs.mounted} mounted`);
  }
  if (view.blobs.present > 0) {
    blobs.push(`${view.blobs.present} already there`);
  }
  return `${verb} ${what}: ${many}${bytes(view.bytes.copied)}, blobs ${blobs.join(", ")}, in ${duration(took)}${names}`;
}

/** What became of the tags of a repository, ready for more words; "" for a single one. */
export function tagWords({ all, copied, unchanged, skipped, failed, obsolete, deleted }: TagTally): string {
  const parts = Object.entries({ copied, unchanged, skipped, failed, "no longer chosen": obsolete, deleted })
    .filter(([, count]) => count > 0)
    .map(([word, count]) => `${count} ${word}`);
  return all + obsolete + deleted > 1 ? `${all} tags (${parts.join(", ")}), ` : "";
}

/** One plain line per tag that something was, or in a dry run would be, done for; null for one that needed nothing. */
export function tagDoneLine({ source, target, digest, state, error, reason }: TagView, dryRun: boolean): string | null {
  const name =
    source === null || source === target || target === null ? (source ?? target ?? "") : `${source} → ${target}`;
  if (state === "failed") {
    return `failed ${name}: ${error?.message ?? "without an explanation"}`;
  }
  if (state === "skipped" && reason !== null) {
    return `skipped ${name}: ${reason}`;
  }
  if (state !== "copied" && state !== "deleted") {
    return null;
  }
  const done = dryRun ? WOULD[state] : state;
  return digest === null ? `${done} ${name}` : `${done} ${name} (${shortDigest(digest)})`;
}

/** One plain line per blob that has ended; null for one that still waits. */
export function blobDoneLine(blob: BlobProgress, dryRun: boolean): string | null {
  const name = `${shortDigest(blob.digest)} (${bytes(blob.sizeBytes)})`;
  if (blob.state === "waiting") {
    return null;
  }
  if (dryRun && (blob.state === "copied" || blob.state === "mounted")) {
    return `${WOULD[blob.state]} ${name}`;
  }
  return `${blob.state === "present" ? "already there" : blob.state} ${name}`;
}

export function bytes(count: number): string {
  return prettyBytes(Math.round(count), { maximumFractionDigits: count < 1_000 ? 0 : 1 });
}

/** "0.4 s", "12 s", "3 min 5 s", "1 h 4 min". */
export function duration(ms: number): string {
  if (ms < 9_950) {
    return `${(Math.max(0, ms) / 1_000).toFixed(1)} s`;
  }
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) {
    return `${seconds} s`;
  }
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) {
    return `${minutes} min ${seconds % 60} s`;
  }
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The first twelve figures, as docker shows an id. */
export function shortDigest(digest: string): string {
  const [algorithm, hex = ""] = digest.split(":");
  return `${algorithm}:${hex.slice(0, 12)}`;
}

function percent(part: number): string {
  return `${Math.floor(Math.min(1, Math.max(0, part)) * 100)} %`.padStart(6);
}

function barOf(part: number, colour: boolean): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * BAR_COLUMNS);
  const left = "━".repeat(full);
  const right = "─".repeat(BAR_COLUMNS - full);
  return colour ? `\u001b[36m${left}\u001b[39m\u001b[2m${right}\u001b[22m` : `${left}${right}`;
}

function strong(text: string, colour: boolean): string {
  return colour ? `\u001b[1m${text}\u001b[22m` : text;
}

/** Cuts a line to the terminal's width; escape sequences take no room. */
function fit(line: string, columns: number): string {
  // With the escape sequences at the odd places.
  const pieces = line.split(ESCAPE).flatMap((part, index) => (index % 2 === 1 ? [part] : Array.from(part)));
  let width = 0;
  let cut = "";
  for (const piece of pieces) {
    if (!piece.startsWith("\u001b")) {
      if (width >= columns) {
        continue;
      }
      width += 1;
    }
    cut += piece;
  }
  return cut;
}

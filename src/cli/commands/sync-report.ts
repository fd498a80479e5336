/** What `drayage sync` says: of a file that is wrong, of each copy that has ended, of the run. Pure. */
import type { CopyView, TagView } from "../../job/contract.ts";
import type { Problem } from "../client.ts";
import { duration, summaryLine } from "../display/format.ts";
import { failureText, problemText } from "../display/problem-text.ts";
import type { SyncFormat, UnservedEntry } from "../sync-file/contract.ts";
import type { Place } from "../sync-file/document.ts";
import type { PlacedFault, SyncReading } from "../sync-file/read.ts";
import { below } from "../sync-file/read.ts";
import type { Outcome } from "./sync-run.ts";

/** `refused`: the service did not take it; `not_served`: it was not asked; `not_started`: the run had ended. */
type EntryState = CopyView["state"] | "refused" | "not_served" | "not_started";

/** One copy of the file as `--json` has it. */
interface EntryReport {
  line: number;
  source: string;
  target: string;
  state: EntryState;
  copy: CopyView | null;
  results: TagView[] | null;
  problem: Problem | null;
}

export interface SyncReport {
  file: string;
  format: SyncFormat;
  dryRun: boolean;
  copies: EntryReport[];
  notes: { line: number; message: string }[];
}

/** `sync.yaml:12:7`, as compilers write it. */
export function placeText(file: string, place: Place | null): string {
  return place === null ? file : `${file}:${place.line}:${place.column}`;
}

/** A line per fault. */
export function faultLines(file: string, faults: readonly PlacedFault[]): string[] {
  return faults.map(({ place, field, message }) => {
    return `${placeText(file, place)}: ${field === "" ? "" : `${field}: `}${message}`;
  });
}

/** The same as the problem that `--json` prints. */
export function faultProblem(file: string, faults: readonly PlacedFault[]): Problem {
  return {
    type: "about:blank",
    title: "Wrong use",
    status: 400,
    detail: `${file} cannot be used; nothing was started.`,
    errors: faults.map(({ place, field, message }) => ({
      field: `${placeText(file, place)}${field === "" ? "" : `: ${field}`}`,
      message,
    })),
  };
}

/** Notes of the file, a line each. */
export function noteLines(file: string, { plan, placeOf }: SyncReading): string[] {
  return plan.notes.map(({ path, message }) => `note: ${file}:${placeOf(path).line}: ${message}`);
}

/** One paragraph for a copy's end; `fine`: it is nothing to complain of. Null: it was not started. */
export function endText(
  file: string,
  { copy, view, problem }: Outcome,
  { placeOf }: SyncReading,
): { text: string; fine: boolean } | null {
  if (problem !== null) {
    const field = problem.errors?.[0]?.field;
    const place = placeOf(field === undefined ? copy.path : below(copy.path, field));
    const { source, target } = copy.body;
    return { text: `${placeText(file, place)}: ${source} → ${target}: ${problemText(problem)}`, fine: false };
  }
  if (view === null || view.state === "accepted" || view.state === "running") {
    return null;
  }
  return view.state === "succeeded"
    ? { text: summaryLine(view), fine: true }
    : { text: failureText(view), fine: false };
}

export function unservedLine(
  file: string,
  { source, target, path, message }: UnservedEntry,
  reading: SyncReading,
): string {
  return `${placeText(file, reading.placeOf(path))}: ${source} → ${target}: ${message}.`;
}

/** The last line: how many copies came to which end. */
export function runLine(report: SyncReport, tookMs: number): string {
  const count = (...states: EntryState[]): number => report.copies.filter(({ state }) => states.includes(state)).length;
  const parts = Object.entries({
    [report.dryRun ? "looked into" : "done"]: count("succeeded"),
    failed: count("failed", "refused", "not_served"),
    cancelled: count("cancelled", "accepted", "running"),
    "not started": count("not_started"),
  }).filter(([, many]) => many > 0);
  const all = report.copies.length;
  const ends = parts.map(([word, many]) => `${many} ${word}`).join(", ");
  return `${all} ${all === 1 ? "copy" : "copies"}${ends === "" ? "" : `: ${ends}`}, in ${duration(tookMs)}`;
}

/** The whole run, in the order of the file. */
export function reportOf(
  file: string,
  reading: SyncReading,
  outcomes: readonly Outcome[],
  dryRun: boolean,
): SyncReport {
  const { plan, placeOf } = reading;
  const copies = outcomes.map(({ copy, view, results, problem }): EntryReport => {
    const state = view?.state ?? (problem === null ? "not_started" : "refused");
    const { source, target } = copy.body;
    return { line: placeOf(copy.path).line, source, target, state, copy: view, results, problem };
  });
  const unserved = plan.unserved.map(({ source, target, path, message }): EntryReport => {
    const problem = { type: "about:blank", title: "Not served", status: 422, detail: `${message}.` };
    const { line } = placeOf(path);
    return { line, source, target, state: "not_served", copy: null, results: null, problem };
  });
  return {
    file,
    format: plan.format,
    dryRun,
    copies: [...copies, ...unserved].sort((a, b) => a.line - b.line),
    notes: plan.notes.map(({ path, message }) => ({ line: placeOf(path).line, message })),
  };
}

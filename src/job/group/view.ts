/** Puts the copies of a group into the form that the API shows. Pure. */
import { ENDED_STATES, type CopyState, type CopyView } from "../contract.ts";
import type { ErrorDetail } from "../../registry/errors.ts";
import type { GroupedCopy, GroupView } from "./contract.ts";

/** What is the group's own. */
export interface GroupFacts {
  id: string;
  /** Requests to the source that were made for all copies. */
  sourceRequests: number;
  /** Milliseconds since the epoch. */
  acceptedMs: number;
  /** Null: some copy has not ended. */
  doneMs: number | null;
  warnings: readonly string[];
}

/** @param copies In the order of the targets; at least one. */
export function groupView(facts: GroupFacts, copies: readonly [CopyView, ...CopyView[]]): GroupView {
  const [first] = copies;
  const { id, sourceRequests, acceptedMs, doneMs, warnings } = facts;
  const state = stateOf(copies.map((copy) => copy.state));
  const digest = copies.map(({ source }) => source.digest).find((each) => each !== null) ?? null;
  const starts = copies.flatMap(({ times }) => (times.firstByteAt === null ? [] : [times.firstByteAt]));
  return {
    id,
    state,
    dryRun: first.dryRun,
    asked: first.asked,
    source: { reference: first.source.reference, digest },
    copies: copies.map(groupedCopy),
    tags: summed(copies.map(({ tags }) => tags)),
    blobs: summed(copies.map(({ blobs }) => blobs)),
    bytes: summed(copies.map(({ bytes }) => bytes)),
    manifests: summed(copies.map(({ manifests }) => manifests)),
    requests: {
      source: copies.reduce((sum, { requests }) => sum + requests.source, sourceRequests),
      target: copies.reduce((sum, { requests }) => sum + requests.target, 0),
    },
    times: {
      acceptedAt: new Date(acceptedMs).toISOString(),
      firstByteAt: starts.sort()[0] ?? null,
      doneAt: doneMs === null ? null : new Date(doneMs).toISOString(),
    },
    warnings: [...new Set([...warnings, ...copies.flatMap((copy) => copy.warnings)])],
    error: state === "failed" ? failureOf(copies) : null,
  };
}

export function groupedCopy(copy: CopyView): GroupedCopy {
  const { id, state, target, tags, blobs, bytes, manifests, requests, times, error } = copy;
  return { id, state, target, tags, blobs, bytes, manifests, requests, times, error };
}

/** One of its copies as the copy would show itself. */
export function copyIn(group: GroupView, copy: GroupedCopy): CopyView {
  const { dryRun, asked, source, warnings, id } = group;
  return { ...copy, dryRun, asked, source, warnings, group: id };
}

/** A group runs until its last copy has ended, whatever became of the others. */
export function stateOf(states: readonly CopyState[]): CopyState {
  if (states.some((state) => !ENDED_STATES.includes(state))) {
    return states.every((state) => state === "accepted") ? "accepted" : "running";
  }
  return states.includes("failed") ? "failed" : states.includes("cancelled") ? "cancelled" : "succeeded";
}

/** The first failure speaks for all. */
function failureOf(copies: readonly CopyView[]): ErrorDetail | null {
  const failed = copies.filter(({ state }) => state === "failed");
  const [first] = failed;
  if (first === undefined || first.error === null) {
    return null;
  }
  const others = `${failed.length} of ${copies.length} copies failed${failed.length === 1 ? "" : ", the first of them"}`;
  return { ...first.error, message: `${others}, to ${first.target.reference}: ${first.error.message}` };
}

/** Counts of the same names, added up. */
function summed<T extends { [name in keyof T]: number }>(counts: readonly T[]): T;
function summed(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const each of counts) {
    for (const [name, count] of Object.entries(each)) {
      sums[name] = (sums[name] ?? 0) + count;
    }
  }
  return sums;
}

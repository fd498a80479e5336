/** What all copies together came to, since the service was set up: counts that only grow, one addition per copy. Pure. */
import type { CopyView, Tally } from "../job/contract.ts";

/** Upper bounds of the histogram of durations, in seconds: from a copy that had nothing to do to one that took hours. */
export const DURATION_BOUNDS_SECONDS: readonly number[] = [
  0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3_600, 14_400,
];

/** How a copy was asked for; `unknown` for those that do not say. */
const ASKED_HOW = ["api", "push", "schedule", "manual", "unknown"] as const;

type AskedHow = (typeof ASKED_HOW)[number];
type Ended = "succeeded" | "failed" | "cancelled";

export interface Totals {
  /** Copies that have ended, by how they were asked for. Dry runs count nowhere. */
  ended: Record<Ended, Record<AskedHow, number>>;
  bytes: Omit<Tally, "all">;
  blobs: Omit<Tally, "all"> & { unfinished: number };
  manifests: { copied: number; present: number };
  requests: { source: number; target: number };
  /** From accepting a copy to its end. `counts`: one for each bound, and one for what is above them all. */
  durations: { counts: number[]; sumSeconds: number };
}

export function noTotals(): Totals {
  const byHow = () => ({ api: 0, push: 0, schedule: 0, manual: 0, unknown: 0 });
  return {
    ended: { succeeded: byHow(), failed: byHow(), cancelled: byHow() },
    bytes: { copied: 0, mounted: 0, present: 0 },
    blobs: { copied: 0, mounted: 0, present: 0, unfinished: 0 },
    manifests: { copied: 0, present: 0 },
    requests: { source: 0, target: 0 },
    durations: { counts: [...DURATION_BOUNDS_SECONDS, Infinity].map(() => 0), sumSeconds: 0 },
  };
}

/** The totals with one more copy, which has ended. */
export function withCopy(totals: Totals, copy: CopyView): Totals {
  const { state, bytes, blobs, manifests, requests } = copy;
  if (copy.dryRun || (state !== "succeeded" && state !== "failed" && state !== "cancelled")) {
    return totals;
  }
  const how = copy.asked?.how ?? "unknown";
  const seconds = durationSeconds(copy);
  const place = DURATION_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
  const slot = place < 0 ? DURATION_BOUNDS_SECONDS.length : place;
  const { counts, sumSeconds } = totals.durations;
  return {
    ended: { ...totals.ended, [state]: { ...totals.ended[state], [how]: totals.ended[state][how] + 1 } },
    bytes: tallied(totals.bytes, bytes),
    blobs: {
      ...tallied(totals.blobs, blobs),
      unfinished: totals.blobs.unfinished + blobs.all - blobs.copied - blobs.mounted - blobs.present,
    },
    manifests: {
      copied: totals.manifests.copied + manifests.copied,
      present: totals.manifests.present + manifests.present,
    },
    requests: {
      source: totals.requests.source + requests.source,
      target: totals.requests.target + requests.target,
    },
    durations: {
      counts: counts.map((count, index) => (index === slot ? count + 1 : count)),
      sumSeconds: sumSeconds + seconds,
    },
  };
}

/** How long a copy took, in seconds; of one that has not ended 0. */
export function durationSeconds({ times }: Pick<CopyView, "times">): number {
  const ms = times.doneAt === null ? 0 : Date.parse(times.doneAt) - Date.parse(times.acceptedAt);
  return Math.max(0, ms) / 1000;
}

function tallied(sum: Omit<Tally, "all">, more: Tally): Omit<Tally, "all"> {
  return {
    copied: sum.copied + more.copied,
    mounted: sum.mounted + more.mounted,
    present: sum.present + more.present,
  };
}

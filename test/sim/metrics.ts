/** Figures of one run, and of many runs together. */
import type { Mix } from "./mixes.ts";
import { CONNECTION_SPEED, REQUEST_MS } from "./mixes.ts";
import type { History } from "./simulate.ts";

/** Times are fractions of the time that all bytes need over all slots, where their name does not say `Ms`. */
export interface Figures {
  /** Of an image, from its arrival to the end of its last layer. */
  meanCompletion: number;
  p99Completion: number;
  /** End of the last layer over the lower bound. */
  makespan: number;
  smallWaitP99Ms: number;
  /** Longest wait of any request for its slot. */
  worstWait: number;
  worstWaitMs: number;
  /** Requests that the host refused. */
  rejected: number;
  /** Share of requests refused after the first ten seconds. */
  rejectedLater: number;
  /** Share of the slots' time that transfers used to good effect while something waited or was still to come. */
  throughput: number;
  /** Share of the slots' time that stood free while something waited. */
  idle: number;
}

/** The value below which `share` of all lie. 0 for none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / (values.length || 1);
}

const START_UP_MS = 10_000;

/** @param slots What the host bears at once: the lower bound rests on it. */
export function measure(mix: Mix, history: History, slots: number): Figures {
  const layerMs = mix.images.flatMap(({ requests, sourceSpeed }) =>
    requests
      .filter(({ kind }) => kind === "blob")
      .map(({ bytes }) => REQUEST_MS + bytes / (sourceSpeed ?? CONNECTION_SPEED)),
  );
  const allMs = layerMs.reduce((sum, ms) => sum + ms, 0) / slots;
  const bound = mix.images.length === 1 ? Math.max(allMs, ...layerMs) : allMs;

  const ends = new Map<string, number>();
  const waits: number[] = [];
  const smallWaits: number[] = [];
  let busyMs = 0;
  for (const { entry, grantedAt, endedAt } of history.runs) {
    waits.push(grantedAt - entry.since);
    if (entry.kind === "blob") {
      ends.set(entry.job, Math.max(ends.get(entry.job) ?? 0, endedAt));
      busyMs += Math.min(endedAt, history.drainedAt) - grantedAt;
    } else {
      smallWaits.push(grantedAt - entry.since);
    }
  }
  const completions = mix.images.map(({ name, arrivesAt }) => ((ends.get(name) ?? NaN) - arrivesAt) / allMs);
  const rejectedLater = history.rejectedAt.filter((at) => at > START_UP_MS).length;
  const answeredLater = history.runs.filter(({ endedAt }) => endedAt > START_UP_MS).length;
  const worstWaitMs = waits.reduce((worst, wait) => Math.max(worst, wait), 0);
  const slotMs = slots * history.drainedAt || 1;
  return {
    meanCompletion: mean(completions),
    p99Completion: percentile(completions, 0.99),
    makespan: Math.max(...ends.values()) / bound,
    smallWaitP99Ms: percentile(smallWaits, 0.99),
    worstWait: worstWaitMs / allMs,
    worstWaitMs,
    rejected: history.rejectedAt.length,
    rejectedLater: rejectedLater / (rejectedLater + answeredLater || 1),
    throughput: busyMs / slotMs,
    idle: history.idleMs / slotMs,
  };
}

/** Means over seeds; of the worst wait the worst. */
export function together(runs: readonly Figures[]): Figures {
  const of = (pick: (figures: Figures) => number): number => mean(runs.map(pick));
  return {
    meanCompletion: of((run) => run.meanCompletion),
    p99Completion: of((run) => run.p99Completion),
    makespan: of((run) => run.makespan),
    smallWaitP99Ms: of((run) => run.smallWaitP99Ms),
    worstWait: Math.max(...runs.map((run) => run.worstWait)),
    worstWaitMs: Math.max(...runs.map((run) => run.worstWaitMs)),
    rejected: of((run) => run.rejected),
    rejectedLater: of((run) => run.rejectedLater),
    throughput: of((run) => run.throughput),
    idle: of((run) => run.idle),
  };
}

/**
 * Who gets the next free slot. Each policy is a pure function of what waits and of the host's situation; it changes
 * nothing, and it answers for the slots that blobs may use. For the extra slot of small requests see nextSmall.
 */
import type { RequestKind } from "../registry/gate.ts";
import { isSmall } from "./queue.ts";
import type { Entry, WaitingQueue } from "./queue.ts";

/** Default of the longest wait before age alone decides, in milliseconds. */
export const MAX_WAIT_MS = 10 * 60 * 1000;

/**
 * A blob is critical when moving it alone takes this much more than its fair share of the time that is left. A little
 * above 1: the slots never end at the same moment.
 */
export const CRITICAL_FACTOR = 1.5;

export interface Situation {
  now: number;
  /** Slots for blobs at this host, free and taken. */
  slots: number;
  active: readonly { kind: RequestKind; bytes: number }[];
  /** Bytes of all blobs waiting and not yet finished. */
  bytesLeft: number;
  maxWaitMs: number;
}

/** The entry that gets the next slot. Undefined: nothing waits. The queue is left as it is. */
export type Policy = (queue: WaitingQueue, situation: Situation) => Entry | undefined;

export type PolicyName = "drayage" | "upstream" | "fifo" | "largest";

export const POLICIES: Record<PolicyName, Policy> = {
  drayage,
  upstream,
  fifo: (queue) => queue.oldest(),
  largest: (queue) => queue.bestSmall() ?? queue.largestBlob() ?? queue.oldest(),
};

/** The request for the one extra slot, which only a small one may use. */
export function nextSmall(queue: WaitingQueue): Entry | undefined {
  return queue.bestSmall();
}

/**
 * The default: small requests, then the blob that would end alone if it started later, then the job that is nearest to
 * its end. Whoever has waited for longer than `maxWaitMs` goes before all of them.
 */
function drayage(queue: WaitingQueue, situation: Situation): Entry | undefined {
  const oldest = queue.oldest();
  const small = queue.bestSmall();
  if (oldest !== undefined && situation.now - oldest.since > situation.maxWaitMs) {
    return small !== undefined && smallHaveLessThanHalf(situation) ? small : oldest;
  }
  if (small !== undefined) return small;
  const largest = queue.largestBlob();
  if (largest === undefined) return oldest;
  const critical = largest.bytes * situation.slots * CRITICAL_FACTOR >= situation.bytesLeft;
  return critical ? largest : queue.leastLeft();
}

/** Old blobs must not shut small requests out, nor may a flood of small requests take more than half of the slots from them. */
function smallHaveLessThanHalf({ active, slots }: Situation): boolean {
  let small = 0;
  for (const request of active) if (isSmall(request)) small++;
  return small < Math.floor(slots / 2);
}

/** Blobs from this share of the largest waiting one count as large. */
const LARGE_SHARE = 0.9;

/** The rule of the model, for comparison: one small request; then half of the slots to the largest, half to the oldest. */
function upstream(queue: WaitingQueue, { active }: Situation): Entry | undefined {
  if (active.length > 0 && !active.some(isSmall)) {
    const small = queue.smallestSmall();
    if (small !== undefined) return small;
  }
  const largest = queue.largestBlob();
  if (largest !== undefined && largest.bytes > 0) {
    const largeGoal = Math.floor(active.length / 2);
    const large = active.filter(({ kind, bytes }) => kind === "blob" && bytes >= LARGE_SHARE * largest.bytes);
    if (large.length < largeGoal) return largest;
  }
  return queue.oldest();
}

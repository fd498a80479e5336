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
 * A blob is critical when moving it alone takes as long as everything that is left takes over all slots. The tenth on top
 * starts it a little early: slots never end at the same moment.
 */
export const CRITICAL_FACTOR = 1.1;

/**
 * Share of the longest transfer under way below which a blob is not critical: it ends before that one even if it starts
 * later. Not the whole of it, since what is known of a transfer's progress is some seconds old.
 */
const HORIZON_SHARE = 0.8;

/** A request that holds a slot. */
export interface Active {
  kind: RequestKind;
  bytes: number;
  /** Bytes of it that were moved already, as far as its holder has told; missing: none. */
  movedBytes?: number;
}

export interface Situation {
  now: number;
  /** Slots for blobs at this host, free and taken. */
  slots: number;
  active: readonly Active[];
  /** Bytes of all blobs waiting and not yet finished, those under way in full. */
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
 * The default: small requests; then the blob that would end after everything else if it started later; then the job that
 * is nearest to its end. Whoever has waited for longer than `maxWaitMs` goes before all of them.
 */
function drayage(queue: WaitingQueue, situation: Situation): Entry | undefined {
  const oldest = queue.oldest();
  const small = queue.bestSmall();
  if (oldest !== undefined && situation.now - oldest.since > situation.maxWaitMs) {
    return small !== undefined && smallHaveLessThanHalf(situation) ? small : oldest;
  }
  if (small !== undefined) {
    return small;
  }
  const largest = queue.largestBlob();
  if (largest === undefined) {
    return oldest;
  }
  return isCritical(largest.bytes, situation) ? largest : queue.leastLeft();
}

/** Whether a blob that starts later would end after everything else. */
function isCritical(bytes: number, { active, bytesLeft, slots }: Situation): boolean {
  let [movedBytes, longestBytes] = [0, 0];
  for (const transfer of active) {
    if (transfer.kind === "blob") {
      const moved = Math.min(transfer.movedBytes ?? 0, transfer.bytes);
      movedBytes += moved;
      longestBytes = Math.max(longestBytes, transfer.bytes - moved);
    }
  }
  return bytes * CRITICAL_FACTOR >= Math.max((bytesLeft - movedBytes) / slots, longestBytes * HORIZON_SHARE);
}

/** Old blobs must not shut small requests out, nor may a flood of small requests take more than half of the slots from them. */
function smallHaveLessThanHalf({ active, slots }: Situation): boolean {
  const small = active.filter(isSmall).length;
  return small < Math.floor(slots / 2);
}

/** Blobs from this share of the largest waiting one count as large. */
const LARGE_SHARE = 0.9;

/** The rule of the model, for comparison: one small request; then half of the slots to the largest, half to the oldest. */
function upstream(queue: WaitingQueue, { active }: Situation): Entry | undefined {
  if (active.length > 0 && !active.some(isSmall)) {
    const small = queue.smallestSmall();
    if (small !== undefined) {
      return small;
    }
  }
  const largest = queue.largestBlob();
  if (largest !== undefined && largest.bytes > 0) {
    const largeGoal = Math.floor(active.length / 2);
    const large = active.filter(({ kind, bytes }) => kind === "blob" && bytes >= LARGE_SHARE * largest.bytes);
    if (large.length < largeGoal) {
      return largest;
    }
  }
  return queue.oldest();
}

/** When a blob whose transfer failed is tried once more, and what its copy is told when it is not. Pure. */
import type { ErrorDetail } from "../registry/errors.ts";

/** A blob that has failed so often, for reasons of its own, fails its copy. */
export const MAX_ATTEMPTS = 6;
/** 429s are the host's way of pacing, so they count less; but not nothing, else a copy could go on for ever. */
export const MAX_THROTTLES = 50;
/**
 * A blob that arrives with other bytes than its digest says is read so often in all: damage on the way heals with the
 * next try, damage at the registry never.
 */
export const MAX_READINGS = 3;

/**
 * Deploys, evictions and machines that go away come in bursts and say little of the blob they cut off; but one that kills
 * its lanes must not do so for ever.
 */
export const MAX_CUTS = 20;

/** What a blob has been through. */
export interface Tries {
  /** Tries that failed for a reason of their own. */
  attempts: number;
  /** Tries that ended with their lane. */
  cuts: number;
  /** Tries that the host answered with 429. */
  throttles: number;
  /** Tries whose bytes did not have the digest. */
  damages: number;
}

const DAMAGED = " (what is stored there is damaged, or changed on its way: push it there once more)";

/** Counts a failed try; answers the error for the copy, or undefined when there is to be another try. */
export function countFailure(tries: Tries, error: ErrorDetail): ErrorDetail | undefined {
  const isThrottled = error.code === "rate_limited";
  const isDamaged = error.code === "digest_mismatch" || error.code === "size_mismatch";
  tries.attempts += isThrottled ? 0 : 1;
  tries.throttles += isThrottled ? 1 : 0;
  tries.damages += isDamaged ? 1 : 0;
  const isLast = tries.attempts >= MAX_ATTEMPTS || tries.throttles >= MAX_THROTTLES || tries.damages >= MAX_READINGS;
  if (error.retryable && !isLast) {
    return undefined;
  }
  // A person should know that it was not the first.
  const count = tries.attempts + tries.throttles;
  const remedy = isDamaged && error.side === "source" ? DAMAGED : "";
  const message = count < 2 ? error.message : `${error.message}; tried ${count} times${remedy}`;
  return { ...error, message, retryable: error.retryable && !isDamaged };
}

/** Counts a try that ended with its lane; answers the error for the copy, or undefined when there is to be another try. */
export function countCut(tries: Tries, host: string): ErrorDetail | undefined {
  tries.cuts += 1;
  return tries.cuts < MAX_CUTS ? undefined : lanesLost(host);
}

/** The error of a try in which a Worker's whole time was not enough for anything. */
export function gainedNothing(host: string): ErrorDetail {
  return {
    code: "stalled",
    side: "service",
    host,
    operation: "copy blob",
    retryable: true,
    message: `The blob got no further in the time that one Worker has: the line to ${host} or from its source is too slow.`,
  };
}

function lanesLost(host: string): ErrorDetail {
  return {
    code: "internal",
    side: "service",
    host,
    operation: "copy blob",
    retryable: true,
    message: `The transfer was cut off ${MAX_CUTS} times by the end of the Worker that ran it. Try the copy again.`,
  };
}

/**
 * What a host has said of its own rate limit, and until when copies that nobody waits for leave the rest of it to others.
 * Pure.
 */
import type { Quota } from "../registry/gate.ts";

/** What a window is taken to last where the host does not say, in milliseconds. */
export const ASSUMED_WINDOW_MS = 60 * 60 * 1000;

/** A quota, and when it was read, milliseconds since the epoch. */
export interface SeenQuota extends Quota {
  seenAtMs: number;
}

/**
 * Until when background requests are held back, in milliseconds since the epoch; undefined: they may go. A whole window
 * after the quota was last seen low, whatever was used up has come back; an answer that shows more ends it sooner.
 * @param reserve Requests to keep back; 0: none.
 */
export function heldBackUntil(quota: SeenQuota | null, reserve: number, now: number): number | undefined {
  if (quota === null || quota.remaining >= reserve) {
    return undefined;
  }
  const windowMs = quota.windowSeconds === undefined ? 0 : quota.windowSeconds * 1000;
  const untilMs = quota.seenAtMs + (windowMs > 0 ? windowMs : ASSUMED_WINDOW_MS);
  return untilMs > now ? untilMs : undefined;
}

/** The quota that is to be remembered after an answer. One that says nothing changes nothing. */
export function seenQuota(before: SeenQuota | null, said: Quota | undefined, now: number): SeenQuota | null {
  return said === undefined ? before : { ...said, seenAtMs: now };
}

/**
 * What QUEUE_POLICY and MAX_WAIT_SECONDS may hold: which of a host's waiting requests goes next. Pure, as schema.ts; what
 * the policies do is the host's matter.
 */
import { isGiven, type Reading } from "./checking.ts";
import { nearest } from "./suggest.ts";

export const QUEUE_POLICIES = ["drayage", "upstream", "fifo", "largest"] as const;

export type QueuePolicy = (typeof QUEUE_POLICIES)[number];

export interface QueueSettings {
  policy: QueuePolicy;
  /** Whoever has waited longer goes before all others, in milliseconds; null: not configured. */
  maxWaitMs: number | null;
}

/** No copy lives longer than a day, so no wait has a meaning beyond it. */
const GREATEST_WAIT_SECONDS = 24 * 60 * 60;

/** Reads QUEUE_POLICY (a name) and MAX_WAIT_SECONDS (a number, or the same as text); either may be missing or empty. */
export function readQueue(policy: unknown, maxWaitSeconds: unknown): Reading<QueueSettings> {
  const complaints: string[] = [];
  const value: QueueSettings = { policy: "drayage", maxWaitMs: null };
  if (isGiven(policy)) {
    const known = QUEUE_POLICIES.find((name) => name === policy);
    const near = typeof policy === "string" ? nearest(policy, QUEUE_POLICIES) : null;
    if (known === undefined) {
      const fix = near === null ? `use one of ${QUEUE_POLICIES.join(", ")}` : `did you mean ${near}?`;
      complaints.push(`QUEUE_POLICY: ${JSON.stringify(policy)} is not a policy; ${fix}`);
    }
    value.policy = known ?? value.policy;
  }
  if (isGiven(maxWaitSeconds)) {
    const text = typeof maxWaitSeconds === "string" ? maxWaitSeconds.trim() : "";
    const seconds = /^\d{1,9}$/.test(text) ? Number(text) : maxWaitSeconds;
    if (typeof seconds === "number" && Number.isInteger(seconds) && seconds >= 1 && seconds <= GREATEST_WAIT_SECONDS) {
      value.maxWaitMs = seconds * 1000;
    } else {
      complaints.push(`MAX_WAIT_SECONDS: a whole number of seconds from 1 to ${GREATEST_WAIT_SECONDS} is needed`);
    }
  }
  return { value, complaints };
}

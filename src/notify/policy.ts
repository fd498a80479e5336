/**
 * When a message is sent again, and when it is given up. Pure: time and chance are arguments.
 *
 * The pauses follow the schedule that Standard Webhooks advises ("Deliverability and reliability"): quickly at first, for a
 * receiver that restarts, then for hours, for one that is down until somebody has seen it.
 */
import { parseRetryAfter } from "../registry/retry-after.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Pauses before the second, third, … attempt; about 28 hours in all. */
export const PAUSES_MS: readonly number[] = [
  5 * SECOND_MS,
  30 * SECOND_MS,
  2 * MINUTE_MS,
  10 * MINUTE_MS,
  30 * MINUTE_MS,
  HOUR_MS,
  2 * HOUR_MS,
  4 * HOUR_MS,
  8 * HOUR_MS,
  12 * HOUR_MS,
];

/** An attempt and one after each pause. */
export const MAX_ATTEMPTS = PAUSES_MS.length + 1;

/** A pause is longer by up to this part of it, so that many messages do not come back in one moment. */
const JITTER = 0.2;

/** A receiver may ask for a longer pause than ours, but not for ever. */
const MAX_RETRY_AFTER_MS = 24 * HOUR_MS;

/** What came of one attempt. */
export type Attempt =
  | { kind: "answered"; status: number; retryAfter: string | null }
  /** No answer, or none that was allowed: in words. */
  | { kind: "unanswered"; reason: string };

/** What follows from an attempt. `reason`: for a person, without anything secret. */
export type Verdict =
  | { kind: "delivered" }
  | { kind: "again"; atMs: number; reason: string }
  | { kind: "dead"; reason: string };

/**
 * @param attempts How many there were, this one included.
 * @param random From 0 to 1.
 */
export function judge(attempt: Attempt, attempts: number, nowMs: number, random: number): Verdict {
  if (attempt.kind === "answered" && attempt.status >= 200 && attempt.status < 300) {
    return { kind: "delivered" };
  }
  const reason = reasonOf(attempt);
  if (attempt.kind === "answered" && attempt.status === 410) {
    // Standard Webhooks: the receiver wants no more messages. Which of them are sent is configured, so each dies by itself.
    return { kind: "dead", reason };
  }
  const pauseMs = PAUSES_MS[attempts - 1];
  if (pauseMs === undefined) {
    return { kind: "dead", reason };
  }
  const wishedMs = attempt.kind === "answered" ? (parseRetryAfter(attempt.retryAfter, nowMs) ?? 0) : 0;
  const ownMs = pauseMs * (1 + JITTER * random);
  return { kind: "again", atMs: nowMs + Math.ceil(Math.max(ownMs, Math.min(wishedMs, MAX_RETRY_AFTER_MS))), reason };
}

function reasonOf(attempt: Attempt): string {
  if (attempt.kind === "unanswered") {
    return attempt.reason;
  }
  const { status } = attempt;
  if (status >= 300 && status < 400) {
    return `answered ${status}: redirects are not followed; configure the address it leads to`;
  }
  return status === 410 ? "answered 410: it wants no more messages" : `answered ${status}`;
}

/** Whether copies are too many for their principal. Counts rows, in the transaction that adds the next ones. */
import type { Limits } from "../access/contract.ts";
import type { Limited } from "./contract.ts";

const HOUR_MS = 60 * 60 * 1000;
/** No copy lives longer than a day: a row that was never told of its end does not count for ever. */
const COPY_LIFE_MS = 24 * HOUR_MS;
/** A copy runs within seconds. One that has not begun by then never was, as when its request was cut off. */
const START_LIMIT_MS = 10 * 60 * 1000;
/** Nobody knows when a copy will end; most take seconds. */
const RETRY_GUESS_MS = 5_000;

/**
 * The limit that is reached, or null.
 * @param more How many copies are to be added, all or none.
 */
export function limitReached(
  sql: SqlStorage,
  budget: string,
  limits: Limits,
  now: number,
  more: number,
): Limited | null {
  const { copiesAtOnce, copiesPerHour } = limits;
  if (copiesAtOnce !== undefined) {
    const { open } = sql
      .exec<{ open: number }>(
        `SELECT count(*) AS open FROM copies WHERE budget = ?1 AND done_at_ms IS NULL
         AND accepted_at_ms > iif(state = 'accepted', ?2, ?3)`,
        budget,
        now - START_LIMIT_MS,
        now - COPY_LIFE_MS,
      )
      .one();
    if (open + more > copiesAtOnce) {
      return { kind: "limited", limit: "copiesAtOnce", allowed: copiesAtOnce, retryAtMs: now + RETRY_GUESS_MS };
    }
  }
  if (copiesPerHour !== undefined && more > copiesPerHour) {
    return { kind: "limited", limit: "copiesPerHour", allowed: copiesPerHour, retryAtMs: now + HOUR_MS };
  }
  if (copiesPerHour !== undefined) {
    // The one whose leaving the hour makes room: those after it and those to be added are as many as are allowed.
    const [deciding] = sql
      .exec<{ accepted_at_ms: number }>(
        `SELECT accepted_at_ms FROM copies WHERE budget = ?1 AND accepted_at_ms > ?2
         ORDER BY accepted_at_ms DESC LIMIT 1 OFFSET ?3`,
        budget,
        now - HOUR_MS,
        copiesPerHour - more,
      )
      .toArray();
    if (deciding !== undefined) {
      const retryAtMs = deciding.accepted_at_ms + HOUR_MS;
      return { kind: "limited", limit: "copiesPerHour", allowed: copiesPerHour, retryAtMs };
    }
  }
  return null;
}

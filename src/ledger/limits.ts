/** Whether a copy is one too many for its principal. Counts rows, in the transaction that adds the next one. */
import type { Limits } from "../access/contract.ts";
import type { Limited } from "./contract.ts";

const HOUR_MS = 60 * 60 * 1000;
/** No copy lives longer than a day: a row that was never told of its end does not count for ever. */
const COPY_LIFE_MS = 24 * HOUR_MS;
/** A copy runs within seconds. One that has not begun by then never was, as when its request was cut off. */
const START_LIMIT_MS = 10 * 60 * 1000;
/** Nobody knows when a copy will end; most take seconds. */
const RETRY_GUESS_MS = 5_000;

/** The limit that is reached, or null. */
export function limitReached(sql: SqlStorage, budget: string, limits: Limits, now: number): Limited | null {
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
    if (open >= copiesAtOnce) {
      return { kind: "limited", limit: "copiesAtOnce", allowed: copiesAtOnce, retryAtMs: now + RETRY_GUESS_MS };
    }
  }
  if (copiesPerHour !== undefined) {
    // The one whose leaving the hour makes room: there are as many after it as are allowed, itself included.
    const [deciding] = sql
      .exec<{ accepted_at_ms: number }>(
        `SELECT accepted_at_ms FROM copies WHERE budget = ?1 AND accepted_at_ms > ?2
         ORDER BY accepted_at_ms DESC LIMIT 1 OFFSET ?3`,
        budget,
        now - HOUR_MS,
        copiesPerHour - 1,
      )
      .toArray();
    if (deciding !== undefined) {
      const retryAtMs = deciding.accepted_at_ms + HOUR_MS;
      return { kind: "limited", limit: "copiesPerHour", allowed: copiesPerHour, retryAtMs };
    }
  }
  return null;
}

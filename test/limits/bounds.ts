/** The limits of production that a test run is held to, and what breaking one looks like in workerd's log. Plain data. */

/** Requests of one invocation that may wait for their response headers; Cloudflare queues a seventh. */
export const CONNECTIONS_MAX = 6;

/** A queue message, of which some 100 bytes are the queue's own. Cloudflare's KB has 1000 bytes. */
export const MESSAGE_BYTES_MAX = 128_000 - 100;

/** All messages of one `sendBatch`, and how many. */
export const BATCH_BYTES_MAX = 256_000;
export const BATCH_MESSAGES_MAX = 100;

/** A request body sent by a Durable Object; the cap's value is not published. A manifest has at most this, a blob more. */
export const OBJECT_BODY_BYTES_MAX = 4 * 1024 ** 2;

/**
 * Peak resident memory of the workerd process. Production counts 128 MB for an isolate; the process holds some 80 MB more:
 * its own code, the broker's isolate, SQLite's pages, memory that the allocator keeps.
 */
export const MEMORY_BYTES_MAX = 200 * 1024 ** 2;

/** CPU time of one invocation, as wrangler.toml sets it (`limits.cpu_ms`). */
export const CPU_MS_MAX = 300_000;

export type LimitName = "connections" | "message" | "object body" | "memory" | "cpu" | "untracked";

/** One limit that was broken, and how. */
export interface Violation {
  limit: LimitName;
  detail: string;
}

/** The one property by which lines of the instrumented Worker are known in the log. */
export const LOG_KEY = "underLimits";

/** What the instrumented Worker writes: a violation, or a long invocation with its times on the wall clock. */
export type LimitLine =
  | { [LOG_KEY]: "violation"; limit: LimitName; detail: string }
  | { [LOG_KEY]: "invocation"; name: string; beganMs: number; endedMs: number };

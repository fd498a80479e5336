/**
 * Sends a message through the real queue and waits for its consumer to say that it came: the one proof that a consumer is
 * attached, since a queue takes messages whether anybody reads them or not. Time is an argument.
 */
import { fail, ok, warn, type Finding } from "./contract.ts";

/**
 * What goes through the queue. A consumer from before it was known drops it: its version is theirs, and it names no host.
 */
export interface QueueProbe {
  v: 1;
  probe: string;
}

/** Cloudflare's queue needs a second or three; a request has thirty. */
export const PROBE_TIMEOUT_MS = 15_000;

/** The first looks come quickly, for a queue on the same machine. */
const FIRST_LOOK_MS = 20;
const LONGEST_LOOK_MS = 500;

export interface ProbePorts {
  /** Notes the probe, so that its consumer is believed. */
  open(id: string): Promise<void>;
  send(message: QueueProbe): Promise<unknown>;
  /** When the consumer had it; null: not yet. */
  cameAtMs(id: string): Promise<number | null>;
  now(): number;
  pause(ms: number): Promise<void>;
}

/** How long a message took from the sender to the consumer, in milliseconds; null: it has not come in time. */
export async function roundTripMs(id: string, ports: ProbePorts, timeoutMs = PROBE_TIMEOUT_MS): Promise<number | null> {
  await ports.open(id);
  const sentAtMs = ports.now();
  await ports.send({ v: 1, probe: id });
  let pauseMs = FIRST_LOOK_MS;
  for (;;) {
    const cameAtMs = await ports.cameAtMs(id);
    if (cameAtMs !== null) {
      return Math.max(0, cameAtMs - sentAtMs);
    }
    const leftMs = sentAtMs + timeoutMs - ports.now();
    if (leftMs <= 0) {
      return null;
    }
    await ports.pause(Math.min(pauseMs, leftMs));
    pauseMs = Math.min(pauseMs * 2, LONGEST_LOOK_MS);
  }
}

/**
 * What it means.
 * @param tookMs As {@link roundTripMs} has it.
 * @param isWorking Lanes have come of late, so somebody reads the queue.
 */
export function queueFinding(tookMs: number | null, isWorking: boolean): Finding {
  if (tookMs !== null) {
    return ok("queue", `A message went through the queue to its consumer in ${tookMs} ms.`);
  }
  const waited = `A message sent to the queue was not consumed within ${PROBE_TIMEOUT_MS / 1000} s`;
  return isWorking
    ? warn(
        "queue",
        `${waited}, though lanes are at work: the queue is behind, or a part of the service is older than this answer.`,
        "Ask again in a minute; if it stays, look at the queue's backlog: `wrangler queues info drayage-lanes`.",
      )
    : fail(
        "queue",
        `${waited}: nobody reads it, so no blob is ever copied.`,
        "Make the Worker the queue's consumer: [[queues.consumers]] in wrangler.toml, then `wrangler deploy`; " +
          "`wrangler queues info drayage-lanes` shows who reads it.",
      );
}

/** One attempt to hand a message to its receiver. Knows nothing of what follows from it. */
import { errorDetailOf } from "../registry/errors.ts";
import type { Refusal } from "../registry/reach.ts";
import { Cut } from "../registry/aborts.ts";
import { createWire, type Fetch } from "../registry/wire.ts";
import type { NotificationTarget } from "./contract.ts";
import { CONTENT_TYPE } from "./event.ts";
import type { Attempt } from "./policy.ts";
import { signedHeaders } from "./signature.ts";

/** Standard Webhooks advises 15 to 30 s: a receiver takes the message and does its work afterwards. */
export const ATTEMPT_LIMIT_MS = 15_000;

/** What sending needs of the world around it. */
export interface SendPorts {
  fetch: Fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** What must not be called (`registry/reach.ts`). */
  refusalOf: Refusal;
  log: (line: object) => void;
}

/** Sends the message, signed as of now. Never throws, and never says the address, which may be a secret. */
export async function send(
  message: { event: string; body: string; attempts: number },
  receiver: NotificationTarget,
  { fetch, now, refusalOf, log }: SendPorts,
): Promise<Attempt> {
  const url = new URL(receiver.url);
  const wire = createWire({
    fetch,
    now,
    refusalOf,
    side: "service",
    host: url.host,
    log: ({ host, status, bytes, ms, attempt }) =>
      log({ msg: "notification", receiver: receiver.name, event: message.event, host, status, bytes, ms, attempt }),
  });
  const bytes = new TextEncoder().encode(message.body);
  try {
    const signature = await signedHeaders({ id: message.event, body: message.body, sentAtMs: now() }, receiver.keys);
    const answer = await wire({
      operation: "notify",
      method: "POST",
      url,
      headers: { "content-type": CONTENT_TYPE, ...signature },
      body: bytes,
      bodyBytes: bytes.byteLength,
      timeLimitMs: ATTEMPT_LIMIT_MS,
      cut: new Cut(),
      attempt: message.attempts,
      redirect: 0,
    });
    // What a receiver says is nobody's business, and may be endless.
    await answer.body?.cancel().catch(() => {});
    return { kind: "answered", status: answer.status, retryAfter: answer.headers.get("retry-after") };
  } catch (error) {
    return { kind: "unanswered", reason: errorDetailOf(error).message };
  }
}

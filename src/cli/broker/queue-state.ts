/**
 * What a queue decides, apart from where it keeps its messages: how a send is read, and what becomes of a message after
 * a delivery. Pure; the time is an argument. The wire shapes are workerd's: its `queue` binding turns `send` into
 * `POST /message` and `sendBatch` into `POST /batch`.
 */

export interface QueuePolicy {
  /** Deliveries after the first; then the message is a dead letter. */
  maxRetries: number;
  /** Wait before a retry for which the consumer gave no delay of its own. */
  retryDelayMs: number;
}

/** A message as it was sent: its body is JSON text. */
export interface SentMessage {
  bodyJson: string;
  delayMs: number;
}

/** workerd's answer to a delivery, as far as a queue cares. */
export interface DeliveryAnswer {
  outcome: string;
  ackAll?: boolean;
  retryBatch?: { retry: boolean; delaySeconds?: number };
  explicitAcks?: string[];
  retryMessages?: { msgId: string; delaySeconds?: number }[];
}

export type Verdict = { kind: "done" } | { kind: "retry"; dueAtMs: number } | { kind: "dead"; reason: string };

/** A send that cannot be taken; the message is for the sender. */
export class SendError extends Error {}

const DELAY_LIMIT_SECONDS = 86_400;

/** Wait after a delivery that failed by itself: a consumer that throws at once must not be called in a tight circle. */
const FAILURE_DELAY_MS = 1_000;

/**
 * Reads the body of `POST /message`.
 * @throws SendError for a content type other than JSON or a delay out of range.
 */
export function readMessage(format: string | null, delaySeconds: string | null, body: string): SentMessage {
  return { bodyJson: checkedJson(format ?? "json", body), delayMs: delayMsOf(delaySeconds) };
}

/**
 * Reads the body of `POST /batch`, whose messages are base64.
 * @throws SendError as {@link readMessage}.
 */
export function readBatch(delaySeconds: string | null, body: string): SentMessage[] {
  const parsed: unknown = parsedJson(body);
  const messages = isRecord(parsed) ? parsed["messages"] : undefined;
  if (!Array.isArray(messages)) {
    throw new SendError("a batch needs a list `messages`");
  }
  return messages.map((message: unknown) => {
    if (!isRecord(message) || typeof message["body"] !== "string") {
      throw new SendError("a message needs a `body`");
    }
    const format = typeof message["contentType"] === "string" ? message["contentType"] : "json";
    const own = message["delaySecs"];
    return {
      bodyJson: checkedJson(format, textOfBase64(message["body"])),
      delayMs: delayMsOf(typeof own === "number" ? String(own) : delaySeconds),
    };
  });
}

/**
 * What becomes of message `id` after delivery number `attempts` (1 for the first). Each delivery carries one message, so
 * an answer for the batch is an answer for it; what the consumer said of the message itself comes first.
 */
export function settle(
  id: string,
  attempts: number,
  answer: DeliveryAnswer,
  policy: QueuePolicy,
  nowMs: number,
): Verdict {
  if (answer.explicitAcks?.includes(id) === true) {
    return { kind: "done" };
  }
  const own = answer.retryMessages?.find((message) => message.msgId === id);
  if (own !== undefined) {
    return again("the consumer asked for a retry", delayMsOfAnswer(own.delaySeconds, policy.retryDelayMs));
  }
  if (answer.outcome === "ok" && answer.ackAll === true) {
    return { kind: "done" };
  }
  if (answer.retryBatch?.retry === true) {
    return again(
      "the consumer asked for a retry",
      delayMsOfAnswer(answer.retryBatch.delaySeconds, policy.retryDelayMs),
    );
  }
  if (answer.outcome === "ok") {
    return { kind: "done" };
  }
  return again(`the consumer ended with "${answer.outcome}"`, Math.max(FAILURE_DELAY_MS, policy.retryDelayMs));

  function again(reason: string, delayMs: number): Verdict {
    if (attempts > policy.maxRetries) {
      return { kind: "dead", reason };
    }
    return { kind: "retry", dueAtMs: nowMs + delayMs };
  }
}

function delayMsOfAnswer(delaySeconds: number | undefined, defaultMs: number): number {
  return delaySeconds === undefined ? defaultMs : delaySeconds * 1_000;
}

function delayMsOf(delaySeconds: string | null): number {
  if (delaySeconds === null || delaySeconds === "") {
    return 0;
  }
  const seconds = Number(delaySeconds);
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > DELAY_LIMIT_SECONDS) {
    throw new SendError(`delaySeconds must be a whole number from 0 to ${DELAY_LIMIT_SECONDS}, not ${delaySeconds}`);
  }
  return seconds * 1_000;
}

function checkedJson(format: string, body: string): string {
  if (format !== "json") {
    throw new SendError(`only messages of content type "json" are taken, not "${format}"`);
  }
  parsedJson(body);
  return body;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new SendError("the message is not JSON");
  }
}

function textOfBase64(text: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

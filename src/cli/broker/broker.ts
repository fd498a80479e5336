/**
 * The queue of the `drayage` command: a Worker that stands in for Cloudflare Queues in plain workerd. It keeps every
 * message in SQLite until its consumer has ended well, so that a killed process loses none. It knows nothing of copies.
 *
 * One Durable Object holds the queue. It must never be evicted (`preventEviction`): deliveries under way hang on it.
 */
import { DurableObject } from "cloudflare:workers";
import { migrate } from "../../storage/migrations.ts";
import {
  SendError,
  readBatch,
  readMessage,
  settle,
  type DeliveryAnswer,
  type QueuePolicy,
  type SentMessage,
} from "./queue-state.ts";

interface Message {
  id: string;
  timestamp: Date;
  body: unknown;
  attempts: number;
}

/** A service binding under `service_binding_extra_handlers`, which the public types do not know. */
interface Consumer {
  queue(queue: string, messages: Message[]): Promise<DeliveryAnswer>;
}

interface BrokerEnv {
  BROKER: DurableObjectNamespace<Broker>;
  CONSUMER: Consumer;
  QUEUE: { name: string; maxRetries: number; retryDelaySeconds: number };
}

type Row = { id: string; sent_ms: number; due_ms: number; attempts: number; body: string };

const TABLES = [
  `CREATE TABLE messages (
     id TEXT PRIMARY KEY, sent_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL,
     attempts INTEGER NOT NULL, taken INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
   CREATE INDEX messages_due ON messages (taken, due_ms, sent_ms);
   CREATE TABLE dead_letters (
     seq INTEGER PRIMARY KEY, id TEXT NOT NULL, sent_ms INTEGER NOT NULL, dead_ms INTEGER NOT NULL,
     attempts INTEGER NOT NULL, reason TEXT NOT NULL, body TEXT NOT NULL);`,
];

/** Deliveries at once. Production runs up to 250 consumers; lanes beyond some dozens only share one machine's line. */
const WIDTH = 64;

/** Dead letters are kept to be looked at, the newest so many. */
const DEAD_LETTERS_KEPT = 1_000;

/** The longest single wait of a timer: `setTimeout` takes 31 bits. */
const TIMER_LIMIT_MS = 2_000_000_000;

export default {
  fetch(request: Request, env: BrokerEnv): Promise<Response> {
    return env.BROKER.getByName("queue").fetch(request);
  },
};

export class Broker extends DurableObject<BrokerEnv> {
  #sql: SqlStorage;
  #running = 0;
  #timer: number | null = null;
  #isEnding = false;
  #policy: QueuePolicy;

  constructor(ctx: DurableObjectState, env: BrokerEnv) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#policy = { maxRetries: env.QUEUE.maxRetries, retryDelayMs: env.QUEUE.retryDelaySeconds * 1_000 };
    migrate(ctx.storage, TABLES);
    // Whatever was under delivery when the process ended has not been acknowledged: it goes out again.
    this.#sql.exec("UPDATE messages SET taken = 0 WHERE taken = 1");
  }

  /** `POST /message` and `/batch` from the queue binding, `POST /wake` after a start, `/end` before an end, `GET /metrics`. */
  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    try {
      if (pathname === "/end") {
        this.#end();
      } else if (pathname !== "/metrics" && pathname !== "/wake") {
        this.#store(await this.#read(pathname, request));
      }
    } catch (error) {
      if (error instanceof SendError) {
        return new Response(error.message, { status: 400 });
      }
      throw error;
    }
    this.#pump();
    return Response.json({ metadata: { metrics: this.#metrics() }, ...this.#metrics() });
  }

  async #read(pathname: string, request: Request): Promise<SentMessage[]> {
    const delay = request.headers.get("x-msg-delay-secs");
    if (pathname === "/message") {
      return [readMessage(request.headers.get("x-msg-fmt"), delay, await request.text())];
    }
    if (pathname === "/batch") {
      return readBatch(delay, await request.text());
    }
    throw new SendError(`no such operation: ${pathname}`);
  }

  #store(messages: SentMessage[]): void {
    const nowMs = Date.now();
    for (const message of messages) {
      this.#sql.exec(
        "INSERT INTO messages (id, sent_ms, due_ms, attempts, taken, body) VALUES (?, ?, ?, 0, 0, ?)",
        crypto.randomUUID(),
        nowMs,
        nowMs + message.delayMs,
        message.bodyJson,
      );
    }
  }

  /** The process is about to be ended on purpose: what is under delivery goes out again, and that was no attempt. */
  #end(): void {
    if (!this.#isEnding) {
      this.#isEnding = true;
      this.#sql.exec("UPDATE messages SET taken = 0, attempts = attempts - 1 WHERE taken = 1");
    }
  }

  /** Starts as many deliveries as are due and allowed, and sets the timer for what is due later. */
  #pump(): void {
    if (this.#isEnding) {
      return;
    }
    const nowMs = Date.now();
    for (const row of this.#due(nowMs, WIDTH - this.#running)) {
      if (row.attempts > this.#policy.maxRetries) {
        this.#bury(row, "no delivery came to an end", nowMs);
        continue;
      }
      this.#running += 1;
      const attempts = row.attempts + 1;
      // Counted before it starts, in the same commit as the send: one that takes the process down is still counted.
      this.#sql.exec("UPDATE messages SET taken = 1, attempts = ? WHERE id = ?", attempts, row.id);
      this.ctx.waitUntil(this.#deliver({ ...row, attempts }));
    }
    this.#setTimer(nowMs);
  }

  #due(nowMs: number, limit: number): Row[] {
    return this.#sql
      .exec<Row>(
        `SELECT id, sent_ms, due_ms, attempts, body FROM messages
         WHERE taken = 0 AND due_ms <= ? ORDER BY due_ms, sent_ms LIMIT ?`,
        nowMs,
        limit,
      )
      .toArray();
  }

  #setTimer(nowMs: number): void {
    clearTimeout(this.#timer);
    const next = this.#sql
      .exec<{ due_ms: number }>("SELECT due_ms FROM messages WHERE taken = 0 ORDER BY due_ms LIMIT 1")
      .toArray()[0];
    // At full width the end of a delivery pumps again.
    if (next === undefined || this.#running >= WIDTH) {
      return;
    }
    this.#timer = setTimeout(() => this.#pump(), Math.min(Math.max(next.due_ms - nowMs, 1), TIMER_LIMIT_MS));
  }

  async #deliver(row: Row): Promise<void> {
    let answer: DeliveryAnswer;
    try {
      const message = {
        id: row.id,
        timestamp: new Date(row.sent_ms),
        body: JSON.parse(row.body),
        attempts: row.attempts,
      };
      answer = await this.env.CONSUMER.queue(this.env.QUEUE.name, [message]);
    } catch (error) {
      answer = { outcome: error instanceof Error ? error.message : String(error) };
    }
    this.#running -= 1;
    this.#settle(row, answer);
    this.#pump();
  }

  #settle(row: Row, answer: DeliveryAnswer): void {
    const nowMs = Date.now();
    const verdict = settle(row.id, row.attempts, answer, this.#policy, nowMs);
    if (verdict.kind === "retry") {
      this.#sql.exec("UPDATE messages SET taken = 0, due_ms = ? WHERE id = ?", verdict.dueAtMs, row.id);
      return;
    }
    if (verdict.kind === "dead") {
      this.#bury(row, verdict.reason, nowMs);
    } else {
      this.#sql.exec("DELETE FROM messages WHERE id = ?", row.id);
    }
  }

  /** Moves a message to the dead letters. */
  #bury(row: Row, reason: string, nowMs: number): void {
    this.#sql.exec(
      "INSERT INTO dead_letters (id, sent_ms, dead_ms, attempts, reason, body) VALUES (?, ?, ?, ?, ?, ?)",
      row.id,
      row.sent_ms,
      nowMs,
      row.attempts,
      reason,
      row.body,
    );
    this.#sql.exec("DELETE FROM dead_letters WHERE seq <= (SELECT max(seq) FROM dead_letters) - ?", DEAD_LETTERS_KEPT);
    this.#sql.exec("DELETE FROM messages WHERE id = ?", row.id);
    console.log(JSON.stringify({ event: "dead_letter", id: row.id, attempts: row.attempts, reason }));
  }

  #metrics(): Record<string, number> {
    return this.#sql
      .exec<Record<string, number>>(
        `SELECT count(*) AS backlogCount, ifnull(sum(length(body)), 0) AS backlogBytes,
           ifnull(min(sent_ms), 0) AS oldestMessageTimestamp, ifnull(sum(taken), 0) AS underDelivery,
           (SELECT count(*) FROM dead_letters) AS deadLetters FROM messages`,
      )
      .one();
  }
}

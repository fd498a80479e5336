/** Messages that wait to be taken, and those that nobody took: rows, so that none is lost with its object. Synchronous. */
import type { CopyState } from "../job/contract.ts";
import type { NotificationCounts, NotificationEntry } from "./contract.ts";
import { MAX_ATTEMPTS } from "./policy.ts";

/** Schema versions for `migrate`, oldest first. */
export const OUTBOX_STEPS: readonly string[] = [
  // `next_at_ms` null: it is dead. `told` remembers of which ends messages were made, since a job tells its end until it
  // is heard, and a message that was taken is a row no more.
  `CREATE TABLE messages (
     n INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     event TEXT NOT NULL,
     receiver TEXT NOT NULL,
     copy TEXT NOT NULL,
     state TEXT NOT NULL,
     body TEXT NOT NULL,
     attempts INTEGER NOT NULL,
     created_at_ms INTEGER NOT NULL,
     next_at_ms INTEGER,
     reason TEXT
   );
   CREATE INDEX messages_due ON messages (receiver, next_at_ms);
   CREATE INDEX messages_pending ON messages (next_at_ms) WHERE next_at_ms IS NOT NULL;
   CREATE INDEX messages_dead ON messages (n) WHERE next_at_ms IS NULL;
   CREATE TABLE told (copy TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
   CREATE INDEX told_by_age ON told (at_ms);
   CREATE TABLE counts (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     delivered INTEGER NOT NULL,
     refused INTEGER NOT NULL
   );
   INSERT INTO counts (one, delivered, refused) VALUES (1, 0, 0);`,
];

/** A message under way counts as lost after so long: well beyond the time that one attempt has. */
export const LEASE_MS = 60_000;
/** A job tells its end for seconds, for hours at the very worst. */
const TOLD_LIFE_MS = 2 * 24 * 60 * 60 * 1000;
/** Dead messages are for looking at and trying again, not an archive. */
export const MAX_DEAD = 1_000;
/** Bounds the object's size (some 40 MB) while a receiver is down; what comes on top is dead at once. */
export const MAX_PENDING = 20_000;
/** Old marks that one new one clears. */
const CLEARED_AT_ONCE = 4;

/** A message as it is made. */
export interface NewMessage {
  event: string;
  receiver: string;
  copy: string;
  state: CopyState;
  body: string;
}

/** A message to be sent now. */
export interface Due {
  id: string;
  event: string;
  receiver: string;
  body: string;
  /** This attempt included. */
  attempts: number;
}

type Row = Record<string, SqlStorageValue> & {
  n: number;
  id: string;
  event: string;
  receiver: string;
  copy: string;
  state: CopyState;
  attempts: number;
  created_at_ms: number;
  next_at_ms: number | null;
  reason: string | null;
};

const COLUMNS = "n, id, event, receiver, copy, state, attempts, created_at_ms, next_at_ms, reason";

export class Outbox {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Puts the messages of one end in, once, however often it is told. */
  put(copy: string, messages: readonly NewMessage[], now: number): void {
    const { rowsWritten } = this.#sql.exec("INSERT OR IGNORE INTO told (copy, at_ms) VALUES (?, ?)", copy, now);
    if (rowsWritten === 0) {
      return;
    }
    this.#sql.exec(
      "DELETE FROM told WHERE copy IN (SELECT copy FROM told WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
      now - TOLD_LIFE_MS,
      CLEARED_AT_ONCE,
    );
    for (const { event, receiver, state, body } of messages) {
      const isFull = this.#count("next_at_ms IS NOT NULL") >= MAX_PENDING;
      this.#sql.exec(
        `INSERT INTO messages (id, event, receiver, copy, state, body, attempts, created_at_ms, next_at_ms, reason)
         VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?)`,
        `${event}.${receiver}`,
        event,
        receiver,
        copy,
        state,
        body,
        now,
        isFull ? null : now,
        isFull ? `not tried: ${MAX_PENDING} messages wait already` : null,
      );
    }
    this.#clearDead();
  }

  /** Takes up to `limit` of a receiver's messages that are due: each counts as tried, and comes again after a lease. */
  take(receiver: string, limit: number, now: number): Due[] {
    return this.#sql
      .exec<Row & { body: string }>(
        `UPDATE messages SET attempts = attempts + 1, next_at_ms = ?1
         WHERE n IN (SELECT n FROM messages WHERE receiver = ?2 AND next_at_ms <= ?3 ORDER BY next_at_ms, n LIMIT ?4)
         RETURNING ${COLUMNS}, body`,
        now + LEASE_MS,
        receiver,
        now,
        limit,
      )
      .toArray()
      .sort((a, b) => a.n - b.n)
      .map(({ id, event, body, attempts }) => ({ id, event, receiver, body, attempts }));
  }

  delivered(id: string): void {
    this.#sql.exec("DELETE FROM messages WHERE id = ?", id);
    this.#sql.exec("UPDATE counts SET delivered = delivered + 1");
  }

  again(id: string, atMs: number, reason: string): void {
    this.#sql.exec("UPDATE messages SET next_at_ms = ?, reason = ? WHERE id = ?", atMs, reason, id);
    this.#sql.exec("UPDATE counts SET refused = refused + 1");
  }

  dead(id: string, reason: string): void {
    this.#sql.exec("UPDATE messages SET next_at_ms = NULL, reason = ? WHERE id = ?", reason, id);
    this.#sql.exec("UPDATE counts SET refused = refused + 1");
    this.#clearDead();
  }

  /** Gives up what is for receivers that are not there any more. */
  giveUpOthers(receivers: readonly string[]): void {
    this.#sql.exec(
      // From one receiver to the next by the index: of each there may be thousands of messages.
      `WITH RECURSIVE named (receiver) AS (
         SELECT min(receiver) FROM messages
         UNION SELECT (SELECT min(receiver) FROM messages WHERE receiver > named.receiver) FROM named
         WHERE named.receiver IS NOT NULL)
       UPDATE messages SET next_at_ms = NULL, reason = 'no receiver of this name is configured any more'
       WHERE next_at_ms IS NOT NULL AND receiver IN (
         SELECT receiver FROM named WHERE receiver IS NOT NULL AND receiver NOT IN (SELECT value FROM json_each(?)))`,
      JSON.stringify(receivers),
    );
  }

  /** When the first message is due; null: none waits. */
  nextAtMs(): number | null {
    const [first] = this.#sql
      .exec<{ at: number }>(
        "SELECT next_at_ms AS at FROM messages WHERE next_at_ms IS NOT NULL ORDER BY next_at_ms LIMIT 1",
      )
      .toArray();
    return first?.at ?? null;
  }

  list(
    state: "pending" | "dead",
    limit: number,
    cursor?: string,
  ): { entries: NotificationEntry[]; next: string | null } {
    const rows = this.#sql
      .exec<Row>(
        `SELECT ${COLUMNS} FROM messages WHERE next_at_ms IS ${state === "dead" ? "NULL" : "NOT NULL"} AND n > ?
         ORDER BY n LIMIT ?`,
        // A number, since the message itself may have been taken by the time that the next page is asked for.
        cursor === undefined ? 0 : Number(cursor),
        limit + 1,
      )
      .toArray();
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    return { entries: shown.map(entryOf), next: last === undefined ? null : String(last.n) };
  }

  counts(): NotificationCounts {
    const { delivered, refused } = this.#sql
      .exec<{ delivered: number; refused: number }>("SELECT delivered, refused FROM counts")
      .one();
    return {
      pending: this.#count("next_at_ms IS NOT NULL"),
      dead: this.#count("next_at_ms IS NULL"),
      delivered,
      refused,
    };
  }

  /** A dead message waits again, as if it were new. Null: there is none. */
  revive(id: string, now: number): NotificationEntry | null {
    const [row] = this.#sql
      .exec<Row>(
        `UPDATE messages SET next_at_ms = ?, attempts = 0 WHERE id = ? AND next_at_ms IS NULL RETURNING ${COLUMNS}`,
        now,
        id,
      )
      .toArray();
    return row === undefined ? null : entryOf(row);
  }

  discard(id: string): boolean {
    return (
      this.#sql.exec("DELETE FROM messages WHERE id = ? AND next_at_ms IS NULL RETURNING n", id).toArray().length > 0
    );
  }

  #count(condition: "next_at_ms IS NULL" | "next_at_ms IS NOT NULL"): number {
    return this.#sql.exec<{ n: number }>(`SELECT count(*) AS n FROM messages WHERE ${condition}`).one().n;
  }

  #clearDead(): void {
    this.#sql.exec(
      `DELETE FROM messages WHERE n IN (SELECT n FROM messages WHERE next_at_ms IS NULL ORDER BY n DESC LIMIT -1 OFFSET ?)`,
      MAX_DEAD,
    );
  }
}

function entryOf(row: Row): NotificationEntry {
  return {
    id: row.id,
    event: row.event,
    receiver: row.receiver,
    copy: row.copy,
    state: row.state,
    attempts: Math.min(row.attempts, MAX_ATTEMPTS),
    createdAtMs: row.created_at_ms,
    nextAtMs: row.next_at_ms,
    reason: row.reason,
  };
}

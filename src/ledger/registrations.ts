/** Puts copies on the list, one or a group of them, unless they are known by their idempotency key or are too many. */
import type { GroupRegistration, RegisterAnswer, Registration } from "./contract.ts";
import { limitReached } from "./limits.ts";

/** As long as a client may reasonably go on repeating one request. */
const KEY_LIFE_MS = 24 * 60 * 60 * 1000;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Bounds the object's size (some 150 MB of rows), whatever a tenant does. */
const MAX_ENTRIES = 100_000;
/** Registry hosts that are remembered; far more than anybody uses, and few enough to be listed at once. */
export const MAX_HOSTS = 1_000;
/** Old entries that one registration clears: more than one, so that a backlog shrinks, and few, so that it stays cheap. */
const ENTRIES_CLEARED_AT_ONCE = 4;

/** What one registration is, of a single copy or of a group. */
type Registering = Omit<Registration, "target">;

interface NewCopy {
  id: string;
  target: string;
  /** Null: it is asked for alone. */
  group: string | null;
}

/** Every method is to be called within a transaction: counting and adding are one step. */
export class Registrations {
  readonly #sql: SqlStorage;
  readonly #recordDays: () => number;

  /** @param recordDays For how many days a copy stays on the list. */
  constructor(sql: SqlStorage, recordDays: () => number) {
    this.#sql = sql;
    this.#recordDays = recordDays;
  }

  /** Registering the same id again changes nothing. */
  register(entry: Registration, now: number): RegisterAnswer {
    return this.#register(entry, [{ id: entry.id, target: entry.target, group: null }], now);
  }

  /** All copies of a group, or none. */
  registerGroup(group: GroupRegistration, now: number): RegisterAnswer {
    return this.#register(
      group,
      group.copies.map((copy) => ({ ...copy, group: group.id })),
      now,
    );
  }

  /** Forgets the idempotency keys whose time is over. */
  clearKeys(now: number): void {
    this.#sql.exec("DELETE FROM idempotency_keys WHERE at_ms <= ?", now - KEY_LIFE_MS);
  }

  /** When the next idempotency key's time is over; null: there is none. */
  nextKeyMs(): number | null {
    const [oldest] = this.#sql
      .exec<{ at_ms: number }>("SELECT at_ms FROM idempotency_keys ORDER BY at_ms LIMIT 1")
      .toArray();
    return oldest === undefined ? null : oldest.at_ms + KEY_LIFE_MS;
  }

  #register(entry: Registering, copies: readonly NewCopy[], now: number): RegisterAnswer {
    const { budget, limits } = entry.by;
    const known = this.#known(entry, now);
    if (known !== null) {
      return known;
    }
    const isLimited = limits.copiesAtOnce !== undefined || limits.copiesPerHour !== undefined;
    const more = isLimited ? copies.filter(({ id }) => !this.#isListed(id)).length : 0;
    const limited = more === 0 ? null : limitReached(this.#sql, budget, limits, now, more);
    if (limited !== null) {
      return limited;
    }
    if (entry.key !== undefined) {
      this.#sql.exec(
        "INSERT OR REPLACE INTO idempotency_keys (owner, key, fingerprint, id, at_ms) VALUES (?, ?, ?, ?, ?)",
        entry.by.id,
        entry.key,
        entry.fingerprint,
        entry.id,
        now,
      );
    }
    for (const copy of copies) {
      this.#add(entry, copy, isLimited, now);
      this.#clearOldest(now);
    }
    this.#noteHosts(entry.hosts, now);
    return { kind: "created", id: entry.id };
  }

  /** What the same idempotency key has made before, unless that is this very registration. */
  #known({ id, key, fingerprint, by }: Registering, now: number): RegisterAnswer | null {
    if (key === undefined) {
      return null;
    }
    const [known] = this.#sql
      .exec<{ id: string; fingerprint: string }>(
        "SELECT id, fingerprint FROM idempotency_keys WHERE owner = ? AND key = ? AND at_ms > ?",
        by.id,
        key,
        now - KEY_LIFE_MS,
      )
      .toArray();
    return known === undefined || known.id === id
      ? null
      : { kind: known.fingerprint === fingerprint ? "known" : "conflict", id: known.id };
  }

  #isListed(id: string): boolean {
    return this.#sql.exec("SELECT n FROM copies WHERE id = ? AND source IS NOT NULL", id).toArray().length > 0;
  }

  #add({ source, by, asked }: Registering, { id, target, group }: NewCopy, isLimited: boolean, now: number): void {
    this.#sql.exec(
      `INSERT INTO copies (id, state, source, target, owner, budget, accepted_at_ms, asked, group_id)
       VALUES (?1, 'accepted', ?2, ?3, ?4, ?5, ?6, ?7, ?8)
       ON CONFLICT (id) DO UPDATE SET source = ?2, target = ?3, owner = ?4, budget = ?5, asked = ?7, group_id = ?8`,
      id,
      source,
      target,
      by.id,
      isLimited ? by.budget : null,
      now,
      asked === undefined ? null : JSON.stringify(asked),
      group,
    );
  }

  #noteHosts(hosts: string[], now: number): void {
    for (const host of hosts) {
      this.#sql.exec(
        `INSERT INTO hosts (host, first_used_at_ms, last_used_at_ms) VALUES (?1, ?2, ?2)
         ON CONFLICT (host) DO UPDATE SET last_used_at_ms = max(last_used_at_ms, ?2)`,
        host,
        now,
      );
    }
    this.#sql.exec(
      `DELETE FROM hosts WHERE (SELECT count(*) FROM hosts) > ?1
       AND host IN (SELECT host FROM hosts ORDER BY last_used_at_ms DESC, host LIMIT -1 OFFSET ?1)`,
      MAX_HOSTS,
    );
  }

  /** Looks at the oldest few entries only, so it costs the same however long the list is. */
  #clearOldest(now: number): void {
    this.#sql.exec(
      `DELETE FROM copies WHERE n IN (SELECT n FROM copies ORDER BY n LIMIT ?)
       AND (accepted_at_ms < ? OR n <= (SELECT max(n) FROM copies) - ?)`,
      ENTRIES_CLEARED_AT_ONCE,
      now - this.#recordDays() * DAY_MS,
      MAX_ENTRIES,
    );
  }
}

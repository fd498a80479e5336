/** Which pushes have been answered, so that a delivery that is repeated starts nothing new. */

/** Senders repeat for hours at most; later than that a copy that finds nothing to do costs two requests. */
const LIFE_MS = 6 * 60 * 60 * 1000;
/** About 20 MB of rows. */
const MAX_DELIVERIES = 100_000;

export class Deliveries {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The copy that answered the same push, unless that has come to nothing: then it may be tried again. */
  answered(key: string, rule: string, now: number): string | null {
    const [known] = this.#sql
      .exec<{ copy: string }>(
        `SELECT d.copy FROM deliveries AS d JOIN runs ON runs.copy = d.copy
         WHERE d.key = ? AND d.rule = ? AND d.at_ms > ? AND runs.state IN ('waiting', 'running', 'succeeded')`,
        key,
        rule,
        now - LIFE_MS,
      )
      .toArray();
    return known?.copy ?? null;
  }

  note(key: string, rule: string, copy: string, now: number): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO deliveries (key, rule, copy, at_ms) VALUES (?, ?, ?, ?)",
      key,
      rule,
      copy,
      now,
    );
  }

  clear(now: number): void {
    this.#sql.exec("DELETE FROM deliveries WHERE at_ms <= ?", now - LIFE_MS);
    this.#sql.exec(
      `DELETE FROM deliveries WHERE at_ms <= (SELECT at_ms FROM deliveries ORDER BY at_ms DESC LIMIT 1 OFFSET ?)`,
      MAX_DELIVERIES,
    );
  }
}

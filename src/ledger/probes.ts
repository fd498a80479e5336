/** Messages that were sent through the queue to see whether somebody reads it, and when the consumer had them. */

/** Whoever sent one waits for seconds only; what comes later is of no use to anybody. */
const LIFE_MS = 10 * 60 * 1000;
/** However often somebody asks. */
const MAX_PROBES = 100;

export class Probes {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  open(id: string, now: number): void {
    this.#sql.exec("DELETE FROM probes WHERE sent_at_ms <= ?", now - LIFE_MS);
    this.#sql.exec(
      "DELETE FROM probes WHERE id IN (SELECT id FROM probes ORDER BY sent_at_ms DESC LIMIT -1 OFFSET ?)",
      MAX_PROBES - 1,
    );
    this.#sql.exec("INSERT OR IGNORE INTO probes (id, sent_at_ms) VALUES (?, ?)", id, now);
  }

  /** From the consumer: it is here. One that nobody has opened changes nothing; of several times the first counts. */
  came(id: string, now: number): void {
    this.#sql.exec("UPDATE probes SET came_at_ms = ? WHERE id = ? AND came_at_ms IS NULL", now, id);
  }

  cameAtMs(id: string): number | null {
    const [row] = this.#sql
      .exec<{ came_at_ms: number | null }>("SELECT came_at_ms FROM probes WHERE id = ?", id)
      .toArray();
    return row?.came_at_ms ?? null;
  }
}

/** How copies ended: what the list remembers of each when its own object is gone, and what all came to together. */
import { ENDED_STATES, type CopyState, type CopyView } from "../job/contract.ts";
import type { IndexMetrics } from "./contract.ts";
import { START_COPY } from "./unbegun.ts";
import { noTotals, type Totals, withCopy } from "./totals.ts";

/** Registries may warn a hundred times; the record keeps the first few. */
const MAX_WARNINGS = 20;

const ENDED = ENDED_STATES.map((state) => `'${state}'`).join(", ");

export class Records {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /**
   * A copy's new state, and when it has ended the copy as it is then. It may arrive before the registration, more than
   * once, or late: an ended copy stays ended, but for one that was given up for not having begun and has begun after all.
   * @returns Whether it has ended just now.
   */
  changed(id: string, state: CopyState, copy: CopyView | undefined, now: number): boolean {
    const hasEnded = ENDED_STATES.includes(state);
    const record = copy === undefined ? null : { ...copy, warnings: copy.warnings.slice(0, MAX_WARNINGS) };
    const isNew =
      this.#sql
        .exec(
          `INSERT INTO copies (id, state, accepted_at_ms, done_at_ms, record) VALUES (?1, ?2, ?3, ?4, ?5)
           ON CONFLICT (id) DO UPDATE SET state = ?2, done_at_ms = ?4, record = ?5
           WHERE ?2 <> 'accepted' AND (state NOT IN (${ENDED}) AND ?2 <> state OR record ->> '$.error.operation' = ?6)
           RETURNING n`,
          id,
          state,
          now,
          hasEnded ? now : null,
          hasEnded && record !== null ? JSON.stringify(record) : null,
          START_COPY,
        )
        .toArray().length > 0;
    if (isNew && hasEnded && copy !== undefined) {
      this.#sql.exec(
        "INSERT OR REPLACE INTO totals (one, totals) VALUES (1, ?)",
        JSON.stringify(withCopy(this.#totals(), copy)),
      );
    }
    return isNew && hasEnded;
  }

  metrics(): IndexMetrics {
    const open = { accepted: 0, running: 0 };
    for (const row of this.#sql.exec<{ state: "accepted" | "running"; n: number }>(
      "SELECT state, count(*) AS n FROM copies WHERE state IN ('accepted', 'running') GROUP BY state",
    )) {
      open[row.state] = row.n;
    }
    const { waiting } = this.#sql
      .exec<{ waiting: number }>("SELECT count(*) AS waiting FROM runs WHERE state = 'waiting'")
      .one();
    return { open, runsWaiting: waiting, totals: this.#totals() };
  }

  #totals(): Totals {
    const [row] = this.#sql.exec<{ totals: string }>("SELECT totals FROM totals").toArray();
    const kept: Partial<Totals> = row === undefined ? {} : JSON.parse(row.totals);
    return { ...noTotals(), ...kept };
  }
}

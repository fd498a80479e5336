/**
 * Brings the SQLite tables of a Durable Object to the newest version, step by step. Knows nothing of any table but its
 * own. (`PRAGMA user_version`, the usual place for the version, is not available in Durable Objects.)
 */

/** Name of the table that remembers which steps have run; no other table may use it. */
const VERSION_TABLE = "_migrations";

/**
 * Runs the steps that this object has not run yet, all in one transaction. Call it first in the constructor:
 * `migrate(ctx.storage, STEPS)`. It is synchronous, so nothing can come between.
 * @param steps One SQL text per version, oldest first; it may hold several statements. A step that has been released is
 * never changed or removed: a change of the tables is a new step at the end.
 * @throws Error when the object was written by a newer version of the service, whose tables are unknown here.
 */
export function migrate(
  storage: Pick<DurableObjectStorage, "sql" | "transactionSync">,
  steps: readonly string[],
): void {
  storage.transactionSync(() => {
    const { sql } = storage;
    sql.exec(`CREATE TABLE IF NOT EXISTS ${VERSION_TABLE} (version INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL)`);
    const { version } = sql.exec<{ version: number }>(`SELECT count(*) AS version FROM ${VERSION_TABLE}`).one();
    if (version > steps.length) {
      throw new Error(
        `This object's storage is at version ${version}, this service knows ${steps.length}: deploy the newer version again.`,
      );
    }
    for (const [index, step] of steps.entries()) {
      if (index < version) {
        continue;
      }
      sql.exec(step);
      sql.exec(`INSERT INTO ${VERSION_TABLE} (version, at_ms) VALUES (?, ?)`, index + 1, Date.now());
    }
  });
}

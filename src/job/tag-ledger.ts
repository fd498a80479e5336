/**
 * The names that a copy writes at the target, one row each, in the SQLite of its CopyJob (table `tags`, created in
 * ledger.ts). Synchronous, like the rest of the ledger; decides nothing.
 */
import type { ErrorDetail } from "../registry/errors.ts";
import type { TagState, TagTally, TagView } from "./contract.ts";

/** Of a copy of one name: its row. Others in the ledger of such a copy are tags that are attached to the image. */
export const MAIN_TAG_ID = 1;

/** One name, from source to target. */
export interface TagRow {
  id: number;
  /** Tag or digest at the source. */
  source: string;
  /** Tag or digest at the target; null: follows from the digest at the source. */
  target: string | null;
  digest: string | null;
  /** Digest of what is written in its place, where platforms were chosen; null: nothing else. */
  derived: string | null;
  /** What the target had under this name when it was compared; null: nothing, or nobody has looked. */
  oldDigest: string | null;
  /** Whether the target's list of tags has it; null: there is no list to go by. */
  held: boolean | null;
  state: TagState;
}

export interface NewTag {
  source: string;
  target: string | null;
  held: boolean | null;
  state: TagState;
}

export interface TagQuery {
  state?: TagState;
  limit: number;
  /** The `next` of the page before. */
  cursor?: number;
}

interface Row extends Record<string, SqlStorageValue> {
  id: number;
  source: string;
  target: string | null;
  digest: string | null;
  derived: string | null;
  old_digest: string | null;
  held: number | null;
  state: TagState;
  error: string | null;
  reason: string | null;
}

/** Rows written by one statement: well under the 2 MB that a bound value may have. */
const ROWS_PER_WRITE = 1_000;

export class TagLedger {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  add(tags: readonly NewTag[]): void {
    for (let from = 0; from < tags.length; from += ROWS_PER_WRITE) {
      this.#sql.exec(
        `INSERT INTO tags (source, target, held, state)
         SELECT value ->> 'source', value ->> 'target', value ->> 'held', value ->> 'state' FROM json_each(?)`,
        JSON.stringify(tags.slice(from, from + ROWS_PER_WRITE)),
      );
    }
  }

  /** The next rows in a state, in the order in which they were added. */
  inState(state: TagState, limit: number, afterId = 0): TagRow[] {
    return this.#sql
      .exec<Row>("SELECT * FROM tags WHERE state = ? AND id > ? ORDER BY id LIMIT ?", state, afterId, limit)
      .toArray()
      .map(rowOf);
  }

  /** Every name at the source that is named after a digest, whatever became of it. */
  digestTags(): string[] {
    return this.#sql
      .exec<{ source: string }>("SELECT source FROM tags WHERE source GLOB 'sha[235]*-*'")
      .toArray()
      .map(({ source }) => source);
  }

  get(id: number): TagRow | null {
    const row = this.#sql.exec<Row>("SELECT * FROM tags WHERE id = ?", id).toArray()[0];
    return row === undefined ? null : rowOf(row);
  }

  /** Whether the copy writes this name at the target, or leaves it there as one of its own. */
  names(target: string): boolean {
    return (
      this.#sql
        .exec("SELECT 1 FROM tags WHERE target = ? AND state NOT IN ('obsolete', 'deleted') LIMIT 1", target)
        .toArray().length > 0
    );
  }

  /** Whether its name is on its way, so that nobody can say what the target has. */
  sent(id: number, isUnderWay: boolean): void {
    this.#sql.exec("UPDATE tags SET sent = ? WHERE id = ?", Number(isUnderWay), id);
  }

  /** Names on their way, also of a run that was thrown out of memory before it had their answers. */
  underWay(): string[] {
    return this.#sql
      .exec<{ target: string; state: TagState }>(
        "SELECT target, state FROM tags WHERE state IN ('waiting', 'planned', 'obsolete') AND sent = 1 ORDER BY id",
      )
      .toArray()
      .map(({ target, state }) => (state === "obsolete" ? removalOf(target) : target));
  }

  /** Whether any other row has not ended. */
  hasOpenBeside(id: number): boolean {
    const open = this.#sql.exec("SELECT 1 FROM tags WHERE state IN ('waiting', 'planned') AND id <> ? LIMIT 1", id);
    return open.toArray().length > 0;
  }

  /** Both ends have been compared, and there is something to do. */
  planned(id: number, digest: string, target: string, oldDigest: string | null, derived: string | null = null): void {
    this.#sql.exec(
      "UPDATE tags SET state = 'planned', digest = ?, target = ?, old_digest = ?, derived = ? WHERE id = ?",
      digest,
      target,
      oldDigest,
      derived,
      id,
    );
  }

  /** Ends a row; false when it had ended before. What is not said of its digests stays as it is. */
  end(
    id: number,
    state: TagState,
    said: {
      digest?: string;
      derived?: string;
      target?: string;
      oldDigest?: string;
      error?: ErrorDetail;
      reason?: string;
    } = {},
  ): boolean {
    const { digest = null, derived = null, target = null, oldDigest = null, error, reason = null } = said;
    return this.#changed(
      `UPDATE tags SET state = ?, digest = coalesce(?, digest), derived = coalesce(?, derived), target = coalesce(?, target),
              old_digest = coalesce(?, old_digest), error = ?, reason = ?
       WHERE id = ? AND state IN ('waiting', 'planned', 'obsolete') RETURNING id`,
      state,
      digest,
      derived,
      target,
      oldDigest,
      error === undefined ? null : JSON.stringify(error),
      reason,
      id,
    );
  }

  /** Ends whatever has not ended. */
  endRest(state: "failed" | "cancelled", error: ErrorDetail | null): void {
    this.#sql.exec(
      "UPDATE tags SET state = ?, error = ? WHERE state IN ('waiting', 'planned')",
      state,
      error === null ? null : JSON.stringify(error),
    );
  }

  tally(): TagTally {
    const tally: TagTally = { all: 0, copied: 0, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 };
    for (const { state, n } of this.#sql.exec<{ state: TagState; n: number }>(
      "SELECT state, count(*) AS n FROM tags GROUP BY state",
    )) {
      if (state !== "obsolete" && state !== "deleted") {
        tally.all += n;
      }
      if (state !== "waiting" && state !== "planned" && state !== "cancelled") {
        tally[state] = n;
      }
    }
    return tally;
  }

  /** A row as the API shows it. */
  view(id: number): TagView | null {
    const row = this.#sql.exec<Row>("SELECT * FROM tags WHERE id = ?", id).toArray()[0];
    return row === undefined ? null : viewOf(row);
  }

  /** The first row that failed. */
  firstFailure(): { source: string; error: ErrorDetail } | null {
    const row = this.#sql
      .exec<Row>("SELECT * FROM tags WHERE state = 'failed' AND error IS NOT NULL ORDER BY id LIMIT 1")
      .toArray()[0];
    const error = errorOf(row?.error ?? null);
    return row === undefined || error === null ? null : { source: row.source, error };
  }

  /** Names that were left out by a choice of the copy: how many, and the first of them. */
  leftOut(limit: number): { count: number; some: { source: string; reason: string }[] } {
    const some = this.#sql
      .exec<{ source: string; reason: string }>(
        "SELECT source, reason FROM tags WHERE state = 'skipped' AND reason IS NOT NULL ORDER BY id LIMIT ?",
        limit,
      )
      .toArray();
    const { count } = this.#sql
      .exec<{ count: number }>("SELECT count(*) AS count FROM tags WHERE state = 'skipped' AND reason IS NOT NULL")
      .one();
    return { count, some };
  }

  page({ state, limit, cursor = 0 }: TagQuery): { tags: TagView[]; next: number | null } {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM tags WHERE id > ?1 AND (?2 IS NULL OR state = ?2) ORDER BY id LIMIT ?3",
        cursor,
        state ?? null,
        limit + 1,
      )
      .toArray();
    const shown = rows.slice(0, limit);
    return { tags: shown.map(viewOf), next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
  }

  #changed(statement: string, ...values: SqlStorageValue[]): boolean {
    return this.#sql.exec(statement, ...values).toArray().length > 0;
  }
}

/** What is on its way, where a name is to go. */
export function removalOf(tag: string): string {
  return `the removal of ${tag}`;
}

function rowOf({ id, source, target, digest, derived, old_digest, held, state }: Row): TagRow {
  return { id, source, target, digest, derived, oldDigest: old_digest, held: held === null ? null : held !== 0, state };
}

function viewOf({ source, target, digest, derived, old_digest, state, error, reason }: Row): TagView {
  return {
    source: source === "" ? null : source,
    target,
    digest,
    derivedDigest: derived,
    oldDigest: old_digest,
    state,
    error: errorOf(error),
    reason,
  };
}

function errorOf(json: string | null): ErrorDetail | null {
  if (json === null) {
    return null;
  }
  const error: ErrorDetail = JSON.parse(json);
  return error;
}

/** The list of copies as it is read: page by page, newest first, by those who may see all of it or some. */
import type { CopyState } from "../job/contract.ts";
import type { CopyEntry, CopyIndexRpc } from "./contract.ts";
import { rowViewOf, type Viewer } from "./visible.ts";

/** How many of the newest copies are looked through for those of others that a viewer may see: some 20 ms, whatever its scopes. */
const COPIES_LOOKED_THROUGH = 20_000;

const COLUMNS = "n, id, state, source, target, owner, accepted_at_ms, done_at_ms, asked, group_id, record";

type Row = Record<"id" | "source" | "target" | "owner", string> & {
  n: number;
  state: CopyState;
  accepted_at_ms: number;
  done_at_ms: number | null;
  asked: string | null;
  group_id: string | null;
  record: string | null;
};

type Page = Awaited<ReturnType<CopyIndexRpc["list"]>>;

export class CopyList {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  page(query: Parameters<CopyIndexRpc["list"]>[0]): Page {
    const { viewer, state, limit, cursor } = query;
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : (this.#row(cursor, viewer)?.n ?? 0);
    const rows = viewer === undefined ? this.#rows(before, 0, state) : this.#seen(viewer, before, state);
    // Read row by row: what comes after the page is not read.
    const copies: CopyEntry[] = [];
    for (const row of rows) {
      if (copies.length === limit) {
        return { copies, next: copies.at(-1)?.id ?? null };
      }
      copies.push(entryOf(row));
    }
    return { copies, next: null };
  }

  /** Null: it is not on the list, or the viewer may not see it. */
  find(id: string, viewer?: Viewer): CopyEntry | null {
    const row = this.#row(id, viewer);
    return row === null ? null : entryOf(row);
  }

  /** In the order of the targets. None: there is no such group, or the viewer may not see all of it. */
  group(id: string, viewer?: Viewer): CopyEntry[] {
    const rows = this.#sql
      .exec<Row>(`SELECT ${COLUMNS} FROM copies WHERE group_id = ? AND source IS NOT NULL ORDER BY n`, id)
      .toArray();
    const sees = viewer === undefined ? () => true : rowViewOf(viewer);
    return rows.every(sees) ? rows.map(entryOf) : [];
  }

  #row(id: string, viewer?: Viewer): Row | null {
    const [row] = this.#sql
      .exec<Row>(`SELECT ${COLUMNS} FROM copies WHERE id = ? AND source IS NOT NULL`, id)
      .toArray();
    return row === undefined || (viewer !== undefined && !rowViewOf(viewer)(row)) ? null : row;
  }

  /** Rows from before one place down to after another, newest first; `owner`: only its own. */
  #rows(before: number, after: number, state?: CopyState, owner?: string): Iterable<Row> {
    return this.#sql.exec<Row>(
      `SELECT ${COLUMNS} FROM copies WHERE source IS NOT NULL AND n < ? AND n > ?
       ${state === undefined ? "" : "AND state = ?"} ${owner === undefined ? "" : "AND owner = ?"} ORDER BY n DESC`,
      before,
      after,
      ...(state === undefined ? [] : [state]),
      ...(owner === undefined ? [] : [owner]),
    );
  }

  /** What the viewer may see among the newest copies of all, then what is its own among the rest. */
  *#seen(viewer: Viewer, before: number, state?: CopyState): Iterable<Row> {
    const { newest } = this.#sql.exec<{ newest: number | null }>("SELECT max(n) AS newest FROM copies").one();
    const floor = Math.max(0, (newest ?? 0) - COPIES_LOOKED_THROUGH);
    const sees = rowViewOf(viewer);
    // Most rows are none of the viewer's: as bare values, and only what decides, they cost a fifth.
    const looked = this.#sql
      .exec(
        `SELECT n, owner, source, target FROM copies WHERE source IS NOT NULL AND n < ? AND n > ?
         ${state === undefined ? "" : "AND state = ?"} ORDER BY n DESC`,
        before,
        floor,
        ...(state === undefined ? [] : [state]),
      )
      .raw<[n: number, owner: string, source: string, target: string]>();
    for (const [n, owner, source, target] of looked) {
      if (sees({ owner, source, target })) {
        yield* this.#rows(n + 1, n - 1);
      }
    }
    yield* this.#rows(Math.min(before, floor + 1), 0, state, viewer.id);
  }
}

function entryOf(row: Row): CopyEntry {
  const asked: CopyEntry["asked"] = row.asked === null ? null : JSON.parse(row.asked);
  const record: CopyEntry["record"] = row.record === null ? null : JSON.parse(row.record);
  return {
    id: row.id,
    state: row.state,
    source: row.source,
    target: row.target,
    owner: row.owner,
    acceptedAtMs: row.accepted_at_ms,
    doneAtMs: row.done_at_ms,
    asked,
    group: row.group_id,
    record,
  };
}

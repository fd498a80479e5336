/**
 * What a group keeps in the SQLite of its CopyGroup: its copies, and how each stands as far as it has told. Synchronous; it
 * decides nothing.
 */
import type { CopyRequest } from "../../copy/request.ts";
import { ENDED_STATES, type CopyState, type CopyView } from "../contract.ts";

/** Schema versions for `migrate`, oldest first. `events` belongs to ../events.ts, `manifests`, `pieces` and `names` to kept-manifests.ts. */
export const GROUP_STEPS: readonly string[] = [
  `CREATE TABLE copy_group (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     id TEXT NOT NULL,
     accepted_ms INTEGER NOT NULL,
     done_ms INTEGER,
     cancelled INTEGER NOT NULL DEFAULT 0,
     source_requests INTEGER NOT NULL DEFAULT 0
   );
   CREATE TABLE copies (
     n INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     request TEXT NOT NULL,
     started INTEGER NOT NULL DEFAULT 0,
     state TEXT NOT NULL,
     view TEXT NOT NULL
   );
   CREATE TABLE manifests (
     n INTEGER PRIMARY KEY,
     digest TEXT NOT NULL UNIQUE,
     media_type TEXT NOT NULL,
     size_bytes INTEGER NOT NULL,
     host TEXT NOT NULL,
     repository TEXT NOT NULL
   );
   CREATE TABLE pieces (
     digest TEXT NOT NULL,
     piece INTEGER NOT NULL,
     bytes BLOB NOT NULL,
     PRIMARY KEY (digest, piece)
   ) WITHOUT ROWID;
   CREATE TABLE names (
     name TEXT PRIMARY KEY,
     digest TEXT NOT NULL,
     media_type TEXT NOT NULL,
     size_bytes INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE events (
     seq INTEGER PRIMARY KEY,
     at TEXT NOT NULL,
     type TEXT NOT NULL,
     data TEXT NOT NULL
   );`,
];

export interface GroupRecord {
  id: string;
  acceptedMs: number;
  /** Null: some copy has not ended. */
  doneMs: number | null;
  /** No copy may be started any more. */
  cancelled: boolean;
  /** Requests to the source that the group itself has made. */
  sourceRequests: number;
}

export interface GroupCopy {
  id: string;
  request: CopyRequest;
  /** Its CopyJob has confirmed that it has it. */
  started: boolean;
  state: CopyState;
  /** As it was when it was last written down: at its start, or its end. */
  view: CopyView;
}

const ENDED = ENDED_STATES.map((state) => `'${state}'`).join(", ");

export class GroupLedger {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  create(id: string, copies: readonly Pick<GroupCopy, "id" | "request" | "view">[], nowMs: number): void {
    this.#sql.exec("INSERT INTO copy_group (one, id, accepted_ms) VALUES (1, ?, ?)", id, nowMs);
    for (const { id: copy, request, view } of copies) {
      this.#sql.exec(
        "INSERT INTO copies (id, request, state, view) VALUES (?, ?, ?, ?)",
        copy,
        JSON.stringify(request),
        view.state,
        JSON.stringify(view),
      );
    }
  }

  /** Null: this object has no group. */
  record(): GroupRecord | null {
    const [row] = this.#sql
      .exec<{ id: string; accepted_ms: number; done_ms: number | null; cancelled: number; source_requests: number }>(
        "SELECT id, accepted_ms, done_ms, cancelled, source_requests FROM copy_group",
      )
      .toArray();
    return row === undefined
      ? null
      : {
          id: row.id,
          acceptedMs: row.accepted_ms,
          doneMs: row.done_ms,
          cancelled: row.cancelled !== 0,
          sourceRequests: row.source_requests,
        };
  }

  /** In the order of the targets. */
  copies(): GroupCopy[] {
    return this.#sql
      .exec<{ id: string; request: string; started: number; state: CopyState; view: string }>(
        "SELECT id, request, started, state, view FROM copies ORDER BY n",
      )
      .toArray()
      .map((row) => {
        const request: CopyRequest = JSON.parse(row.request);
        const view: CopyView = JSON.parse(row.view);
        return { id: row.id, request, started: row.started !== 0, state: row.state, view };
      });
  }

  /** A copy's job has it. False: that was known, or it has ended. */
  started(id: string): boolean {
    return this.#changed(
      `UPDATE copies SET started = 1, state = 'running' WHERE id = ? AND started = 0 AND state NOT IN (${ENDED}) RETURNING n`,
      id,
    );
  }

  /** A copy's end. False: it had ended before, or is none of the group's. */
  ended(view: CopyView): boolean {
    return this.#changed(
      `UPDATE copies SET started = 1, state = ?, view = ? WHERE id = ? AND state NOT IN (${ENDED}) RETURNING n`,
      view.state,
      JSON.stringify(view),
      view.id,
    );
  }

  cancel(): void {
    this.#sql.exec("UPDATE copy_group SET cancelled = 1");
  }

  /** Ends the group once: false when it had ended before. */
  end(nowMs: number): boolean {
    return this.#changed("UPDATE copy_group SET done_ms = ? WHERE done_ms IS NULL RETURNING one", nowMs);
  }

  countRequests(more: number): void {
    this.#sql.exec("UPDATE copy_group SET source_requests = source_requests + ?", more);
  }

  #changed(statement: string, ...values: SqlStorageValue[]): boolean {
    return this.#sql.exec(statement, ...values).toArray().length > 0;
  }
}

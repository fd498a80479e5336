/**
 * The ledger of one copy, in the SQLite of its CopyJob: everything needed to go on after an eviction, and what the API
 * shows. Here is the copy itself; its manifests, blobs and names have a file each. Synchronous; a caller's writes without an
 * await between them are one transaction. It decides nothing and tells nobody.
 */
import type { CopyRequest } from "../copy/request.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import { BlobLedger, type BlobSums } from "./blob-ledger.ts";
import type { CopyState } from "./contract.ts";
import { ManifestLedger, type ManifestTally } from "./manifest-ledger.ts";
import { TagLedger } from "./tag-ledger.ts";

/** Schema versions for `migrate`, oldest first. `events` belongs to events.ts, the other tables to the ledgers named like them. */
export const LEDGER_STEPS: readonly string[] = [
  `CREATE TABLE copy (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     id TEXT NOT NULL,
     request TEXT NOT NULL,
     state TEXT NOT NULL,
     root TEXT,
     repository TEXT,
     accepted_ms INTEGER NOT NULL,
     committed_ms INTEGER,
     done_ms INTEGER,
     error TEXT,
     source_requests INTEGER NOT NULL DEFAULT 0,
     target_requests INTEGER NOT NULL DEFAULT 0,
     crashes INTEGER NOT NULL DEFAULT 0,
     told INTEGER NOT NULL DEFAULT 0
   );
   CREATE TABLE manifests (
     digest TEXT PRIMARY KEY,
     media_type TEXT NOT NULL,
     size_bytes INTEGER NOT NULL,
     state TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE manifest_pieces (
     digest TEXT NOT NULL,
     piece INTEGER NOT NULL,
     bytes BLOB NOT NULL,
     PRIMARY KEY (digest, piece)
   ) WITHOUT ROWID;
   CREATE TABLE blobs (
     digest TEXT PRIMARY KEY,
     size_bytes INTEGER NOT NULL,
     state TEXT NOT NULL,
     since_ms INTEGER NOT NULL,
     source_requests INTEGER NOT NULL DEFAULT 0,
     target_requests INTEGER NOT NULL DEFAULT 0,
     first_byte_ms INTEGER
   ) WITHOUT ROWID;
   CREATE TABLE events (
     seq INTEGER PRIMARY KEY,
     at TEXT NOT NULL,
     type TEXT NOT NULL,
     data TEXT NOT NULL
   );`,
  `CREATE TABLE tags (
     id INTEGER PRIMARY KEY,
     source TEXT NOT NULL,
     target TEXT,
     digest TEXT,
     old_digest TEXT,
     held INTEGER,
     state TEXT NOT NULL,
     error TEXT
   );
   CREATE INDEX tags_by_state ON tags (state);
   ALTER TABLE blobs ADD COLUMN error TEXT;`,
  // From which of the places that the copy reads from (registry/places.ts).
  `ALTER TABLE blobs ADD COLUMN place INTEGER NOT NULL DEFAULT 0;`,
  // What is written where platforms were chosen; null: the very manifest of the source.
  `ALTER TABLE tags ADD COLUMN derived TEXT;`,
  `ALTER TABLE tags ADD COLUMN reason TEXT;`,
  // Its name was sent, and what became of that is not known yet.
  `ALTER TABLE tags ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;`,
];

/** What is known of the target repository: it holds the one tag already, it may hold anything, it did not exist. */
export type TargetRepository = "holds_tag" | "unknown" | "new";

export interface CopyRecord {
  id: string;
  request: CopyRequest;
  state: CopyState;
  /** Digest of the source's manifest, once known; of a repository's copy there is none. */
  root: string | null;
  /** Null until both ends have been compared. */
  repository: TargetRepository | null;
  acceptedMs: number;
  doneMs: number | null;
  error: ErrorDetail | null;
  /** Requests of the job itself, without those of its blobs. */
  requests: { source: number; target: number };
  /** Runs that ended in something unforeseen. */
  crashes: number;
  /** The end has been told to everybody who must know. */
  told: boolean;
}

export interface LedgerSums extends BlobSums {
  manifests: ManifestTally;
}

interface CopyRow extends Record<string, SqlStorageValue> {
  id: string;
  request: string;
  state: CopyState;
  root: string | null;
  repository: TargetRepository | null;
  accepted_ms: number;
  done_ms: number | null;
  error: string | null;
  source_requests: number;
  target_requests: number;
  crashes: number;
  told: number;
}

export class Ledger {
  readonly #sql: SqlStorage;
  readonly manifests: ManifestLedger;
  readonly blobs: BlobLedger;
  /** The names that the copy writes. */
  readonly tags: TagLedger;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.manifests = new ManifestLedger(sql);
    this.blobs = new BlobLedger(sql);
    this.tags = new TagLedger(sql);
  }

  create(id: string, request: CopyRequest, nowMs: number): void {
    this.#sql.exec(
      "INSERT INTO copy (one, id, request, state, accepted_ms) VALUES (1, ?, ?, 'accepted', ?)",
      id,
      JSON.stringify(request),
      nowMs,
    );
  }

  /** Null: this object has no copy. */
  record(): CopyRecord | null {
    const row = this.#sql.exec<CopyRow>("SELECT * FROM copy").toArray()[0];
    if (row === undefined) {
      return null;
    }
    const request: CopyRequest = JSON.parse(row.request);
    const error: ErrorDetail | null = row.error === null ? null : JSON.parse(row.error);
    return {
      id: row.id,
      request,
      state: row.state,
      root: row.root,
      repository: row.repository,
      acceptedMs: row.accepted_ms,
      doneMs: row.done_ms,
      error,
      requests: { source: row.source_requests, target: row.target_requests },
      crashes: row.crashes,
      told: row.told !== 0,
    };
  }

  run(): void {
    this.#sql.exec("UPDATE copy SET state = 'running' WHERE state = 'accepted'");
  }

  opened(root: string | null, repository: TargetRepository): void {
    this.#sql.exec("UPDATE copy SET root = ?, repository = ?", root, repository);
  }

  /**
   * The point after which the root may be pushed: false when the copy no longer runs. It writes, so that the output gate
   * holds the push back until it is certain that this is still the one living instance of the object.
   * @param row Of the name that is pushed, where it has one.
   */
  commit(nowMs: number, row?: number): boolean {
    const update = this.#sql.exec("UPDATE copy SET committed_ms = ? WHERE state = 'running' RETURNING one", nowMs);
    const isRunning = update.toArray().length > 0;
    if (isRunning && row !== undefined) {
      this.tags.sent(row, true);
    }
    return isRunning;
  }

  /** Ends the copy once: false when it had ended before. Manifest bytes are of no use after that. */
  end(state: CopyState, error: ErrorDetail | null, nowMs: number): boolean {
    const ended = this.#sql
      .exec(
        "UPDATE copy SET state = ?, error = ?, done_ms = ? WHERE state IN ('accepted', 'running') RETURNING one",
        state,
        error === null ? null : JSON.stringify(error),
        nowMs,
      )
      .toArray();
    if (ended.length === 0) {
      return false;
    }
    this.manifests.dropBytes();
    return true;
  }

  told(): void {
    this.#sql.exec("UPDATE copy SET told = 1");
  }

  /** Counts a run that ended in something unforeseen, and keeps what it was. */
  crashed(error: ErrorDetail): number {
    const row = this.#sql
      .exec<{ crashes: number }>(
        "UPDATE copy SET crashes = crashes + 1, error = ? RETURNING crashes",
        JSON.stringify(error),
      )
      .one();
    return row.crashes;
  }

  setRequests(requests: { source: number; target: number }): void {
    const { source, target } = requests;
    this.#sql.exec(
      "UPDATE copy SET source_requests = ?1, target_requests = ?2 WHERE source_requests <> ?1 OR target_requests <> ?2",
      source,
      target,
    );
  }

  sums(): LedgerSums {
    return { ...this.blobs.sums(), manifests: this.manifests.tally() };
  }
}

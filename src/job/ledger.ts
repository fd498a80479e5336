/**
 * The ledger of one copy, in the SQLite of its CopyJob: everything needed to go on after an eviction, and what the API
 * shows. Synchronous; a caller's writes without an await between them are one transaction. It decides nothing and tells
 * nobody.
 */
import type { Descriptor } from "../copy/graph.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { Settlement } from "../host/contract.ts";
import type { Manifest } from "../registry/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { BlobEvent, CopyState, Tally } from "./contract.ts";
import { TagLedger } from "./tag-ledger.ts";

/** Schema versions for `migrate`, oldest first. `events` belongs to events.ts, `tags` to tag-ledger.ts. */
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
];

/** A row holds 2 MB at most and a manifest 4 MiB. */
const PIECE_BYTES = 1_000_000;

/** What is known of the target repository: it holds the one tag already, it may hold anything, it did not exist. */
export type TargetRepository = "holds_tag" | "unknown" | "new";

export type ManifestState = "read" | "copied" | "present";

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

export interface LedgerSums {
  blobs: Tally;
  bytes: Tally;
  manifests: { all: number; copied: number; present: number };
  blobRequests: { source: number; target: number };
  firstByteMs: number | null;
}

export type BlobState = BlobEvent["state"];

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
  /** The names that the copy writes. */
  readonly tags: TagLedger;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
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
   */
  commit(nowMs: number): boolean {
    const update = this.#sql.exec("UPDATE copy SET committed_ms = ? WHERE state = 'running' RETURNING one", nowMs);
    return update.toArray().length > 0;
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
    this.#sql.exec("DELETE FROM manifest_pieces");
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

  /** A manifest that has been read, with its bytes. */
  saveManifest(manifest: Manifest, state: ManifestState): void {
    const { digest, mediaType, bytes } = manifest;
    this.#putManifest(digest, mediaType, bytes.byteLength, state);
    for (let piece = 0; piece * PIECE_BYTES < bytes.byteLength; piece += 1) {
      this.#sql.exec(
        "INSERT OR REPLACE INTO manifest_pieces (digest, piece, bytes) VALUES (?, ?, ?)",
        digest,
        piece,
        bytes.slice(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES),
      );
    }
  }

  /** A manifest that need not be read, since the target has it and all it refers to. One that was read stays as it is. */
  manifestPresent({ digest, mediaType, sizeBytes }: Pick<Descriptor, "digest" | "mediaType" | "sizeBytes">): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO manifests (digest, media_type, size_bytes, state) VALUES (?, ?, ?, 'present')",
      digest,
      mediaType,
      sizeBytes,
    );
  }

  /** A manifest that was read is at the target now, with all it refers to. */
  manifestArrived(digest: string, state: "copied" | "present"): void {
    this.#sql.exec("UPDATE manifests SET state = ? WHERE digest = ? AND state = 'read'", state, digest);
  }

  /** How a manifest stands. Null: nothing is known of it. */
  manifestState(digest: string): { sizeBytes: number; mediaType: string; state: ManifestState } | null {
    const row = this.#sql
      .exec<{ size_bytes: number; media_type: string; state: ManifestState }>(
        "SELECT size_bytes, media_type, state FROM manifests WHERE digest = ?",
        digest,
      )
      .toArray()[0];
    return row === undefined ? null : { sizeBytes: row.size_bytes, mediaType: row.media_type, state: row.state };
  }

  /** A manifest as it was read. Null: it was not. */
  manifest(digest: string): Manifest | null {
    const row = this.#sql
      .exec<{ media_type: string; size_bytes: number }>(
        "SELECT media_type, size_bytes FROM manifests WHERE digest = ?",
        digest,
      )
      .toArray()[0];
    if (row === undefined) {
      return null;
    }
    const bytes = new Uint8Array(row.size_bytes);
    let offset = 0;
    const pieces = this.#sql.exec<{ bytes: ArrayBuffer }>(
      "SELECT bytes FROM manifest_pieces WHERE digest = ? ORDER BY piece",
      digest,
    );
    for (const piece of pieces) {
      bytes.set(new Uint8Array(piece.bytes), offset);
      offset += piece.bytes.byteLength;
    }
    return offset === row.size_bytes ? { digest, mediaType: row.media_type, bytes } : null;
  }

  /** @param place From where they are to be read. */
  addBlobs(blobs: Descriptor[], state: "waiting" | "present", nowMs: number, place = 0): void {
    for (const { digest, sizeBytes } of blobs) {
      this.#sql.exec(
        "INSERT OR IGNORE INTO blobs (digest, size_bytes, state, since_ms, place) VALUES (?, ?, ?, ?, ?)",
        digest,
        sizeBytes,
        state,
        nowMs,
        place,
      );
    }
  }

  /** From which place a blob is to be read. */
  placeOf(digest: string): number {
    return (
      this.#sql.exec<{ place: number }>("SELECT place FROM blobs WHERE digest = ?", digest).toArray()[0]?.place ?? 0
    );
  }

  /** A blob could not be read from its place: the next one is to be asked. The requests so far are booked. False: it has ended. */
  moveOn({ digest, requests }: Settlement): boolean {
    const moved = this.#sql.exec(
      `UPDATE blobs SET place = place + 1, source_requests = source_requests + ?, target_requests = target_requests + ?
       WHERE digest = ? AND state = 'waiting' RETURNING digest`,
      requests.source,
      requests.target,
      digest,
    );
    return moved.toArray().length > 0;
  }

  /** Nothing can be read from a place: all that waits for it goes to the next one. */
  leavePlace(place: number): void {
    this.#sql.exec("UPDATE blobs SET place = place + 1 WHERE state = 'waiting' AND place = ?", place);
  }

  /** A blob that had come to the target is not there: it is to be sent once more. */
  reopenBlob(digest: string): void {
    this.#sql.exec("UPDATE blobs SET state = 'waiting' WHERE digest = ? AND state <> 'failed'", digest);
  }

  waitingBlobs(): { digest: string; sizeBytes: number; sinceMs: number }[] {
    return this.#sql
      .exec<{ digest: string; size_bytes: number; since_ms: number }>(
        "SELECT digest, size_bytes, since_ms FROM blobs WHERE state = 'waiting'",
      )
      .toArray()
      .map((row) => ({ digest: row.digest, sizeBytes: row.size_bytes, sinceMs: row.since_ms }));
  }

  /** How a blob stands, and why it failed. Null: no manifest so far has named it. */
  blob(digest: string): { state: BlobState; error: ErrorDetail | null } | null {
    const row = this.#sql
      .exec<{ state: BlobState; error: string | null }>("SELECT state, error FROM blobs WHERE digest = ?", digest)
      .toArray()[0];
    if (row === undefined) {
      return null;
    }
    const error: ErrorDetail | null = row.error === null ? null : JSON.parse(row.error);
    return { state: row.state, error };
  }

  /** Books what became of a blob; its size, or null when it is unknown or was settled before. */
  settle(settlement: Settlement): number | null {
    const { digest, outcome, requests, firstByteAt, error } = settlement;
    const row = this.#sql
      .exec<{ size_bytes: number }>(
        `UPDATE blobs SET state = ?, source_requests = source_requests + ?, target_requests = target_requests + ?,
                          first_byte_ms = ?, error = ?
         WHERE digest = ? AND state = 'waiting' RETURNING size_bytes`,
        outcome satisfies BlobState,
        requests.source,
        requests.target,
        firstByteAt ?? null,
        error === undefined ? null : JSON.stringify(error),
        digest,
      )
      .toArray()[0];
    return row === undefined ? null : row.size_bytes;
  }

  sums(): LedgerSums {
    const blobs: Tally = { all: 0, copied: 0, mounted: 0, present: 0 };
    const bytes: Tally = { all: 0, copied: 0, mounted: 0, present: 0 };
    const blobRequests = { source: 0, target: 0 };
    let firstByteMs: number | null = null;
    const rows = this.#sql.exec<{
      state: BlobState;
      n: number;
      bytes: number;
      source: number;
      target: number;
      first: number | null;
    }>(
      `SELECT state, count(*) AS n, sum(size_bytes) AS bytes, sum(source_requests) AS source,
              sum(target_requests) AS target, min(first_byte_ms) AS first FROM blobs GROUP BY state`,
    );
    for (const row of rows) {
      blobs.all += row.n;
      bytes.all += row.bytes;
      blobRequests.source += row.source;
      blobRequests.target += row.target;
      if (row.first !== null) {
        firstByteMs = Math.min(row.first, firstByteMs ?? row.first);
      }
      if (row.state === "copied" || row.state === "mounted" || row.state === "present") {
        blobs[row.state] = row.n;
        bytes[row.state] = row.bytes;
      }
    }
    const manifests = { all: 0, copied: 0, present: 0 };
    for (const row of this.#sql.exec<{ state: ManifestState; n: number }>(
      "SELECT state, count(*) AS n FROM manifests GROUP BY state",
    )) {
      manifests.all += row.n;
      if (row.state !== "read") {
        manifests[row.state] = row.n;
      }
    }
    return { blobs, bytes, manifests, blobRequests, firstByteMs };
  }

  #putManifest(digest: string, mediaType: string, sizeBytes: number, state: ManifestState): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO manifests (digest, media_type, size_bytes, state) VALUES (?, ?, ?, ?)",
      digest,
      mediaType,
      sizeBytes,
      state,
    );
  }
}

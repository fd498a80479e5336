/**
 * A copy's blobs: how each stands, and from which place it is read, in the SQLite of its CopyJob (table `blobs`, created in
 * ledger.ts). Synchronous, like the rest of the ledger; decides nothing.
 */
import type { Descriptor } from "../copy/graph.ts";
import type { Settlement } from "../host/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { BlobEvent, Tally } from "./contract.ts";

export type BlobState = BlobEvent["state"];

export interface BlobSums {
  blobs: Tally;
  bytes: Tally;
  /** Requests of lanes, for blobs that have been settled or have left a mirror. */
  blobRequests: { source: number; target: number };
  firstByteMs: number | null;
}

export class BlobLedger {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** @param place From where they are to be read. */
  add(blobs: Descriptor[], state: "waiting" | "present", nowMs: number, place = 0): void {
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

  /**
   * A blob that had come to the target is not there: it is to be sent once more.
   * @returns Why it cannot be, where that has been tried and has failed; else null.
   */
  reopen(digest: string): ErrorDetail | null {
    this.#sql.exec("UPDATE blobs SET state = 'waiting' WHERE digest = ? AND state <> 'failed'", digest);
    return this.get(digest)?.error ?? null;
  }

  waiting(): { digest: string; sizeBytes: number; sinceMs: number }[] {
    return this.#sql
      .exec<{ digest: string; size_bytes: number; since_ms: number }>(
        "SELECT digest, size_bytes, since_ms FROM blobs WHERE state = 'waiting'",
      )
      .toArray()
      .map((row) => ({ digest: row.digest, sizeBytes: row.size_bytes, sinceMs: row.since_ms }));
  }

  /** How a blob stands, and why it failed. Null: no manifest so far has named it. */
  get(digest: string): { state: BlobState; error: ErrorDetail | null } | null {
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

  sums(): BlobSums {
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
    return { blobs, bytes, blobRequests, firstByteMs };
  }
}

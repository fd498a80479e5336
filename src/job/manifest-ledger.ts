/**
 * What is known of a copy's manifests, in the SQLite of its CopyJob (tables `manifests` and `manifest_pieces`, created in
 * ledger.ts). Synchronous, like the rest of the ledger; decides nothing.
 */
import type { Descriptor } from "../copy/graph.ts";
import type { Manifest } from "../registry/contract.ts";
import { ManifestPieces } from "./manifest-pieces.ts";

/** Read at the source; at the target now (`copied`), or there before (`present`). */
export type ManifestState = "read" | "copied" | "present";

/** How a manifest stands. */
export interface KnownManifest {
  /** "": not known. */
  mediaType: string;
  /** -1: not known. */
  sizeBytes: number;
  state: ManifestState;
}

export interface ManifestTally {
  all: number;
  copied: number;
  present: number;
}

export class ManifestLedger {
  readonly #sql: SqlStorage;
  readonly #pieces: ManifestPieces;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#pieces = new ManifestPieces(sql, "manifest_pieces");
  }

  /** One that has been read, with its bytes. */
  save({ digest, mediaType, bytes }: Manifest, state: ManifestState): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO manifests (digest, media_type, size_bytes, state) VALUES (?, ?, ?, ?)",
      digest,
      mediaType,
      bytes.byteLength,
      state,
    );
    this.#pieces.write(digest, bytes);
  }

  /** One that need not be read, since the target has it and all it refers to. One that was read stays as it is. */
  present({ digest, mediaType, sizeBytes }: Pick<Descriptor, "digest" | "mediaType" | "sizeBytes">): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO manifests (digest, media_type, size_bytes, state) VALUES (?, ?, ?, 'present')",
      digest,
      mediaType,
      sizeBytes,
    );
  }

  /** One that was read is at the target now, with all it refers to. */
  arrived(digest: string, state: "copied" | "present"): void {
    this.#sql.exec("UPDATE manifests SET state = ? WHERE digest = ? AND state = 'read'", state, digest);
  }

  /** Null: nothing is known of it. */
  known(digest: string): KnownManifest | null {
    const row = this.#sql
      .exec<{ size_bytes: number; media_type: string; state: ManifestState }>(
        "SELECT size_bytes, media_type, state FROM manifests WHERE digest = ?",
        digest,
      )
      .toArray()[0];
    return row === undefined ? null : { sizeBytes: row.size_bytes, mediaType: row.media_type, state: row.state };
  }

  /** One as it was read. Null: it was not. */
  get(digest: string): Manifest | null {
    const known = this.known(digest);
    const bytes = known === null ? null : this.#pieces.read(digest, known.sizeBytes);
    return known === null || bytes === null ? null : { digest, mediaType: known.mediaType, bytes };
  }

  /** From now on nothing is kept of them but how they stand. */
  dropBytes(): void {
    this.#pieces.dropAll();
  }

  tally(): ManifestTally {
    const tally = { all: 0, copied: 0, present: 0 };
    for (const { state, n } of this.#sql.exec<{ state: ManifestState; n: number }>(
      "SELECT state, count(*) AS n FROM manifests GROUP BY state",
    )) {
      tally.all += n;
      if (state !== "read") {
        tally[state] = n;
      }
    }
    return tally;
  }
}

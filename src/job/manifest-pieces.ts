/**
 * The bytes of manifests in an object's SQLite, in pieces below what a row may hold. Knows their digests and nothing else of
 * them: what kind they are, and for how long they are kept, is its owner's business.
 */

/** A row holds 2 MB at most and a manifest 4 MiB. */
const PIECE_BYTES = 1_000_000;

/** Tables with the columns `digest`, `piece` (counted from 0) and `bytes`; their owners create them. */
export type PiecesTable = "manifest_pieces" | "pieces";

export class ManifestPieces {
  readonly #sql: SqlStorage;
  readonly #table: PiecesTable;

  constructor(sql: SqlStorage, table: PiecesTable) {
    this.#sql = sql;
    this.#table = table;
  }

  /** Kept again, nothing changes: a digest has but one content. */
  write(digest: string, bytes: Uint8Array): void {
    for (let piece = 0; piece * PIECE_BYTES < bytes.byteLength; piece += 1) {
      this.#sql.exec(
        `INSERT OR REPLACE INTO ${this.#table} (digest, piece, bytes) VALUES (?, ?, ?)`,
        digest,
        piece,
        bytes.slice(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES),
      );
    }
  }

  /** Null: they are not here, or not so many. */
  read(digest: string, sizeBytes: number): Uint8Array<ArrayBuffer> | null {
    const pieces = this.#sql
      .exec<{ bytes: ArrayBuffer }>(`SELECT bytes FROM ${this.#table} WHERE digest = ? ORDER BY piece`, digest)
      .toArray();
    if (pieces.length === 0 || pieces.reduce((sum, { bytes }) => sum + bytes.byteLength, 0) !== sizeBytes) {
      return null;
    }
    const whole = new Uint8Array(sizeBytes);
    let at = 0;
    for (const { bytes } of pieces) {
      whole.set(new Uint8Array(bytes), at);
      at += bytes.byteLength;
    }
    return whole;
  }

  drop(digest: string): void {
    this.#sql.exec(`DELETE FROM ${this.#table} WHERE digest = ?`, digest);
  }

  dropAll(): void {
    this.#sql.exec(`DELETE FROM ${this.#table}`);
  }
}

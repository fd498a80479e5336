/**
 * The source's manifests that a group has read, in the SQLite of its CopyGroup (tables created in ledger.ts), until the group
 * ends or there are too many bytes of them: what went is read again for whoever still asks.
 */
import type { ManifestHead } from "../../registry/contract.ts";
import { isDigest } from "../../registry/digest.ts";
import { ManifestPieces } from "../manifest-pieces.ts";
import type { SharedManifest } from "./contract.ts";

/** Manifests of some 20,000 images. A slow target that needs more than these costs reads, and nothing else. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

interface Row extends Record<string, SqlStorageValue> {
  digest: string;
  media_type: string;
  size_bytes: number;
  host: string;
  repository: string;
}

export class KeptManifests {
  readonly #sql: SqlStorage;
  readonly #pieces: ManifestPieces;
  readonly #maxBytes: number;
  #bytes: number | null = null;

  constructor(sql: SqlStorage, maxBytes = MAX_KEPT_BYTES) {
    this.#sql = sql;
    this.#pieces = new ManifestPieces(sql, "pieces");
    this.#maxBytes = maxBytes;
  }

  /** @param reference A digest, or a tag whose digest is known here. Null: it is not kept. */
  manifest(reference: string): SharedManifest | null {
    const digest = isDigest(reference) ? reference : this.head(reference)?.digest;
    const [row] =
      digest === undefined ? [] : this.#sql.exec<Row>("SELECT * FROM manifests WHERE digest = ?", digest).toArray();
    const bytes = row === undefined ? null : this.#pieces.read(row.digest, row.size_bytes);
    return row === undefined || bytes === null
      ? null
      : { digest: row.digest, mediaType: row.media_type, bytes, from: { host: row.host, repository: row.repository } };
  }

  /** What a tag stands for, for all copies of the group. Null: nobody has asked. */
  head(tag: string): ManifestHead | null {
    const [row] = this.#sql
      .exec<{ digest: string; media_type: string; size_bytes: number }>(
        "SELECT digest, media_type, size_bytes FROM names WHERE name = ?",
        tag,
      )
      .toArray();
    return row === undefined ? null : { digest: row.digest, mediaType: row.media_type, sizeBytes: row.size_bytes };
  }

  /** From now on this is what the tag stands for. */
  name(tag: string, { digest, mediaType, sizeBytes }: ManifestHead): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO names (name, digest, media_type, size_bytes) VALUES (?, ?, ?, ?)",
      tag,
      digest,
      mediaType,
      sizeBytes,
    );
  }

  keep({ digest, mediaType, bytes, from }: SharedManifest): void {
    const isNew =
      this.#sql
        .exec(
          `INSERT OR IGNORE INTO manifests (digest, media_type, size_bytes, host, repository) VALUES (?, ?, ?, ?, ?)
           RETURNING n`,
          digest,
          mediaType,
          bytes.byteLength,
          from.host,
          from.repository,
        )
        .toArray().length > 0;
    if (!isNew) {
      return;
    }
    this.#pieces.write(digest, bytes);
    this.#bytes = (this.#bytes ?? this.#summed() - bytes.byteLength) + bytes.byteLength;
    this.#makeRoom();
  }

  clear(): void {
    this.#sql.exec("DELETE FROM manifests; DELETE FROM names;");
    this.#pieces.dropAll();
    this.#bytes = 0;
  }

  /** The oldest go first: what all have asked for by now, unless one is far behind. */
  #makeRoom(): void {
    while ((this.#bytes ?? 0) > this.#maxBytes) {
      const [oldest] = this.#sql
        .exec<{ digest: string; size_bytes: number }>(
          "DELETE FROM manifests WHERE n = (SELECT min(n) FROM manifests) RETURNING digest, size_bytes",
        )
        .toArray();
      if (oldest === undefined) {
        return;
      }
      this.#pieces.drop(oldest.digest);
      this.#bytes = (this.#bytes ?? 0) - oldest.size_bytes;
    }
  }

  #summed(): number {
    return this.#sql.exec<{ bytes: number }>("SELECT coalesce(sum(size_bytes), 0) AS bytes FROM manifests").one().bytes;
  }
}

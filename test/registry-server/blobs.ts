/** Blobs of the test registry: GET, HEAD, DELETE, with ranges. Uploads are `uploads.ts`, redirected reads `cdn.ts`. */
import { emptyReply, RegistryError, type Reply } from "./reply.ts";
import { sliceOf, type Storage, type StoredBlob } from "./storage.ts";

/** Answer to a GET or HEAD of a blob. `range` is the Range header: only GET heeds it. */
export function readBlob(storage: Storage, repository: string, digest: string, range: string | undefined): Reply {
  const blob = storage.blobIn(repository, digest);
  if (!blob) {
    throw new RegistryError(404, "BLOB_UNKNOWN", `blob ${digest} is not in ${repository}`);
  }
  return blobReply(blob, digest, range);
}

export function deleteBlob(storage: Storage, repository: string, digest: string): Reply {
  if (!storage.repositories.get(repository)?.blobs.delete(digest)) {
    throw new RegistryError(404, "BLOB_UNKNOWN", `blob ${digest} is not in ${repository}`);
  }
  return emptyReply(202);
}

export function blobReply(blob: StoredBlob, digest: string, range: string | undefined): Reply {
  const headers: Record<string, string> = {
    "content-type": "application/octet-stream",
    "docker-content-digest": digest,
    "accept-ranges": "bytes",
    etag: `"${digest}"`,
  };
  if (blob.pieces === null) {
    throw new RegistryError(500, "UNKNOWN", "this registry keeps no content (discard)");
  }
  const { sizeBytes, pieces } = blob;
  const wanted = range === undefined ? null : parseRange(range, sizeBytes);
  if (wanted === "unsatisfiable") {
    throw new RegistryError(416, "RANGE_INVALID", `range ${range} is outside of ${sizeBytes} bytes`, {
      "content-range": `bytes */${sizeBytes}`,
    });
  }
  if (!wanted) {
    return { status: 200, headers, body: pieces, sizeBytes };
  }
  const { from, to } = wanted;
  headers["content-range"] = `bytes ${from}-${to - 1}/${sizeBytes}`;
  return { status: 206, headers, body: sliceOf(pieces, from, to), sizeBytes: to - from };
}

/**
 * One byte range (RFC 9110, 14.1.2) as a half-open interval. Null: not one we heed (several ranges, another unit, or
 * not well-formed), which a server may ignore.
 */
export function parseRange(header: string, sizeBytes: number): { from: number; to: number } | "unsatisfiable" | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  const [, first = "", last = ""] = match ?? [];
  if (!match || (first === "" && last === "")) {
    return null;
  }
  if (first === "") {
    const from = Math.max(0, sizeBytes - Number(last));
    return Number(last) === 0 || sizeBytes === 0 ? "unsatisfiable" : { from, to: sizeBytes };
  }
  const from = Number(first);
  const to = last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  if (last !== "" && Number(last) < from) {
    return null;
  }
  return from >= sizeBytes ? "unsatisfiable" : { from, to };
}

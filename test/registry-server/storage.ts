/**
 * What the test registry holds, in memory: blobs once for all repositories, and per repository its links to them, its
 * manifests and its tags. It knows nothing of HTTP and does not judge what it is given.
 */
import { createHash } from "node:crypto";

/** A blob as the pieces it arrived in; `pieces` is null where the registry only counts and hashes. */
export interface StoredBlob {
  sizeBytes: number;
  pieces: readonly Buffer[] | null;
}

export interface StoredManifest {
  bytes: Buffer;
  mediaType: string;
}

export interface Repository {
  readonly manifests: Map<string, StoredManifest>;
  readonly tags: Map<string, string>;
  /** Digests of the blobs linked here. */
  readonly blobs: Set<string>;
}

export class Storage {
  readonly blobs = new Map<string, StoredBlob>();
  readonly repositories = new Map<string, Repository>();

  /** The repository of that name, made when it is not there. */
  repository(name: string): Repository {
    let repository = this.repositories.get(name);
    if (!repository) {
      repository = { manifests: new Map(), tags: new Map(), blobs: new Set() };
      this.repositories.set(name, repository);
    }
    return repository;
  }

  /** The blob, provided it is linked in that repository. */
  blobIn(repositoryName: string, digest: string): StoredBlob | undefined {
    return this.repositories.get(repositoryName)?.blobs.has(digest) ? this.blobs.get(digest) : undefined;
  }

  /** Name of a repository that links the blob, whichever it is. */
  holderOf(digest: string): string | undefined {
    for (const [name, repository] of this.repositories) {
      if (repository.blobs.has(digest)) {
        return name;
      }
    }
    return undefined;
  }

  addBlob(repositoryName: string, digest: string, blob: StoredBlob): void {
    // The first arrival stays: the same digest is the same content, and what was kept must not be lost to what was not.
    if (!this.blobs.get(digest)?.pieces) {
      this.blobs.set(digest, blob);
    }
    this.repository(repositoryName).blobs.add(digest);
  }

  /**
   * Adds a blob of any size in the memory of `block` alone, which is repeated until `sizeBytes` are full.
   * @returns its digest.
   */
  addRepeatedBlob(repositoryName: string, block: Buffer, sizeBytes: number): string {
    const pieces: Buffer[] = [];
    const hash = createHash("sha256");
    for (let left = sizeBytes; left > 0; left -= block.length) {
      const piece = left >= block.length ? block : block.subarray(0, left);
      hash.update(piece);
      pieces.push(piece);
    }
    const digest = `sha256:${hash.digest("hex")}`;
    this.addBlob(repositoryName, digest, { sizeBytes, pieces });
    return digest;
  }

  /** The manifest a tag or digest stands for, with its digest. */
  manifestIn(repositoryName: string, reference: string): (StoredManifest & { digest: string }) | undefined {
    const repository = this.repositories.get(repositoryName);
    const digest = reference.includes(":") ? reference : repository?.tags.get(reference);
    const manifest = digest === undefined ? undefined : repository?.manifests.get(digest);
    return manifest && digest !== undefined ? { ...manifest, digest } : undefined;
  }
}

/** Bytes `from` (inclusive) to `to` (exclusive) of a list of pieces, without copying. */
export function* sliceOf(pieces: Iterable<Buffer>, from: number, to: number): Generator<Buffer> {
  let at = 0;
  for (const piece of pieces) {
    if (at >= to) {
      return;
    }
    const part = piece.subarray(Math.max(0, from - at), Math.max(0, to - at));
    if (part.length > 0) {
      yield part;
    }
    at += piece.length;
  }
}

/** Digest of bytes in the algorithm that `like` names: `digestLike("sha512:…", bytes)`; null for one we do not know. */
export function digestLike(like: string, pieces: Iterable<Buffer>): string | null {
  const algorithm = like.slice(0, like.indexOf(":"));
  if (!["sha256", "sha384", "sha512"].includes(algorithm)) {
    return null;
  }
  const hash = createHash(algorithm);
  for (const piece of pieces) {
    hash.update(piece);
  }
  return `${algorithm}:${hash.digest("hex")}`;
}

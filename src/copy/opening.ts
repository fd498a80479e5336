/** How a copy begins: under which names both ends are asked, and what their answers mean. Pure. */
import { CopyError } from "../registry/errors.ts";
import { isDigest } from "../registry/digest.ts";
import { formatReference } from "../registry/reference.ts";
import { type CopyRequest, isRepositoryCopy } from "./request.ts";

/** A tag beside a digest is for people: the digest alone says what is meant, as everywhere else with containers. */
export function sourceName(request: CopyRequest): string {
  return request.source.digest ?? request.source.tag ?? "latest";
}

/** What the copy will be called at the target; null while only the source can tell. */
export function targetName(request: CopyRequest): string | null {
  return request.target.tag ?? request.target.digest ?? request.source.digest ?? null;
}

/**
 * Checks what the source has against what was asked for.
 * @param digest Of the source's manifest.
 * @throws CopyError `invalid_request` when the target is to hold another digest.
 */
export function checkTargetDigest(request: CopyRequest, digest: string): void {
  if (request.target.digest === undefined || request.target.digest === digest) {
    return;
  }
  throw new CopyError({
    code: "invalid_request",
    side: "request",
    host: request.target.host,
    operation: "compare digests",
    retryable: false,
    message:
      `target names ${request.target.digest}, but ${formatReference(request.source)} is ${digest}; ` +
      "leave the digest out of target, or name the source by it",
  });
}

/**
 * The source has no such manifest, or (for a repository's copy without `name`) no such repository.
 * @param name Tag or digest, where the request itself names none.
 */
export function sourceMissing(request: CopyRequest, name?: string): CopyError {
  const { source } = request;
  const isRepository = isRepositoryCopy(request);
  const named = isRepository && name !== undefined ? { ...source, [isDigest(name) ? "digest" : "tag"]: name } : source;
  return new CopyError({
    code: "not_found",
    side: "source",
    host: source.host,
    operation: isRepository && name === undefined ? "list tags" : "read manifest",
    status: 404,
    retryable: false,
    message: `${formatReference(named)} does not exist at ${source.host}; check repository and tag.`,
  });
}

/** The target has the tag with another digest, and that was to be an error. */
export function tagExists(request: CopyRequest, tag: string, digest: string): CopyError {
  const { host, repository } = request.target;
  return new CopyError({
    code: "denied",
    side: "request",
    host,
    operation: "compare digests",
    retryable: false,
    message:
      `${formatReference({ host, repository, tag })} exists already as ${digest}, and existing tags are to be left alone; ` +
      "copy to another tag, or say that existing tags are overwritten, skipped or kept as a backup.",
  });
}

/** The source sent another number of bytes than the index says. */
export function childSizeMismatch(host: string, digest: string, expected: number, actual: number): CopyError {
  return new CopyError({
    code: "size_mismatch",
    side: "source",
    host,
    operation: "read manifest",
    retryable: false,
    message: `Manifest ${digest} has ${actual} bytes, but the index that names it says ${expected}.`,
  });
}

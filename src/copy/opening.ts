/** How a copy begins: under which names both ends are asked, and what their answers mean. Pure. */
import { CopyError } from "../registry/errors.ts";
import { formatReference } from "../registry/reference.ts";
import type { CopyRequest } from "./request.ts";

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

/** The source has no such manifest. */
export function sourceMissing(request: CopyRequest): CopyError {
  return new CopyError({
    code: "not_found",
    side: "source",
    host: request.source.host,
    operation: "read manifest",
    status: 404,
    retryable: false,
    message: `${formatReference(request.source)} does not exist at ${request.source.host}; check repository and tag.`,
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

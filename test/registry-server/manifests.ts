/** Manifests of the test registry: GET, HEAD, PUT, DELETE by tag and digest. The bytes are kept exactly as they came. */
import type { Exchange } from "./exchange.ts";
import { bytesReply, emptyReply, RegistryError, type Reply } from "./reply.ts";
import { digestLike, type Repository, type Storage } from "./storage.ts";

export interface ManifestOptions {
  /** Refuses a manifest that names blobs or manifests which are not there. */
  checkReferences: boolean;
  /** Largest manifest taken, else 413. */
  maxManifestBytes: number;
  /** The referrers API is on: a PUT with `subject` is answered with OCI-Subject. */
  referrers: boolean;
  /** A tag that is there is not moved: 400, whatever it is to point to. */
  immutableTags: boolean;
  /** Status of a PUT that was good; the spec has 201. */
  writtenStatus: 201 | 202;
  /** What a GET or HEAD of a missing tag is answered with; the spec has 404. */
  missingStatus: 404 | 403;
  /** HEADs come without Docker-Content-Digest. */
  hidesDigest: boolean;
}

/** Manifests as the spec has them. */
export const PLAIN_MANIFESTS: ManifestOptions = {
  checkReferences: true,
  maxManifestBytes: 4 * 1024 * 1024,
  referrers: false,
  immutableTags: false,
  writtenStatus: 201,
  missingStatus: 404,
  hidesDigest: false,
};

const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const DIGEST = /^[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;

/** GET and HEAD. */
export function readManifest(
  storage: Storage,
  method: string,
  repository: string,
  reference: string,
  options: ManifestOptions,
): Reply {
  const manifest = storage.manifestIn(repository, reference);
  if (!manifest) {
    throw options.missingStatus === 403
      ? new RegistryError(403, "DENIED", "The requested resource is not accessible")
      : unknownManifest(storage, repository, reference);
  }
  return bytesReply(200, manifest.bytes, {
    "content-type": manifest.mediaType,
    ...(options.hidesDigest && method === "HEAD" ? {} : { "docker-content-digest": manifest.digest }),
    etag: `"${manifest.digest}"`,
  });
}

export async function writeManifest(
  storage: Storage,
  exchange: Exchange,
  repository: string,
  reference: string,
  options: ManifestOptions,
): Promise<Reply> {
  const bytes = await exchange.smallBody(options.maxManifestBytes);
  const digest = digestLike(reference.includes(":") ? reference : "sha256:", [bytes]);
  if (reference.includes(":") ? digest !== reference : !TAG.test(reference)) {
    throw reference.includes(":")
      ? new RegistryError(400, "DIGEST_INVALID", `the bytes have digest ${digest}, not ${reference}`)
      : new RegistryError(400, "MANIFEST_INVALID", `${reference} is not a tag`);
  }
  if (digest === null) {
    throw new RegistryError(400, "DIGEST_INVALID", "digest algorithm unknown");
  }
  const manifest = parseManifest(bytes);
  const mediaType = exchange.header("content-type") ?? "";
  if (mediaType === "" || ("mediaType" in manifest && manifest.mediaType !== mediaType)) {
    throw new RegistryError(400, "MANIFEST_INVALID", `Content-Type "${mediaType}" is not the manifest's mediaType`);
  }
  const target = storage.repository(repository);
  if (options.checkReferences) {
    checkReferences(target, manifest);
  }
  if (options.immutableTags && target.tags.has(reference)) {
    throw new RegistryError(400, "TAG_INVALID", `The tag ${reference} already exists and is immutable`);
  }
  target.manifests.set(digest, { bytes, mediaType });
  if (!reference.includes(":")) {
    target.tags.set(reference, digest);
  }
  const subject = isRecord(manifest.subject) ? manifest.subject.digest : undefined;
  return emptyReply(options.writtenStatus, {
    location: `/v2/${repository}/manifests/${digest}`,
    "docker-content-digest": digest,
    ...(options.referrers && typeof subject === "string" ? { "oci-subject": subject } : {}),
  });
}

/** A tag goes alone; a digest takes its tags with it. */
export function deleteManifest(storage: Storage, repository: string, reference: string): Reply {
  const target = storage.repositories.get(repository);
  const there = reference.includes(":") ? target?.manifests.delete(reference) : target?.tags.delete(reference);
  if (!target || !there) {
    throw unknownManifest(storage, repository, reference);
  }
  for (const [tag, digest] of target.tags) {
    if (digest === reference) {
      target.tags.delete(tag);
    }
  }
  return emptyReply(202);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The manifest as an object, {} when it is not one: a registry stores what it does not understand. */
export function parseManifest(bytes: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (isRecord(value)) {
      return value;
    }
  } catch {
    // Falls through to the refusal.
  }
  throw new RegistryError(400, "MANIFEST_INVALID", "the manifest is not a JSON object");
}

function unknownManifest(storage: Storage, repository: string, reference: string): RegistryError {
  return storage.repositories.has(repository)
    ? new RegistryError(404, "MANIFEST_UNKNOWN", `manifest ${reference} is not in ${repository}`)
    : new RegistryError(404, "NAME_UNKNOWN", `repository ${repository} is not known`);
}

/** Blobs and children must be there; `subject` need not (spec), and what only has `urls` lives elsewhere. */
function checkReferences(target: Repository, manifest: Record<string, unknown>): void {
  const missing = [
    ...descriptors([manifest.config, manifest.layers]).filter(({ digest }) => !target.blobs.has(digest)),
    ...descriptors([manifest.manifests]).filter(
      ({ digest }) => !target.manifests.has(digest) && !target.blobs.has(digest),
    ),
  ];
  const first = missing[0];
  if (first) {
    throw new RegistryError(400, "MANIFEST_BLOB_UNKNOWN", `${first.digest} is not in the repository`);
  }
}

function descriptors(values: unknown[]): { digest: string }[] {
  return values
    .flat()
    .filter(isRecord)
    .filter((value) => !Array.isArray(value.urls) || value.urls.length === 0)
    .flatMap(({ digest }) => (typeof digest === "string" && DIGEST.test(digest) ? [{ digest }] : []));
}

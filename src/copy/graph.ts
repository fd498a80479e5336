/**
 * Reads a manifest: which manifests and blobs it needs, and nothing else. Pure; never changes or re-encodes the bytes,
 * since they are the digest.
 *
 * Unknown media types are no error (image-spec, "Guidelines for media types"): what looks like an index or a manifest is
 * treated as one, anything else is copied as it is.
 */
import { isDigest } from "../registry/digest.ts";
import { isNestedTooDeeply, MAX_NESTING } from "./nesting.ts";
import { CopyError, type ErrorCode } from "../registry/errors.ts";
import {
  bareMediaType,
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  isForeign,
  isIndex,
  isManifest,
  isSchema1,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../registry/media-types.ts";

/** What one manifest says of another object. */
export interface Descriptor {
  digest: string;
  sizeBytes: number;
  /** "" where the manifest does not say. */
  mediaType: string;
}

export interface ManifestGraph {
  kind: "index" | "manifest" | "opaque";
  /** The type to push it under: what the body says, else the `Content-Type`, else what it looks like. */
  mediaType: string;
  /** Manifests that must be at the target before this one; each digest once. */
  children: Descriptor[];
  /** Blobs that must be at the target before this one; each digest once. */
  blobs: Descriptor[];
  /** Digest of the manifest that this one refers to; it may be missing at the target. */
  subject?: string;
  /** What was left out, and why. */
  warnings: string[];
}

export const INDEX_TYPES: readonly string[] = [OCI_INDEX, DOCKER_MANIFEST_LIST];

export const MANIFEST_TYPES: readonly string[] = [OCI_MANIFEST, DOCKER_MANIFEST];

/** No registry takes a layer anywhere near it (the largest limit known is 200 GiB). */
const MAX_OBJECT_BYTES = 1024 ** 4;

interface Input {
  /** Registry host the manifest came from, for errors. */
  host: string;
  digest: string;
  /** From `Content-Type`, parameters allowed. */
  mediaType: string;
  bytes: Uint8Array;
  /** Takes layers that carry other addresses too. */
  includeForeign?: boolean;
}

/**
 * Reads the references of a manifest.
 * @throws CopyError `manifest_invalid` or `unsupported`, side source, that names the digest and what is wrong.
 */
export function parseManifest(input: Input): ManifestGraph {
  const body = parseObject(input);
  const mediaType = mediaTypeOf(input, body);
  if (isSchema1(mediaType) || (body.schemaVersion === 1 && Array.isArray(body.fsLayers))) {
    throw manifestError(
      input,
      "is in Docker's schema 1, which registries no longer take; push the image again with a current tool",
      "unsupported",
    );
  }
  const kind = kindOf(input, mediaType, body);
  const { subject: about = null } = body;
  const subject = about === null ? undefined : descriptorOf(input, "subject", about).digest;
  const rest = subject === undefined ? {} : { subject };
  const named = bareMediaType(mediaType) === "" ? typeByShape(kind) : mediaType;
  if (kind === "index") {
    const children = listOf(input, "manifests", body.manifests).map((entry) => entry.descriptor);
    return { kind, mediaType: named, children: distinct(input, children), blobs: [], ...rest, warnings: [] };
  }
  const wanted: Descriptor[] = [];
  const warnings: string[] = [];
  if (body.config !== undefined && body.config !== null) {
    wanted.push(descriptorOf(input, "config", body.config));
  }
  for (const field of ["layers", "blobs"]) {
    for (const { descriptor, urls } of listOf(input, field, body[field])) {
      if (input.includeForeign !== true && (urls || isForeign(descriptor.mediaType))) {
        warnings.push(`Layer ${descriptor.digest} must not be distributed and was left where it is.`);
      } else {
        wanted.push(descriptor);
      }
    }
  }
  return { kind, mediaType: named, children: [], blobs: distinct(input, wanted), ...rest, warnings };
}

type Json = Record<string, unknown>;

function parseObject(input: Input): Json {
  if (isNestedTooDeeply(input.bytes)) {
    throw manifestError(input, `is nested more than ${MAX_NESTING} levels deep`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(input.bytes));
  } catch {
    throw manifestError(input, "is not JSON");
  }
  if (!isObject(value)) {
    throw manifestError(input, "is not a JSON object");
  }
  return value;
}

/** The body's own word goes first: the digest covers it, the header is only the registry's memory. */
function mediaTypeOf(input: Input, body: Json): string {
  if (typeof body.mediaType === "string" && body.mediaType !== "") {
    return body.mediaType;
  }
  if (body.mediaType !== undefined && body.mediaType !== null && body.mediaType !== "") {
    throw manifestError(input, "has a mediaType that is no text");
  }
  return bareMediaType(input.mediaType);
}

function kindOf(input: Input, mediaType: string, body: Json): ManifestGraph["kind"] {
  // An empty list as Go writes it.
  const looksLikeIndex = Array.isArray(body.manifests) || (body.manifests === null && !isObject(body.config));
  const looksLikeManifest = isObject(body.config) || Array.isArray(body.layers) || Array.isArray(body.blobs);
  if (isIndex(mediaType)) {
    // One document that two readers would read differently has been used to smuggle images past scanners (image-spec).
    if (looksLikeManifest) {
      throw manifestError(input, "is an index, yet has a config or layers");
    }
    if (!looksLikeIndex) {
      throw manifestError(input, "is an index without a list of manifests");
    }
    return "index";
  }
  if (isManifest(mediaType)) {
    if (looksLikeIndex) {
      throw manifestError(input, "is an image manifest, yet has a list of manifests");
    }
    if (!isObject(body.config)) {
      throw manifestError(input, "is an image manifest without a config");
    }
    return "manifest";
  }
  if (looksLikeIndex) {
    return "index";
  }
  return looksLikeManifest ? "manifest" : "opaque";
}

function typeByShape(kind: ManifestGraph["kind"]): string {
  if (kind === "opaque") {
    return "application/octet-stream";
  }
  return kind === "index" ? OCI_INDEX : OCI_MANIFEST;
}

function listOf(input: Input, field: string, value: unknown): { descriptor: Descriptor; urls: boolean }[] {
  if (value === undefined || value === null) {
    return [];
  }
  if (!Array.isArray(value)) {
    throw manifestError(input, `has ${field} that is not a list`);
  }
  return value.map((entry: unknown, index) => ({
    descriptor: descriptorOf(input, `${field}[${index}]`, entry),
    urls: isObject(entry) && Array.isArray(entry.urls) && entry.urls.length > 0,
  }));
}

function descriptorOf(input: Input, field: string, value: unknown): Descriptor {
  if (!isObject(value)) {
    throw manifestError(input, `has ${field} that is not a descriptor`);
  }
  const { digest, size, mediaType } = value;
  if (typeof digest !== "string" || !isDigest(digest)) {
    throw manifestError(input, `has ${field} without a valid digest`);
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw manifestError(input, `has ${field} (${digest}) without a valid size`);
  }
  if (size > MAX_OBJECT_BYTES) {
    throw manifestError(input, `has ${field} (${digest}) with a size of ${size} bytes, which nothing can have`);
  }
  return { digest, sizeBytes: size, mediaType: typeof mediaType === "string" ? mediaType : "" };
}

/** Every digest once, in the order of first mention. */
function distinct(input: Input, descriptors: Descriptor[]): Descriptor[] {
  const byDigest = new Map<string, Descriptor>();
  for (const descriptor of descriptors) {
    const first = byDigest.get(descriptor.digest);
    if (first === undefined) {
      byDigest.set(descriptor.digest, descriptor);
    } else if (first.sizeBytes !== descriptor.sizeBytes) {
      throw manifestError(
        input,
        `names ${descriptor.digest} with two sizes, ${first.sizeBytes} and ${descriptor.sizeBytes} bytes`,
      );
    }
  }
  return [...byDigest.values()];
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An error about a manifest of the source: `problem` follows the words "Manifest <digest> ". */
export function manifestError(
  at: { host: string; digest: string },
  problem: string,
  code: ErrorCode = "manifest_invalid",
): CopyError {
  return new CopyError({
    code,
    side: "source",
    host: at.host,
    operation: "read manifest",
    retryable: false,
    message: `Manifest ${at.digest} ${problem}.`,
  });
}

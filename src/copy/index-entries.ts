/**
 * The entries of an index with what decides over them: platform, annotations, whether one is an attestation of another.
 * Pure. The index has been checked by {@link parseManifest} before; what is no descriptor is passed over here.
 */
import { isDigest } from "../registry/digest.ts";
import type { Descriptor } from "./graph.ts";
import { normalisePlatform, type Platform } from "./platform.ts";

export interface IndexEntry extends Descriptor {
  /** Its position in the index. */
  at: number;
  /** Normalised; missing where the entry names none. */
  platform?: Platform;
  annotations: Readonly<Record<string, string>>;
  /** Digest of the image that this entry is an attestation of (BuildKit's way to attach them). */
  attests?: string;
}

/** BuildKit's annotations of the entries that hold provenance and SBOM of another entry. */
const REFERENCE_TYPE = "vnd.docker.reference.type";
const REFERENCE_DIGEST = "vnd.docker.reference.digest";
const ATTESTATION = "attestation-manifest";

/** The entries of an index in their order, doubles included; none, when the bytes are no index. */
export function indexEntries(bytes: Uint8Array): IndexEntry[] {
  const document = parseDocument(bytes);
  const manifests = document?.manifests;
  return Array.isArray(manifests) ? manifests.flatMap((entry: unknown, at) => entryOf(entry, at)) : [];
}

/** The document as an object; null: it is none. */
export function parseDocument(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** Annotations whose values are texts, as the image-spec has them. */
export function annotationsOf(value: unknown): Record<string, string> {
  const texts = isObject(value)
    ? Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string")
    : [];
  return Object.fromEntries(texts);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function entryOf(entry: unknown, at: number): IndexEntry[] {
  if (!isObject(entry)) {
    return [];
  }
  const { digest, size, mediaType } = entry;
  if (typeof digest !== "string" || !isDigest(digest) || typeof size !== "number") {
    return [];
  }
  const annotations = annotationsOf(entry.annotations);
  const platform = platformOf(entry.platform);
  const attests = annotations[REFERENCE_TYPE] === ATTESTATION ? annotations[REFERENCE_DIGEST] : undefined;
  return [
    {
      at,
      digest,
      sizeBytes: size,
      mediaType: typeof mediaType === "string" ? mediaType : "",
      annotations,
      ...(platform === undefined ? {} : { platform }),
      ...(attests === undefined ? {} : { attests }),
    },
  ];
}

function platformOf(value: unknown): Platform | undefined {
  if (!isObject(value) || typeof value.os !== "string" || typeof value.architecture !== "string") {
    return undefined;
  }
  const osVersion = value["os.version"];
  return normalisePlatform({
    os: value.os,
    architecture: value.architecture,
    ...(typeof value.variant === "string" ? { variant: value.variant } : {}),
    ...(typeof osVersion === "string" && osVersion !== "" ? { osVersion } : {}),
  });
}

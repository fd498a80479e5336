/**
 * Content digests: `algorithm:encoded` (OCI image-spec, "Digests"). Grammar, and hashing with the algorithms that
 * registries use. Unknown algorithms pass the grammar and are simply not verified here.
 */
import { createHash, type Hash } from "node:crypto";

export interface Digest {
  algorithm: string;
  encoded: string;
}

export type HashAlgorithm = "sha256" | "sha512";

/** Lower-case hex digits of the algorithms whose form the image-spec fixes. */
const HEX_LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha512: 128, blake3: 64 };

/** No registered algorithm comes near; keeps absurd digests out of URLs and tables. */
const MAX_DIGEST_CHARACTERS = 300;

const ALGORITHM = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*$/;
const ENCODED = /^[a-zA-Z0-9=_-]+$/;

/** Takes bytes as they come and answers their digest at the end. */
export interface Hasher {
  readonly algorithm: HashAlgorithm;
  update(bytes: Uint8Array): void;
  /** The digest of everything so far, `algorithm:hex`. Ends the hasher. */
  digest(): string;
  /** Another one that has taken the same bytes. */
  fork(): Hasher;
}

/** What is wrong with the text as a digest, as the end of a sentence; null: nothing. */
export function describeDigestFault(text: string): string | null {
  if (text === "") {
    return "is empty; expected sha256:<64 hex digits>";
  }
  if (text.length > MAX_DIGEST_CHARACTERS) {
    return `has more than ${MAX_DIGEST_CHARACTERS} characters`;
  }
  const colon = text.indexOf(":");
  if (colon < 0) {
    return "has no algorithm; expected sha256:<64 hex digits>";
  }
  const algorithm = text.slice(0, colon);
  const encoded = text.slice(colon + 1);
  if (!ALGORITHM.test(algorithm)) {
    return "has a malformed algorithm; expected sha256:<64 hex digits>";
  }
  const length = HEX_LENGTHS[algorithm];
  if (length === undefined) {
    return ENCODED.test(encoded)
      ? null
      : "is empty or has characters other than letters, digits, =, _ and - after the colon";
  }
  if (encoded.length !== length) {
    return `has ${encoded.length} characters after "${algorithm}:"; ${algorithm} has ${length}`;
  }
  return /^[0-9a-f]+$/.test(encoded)
    ? null
    : `has characters other than 0-9 and a-f (lower case) after "${algorithm}:"`;
}

/** The parts of a digest; null when the text is none. */
export function parseDigest(text: string): Digest | null {
  if (describeDigestFault(text) !== null) {
    return null;
  }
  const colon = text.indexOf(":");
  return { algorithm: text.slice(0, colon), encoded: text.slice(colon + 1) };
}

/** Whether the text is a digest rather than a tag. */
export function isDigest(text: string): boolean {
  return describeDigestFault(text) === null;
}

/** The algorithm of a digest, "" when the text has none. */
export function algorithmOf(digest: string): string {
  return digest.slice(0, Math.max(0, digest.indexOf(":")));
}

/** Whether digests of this algorithm can be verified here. */
export function isHashAlgorithm(algorithm: string): algorithm is HashAlgorithm {
  return algorithm === "sha256" || algorithm === "sha512";
}

export function createHasher(algorithm: HashAlgorithm): Hasher {
  return hasherOn(createHash(algorithm), algorithm);
}

function hasherOn(hash: Hash, algorithm: HashAlgorithm): Hasher {
  return {
    algorithm,
    update: (bytes) => void hash.update(bytes),
    digest: () => `${algorithm}:${hash.digest("hex")}`,
    fork: () => hasherOn(hash.copy(), algorithm),
  };
}

export function digestOf(bytes: Uint8Array, algorithm: HashAlgorithm = "sha256"): string {
  const hasher = createHasher(algorithm);
  hasher.update(bytes);
  return hasher.digest();
}

/** Compares bytes with a digest; `unknown` when its algorithm cannot be computed here. */
export function verifyBytes(bytes: Uint8Array, digest: string): "match" | "mismatch" | "unknown" {
  const algorithm = algorithmOf(digest);
  if (!isHashAlgorithm(algorithm)) {
    return "unknown";
  }
  return digestOf(bytes, algorithm) === digest ? "match" : "mismatch";
}

/** Manifests at one host: looked up, read whole and verified, written byte for byte. */
import { discard, readBounded } from "./body.ts";
import type { Manifest, ManifestHead } from "./contract.ts";
import { algorithmOf, digestOf, isDigest, isHashAlgorithm, parseDigest, verifyBytes } from "./digest.ts";
import { CopyError } from "./errors.ts";
import { answerError, encodingOf, lengthOf, nameOf, readScopes, writeScopes, type HostClient } from "./host-client.ts";
import {
  ACCEPTED_MANIFESTS,
  bareMediaType,
  DOCKER_SCHEMA1,
  isSchema1,
  OCI_INDEX,
  OCI_MANIFEST,
} from "./media-types.ts";
import { isTag } from "./reference.ts";

/** Distribution-spec, "Pushing Manifests": registries take 4 MiB; more than that could not be pushed anyway. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** How often a manifest is read whose bytes do not have its digest. */
const MAX_READINGS = 3;

/** Expected size of a manifest for the order in the queue, where nobody knows it. */
const TYPICAL_MANIFEST_BYTES = 4 * 1024;

const ACCEPT = ACCEPTED_MANIFESTS.join(", ");

/** @see Registry.headManifest */
export async function headManifest(
  client: HostClient,
  repository: string,
  reference: string,
): Promise<ManifestHead | null> {
  const head = await client.requester.perform(
    {
      ...callFor(client, "look up manifest", repository, reference),
      kind: "head",
      bytes: 0,
      method: "HEAD",
      // Some registries answer no HEAD, or none of this kind; the GET then says what is the matter.
      accept: [200, 400, 403, 404, 405, 406, 501],
    },
    ({ response }) => {
      discard(response);
      if (response.status === 404) {
        return null;
      }
      const digest = response.headers.get("docker-content-digest") ?? (isDigest(reference) ? reference : "");
      if (response.status !== 200 || !isDigest(digest)) {
        return "ask by GET" as const;
      }
      const mediaType = bareMediaType(response.headers.get("content-type"));
      return { digest, mediaType, sizeBytes: lengthOf(response) ?? -1 };
    },
  );
  if (head !== "ask by GET") {
    return head;
  }
  try {
    const { digest, mediaType, bytes } = await getManifest(client, repository, reference);
    return { digest, mediaType, sizeBytes: bytes.byteLength };
  } catch (thrown) {
    if (!(thrown instanceof CopyError)) {
      throw thrown;
    }
    const { code } = thrown.detail;
    // JFrog denies what is missing. Whoever may not even look finds out with the first push.
    if (code === "not_found" || (code === "denied" && client.side === "target")) {
      return null;
    }
    throw thrown;
  }
}

/** @see Registry.getManifest */
export async function getManifest(client: HostClient, repository: string, reference: string): Promise<Manifest> {
  const { manifest } = await getWithEtag(client, repository, reference);
  return manifest;
}

/** A manifest with the `ETag` it came with; null: none, or one that does not stand for the very bytes. */
export interface TaggedManifest {
  manifest: Manifest;
  etag: string | null;
}

/** As {@link getManifest}, for whoever is going to change what he has read. */
export async function getWithEtag(client: HostClient, repository: string, reference: string): Promise<TaggedManifest> {
  for (let reading = 1; ; reading++) {
    try {
      return await readManifest(client, repository, reference);
    } catch (thrown) {
      // What was damaged on the way comes whole the next time, what is wrong at the registry does not.
      const isDamaged = thrown instanceof CopyError && thrown.detail.code === "digest_mismatch";
      if (!isDamaged) {
        throw thrown;
      }
      if (reading === MAX_READINGS) {
        const { message } = thrown.detail;
        throw new CopyError({ ...thrown.detail, message: `${message}; read ${MAX_READINGS} times` });
      }
    }
  }
}

/**
 * @see Registry.putManifest
 * @param ifMatch Only if what is there still has this `ETag`; else a CopyError with status 412. Null: in any case.
 */
export async function putManifest(
  client: HostClient,
  repository: string,
  reference: string,
  manifest: Manifest,
  ifMatch: string | null = null,
): Promise<{ subject: string | null }> {
  const call = callFor(client, "write manifest", repository, reference);
  return client.requester.perform(
    {
      ...call,
      kind: "manifest",
      bytes: manifest.bytes.byteLength,
      method: "PUT",
      scopes: writeScopes(client, repository),
      headers: { "content-type": manifest.mediaType, ...(ifMatch !== null && { "if-match": ifMatch }) },
      body: { kind: "bytes", bytes: manifest.bytes },
      // The spec knows 201 only; Quay has answered 202 and some proxies 200 for what they did store.
      accept: [200, 201, 202],
      otherwise: "manifest_invalid",
      // A registry whose parts lag behind one another, or that has lost what it said to have.
      missing: "content_missing",
    },
    ({ response }) => {
      discard(response);
      const stored = response.headers.get("docker-content-digest");
      if (stored !== null && algorithmOf(stored) === algorithmOf(manifest.digest) && stored !== manifest.digest) {
        throw answerError(
          client,
          call.operation,
          "digest_mismatch",
          `stored ${call.about} as ${shown(stored)} instead of ${manifest.digest}`,
          { status: response.status },
        );
      }
      return { subject: response.headers.get("oci-subject") };
    },
    () => wasWritten(client, repository, reference, manifest),
  );
}

/**
 * Whether the manifest is there under its name after all. Registries with immutable tags refuse to be told the same
 * twice, and a try whose answer was lost may have been the first time.
 */
async function wasWritten(
  client: HostClient,
  repository: string,
  reference: string,
  { digest }: Manifest,
): Promise<{ subject: null } | null> {
  const there = await headManifest(client, repository, reference);
  return there?.digest === digest ? { subject: null } : null;
}

function callFor(client: HostClient, operation: string, repository: string, reference: string) {
  // Both go into an address: nothing but a tag or a digest may, wherever it came from.
  if (!isTag(reference) && !isDigest(reference)) {
    throw answerError(
      client,
      operation,
      "invalid_request",
      `cannot be asked for "${shown(reference)}", neither tag nor digest`,
    );
  }
  return {
    operation,
    about: nameOf(repository, reference),
    url: client.transport.url(repository, `manifests/${reference}`),
    scopes: readScopes(client, repository),
    headers: { accept: ACCEPT },
    otherwise: "unsupported" as const,
  };
}

async function readManifest(client: HostClient, repository: string, reference: string): Promise<TaggedManifest> {
  const call = callFor(client, "read manifest", repository, reference);
  return client.requester.perform(
    { ...call, kind: "manifest", bytes: TYPICAL_MANIFEST_BYTES, method: "GET", accept: [200] },
    async ({ response }) => {
      const announcedBytes = lengthOf(response);
      const body = (announcedBytes ?? 0) > MAX_MANIFEST_BYTES ? null : await readBounded(response, MAX_MANIFEST_BYTES);
      if (body === null || body.kind === "cut") {
        discard(response);
        const size = announcedBytes === null ? "more than" : `${announcedBytes} bytes, more than`;
        throw answerError(
          client,
          call.operation,
          "manifest_too_large",
          `has a manifest of ${size} 4 MiB at ${call.about}`,
        );
      }
      const { bytes } = body;
      const encoding = encodingOf(response);
      // No manifest begins with these bytes, gzip always does.
      if (encoding !== null && bytes[0] === 0x1f && bytes[1] === 0x8b) {
        const problem = `sent ${call.about} encoded as ${encoding}, though it was asked not to encode anything`;
        throw answerError(client, call.operation, "unsupported", problem);
      }
      if (announcedBytes !== null && bytes.byteLength < announcedBytes) {
        const problem = `sent ${bytes.byteLength} of ${announcedBytes} bytes of ${call.about}`;
        throw answerError(client, call.operation, "connection", problem, { retryable: true });
      }
      const digest = verifiedDigest(client, call, reference, response, bytes);
      const manifest = { digest, mediaType: mediaTypeOf(client, call, response, bytes), bytes };
      const etag = response.headers.get("etag");
      // RFC 9110, section 13.1.1: a weak one (W/"...") never matches.
      return { manifest, etag: etag?.startsWith('"') ? etag : null };
    },
  );
}

interface Named {
  operation: string;
  about: string;
}

/** The digest the manifest is known by from here on, checked against everything that names one. */
function verifiedDigest(
  client: HostClient,
  { operation, about }: Named,
  reference: string,
  response: Response,
  bytes: Uint8Array,
): string {
  const declared = response.headers.get("docker-content-digest");
  const expected = [isDigest(reference) ? reference : null, declared].filter((each) => each !== null);
  for (const digest of expected) {
    if (verifyBytes(bytes, digest) === "mismatch") {
      const problem = `sent a manifest for ${about} whose bytes do not have the digest ${shown(digest)}`;
      throw answerError(client, operation, "digest_mismatch", problem);
    }
  }
  if (isDigest(reference)) {
    return reference;
  }
  const algorithm = parseDigest(declared ?? "")?.algorithm ?? "";
  return isHashAlgorithm(algorithm) ? digestOf(bytes, algorithm) : digestOf(bytes);
}

/**
 * What the manifest says of itself is covered by its digest, and is what a target compares with `Content-Type`; the
 * header counts only where the manifest is silent.
 */
function mediaTypeOf(client: HostClient, { operation, about }: Named, response: Response, bytes: Uint8Array): string {
  const document = parseObject(bytes);
  const header = bareMediaType(response.headers.get("content-type"));
  const own = typeof document?.["mediaType"] === "string" ? document["mediaType"] : "";
  const mediaType = own || header || guess(document);
  if (isSchema1(mediaType) || isSchema1(header) || document?.["schemaVersion"] === 1) {
    throw answerError(
      client,
      operation,
      "unsupported",
      `has ${about} only as an image of docker's schema 1 (${DOCKER_SCHEMA1}), which registries no longer take; ` +
        "build or push the image anew with a current tool",
    );
  }
  if (mediaType === "") {
    const problem = `sent something for ${about} that is not a manifest (no media type in header or body)`;
    throw answerError(client, operation, "manifest_invalid", problem);
  }
  return mediaType;
}

/** Image-spec: `mediaType` is optional in OCI documents. */
function guess(document: Record<string, unknown> | null): string {
  if (Array.isArray(document?.["manifests"])) {
    return OCI_INDEX;
  }
  return Array.isArray(document?.["layers"]) ? OCI_MANIFEST : "";
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

function shown(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, "?").slice(0, 200);
}

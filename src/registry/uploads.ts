/**
 * Uploads to one host: sessions opened (or spared by a mount), fed, closed, asked for their offset, given up. The address
 * of a session is the registry's own and is used as it stands: its query may carry the session's state.
 */
import { headBlob } from "./blobs.ts";
import { discard } from "./body.ts";
import type { Upload } from "./contract.ts";
import { algorithmOf, isDigest } from "./digest.ts";
import { CopyError } from "./errors.ts";
import { answerError, nameOf, wireName, writeScopes, type HostClient } from "./host-client.ts";
import { UPLOAD_TIME_LIMIT_MS, type Answer, type Call } from "./requester.ts";

/** An upload that one broken connection left open would stay so until the registry purges it. */
const CANCEL_ATTEMPTS = 2;
/** Giving up an upload is a courtesy; nobody waits long for it. */
const CANCEL_TIME_LIMIT_MS = 10_000;

const OCTETS = "application/octet-stream";

/** Answers to a mount after which a plain upload may still succeed: no permission at the other end, or no mounts at all. */
const MOUNT_REFUSALS = [400, 401, 403, 404, 405];

type Opened = { mounted: true } | { mounted: false; upload: Upload };

/** @see Registry.startUpload */
export async function startUpload(
  client: HostClient,
  repository: string,
  { digest, mountFrom, signal }: { digest: string; mountFrom?: string; signal: AbortSignal },
): Promise<Opened> {
  if (!isDigest(digest)) {
    throw answerError(client, "start upload", "invalid_request", "cannot be sent a blob without a valid digest");
  }
  // Distribution 2 says 201 to a mount by another algorithm, and cannot read the blob afterwards.
  const isMountable = mountFrom !== undefined && algorithmOf(digest) === "sha256";
  const mounted = isMountable ? await mount(client, repository, digest, mountFrom, signal) : null;
  if (mounted !== null) {
    return mounted;
  }
  const url = client.transport.url(repository, "blobs/uploads/");
  // Distribution-spec (after 1.1): a registry hashes while it receives and must know with what, unless it is sha256.
  if (algorithmOf(digest) !== "sha256") {
    url.searchParams.set("digest-algorithm", algorithmOf(digest));
  }
  const call = postCall(client, repository, digest, url, signal);
  const upload = await client.requester.perform({ ...call, accept: [202] }, (answer) =>
    openedBy(client, repository, call.operation, answer),
  );
  return { mounted: false, upload };
}

/** @see Registry.putBlob */
export async function putBlob(
  client: HostClient,
  upload: Upload,
  options: { digest: string; sizeBytes: number; body: ReadableStream<Uint8Array> | null; signal: AbortSignal },
): Promise<void> {
  const { digest, sizeBytes, body, signal } = options;
  const operation = "upload blob";
  const about = nameOf(upload.repository, digest);
  if (upload.completed === true && body === null) {
    if ((await headBlob(client, upload.repository, digest)) !== null) {
      return;
    }
    throw answerError(client, operation, "upload_lost", `closed the upload of ${about} but does not have it`, {
      retryable: true,
    });
  }
  const call = sessionCall(client, upload, operation, about, signal);
  await client.requester.perform(
    {
      ...call,
      kind: "blob",
      bytes: sizeBytes,
      method: "PUT",
      url: new URL(withDigest(call.url.href, digest)),
      headers: { "content-type": OCTETS },
      ...(body === null ? {} : { body: { kind: "stream", stream: body, sizeBytes } }),
      accept: [201, 204],
      timeLimitMs: UPLOAD_TIME_LIMIT_MS,
    },
    ({ response }) => {
      discard(response);
      const stored = response.headers.get("docker-content-digest");
      if (stored !== null && algorithmOf(stored) === algorithmOf(digest) && stored !== digest) {
        throw answerError(client, operation, "digest_mismatch", `stored ${about} under another digest`);
      }
    },
  );
}

/** @see Registry.patchBlob */
export async function patchBlob(
  client: HostClient,
  upload: Upload,
  options: { firstByte?: number; sizeBytes: number; body: ReadableStream<Uint8Array>; signal: AbortSignal },
): Promise<Upload> {
  const { firstByte, sizeBytes, body, signal } = options;
  const range = firstByte === undefined ? null : `${firstByte}-${firstByte + sizeBytes - 1}`;
  const part = range === null ? `${sizeBytes} bytes of a blob` : `bytes ${range} of a blob`;
  const call = sessionCall(client, upload, "upload blob", `${part} in ${upload.repository}`, signal);
  return client.requester.perform(
    {
      ...call,
      kind: "blob",
      bytes: sizeBytes,
      method: "PATCH",
      headers: { "content-type": OCTETS, ...(range === null ? {} : { "content-range": range }) },
      body: { kind: "stream", stream: body, sizeBytes },
      // 201: ECR and some others close the session by themselves when the last byte is there.
      accept: [201, 202, 204],
      timeLimitMs: UPLOAD_TIME_LIMIT_MS,
    },
    (answer) => {
      if (answer.response.status !== 201) {
        return continued(client, upload, call.operation, answer);
      }
      discard(answer.response);
      return { ...upload, completed: true };
    },
  );
}

/** @see Registry.uploadOffset */
export async function uploadOffset(
  client: HostClient,
  upload: Upload,
  signal?: AbortSignal,
): Promise<{ offsetBytes: number; upload: Upload } | null> {
  const call = sessionCall(client, upload, "ask for the upload's offset", `an upload to ${upload.repository}`, signal);
  return client.requester.perform(
    { ...call, kind: "query", bytes: 0, method: "GET", accept: [200, 202, 204, 400, 401, 403, 404, 405, 410, 416] },
    (answer) => {
      const { response } = answer;
      if (response.status >= 400) {
        discard(response);
        return null;
      }
      const isSilent = (response.headers.get("range") ?? "").trim() === "";
      const next = continued(client, upload, call.operation, answer);
      const offsetBytes = next.toldBytes ?? (isSilent ? 0 : null);
      return offsetBytes === null ? null : { offsetBytes, upload: next };
    },
  );
}

/** @see Registry.cancelUpload */
export async function cancelUpload(client: HostClient, upload: Upload): Promise<void> {
  if (upload.completed === true) {
    return;
  }
  try {
    const call = sessionCall(client, upload, "cancel upload", `an upload to ${upload.repository}`);
    await client.requester.perform(
      {
        ...call,
        kind: "query",
        bytes: 0,
        method: "DELETE",
        accept: [200, 202, 204, 400, 401, 403, 404, 405],
        timeLimitMs: CANCEL_TIME_LIMIT_MS,
        maxAttempts: CANCEL_ATTEMPTS,
      },
      ({ response }) => discard(response),
    );
  } catch {
    // The registry purges abandoned sessions in time.
  }
}

/** Null: the host would not mount, and opened no session either. */
async function mount(
  client: HostClient,
  repository: string,
  digest: string,
  mountFrom: string,
  signal: AbortSignal,
): Promise<Opened | null> {
  const url = client.transport.url(repository, "blobs/uploads/");
  url.searchParams.set("mount", digest);
  url.searchParams.set("from", wireName(client, mountFrom));
  const call = postCall(client, repository, digest, url, signal);
  const scopes = writeScopes(client, repository, mountFrom);
  try {
    return await client.requester.perform(
      { ...call, operation: "mount blob", scopes, accept: [201, 202, ...MOUNT_REFUSALS] },
      (answer) => {
        if (answer.response.status === 202) {
          return { mounted: false, upload: openedBy(client, repository, "mount blob", answer) };
        }
        discard(answer.response);
        return answer.response.status === 201 ? { mounted: true } : null;
      },
    );
  } catch (thrown) {
    // The token endpoint may grant nothing at all to who asks for a repository that is not theirs.
    const isRefused = thrown instanceof CopyError && ["unauthorized", "denied"].includes(thrown.detail.code);
    if (isRefused && !thrown.detail.retryable) {
      return null;
    }
    throw thrown;
  }
}

function postCall(client: HostClient, repository: string, digest: string, url: URL, signal: AbortSignal) {
  return {
    operation: "start upload",
    about: nameOf(repository, digest),
    kind: "blob",
    bytes: 0,
    method: "POST",
    url,
    scopes: writeScopes(client, repository),
    otherwise: "upload_rejected",
    signal,
  } satisfies Omit<Call, "accept">;
}

function sessionCall(client: HostClient, upload: Upload, operation: string, about: string, signal?: AbortSignal) {
  const base = client.transport.url(upload.repository, "blobs/uploads/");
  return {
    operation,
    about,
    url: client.transport.resolve(upload.location, base, operation),
    scopes: writeScopes(client, upload.repository),
    otherwise: "upload_rejected" as const,
    // A session that the registry has forgotten, whatever it calls that: another one may do.
    missing: "upload_lost" as const,
    ...(signal === undefined ? {} : { signal }),
  };
}

function openedBy(client: HostClient, repository: string, operation: string, answer: Answer): Upload {
  const { response } = answer;
  discard(response);
  const location = response.headers.get("location");
  if (location === null) {
    const problem = `answered ${response.status} without the Location of the upload`;
    // No registry does that for long: something in between has lost it.
    throw answerError(client, operation, "upload_rejected", problem, { status: response.status, retryable: true });
  }
  return {
    repository,
    location: client.transport.resolve(location, answer.url, operation).href,
    minChunkBytes: bytesIn(response, "oci-chunk-min-length"),
    maxChunkBytes: bytesIn(response, "oci-chunk-max-length"),
  };
}

/** The session as it is after an answer: the newest Location counts, the one before where none was sent. */
function continued(client: HostClient, upload: Upload, operation: string, answer: Answer): Upload {
  const { response, url } = answer;
  discard(response);
  const location = response.headers.get("location");
  const { toldBytes: _, ...before } = upload;
  const toldBytes = offsetOf(response);
  return {
    ...before,
    ...(location === null ? {} : { location: client.transport.resolve(location, url, operation).href }),
    ...(toldBytes === null ? {} : { toldBytes }),
    minChunkBytes: Math.max(upload.minChunkBytes, bytesIn(response, "oci-chunk-min-length")),
    maxChunkBytes: bytesIn(response, "oci-chunk-max-length") || (upload.maxChunkBytes ?? 0),
  };
}

/** `Range: 0-1023`, the last byte that is stored; null where there is none that can be read. */
function offsetOf(response: Response): number | null {
  const last = /^\s*(?:bytes=)?0-(\d{1,15})\s*$/i.exec(response.headers.get("range") ?? "");
  if (last === null) {
    return null;
  }
  // "0-0" is what some say for nothing and some for one byte: the registry refuses what follows if we guess wrong.
  const lastByte = Number(last[1]);
  return lastByte === 0 ? 0 : lastByte + 1;
}

/** A header that is a number of bytes; 0 where it is missing or none. */
function bytesIn(response: Response, name: string): number {
  const text = response.headers.get(name)?.trim() ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

/** The session's own query stays as it is, character by character. A redirect has repeated ours with it. */
function withDigest(location: string, digest: string): string {
  if (new URL(location).searchParams.get("digest") === digest) {
    return location;
  }
  return `${location}${location.includes("?") ? "&" : "?"}digest=${encodeURIComponent(digest)}`;
}

/** Blobs at one host, on the reading side. Their bytes are never touched here: the caller streams them. */
import { discard } from "./body.ts";
import type { BlobBody } from "./contract.ts";
import { isDigest } from "./digest.ts";
import type { CopyError } from "./errors.ts";
import { answerError, encodingOf, lengthOf, nameOf, readScopes, type HostClient } from "./host-client.ts";

/** @see Registry.headBlob */
export async function headBlob(client: HostClient, repository: string, digest: string): Promise<number | null> {
  return client.requester.perform(
    {
      ...callFor(client, "look up blob", repository, digest),
      kind: "head",
      bytes: 0,
      method: "HEAD",
      accept: [200, 403, 404, 405],
      otherwise: "unsupported",
    },
    async ({ response, url }) => {
      discard(response);
      if (response.status === 404) {
        return null;
      }
      if (response.status === 200) {
        return lengthOf(response) ?? -1;
      }
      // A registry redirects to its store only for what is there; signed addresses are good for GET and refuse HEAD.
      if (!client.transport.isOwn(url)) {
        return -1;
      }
      throw refusedHead(client, nameOf(repository, digest), response.status);
    },
  );
}

/**
 * @see Registry.openBlob
 *
 * The slot is given back when the headers have arrived: who streams a body knows best when its turn is over.
 */
export async function openBlob(
  client: HostClient,
  repository: string,
  digest: string,
  { fromByte = 0, signal }: { fromByte?: number; signal: AbortSignal },
): Promise<BlobBody> {
  const call = callFor(client, "read blob", repository, digest);
  return client.requester.perform(
    {
      ...call,
      kind: "blob",
      bytes: 0,
      method: "GET",
      headers: { accept: "*/*", ...(fromByte > 0 ? { range: `bytes=${fromByte}-` } : {}) },
      accept: fromByte > 0 ? [200, 206] : [200],
      // 416: there are no bytes from there on.
      otherwise: fromByte > 0 ? "size_mismatch" : "unsupported",
      signal,
      streams: true,
    },
    ({ response }) => {
      const range = response.status === 206 ? rangeOf(response) : { firstByte: 0 };
      if (range === null || (range.firstByte !== fromByte && range.firstByte !== 0)) {
        discard(response);
        const problem = `answered a range of ${call.about} with another one`;
        throw answerError(client, call.operation, "unsupported", problem, { status: response.status });
      }
      // Not refused: some stores label layers that are gzip by nature. Whether the bytes are right is seen by their digest.
      const encoding = encodingOf(response);
      const body = { stream: response.body ?? emptyStream(), contentLength: lengthOf(response), ...range };
      return encoding === null ? body : { ...body, encoding };
    },
  );
}

function callFor(client: HostClient, operation: string, repository: string, digest: string) {
  if (!isDigest(digest)) {
    throw answerError(client, operation, "invalid_request", `cannot be asked for a blob without a valid digest`);
  }
  return {
    operation,
    about: nameOf(repository, digest),
    url: client.transport.url(repository, `blobs/${digest}`),
    scopes: readScopes(client, repository),
  };
}

function refusedHead(client: HostClient, about: string, status: number): CopyError {
  const code = status === 403 ? "denied" : "unsupported";
  return answerError(client, "look up blob", code, `answered ${status} about ${about}`, { status });
}

/** `Content-Range: bytes 5-9/10`; null where it cannot be read. */
function rangeOf(response: Response): { firstByte: number; totalBytes?: number } | null {
  const match = /^\s*bytes\s+(\d{1,15})-\d{1,15}(?:\/(?:(\d{1,15})|\*))?\s*$/i.exec(
    response.headers.get("content-range") ?? "",
  );
  if (match === null) {
    return null;
  }
  const firstByte = Number(match[1]);
  return match[2] === undefined ? { firstByte } : { firstByte, totalBytes: Number(match[2]) };
}

function emptyStream(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}

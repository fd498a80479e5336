/** A blob that is small by nature, such as an image's config, read whole. */
import { discard, readBounded } from "./body.ts";
import { isDigest, verifyBytes } from "./digest.ts";
import { answerError, nameOf, readScopes, type HostClient } from "./host-client.ts";

/** A config has a few kilobytes; whatever has more is not read for the little that is wanted of it. */
const MAX_SMALL_BYTES = 4 * 1024 * 1024;

/** @see Registry.readSmallBlob */
export async function readSmallBlob(
  client: HostClient,
  repository: string,
  digest: string,
): Promise<Uint8Array | null> {
  const operation = "read config";
  const about = nameOf(repository, digest);
  if (!isDigest(digest)) {
    throw answerError(client, operation, "invalid_request", "cannot be asked for a blob without a valid digest");
  }
  return client.requester.perform(
    {
      operation,
      about,
      // Small as a manifest, and no more in anybody's way.
      kind: "manifest",
      bytes: 0,
      method: "GET",
      url: client.transport.url(repository, `blobs/${digest}`),
      scopes: readScopes(client, repository),
      headers: { accept: "*/*" },
      accept: [200],
      otherwise: "unsupported",
    },
    async ({ response }) => {
      const body = await readBounded(response, MAX_SMALL_BYTES);
      if (body.kind === "cut") {
        discard(response);
        return null;
      }
      if (verifyBytes(body.bytes, digest) === "mismatch") {
        throw answerError(client, operation, "digest_mismatch", `sent ${about} with bytes that do not have its digest`);
      }
      return body.bytes;
    },
  );
}

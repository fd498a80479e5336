/** Changes what is under a tag: read, changed, written back, under the registry's own condition where it offers one. */
import type { Manifest } from "./contract.ts";
import { CopyError } from "./errors.ts";
import type { HostClient } from "./host-client.ts";
import { getWithEtag, putManifest, type TaggedManifest } from "./manifests.ts";

/** How often somebody else may be quicker before it is given up; nobody else writes there all the time. */
const MAX_ROUNDS = 8;

/** RFC 9110, section 15.5.13: what is there is not what `If-Match` names. */
const PRECONDITION_FAILED = 412;

/**
 * Writes under `tag` what `change` makes of what is there now (null: nothing), or nothing where it answers null. Where the
 * registry heeds `If-Match`, a write of somebody else in between is never lost: it is read again, and `change` asked again.
 * Where it does not, whoever calls sees to it that nobody else writes.
 * @throws CopyError; and what `change` throws.
 */
export async function updateManifest(
  client: HostClient,
  repository: string,
  tag: string,
  change: (current: Manifest | null) => Manifest | null,
): Promise<void> {
  let refused: string | null = null;
  for (let round = 1; ; round++) {
    const current = await readIfThere(client, repository, tag);
    const next = change(current?.manifest ?? null);
    if (next === null) {
      return;
    }
    const etag = current?.etag ?? null;
    try {
      // One that is refused though nothing has changed means that the registry compares it with something else.
      await putManifest(client, repository, tag, next, etag === refused ? null : etag);
      return;
    } catch (thrown) {
      const isOvertaken = thrown instanceof CopyError && thrown.detail.status === PRECONDITION_FAILED;
      if (!isOvertaken || round === MAX_ROUNDS) {
        throw thrown;
      }
      refused = etag;
    }
  }
}

async function readIfThere(client: HostClient, repository: string, tag: string): Promise<TaggedManifest | null> {
  try {
    return await getWithEtag(client, repository, tag);
  } catch (thrown) {
    if (thrown instanceof CopyError && thrown.detail.code === "not_found") {
      return null;
    }
    throw thrown;
  }
}

/** Removes the tags at the target that a repository's copy does not name any more, by their names and never by a digest. */
import type { CopyRequest, PruneRule } from "../copy/request.ts";
import type { Registry } from "../registry/contract.ts";
import { CopyError } from "../registry/errors.ts";
import { formatReference } from "../registry/reference.ts";
import type { EventLog } from "./events.ts";
import { isClearNo } from "./name-pushes.ts";
import { removalOf, type TagLedger, type TagRow } from "./tag-ledger.ts";

export interface PruneParts {
  request: CopyRequest;
  target: Registry;
  tags: TagLedger;
  events: EventLog;
  /** Throws when the run has been stopped. */
  beginStep: () => void;
  /** As the publisher's: a tag that is being removed is waited for like one that is being written. */
  commit: (name: string, row: number) => (isClear: boolean) => void;
}

/** Rows read from the ledger at once. */
const PAGE_ROWS = 100;

/** @throws CopyError when there are too many to remove, or the target refuses. */
export async function prune(parts: PruneParts, rule: PruneRule): Promise<void> {
  const { request, tags, events } = parts;
  const { obsolete } = tags.tally();
  const name = formatReference({ host: request.target.host, repository: request.target.repository });
  if (obsolete === 0) {
    return;
  }
  if (rule.dryRun || request.dryRun === true) {
    events.warn([
      `${name} has ${obsolete} tags that are not chosen any more; none was removed, since this is a dry run.`,
    ]);
    return;
  }
  if (obsolete > rule.maxTags) {
    throw refusal(
      request,
      `has ${obsolete} tags that are not chosen any more, and at most ${rule.maxTags} may be removed`,
    );
  }
  for (let rows = tags.inState("obsolete", PAGE_ROWS); rows.length > 0; rows = tags.inState("obsolete", PAGE_ROWS)) {
    for (const row of rows) {
      await remove(parts, row);
    }
  }
}

async function remove(parts: PruneParts, row: TagRow): Promise<void> {
  const tag = row.target ?? "";
  const committed = parts.commit(removalOf(tag), row.id);
  let isClear = false;
  try {
    const answer = await parts.target.deleteTag(parts.request.target.repository, tag).catch((error: unknown) => {
      isClear = isClearNo(error);
      throw error;
    });
    isClear = true;
    note(parts, row.id, tag, answer);
  } finally {
    committed(isClear);
  }
}

function note(
  { request, tags, events, beginStep }: PruneParts,
  id: number,
  tag: string,
  answer: Awaited<ReturnType<Registry["deleteTag"]>>,
): void {
  if (answer === "unsupported") {
    throw refusal(
      request,
      `does not delete by tag, and deleting by digest would take other tags of the same image along; remove ${tag} there`,
    );
  }
  beginStep();
  tags.end(id, "deleted");
  events.append({
    type: "tag",
    data: {
      source: null,
      target: tag,
      digest: null,
      derivedDigest: null,
      oldDigest: null,
      state: "deleted",
      error: null,
      reason: null,
    },
  });
}

function refusal(request: CopyRequest, problem: string): CopyError {
  const { host, repository } = request.target;
  return new CopyError({
    code: "unsupported",
    side: "target",
    host,
    operation: "prune tags",
    retryable: false,
    message: `All tags are copied, but nothing more was removed: ${formatReference({ host, repository })} ${problem}.`,
  });
}

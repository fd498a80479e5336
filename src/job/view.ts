/** Puts a copy's ledger into the form that the API shows. Pure. */
import type { CopyRequest } from "../copy/request.ts";
import { formatReference } from "../registry/reference.ts";
import type { CopyView, TagTally } from "./contract.ts";
import type { CopyRecord, LedgerSums } from "./ledger.ts";
import type { TagRow } from "./tag-ledger.ts";

/**
 * @param main Of a copy of one name: what became of it.
 * @param requests The job's own requests so far, those of this run that are not in the ledger yet included.
 * @param warnings Each once, in the order they came.
 */
export function copyView(
  record: CopyRecord,
  sums: LedgerSums,
  tags: TagTally,
  main: TagRow | null,
  requests: { source: number; target: number },
  warnings: string[],
): CopyView {
  const ended = record.doneMs !== null;
  const hasRoot = record.state === "succeeded" && record.request.dryRun !== true && main?.state !== "skipped";
  return {
    id: record.id,
    state: record.state,
    dryRun: record.request.dryRun === true,
    asked: record.request.asked ?? null,
    group: record.request.group ?? null,
    source: { reference: formatReference(record.request.source), digest: record.root },
    target: {
      reference: formatReference(record.request.target),
      digest: hasRoot ? (main?.derived ?? record.root) : null,
    },
    tags,
    blobs: sums.blobs,
    bytes: sums.bytes,
    manifests: sums.manifests,
    requests: {
      source: requests.source + sums.blobRequests.source,
      target: requests.target + sums.blobRequests.target,
    },
    times: {
      acceptedAt: new Date(record.acceptedMs).toISOString(),
      firstByteAt: timeOf(sums.firstByteMs),
      doneAt: timeOf(record.doneMs),
    },
    warnings,
    // While the copy runs the ledger may hold the error of a run that is being tried again.
    error: ended ? record.error : null,
  };
}

/** A copy that nothing has been done for. */
export function untouchedView(id: string, request: CopyRequest, acceptedMs: number): CopyView {
  const record: CopyRecord = {
    id,
    request,
    state: "accepted",
    root: null,
    repository: null,
    acceptedMs,
    doneMs: null,
    error: null,
    requests: { source: 0, target: 0 },
    crashes: 0,
    told: false,
  };
  const none = { all: 0, copied: 0, mounted: 0, present: 0 };
  const sums = {
    blobs: none,
    bytes: none,
    manifests: { all: 0, copied: 0, present: 0 },
    blobRequests: record.requests,
    firstByteMs: null,
  };
  const tags = { all: 0, copied: 0, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 };
  return copyView(record, sums, tags, null, record.requests, []);
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** What a job offers and what a lane reports of a transfer that went well: whatever no host in these tests depends on. */
import type { BlobOffer, Transfer, TransferReport } from "../../src/host/contract.ts";

/** A blob that a job wants in `app`, from `base` at the source, since now. */
export function offerOf(job: string, sourceHost: string, digest: string, sizeBytes = 1_000): BlobOffer {
  return {
    id: `${job}/app@${digest}`,
    digest,
    sizeBytes,
    targetRepository: "app",
    sourceHost,
    sourceRepository: "base",
    mayExist: false,
    since: Date.now(),
  };
}

/** The whole blob went over, with a request to the source and two to the target. */
export function copied(transfer: Transfer): TransferReport {
  return {
    lease: transfer.lease,
    result: { kind: "copied" },
    bytes: transfer.offer.sizeBytes,
    target: { class: "ok" },
    source: { class: "ok" },
    requests: { source: 1, target: 2 },
    warnings: [],
  };
}

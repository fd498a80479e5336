/** Books what a RegistryHost tells of a copy's blobs. What follows from it is its caller's business. */
import type { Settlement } from "../host/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { EventLog } from "./events.ts";
import { unexplained } from "./failures.ts";
import type { CopyRecord, Ledger } from "./ledger.ts";
import { offerId } from "./run.ts";

export interface Booked {
  /** Digests of blobs that are at the target now. */
  arrived: string[];
  /** Of the first blob that failed. */
  failure: ErrorDetail | null;
}

/** Synchronous, so one transaction. Settlements of unknown offers, and repeated ones, change nothing. */
export function bookSettlements(
  ledger: Ledger,
  events: EventLog,
  record: CopyRecord,
  settlements: Settlement[],
): Booked {
  const booked: Booked = { arrived: [], failure: null };
  for (const settlement of settlements) {
    const { id, digest, outcome, error, warnings } = settlement;
    const sizeBytes = id === offerId(record.id, record.request, digest) ? ledger.settle(settlement) : null;
    if (sizeBytes === null) {
      continue;
    }
    events.forgetProgress(digest);
    events.append({ type: "blob", data: { digest, sizeBytes, state: outcome } });
    events.warn(warnings);
    if (outcome === "failed") {
      booked.failure ??= error ?? unexplained(record.request.target.host, digest);
    } else {
      booked.arrived.push(digest);
    }
  }
  return booked;
}

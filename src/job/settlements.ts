/** Books what a RegistryHost tells of a copy's blobs. What follows from it is its caller's business. */
import type { Settlement } from "../host/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { EventLog } from "./events.ts";
import { unexplained } from "./failures.ts";
import type { CopyRecord, Ledger } from "./ledger.ts";
import { offerId } from "./offers.ts";

export interface Booked {
  /** Digests of blobs that are at the target now. */
  arrived: string[];
  failed: { digest: string; error: ErrorDetail }[];
}

/** Synchronous, so one transaction. Settlements of unknown offers, and repeated ones, change nothing. */
export function bookSettlements(
  ledger: Ledger,
  events: EventLog,
  record: CopyRecord,
  settlements: Settlement[],
): Booked {
  const booked: Booked = { arrived: [], failed: [] };
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
      booked.failed.push({ digest, error: error ?? unexplained(record.request.target.host, digest) });
    } else {
      booked.arrived.push(digest);
    }
  }
  return booked;
}

/** Books what a RegistryHost tells of a copy's blobs. What follows from it is its caller's business. */
import type { Settlement } from "../host/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import { passedOver } from "../registry/mirrored.ts";
import { mirrorVerdict } from "../registry/places.ts";
import type { EventLog } from "./events.ts";
import { unexplained } from "./failures.ts";
import type { CopyRecord, Ledger } from "./ledger.ts";
import { offerId } from "./offers.ts";

export interface Booked {
  /** Digests of blobs that are at the target now. */
  arrived: string[];
  failed: { digest: string; error: ErrorDetail }[];
  /** Digests of blobs that a mirror could not send: they are to be offered from the next place. */
  moved: string[];
  /** A mirror can send nothing at all: all that waited for it has been moved as well. */
  hasLeftMirror: boolean;
}

/**
 * Synchronous, so one transaction. Settlements of unknown offers, and repeated ones, change nothing.
 * @param mirrors How many places the copy reads from before it asks the source itself.
 */
export function bookSettlements(
  ledger: Ledger,
  events: EventLog,
  record: CopyRecord,
  settlements: Settlement[],
  mirrors = 0,
): Booked {
  const booked: Booked = { arrived: [], failed: [], moved: [], hasLeftMirror: false };
  for (const settlement of settlements) {
    const { id, digest, outcome, error, warnings } = settlement;
    const place = ledger.blobs.placeOf(digest);
    const isFrom = (at: number): boolean => id === offerId(record.id, record.request, digest, at);
    // Of an offer from a place which the blob has left, nothing is to be heard any more but that it has arrived all the same.
    if (!isFrom(place) && (outcome === "failed" || !Array.from({ length: place }, (_, at) => at).some(isFrom))) {
      continue;
    }
    const verdict = error === undefined || place >= mirrors ? "stop" : mirrorVerdict(error);
    if (outcome === "failed" && error !== undefined && verdict !== "stop") {
      if (ledger.blobs.moveOn(settlement)) {
        booked.moved.push(digest);
        events.forgetProgress(digest);
        events.warn(error.code === "not_found" ? warnings : [...warnings, passedOver(error)]);
      }
      if (verdict !== "elsewhere") {
        ledger.blobs.leavePlace(place);
        booked.hasLeftMirror = true;
      }
      continue;
    }
    const sizeBytes = ledger.blobs.settle(settlement);
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

/** What Workers Analytics Engine is told of a copy that has ended. Pure. The order of the columns is documented, and fixed. */
import type { CopyView } from "../job/contract.ts";
import { durationSeconds } from "./totals.ts";

/** `indexes`: what is sampled by. docs/operations.md names every column. */
export function dataPointOf(copy: CopyView): { indexes: string[]; blobs: string[]; doubles: number[] } {
  const { asked, error, source, target, bytes, blobs, requests } = copy;
  return {
    indexes: [hostOf(target.reference)],
    blobs: [
      copy.state,
      hostOf(source.reference),
      hostOf(target.reference),
      asked?.how ?? "",
      asked?.rule ?? "",
      error?.code ?? "",
      error?.side ?? "",
    ],
    doubles: [
      durationSeconds(copy),
      bytes.copied,
      blobs.copied,
      blobs.mounted,
      blobs.present,
      requests.source,
      requests.target,
    ],
  };
}

/** Of a reference in its full form. */
function hostOf(reference: string): string {
  return reference.slice(0, reference.indexOf("/"));
}

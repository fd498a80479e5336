/** What a lane tells a host that was restarted: the slots that it has for its transfers. */
import type { HeldSlot, Transfer } from "../host/contract.ts";

export function heldSlot({ lease, loan, job, offer }: Transfer): HeldSlot {
  const { id, sizeBytes, sourceHost } = offer;
  return { lease, kind: "blob", bytes: sizeBytes, job, offer: id, sourceHost, loan };
}

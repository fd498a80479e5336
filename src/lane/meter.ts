import type { Handover } from "../host/contract.ts";

/** What has happened so far in one transfer; written by who moves the bytes, read by whoever shows progress. */
export interface Meter {
  /** Bytes of the blob that went to the target. Piping counts them only at the end. */
  bytes: number;
  /** When the first byte came from the source, milliseconds since the epoch. */
  firstByteAt?: number;
  /** What another lane would need to go on. */
  handover?: Handover;
  /** The upload that is open, when nobody could go on with it: what the host needs to delete it, should this lane die. */
  opened?: Handover;
  /** The handover that the host knows of: it sees to the end of that session. */
  toldHandover?: Handover;
}

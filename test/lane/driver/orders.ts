/** What the driver Worker is asked, and what it answers. */
import type { Transfer, TransferReport } from "../../../src/host/contract.ts";
import type { HostSettings } from "../../../src/registry/contract.ts";

export interface TransferOrder {
  transfers: Transfer[];
  target: HostSettings;
  source: HostSettings;
  idleMs: number;
  /** Takes the leases away after so many bytes have gone to the target. */
  loseAfterBytes?: number;
}

export interface TransferAnswer {
  reports: TransferReport[];
  /** Rejections that nobody handled, since the Worker's start. */
  unhandled: string[];
}

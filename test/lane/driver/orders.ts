/** What the driver Worker is asked, and what it answers. */
import type { Handover, Transfer, TransferReport } from "../../../src/host/contract.ts";
import type { Why } from "../../../src/lane/letting-go.ts";
import type { HostSettings } from "../../../src/registry/contract.ts";

export interface TransferOrder {
  transfers: Transfer[];
  target: HostSettings;
  source: HostSettings;
  idleMs: number;
  /** Ends the transfers after so many bytes have gone to the target, for this reason. */
  letGo?: { afterBytes: number; why: Why };
  /** The lane's time is up after so many bytes have gone to the target. */
  timeUpAfterBytes?: number;
  /** Default: what a lane has. */
  portableAfterMs?: number;
}

export interface TransferAnswer {
  reports: TransferReport[];
  /** What a host would know last of each transfer, had its lane died at the end. */
  told: (Handover | null)[];
  /** Rejections that nobody handled, since the Worker's start. */
  unhandled: string[];
}

/** The client of one registry host. */
import type { ConnectionBudget } from "./connection-budget.ts";
import type { HostSettings, Registry } from "./contract.ts";
import type { Gate } from "./gate.ts";
import type { Fetch, Log } from "./wire.ts";

export interface RegistryOptions {
  settings: HostSettings;
  /** Named in every error. */
  side: "source" | "target";
  gate: Gate;
  fetch: Fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Log;
  /** Shared by all clients of one invocation. */
  budget: ConnectionBudget;
  /** Ends everything this client does; single operations may have a signal of their own besides. */
  signal?: AbortSignal;
  /** Which URLs redirects and upload locations may lead to; by default as in reach.ts. */
  mayReach?: (url: URL) => boolean;
}

export function createRegistry(_options: RegistryOptions): Registry {
  throw new Error("under construction");
}

/** The client of a host's object for what it asks its registry itself: lists of repositories, lists of referrers. */
import { clientReach, hostSettings } from "../config.ts";
import type { Env } from "../env.ts";
import { writeLine } from "../log.ts";
import { createHostClient } from "../registry/client.ts";
import type { ConnectionBudget } from "../registry/connection-budget.ts";
import type { Gate } from "../registry/gate.ts";
import type { HostClient } from "../registry/host-client.ts";

/** @throws CopyError `configuration` when the host's settings are wrong. */
export function ownClient(
  env: Env,
  host: string,
  side: "source" | "target",
  gate: Gate,
  budget: ConnectionBudget,
): HostClient {
  return createHostClient({
    settings: hostSettings(env, host),
    side,
    gate,
    fetch: (url, init) => fetch(url, init),
    now: () => Date.now(),
    log: writeLine,
    budget,
    refusalOf: clientReach(env, host),
  });
}

/**
 * Deletes uploads at this host that nobody goes on with. A courtesy: a registry purges them in time, so nothing waits for
 * it, no slot is taken, and what fails is not tried again.
 */
import { writeLine } from "../log.ts";
import { clientReach, hostSettings } from "../config.ts";
import type { Env } from "../env.ts";
import { createRegistry } from "../registry/client.ts";
import type { ConnectionBudget } from "../registry/connection-budget.ts";
import type { Gate } from "../registry/gate.ts";
import type { Handover } from "./contract.ts";

/**
 * @param authorize As of a {@link Gate}.
 * @param budget Of the object that asks. Never throws.
 */
export async function deleteUpload(
  env: Env,
  host: string,
  upload: { repository: string; handover: Handover },
  authorize: Gate["authorize"],
  budget: ConnectionBudget,
): Promise<void> {
  const { location, minChunkBytes } = upload.handover;
  const registry = createRegistry({
    settings: hostSettings(env, host),
    side: "target",
    gate: { acquire: async () => ({ release: () => {} }), authorize },
    budget,
    fetch: (url, init) => fetch(url, init),
    now: () => Date.now(),
    log: writeLine,
    maxAttempts: 1,
    refusalOf: clientReach(env, host),
  });
  await registry.cancelUpload({ repository: upload.repository, location, minChunkBytes });
}

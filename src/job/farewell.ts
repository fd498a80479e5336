/** Who hears of a copy's end. */
import { notificationTargets } from "../config.ts";
import type { Env } from "../env.ts";
import { INDEX_NAME } from "../ledger/contract.ts";
import { NOTIFIER_NAME } from "../notify/contract.ts";
import type { CopyView } from "./contract.ts";

/** Resolves when everybody has heard; told again, nothing changes. @throws Error when somebody has not. */
export async function tellOfEnd(env: Env, targetHost: string, view: CopyView): Promise<void> {
  await Promise.all([
    env.REGISTRIES.getByName(targetHost).withdraw(view.id),
    env.INDEX.getByName(INDEX_NAME).changed(view.id, view.state, view),
    tellReceivers(env, view),
    view.group === null ? null : env.GROUPS.getByName(view.group).ended(view),
  ]);
}

async function tellReceivers(env: Env, view: CopyView): Promise<void> {
  if (notificationTargets(env).length > 0) {
    await env.NOTIFIER.getByName(NOTIFIER_NAME).ended(view);
  }
}

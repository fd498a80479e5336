/** Copies that are on the list and have never begun: how they are looked after, and how they end there. */
import { notificationTargets } from "../config.ts";
import type { Env } from "../env.ts";
import { ENDED_STATES, type CopyView } from "../job/contract.ts";
import { NOTIFIER_NAME } from "../notify/contract.ts";
import type { CopyEntry } from "./contract.ts";

/** The operation that such a copy failed at: it tells them from copies that have begun. */
export const START_COPY = "start copy";

type Asks = Pick<Env, "JOBS" | "GROUPS">;

/**
 * What the copy's own objects say: its job as it is; or that its group starts it yet; or (null) nobody has it. Who cannot be
 * asked has said nothing.
 */
export async function askAfter(env: Asks, { id, group }: CopyEntry): Promise<CopyView | "group" | null> {
  try {
    const view = await env.JOBS.getByName(id).view(0);
    if (view !== null || group === null) {
      return view;
    }
    const ofGroup = await env.GROUPS.getByName(group).view(0);
    return ofGroup === null || ENDED_STATES.includes(ofGroup.state) ? null : "group";
  } catch {
    return null;
  }
}

/** The copy as having failed for want of a beginning. */
export function unbegunView(entry: CopyEntry, why: string, nowMs: number): CopyView {
  const { id, asked, group, source, target, acceptedAtMs } = entry;
  const none = { all: 0, copied: 0, mounted: 0, present: 0 };
  return {
    id,
    state: "failed",
    dryRun: false,
    asked,
    group,
    source: { reference: source, digest: null },
    target: { reference: target, digest: null },
    tags: { all: 0, copied: 0, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 },
    blobs: none,
    bytes: none,
    manifests: { all: 0, copied: 0, present: 0 },
    requests: { source: 0, target: 0 },
    times: {
      acceptedAt: new Date(acceptedAtMs).toISOString(),
      firstByteAt: null,
      doneAt: new Date(nowMs).toISOString(),
    },
    warnings: [],
    error: {
      code: "internal",
      side: "service",
      host: "",
      operation: START_COPY,
      retryable: true,
      message: `The copy was accepted and never begun: ${why}. Nothing was copied; ask for it again.`,
    },
  };
}

/** What its job would have done. Best effort: there is nobody who would do it again. */
export async function tellReceivers(env: Env, view: CopyView): Promise<void> {
  if (notificationTargets(env).length > 0) {
    await env.NOTIFIER.getByName(NOTIFIER_NAME).ended(view);
  }
}

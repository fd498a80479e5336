/** Rules and runs as the API shows them. */
import type * as z from "zod";
import type { RuleEntry, RunEntry } from "../ledger/rule-contract.ts";
import type { RuleRequestSchema, RuleSchema, RunSchema } from "./rule-schemas.ts";

export function viewOf(entry: RuleEntry): z.input<typeof RuleSchema> {
  const rule: z.input<typeof RuleRequestSchema> = JSON.parse(entry.body);
  return {
    name: entry.name,
    version: entry.version,
    owner: entry.owner,
    rule,
    hook: entry.hook,
    next: entry.next === null ? null : { at: timeOf(entry.next.slotMs), beginsAt: timeOf(entry.next.startMs) },
    open: {
      waiting: entry.open.waiting,
      running: entry.open.running,
      waitingUntil: entry.open.dueMs === null ? null : timeOf(entry.open.dueMs),
    },
    lastRun: entry.lastRun === null ? null : runViewOf(entry.lastRun),
    times: { createdAt: timeOf(entry.createdAtMs), changedAt: timeOf(entry.changedAtMs) },
  };
}

export function runViewOf(entry: RunEntry): z.input<typeof RunSchema> {
  return {
    copy: entry.copy,
    trigger: entry.trigger,
    state: entry.state,
    source: { reference: entry.source },
    target: { reference: entry.target },
    version: entry.version,
    digest: entry.digest,
    events: entry.events,
    reason: entry.result?.reason ?? null,
    tags: entry.result?.tags ?? null,
    bytesCopied: entry.result?.bytesCopied ?? null,
    times: {
      at: timeOf(entry.atMs),
      startedAt: entry.startedAtMs === null ? null : timeOf(entry.startedAtMs),
      doneAt: entry.endedAtMs === null ? null : timeOf(entry.endedAtMs),
    },
  };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

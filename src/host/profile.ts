/**
 * What is known of a host and what is set for it, as a person reads it. Pure; decides nothing.
 */
import type { QueueSettings } from "../config/queue.ts";
import { withDefaults } from "../config/schema.ts";
import type { HostSettings } from "../registry/contract.ts";
import type { LearnedProfile, SettingInForce } from "./contract.ts";
import type { LimitsState } from "./limits.ts";
import { MAX_WAIT_MS } from "./policy.ts";

/** @param mountCandidates Blobs of which a repository is remembered. */
export function learnedProfile(state: LimitsState, mountCandidates: number): LearnedProfile {
  const { limit, ceiling, refused } = state.concurrency;
  const { step } = state.backoff;
  const summary = [
    ceiling > 0
      ? `It bears ${limit} requests at once; it has refused ${ceiling}.`
      : `It is thought to bear ${limit} requests at once; no number is known that it refuses.`,
    step === 0
      ? "No failure is remembered."
      : `${step} failure${step === 1 ? "" : "s"} in a row are not yet made good.`,
    mountCandidates === 0
      ? "No blobs of it are remembered as candidates for a mount."
      : `${mountCandidates} of its blobs are remembered as candidates for a mount.`,
  ];
  return {
    summary,
    concurrency: { limit, refusedAt: ceiling > 0 ? ceiling : null, refused },
    backoff: { step },
    mountCandidates,
  };
}

/** Every setting that bears on a host, under the name that it has in the configuration. */
export function settingsInForce(settings: HostSettings, queue: QueueSettings): Record<string, SettingInForce> {
  const values = namedValues(settings);
  const defaults = namedValues(withDefaults(settings.host));
  const inForce = Object.entries(values).map(([name, value]): [string, SettingInForce] => {
    const isDefault = JSON.stringify(value) === JSON.stringify(defaults[name]);
    return [name, { value, isDefault, overridesLearned: OVERRIDING.has(name) && !isDefault }];
  });
  return {
    ...Object.fromEntries(inForce),
    queue_policy: { value: queue.policy, isDefault: queue.policy === "drayage", overridesLearned: false },
    max_wait_seconds: {
      value: (queue.maxWaitMs ?? MAX_WAIT_MS) / 1000,
      isDefault: (queue.maxWaitMs ?? MAX_WAIT_MS) === MAX_WAIT_MS,
      overridesLearned: false,
    },
  };
}

/** The settings that stand above something that is learned: a cap above the adaptive limit. */
const OVERRIDING: ReadonlySet<string> = new Set(["req_concurrent"]);

function namedValues(settings: HostSettings): Record<string, SettingInForce["value"]> {
  return {
    hostname: settings.hostname,
    tls: settings.tls,
    path_prefix: settings.pathPrefix,
    req_concurrent: settings.reqConcurrent,
    req_per_sec: settings.reqPerSec,
    quota_reserve: settings.quotaReserve,
    chunk_bytes: settings.chunkBytes,
    verify: settings.verify,
    mirrors: settings.mirrors,
  };
}

/**
 * The one way to the Worker's settings. Reads HOSTS, TOKENS, QUEUE_POLICY, MAX_WAIT_SECONDS and LOCAL of the environment,
 * checks them once per isolate, and knows nothing of credentials.
 */
import { readQueue, type QueueSettings } from "./config/queue.ts";
import { hostRefusal, urlRefusal } from "./config/reach.ts";
import { readHosts, readTokens, withDefaults, type Reading } from "./config/schema.ts";
import type { HostSettings } from "./registry/contract.ts";
import { CopyError } from "./registry/errors.ts";

/** The part of the environment (`Env`) that settings are read from. */
export interface SettingsEnv {
  HOSTS?: unknown;
  TOKENS?: unknown;
  QUEUE_POLICY?: unknown;
  MAX_WAIT_SECONDS?: unknown;
  LOCAL?: string;
}

/** Everything that is configured, checked. */
export interface Settings {
  /** By canonical host; only what was configured. */
  hosts: ReadonlyMap<string, HostSettings>;
  /** SHA-256 of each token that may use the API. */
  tokenHashes: readonly Uint8Array[];
  queue: QueueSettings;
}

const hostsOf = once(readHosts);
const tokensOf = once(readTokens);

/**
 * All settings, checked.
 * @throws CopyError `configuration`: its message names every wrong field and what to write instead, one a line.
 */
export function settingsOf(env: SettingsEnv): Settings {
  const hosts = hostsOf(env.HOSTS);
  const tokens = tokensOf(env.TOKENS);
  const queue = readQueue(env.QUEUE_POLICY, env.MAX_WAIT_SECONDS);
  return {
    hosts: right({ ...hosts, complaints: [...hosts.complaints, ...tokens.complaints, ...queue.complaints] }),
    tokenHashes: tokens.value,
    queue: queue.value,
  };
}

/**
 * The hashes of the API's tokens alone: who is at the door is decided before anything else is told, wrong settings of
 * hosts included.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function tokenHashes(env: SettingsEnv): readonly Uint8Array[] {
  return right(tokensOf(env.TOKENS));
}

/**
 * How a host is reached and what it can take.
 * @param host Canonical, as in a {@link import("./registry/reference.ts").Reference}.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function hostSettings(env: SettingsEnv, host: string): HostSettings {
  return right(hostsOf(env.HOSTS)).get(host) ?? withDefaults(host);
}

/**
 * Which of a host's waiting requests goes next.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function queueSettings(env: SettingsEnv): QueueSettings {
  return right(readQueue(env.QUEUE_POLICY, env.MAX_WAIT_SECONDS));
}

/** Whether the service runs on its user's own machine and may reach what that machine reaches. */
export function isLocal(env: SettingsEnv): boolean {
  return env.LOCAL === "true";
}

/**
 * Why the service must not call an address, or null when it may (`config/reach.ts` has the rule).
 * @param target A URL, or a registry host as a reference names it (`registry.example.com:5000`).
 * @param named Further hosts with port that are wanted, such as the reference's own.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function reachRefusal(env: SettingsEnv, target: URL | string, named: readonly string[] = []): string | null {
  if (typeof target === "string") {
    return hostRefusal(target, isLocal(env));
  }
  const configured = [...right(hostsOf(env.HOSTS)).values()];
  return urlRefusal(target, {
    local: isLocal(env),
    named: [...named, ...configured.map(({ host }) => host), ...configured.map(({ hostname }) => hostname)],
    plain: configured.filter(({ tls }) => tls === "disabled").map(({ hostname }) => hostname),
  });
}

/** Whether the service may call an address: {@link reachRefusal} without the reason. */
export function mayReach(env: SettingsEnv, target: URL | string, named: readonly string[] = []): boolean {
  return reachRefusal(env, target, named) === null;
}

/** Reads again only when the setting is another one: it is the same object or text for an isolate's whole life. */
function once<T>(read: (given: unknown) => Reading<T>): (given: unknown) => Reading<T> {
  let kept: { given: unknown; reading: Reading<T> } | null = null;
  return (given) => {
    kept = kept !== null && kept.given === given ? kept : { given, reading: read(given) };
    return kept.reading;
  };
}

function right<T>(reading: Reading<T>): T {
  if (reading.complaints.length === 0) {
    return reading.value;
  }
  throw new CopyError({
    code: "configuration",
    side: "service",
    host: "",
    operation: "read configuration",
    retryable: false,
    message: reading.complaints.join("\n"),
  });
}

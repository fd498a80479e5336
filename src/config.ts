/**
 * The one way to the Worker's settings. Reads HOSTS, TOKENS, OIDC, ACCESS, QUEUE_POLICY, MAX_WAIT_SECONDS, ALLOWED_REGISTRIES,
 * REGISTRY_CREDENTIALS, HOOK_SECRETS, NOTIFICATIONS,
 * NOTIFICATION_SECRETS, RECORD_DAYS, LOG_LEVEL and LOCAL of the environment and checks them once per isolate.
 */
import type { IssuerSettings } from "./access/contract.ts";
import { readAllowed, type AllowedRegistries } from "./config/allowed.ts";
import type { Reading } from "./config/checking.ts";
import { readHookSecrets } from "./config/hook-secrets.ts";
import { parseHostName } from "./config/host-name.ts";
import { once, onceFor, onceNamed } from "./config/kept.ts";
import { readIdentity } from "./config/identity.ts";
import { type LogLevel, readLogLevel } from "./config/log-level.ts";
import { readNotifications } from "./config/notifications.ts";
import { readQueue, type QueueSettings } from "./config/queue.ts";
import { credentialSecrets, readCredentials, type RegistryCredential } from "./config/registry-credentials.ts";
import { readRecordDays } from "./config/record-days.ts";
import { readHosts, readTokens, withDefaults } from "./config/schema.ts";
import type { NotificationTarget } from "./notify/contract.ts";
import type { HostSettings } from "./registry/contract.ts";
import { CopyError } from "./registry/errors.ts";
import { urlRefusal, type ReachRule, type Refusal } from "./registry/reach.ts";

/** The part of the environment (`Env`) that settings are read from. */
export interface SettingsEnv {
  HOSTS?: unknown;
  TOKENS?: unknown;
  OIDC?: unknown;
  ACCESS?: unknown;
  QUEUE_POLICY?: unknown;
  MAX_WAIT_SECONDS?: unknown;
  ALLOWED_REGISTRIES?: unknown;
  REGISTRY_CREDENTIALS?: unknown;
  HOOK_SECRETS?: unknown;
  NOTIFICATIONS?: unknown;
  NOTIFICATION_SECRETS?: unknown;
  RECORD_DAYS?: unknown;
  LOG_LEVEL?: unknown;
  LOCAL?: string;
}

/** Everything that is configured, checked. */
export interface Settings {
  /** By canonical host; only what was configured. */
  hosts: ReadonlyMap<string, HostSettings>;
  /** SHA-256 of each token that may use the API. */
  tokenHashes: readonly Uint8Array[];
  /** Whose tokens are taken beside those, and whom they admit. */
  issuers: readonly IssuerSettings[];
  queue: QueueSettings;
}

/** More than any service works with at a time. */
const MAX_HOSTS_KEPT = 500;

const hostsOf = once(readHosts);
const unconfigured = onceNamed((host) => withDefaults(host), MAX_HOSTS_KEPT);
const tokensOf = once(readTokens);
// Read by every request that shows such a token; the settings are the same objects for an isolate's whole life.
let keptIdentity: { given: readonly unknown[]; reading: Reading<readonly IssuerSettings[]> } | null = null;
const allowedOf = once(readAllowed);
const hookSecretsOf = once(readHookSecrets);
let keptNotifications: { given: readonly unknown[]; reading: Reading<readonly NotificationTarget[]> } | null = null;
let keptCredentials: { secrets: [string, unknown][]; reading: ReturnType<typeof readCredentials> } | null = null;

/**
 * All settings, checked.
 * @throws CopyError `configuration`: its message names every wrong field and what to write instead, one a line.
 */
export function settingsOf(env: SettingsEnv): Settings {
  const hosts = hostsOf(env.HOSTS);
  const tokens = tokensOf(env.TOKENS);
  const queue = readQueue(env.QUEUE_POLICY, env.MAX_WAIT_SECONDS);
  const identity = identityOf(env);
  const allowed = allowedOf(env.ALLOWED_REGISTRIES);
  const mirrors = { complaints: mirrorComplaints(hosts.value, allowed.value) };
  const registries = [allowed, mirrors, credentialsOf(env), hookSecretsOf(env.HOOK_SECRETS)];
  const afterwards = [notificationsOf(env), readRecordDays(env.RECORD_DAYS), readLogLevel(env.LOG_LEVEL)];
  const others = [tokens, identity, queue, ...registries, ...afterwards];
  return {
    hosts: right({ ...hosts, complaints: [hosts, ...others].flatMap(({ complaints }) => complaints) }),
    tokenHashes: tokens.value,
    issuers: identity.value,
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
 * Whose tokens are taken beside those of TOKENS.
 * @throws CopyError `configuration`, as {@link settingsOf}: not for the eyes of somebody who has not been let in.
 */
export function issuerSettings(env: SettingsEnv): readonly IssuerSettings[] {
  return right(identityOf(env));
}

/**
 * How a host is reached and what it can take.
 * @param host Canonical, as in a {@link import("./registry/reference.ts").Reference}.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function hostSettings(env: SettingsEnv, host: string): HostSettings {
  return right(hostsOf(env.HOSTS)).get(host) ?? unconfigured(host);
}

/**
 * Which of a host's waiting requests goes next.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function queueSettings(env: SettingsEnv): QueueSettings {
  return right(readQueue(env.QUEUE_POLICY, env.MAX_WAIT_SECONDS));
}

/**
 * The credentials of REGISTRY_CREDENTIALS, and of secrets whose names go on from it, by place: a registry host, or
 * `host/repository prefix`.
 * @throws CopyError `configuration`, as {@link settingsOf}; never with a value.
 */
export function registryCredentials(
  env: Pick<SettingsEnv, "REGISTRY_CREDENTIALS">,
): ReadonlyMap<string, RegistryCredential> {
  return right(credentialsOf(env));
}

function credentialsOf(env: object): ReturnType<typeof readCredentials> {
  const secrets = credentialSecrets(env);
  const isSame =
    keptCredentials?.secrets.length === secrets.length &&
    keptCredentials.secrets.every(
      ([name, given], index) => name === secrets[index]?.[0] && given === secrets[index][1],
    );
  keptCredentials =
    keptCredentials !== null && isSame ? keptCredentials : { secrets, reading: readCredentials(secrets) };
  return keptCredentials.reading;
}

/**
 * The secrets that webhooks prove to know, by name.
 * @throws CopyError `configuration`, as {@link settingsOf}; never with a value.
 */
export function hookSecrets(env: Pick<SettingsEnv, "HOOK_SECRETS">): ReadonlyMap<string, string> {
  return right(hookSecretsOf(env.HOOK_SECRETS));
}

/**
 * Who is told of the ends of copies.
 * @throws CopyError `configuration`, as {@link settingsOf}; never with a key or an address.
 */
export function notificationTargets(env: SettingsEnv): readonly NotificationTarget[] {
  return right(notificationsOf(env));
}

/**
 * For how many days the record of a copy is kept.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function recordDays(env: Pick<SettingsEnv, "RECORD_DAYS">): number {
  return right(readRecordDays(env.RECORD_DAYS));
}

/** Which lines go to the log; with a wrong setting, which {@link settingsOf} tells of, all. */
export function logLevel(env: Pick<SettingsEnv, "LOG_LEVEL">): LogLevel {
  return readLogLevel(env.LOG_LEVEL).value;
}

/** Whether the service runs on its user's own machine and may reach what that machine reaches. */
export function isLocal(env: SettingsEnv): boolean {
  return env.LOCAL === "true";
}

/**
 * Why the service must not call an address, or null when it may (`registry/reach.ts` has the rule).
 * @param target A URL, or a registry host as a reference names it (`registry.example.com:5000`). Of a registry it is
 * judged where it is reached, and whether it is among ALLOWED_REGISTRIES.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function reachRefusal(env: SettingsEnv, target: URL | string): string | null {
  if (typeof target !== "string") {
    return urlRefusal(target, reachRule(env));
  }
  if (parseHostName(target) === null) {
    return "is not a host name";
  }
  const plain = plainNameOf(env, target);
  if (plain !== null) {
    return `is ${plain}, which is reached at that port anyway; leave the port out`;
  }
  const { hostname, tls } = hostSettings(env, target);
  const url = new URL(`${tls === "disabled" ? "http" : "https"}://${hostname}/`);
  return urlRefusal(url, reachRule(env)) ?? registryRefusal(env, target);
}

/** The configured name of a registry over plain HTTP that is named with that scheme's port; null: it is none. */
function plainNameOf(env: SettingsEnv, host: string): string | null {
  const hosts = right(hostsOf(env.HOSTS));
  const name = host.replace(/:80$/, "");
  return name !== host && !hosts.has(host) && hosts.get(name)?.tls === "disabled" ? name : null;
}

/**
 * What a client of one registry may call: the registry itself, if it is allowed, and where that leads.
 * @param host Canonical.
 */
export function clientReach(env: SettingsEnv, host: string): Refusal {
  let registry: { refusal: string | null } | null = null;
  return (url) => {
    registry ??= { refusal: registryRefusal(env, host) };
    return registry.refusal ?? reachRefusal(env, url);
  };
}

function registryRefusal(env: SettingsEnv, host: string): string | null {
  return right(allowedOf(env.ALLOWED_REGISTRIES))(host) ? null : "is not among the registries of ALLOWED_REGISTRIES";
}

/** A mirror that may not be used would be passed over by every copy. */
function mirrorComplaints(hosts: ReadonlyMap<string, HostSettings>, isAllowed: AllowedRegistries): string[] {
  return [...hosts.values()].flatMap(({ host, mirrors }) =>
    mirrors
      .filter((mirror) => !isAllowed(mirror.split("/", 1)[0] ?? ""))
      .map(
        (mirror) =>
          `HOSTS.${JSON.stringify(host)}.mirrors: ${mirror} is not among ALLOWED_REGISTRIES; add its host there`,
      ),
  );
}

const reachRule = onceFor(
  (env: SettingsEnv) => [env.HOSTS, env.OIDC, env.ACCESS, env.LOCAL],
  (env): ReachRule => {
    const configured = [...right(hostsOf(env.HOSTS)).values()];
    const issuers = identityOf(env).value.flatMap(({ issuer, jwksUri }) => [
      issuer,
      ...(jwksUri === null ? [] : [jwksUri]),
    ]);
    return {
      local: isLocal(env),
      named: [
        ...configured.flatMap(({ host, hostname }) => [host, hostname]),
        ...issuers.map((address) => new URL(address).host),
      ],
      plain: configured.filter(({ tls }) => tls === "disabled").map(({ hostname }) => hostname),
    };
  },
);

function identityOf(env: SettingsEnv): Reading<readonly IssuerSettings[]> {
  const given = [env.OIDC, env.ACCESS, isLocal(env)];
  if (keptIdentity === null || keptIdentity.given.some((setting, index) => setting !== given[index])) {
    keptIdentity = { given, reading: readIdentity(env.OIDC, env.ACCESS, isLocal(env)) };
  }
  return keptIdentity.reading;
}

function notificationsOf(env: SettingsEnv): Reading<readonly NotificationTarget[]> {
  const given = [env.NOTIFICATIONS, env.NOTIFICATION_SECRETS, isLocal(env)];
  if (keptNotifications === null || keptNotifications.given.some((setting, index) => setting !== given[index])) {
    const reading = readNotifications(env.NOTIFICATIONS, env.NOTIFICATION_SECRETS, isLocal(env));
    keptNotifications = { given, reading };
  }
  return keptNotifications.reading;
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

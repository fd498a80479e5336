/**
 * The one way to the Worker's settings. Reads HOSTS, TOKENS and LOCAL of the environment, checks them once per isolate,
 * and knows nothing of credentials.
 */
import { hostRefusal, urlRefusal } from "./config/reach.ts";
import { readSettings, withDefaults, type Settings } from "./config/schema.ts";
import type { Env } from "./env.ts";
import type { HostSettings } from "./registry/contract.ts";
import { CopyError } from "./registry/errors.ts";

/** The part of the environment that settings are read from; a test or a Durable Object may hand in just these. */
export type SettingsEnv = Pick<Env, "HOSTS" | "TOKENS" | "LOCAL">;

let kept: { hosts: unknown; tokens: unknown; settings: Settings } | null = null;

/**
 * The settings, checked.
 * @throws CopyError `configuration`: its message names every wrong field and what to write instead.
 */
export function settingsOf(env: SettingsEnv): Settings {
  if (kept !== null && kept.hosts === env.HOSTS && kept.tokens === env.TOKENS) {
    return kept.settings;
  }
  const { settings, complaints } = readSettings(env.HOSTS, env.TOKENS);
  if (complaints.length > 0) {
    throw new CopyError({
      code: "configuration",
      side: "service",
      host: "",
      operation: "read configuration",
      retryable: false,
      message: complaints.join("\n"),
    });
  }
  kept = { hosts: env.HOSTS, tokens: env.TOKENS, settings };
  return settings;
}

/**
 * How a host is reached and what it can take.
 * @param host Canonical, as in a {@link import("./registry/reference.ts").Reference}.
 * @throws CopyError `configuration`, as {@link settingsOf}.
 */
export function hostSettings(env: SettingsEnv, host: string): HostSettings {
  return settingsOf(env).hosts.get(host) ?? withDefaults(host);
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
  const configured = [...settingsOf(env).hosts.values()];
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

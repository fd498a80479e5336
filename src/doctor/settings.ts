/** Looks at the settings and secrets of a service, as its environment has them. Pure: asks nobody, and tells no value. */
import { isLocal, issuerSettings, notificationTargets, reachRefusal, settingsOf, tokenHashes } from "../config.ts";
import { credentialSecrets } from "../config/registry-credentials.ts";
import { hookSecrets, recordDays, registryCredentials, type SettingsEnv } from "../config.ts";
import { readDockerAuths } from "../registry/credentials.ts";
import { errorDetailOf } from "../registry/errors.ts";
import { fail, ok, warn, type Finding } from "./contract.ts";

/** What the service is bound to; without one of these it cannot work. */
const BINDINGS: Readonly<Record<string, string>> = {
  JOBS: "durable_objects.bindings",
  REGISTRIES: "durable_objects.bindings",
  INDEX: "durable_objects.bindings",
  NOTIFIER: "durable_objects.bindings",
  GROUPS: "durable_objects.bindings",
  LANES: "queues.producers",
};

/** The part of the environment that is looked at. */
export interface CheckedEnv extends SettingsEnv {
  DOCKER_CONFIG?: string;
  CREDENTIALS?: unknown;
}

/** Everything that the environment alone can tell. `isLoopback`: whoever asks is on the same machine. */
export function settingsFindings(env: CheckedEnv, isLoopback: boolean): Finding[] {
  return [
    ...bindings(env),
    settings(env),
    access(env),
    credentials(env),
    hooks(env),
    ...receivers(env),
    ...(isLocal(env) && !isLoopback
      ? [
          warn(
            "reach",
            "LOCAL is set: copies may name registries in private networks.",
            "Take LOCAL away unless the service runs on your own machine.",
          ),
        ]
      : []),
  ];
}

function bindings(env: object): Finding[] {
  const there = new Set(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [name])));
  const missing = Object.entries(BINDINGS).filter(([name]) => !there.has(name));
  return missing.length === 0
    ? [ok("bindings", `All are there: ${Object.keys(BINDINGS).join(", ")}.`)]
    : missing.map(([name, section]) =>
        fail(
          "bindings",
          `The binding ${name} is missing.`,
          `Put it back under ${section} in wrangler.toml, and deploy.`,
        ),
      );
}

function settings(env: SettingsEnv): Finding {
  return judged("settings", "Mend it in wrangler.toml (or with `wrangler secret put`), and deploy.", () => {
    const { hosts, queue } = settingsOf(env);
    return ok(
      "settings",
      `They can be read: ${counted(hosts.size, "registry host")} configured, policy ${queue.policy}, records kept for ` +
        `${recordDays(env)} days.`,
    );
  });
}

function access(env: SettingsEnv): Finding {
  return judged("access", "Mend TOKENS, OIDC or ACCESS, and deploy.", () => {
    // These alone: what else is wrong is said of the settings, and would be mended elsewhere.
    const tokens = counted(tokenHashes(env).length, "token");
    return ok("access", `${tokens} in TOKENS, ${counted(issuerSettings(env).length, "issuer")} of other tokens.`);
  });
}

function credentials(env: CheckedEnv): Finding {
  return judged("credentials", "Put the secret again: docs/credentials.md has its form.", () => {
    if (env.CREDENTIALS !== undefined) {
      return ok("credentials", "Those of this machine's user: docker's files and helpers.");
    }
    const docker =
      env.DOCKER_CONFIG === undefined || env.DOCKER_CONFIG === "" ? 0 : readDockerAuths(env.DOCKER_CONFIG).size;
    const others = registryCredentials(env).size;
    return docker + others === 0
      ? warn(
          "credentials",
          "There are none, so that only public repositories can be read, and nothing can be pushed.",
          "`wrangler secret put DOCKER_CONFIG` or `wrangler secret put REGISTRY_CREDENTIALS`; docs/credentials.md.",
        )
      : ok(
          "credentials",
          `${counted(docker, "place")} in DOCKER_CONFIG, ${counted(others, "place")} in ` +
            `${
              credentialSecrets(env)
                .map(([name]) => name)
                .join(", ") || "REGISTRY_CREDENTIALS"
            }.`,
        );
  });
}

function hooks(env: SettingsEnv): Finding {
  return judged("webhooks", "Put the secret HOOK_SECRETS again: docs/webhooks.md has its form.", () =>
    ok("webhooks", `${counted(hookSecrets(env).size, "secret")} in HOOK_SECRETS.`),
  );
}

function receivers(env: SettingsEnv): Finding[] {
  try {
    const targets = notificationTargets(env);
    if (targets.length === 0) {
      return [ok("notifications", "Nobody is told of the ends of copies.")];
    }
    return targets.map(({ name, url, keys }) => {
      const refusal = refusalOf(env, url);
      return refusal === null
        ? ok("notifications", `${name} is told, signed with ${counted(keys.length, "key")}.`)
        : fail(
            "notifications",
            `${name} is never told: its address ${refusal}.`,
            "Mend its url in NOTIFICATIONS, and deploy.",
          );
    });
  } catch (error) {
    return [
      fail(
        "notifications",
        errorDetailOf(error).message,
        "Mend NOTIFICATIONS or NOTIFICATION_SECRETS; docs/notifications.md.",
      ),
    ];
  }
}

/** Where an address may be depends on HOSTS as well; while those are wrong it is not judged, and the settings tell. */
function refusalOf(env: SettingsEnv, url: string): string | null {
  try {
    return reachRefusal(env, new URL(url));
  } catch {
    return null;
  }
}

function judged(name: string, fix: string, look: () => Finding): Finding {
  try {
    return look();
  } catch (error) {
    return fail(name, errorDetailOf(error).message, fix);
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

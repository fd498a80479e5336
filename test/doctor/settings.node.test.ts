/** What the environment alone tells: a wrong setting is found under its own name, and mended where it stands. */
import { expect, test } from "vitest";
import { settingsFindings } from "../../src/doctor/settings.ts";

const hash = `sha256:${"0".repeat(64)}`;
const BOUND = { JOBS: 1, REGISTRIES: 1, INDEX: 1, NOTIFIER: 1, GROUPS: 1, LANES: 1, TOKENS: [hash] };
const NOTIFIED = {
  NOTIFICATIONS: [{ name: "ops", url: "https://hooks.example.com/x" }],
  NOTIFICATION_SECRETS: { ops: `whsec_${Buffer.alloc(32, 1).toString("base64")}` },
};

function bad(env: object): string[] {
  return settingsFindings({ ...BOUND, ...env }, true).flatMap(({ name, state }) => (state === "fail" ? [name] : []));
}

test.each<[string, object, string[]]>([
  ["nothing wrong", NOTIFIED, []],
  ["a host", { ...NOTIFIED, HOSTS: { "ghcr.io": { tls: 1 } } }, ["settings"]],
  ["the registries that are allowed", { ALLOWED_REGISTRIES: "https://ghcr.io" }, ["settings"]],
  ["a token", { TOKENS: [1] }, ["settings", "access"]],
  ["an issuer", { OIDC: [{ issuer: "x" }] }, ["settings", "access"]],
  ["credentials", { REGISTRY_CREDENTIALS: "{" }, ["settings", "credentials"]],
  ["secrets of webhooks", { HOOK_SECRETS: { a: 1 } }, ["settings", "webhooks"]],
  ["a receiver", { NOTIFICATIONS: [{ name: "ops" }] }, ["settings", "notifications"]],
  [
    "a receiver in a private network",
    { ...NOTIFIED, NOTIFICATIONS: [{ name: "ops", url: "https://ops.internal/" }] },
    ["notifications"],
  ],
  ["a binding", { LANES: undefined }, ["bindings"]],
])("with %s wrong, these are found: %s", (_, env, names) => {
  expect(bad(env)).toEqual(names);
});

/**
 * Three test projects: `node` for pure modules and the command's parts, `workerd` for what runs in the Worker's own
 * runtime, `e2e` for the built command against real registries. Where a test lives is decided by its file name alone.
 */
import { createHash } from "node:crypto";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** What tests inside workerd send as bearer token; the Worker under test knows its hash only, as in production. */
const API_TOKEN = "token-of-the-tests";
const API_TOKEN_HASH = `sha256:${createHash("sha256").update(API_TOKEN).digest("hex")}`;

/** Registries of clouds in tests inside workerd, which answer for the clouds themselves. Everything secret is a marker. */
const CLOUD_CREDENTIALS = {
  "111122223333.dkr.ecr.eu-west-1.amazonaws.com": {
    kind: "ecr",
    access_key_id: "mark-aws-id",
    secret_access_key: "mark-aws-secret",
  },
  "team.azurecr.io": { kind: "acr", tenant_id: "t", client_id: "c", client_secret: "mark-azure-secret" },
  "registry.cloudflare.com": { kind: "cloudflare", account_id: "0".repeat(32), api_token: "mark-cloudflare-token" },
  "registry.cloudflare.com/open": { kind: "basic", username: "u", password: "mark-basic-password" },
};

/**
 * How long tests wait for what comes at its own time, in milliseconds: far above what it takes, since a machine that others
 * keep busy is many times slower, and only a test that fails waits for so long.
 */
const PATIENCE = { testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { timeout: 10_000 } } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "node",
          include: ["test/**/*.node.test.ts"],
          globalSetup: ["test/registries.setup.ts"],
          ...PATIENCE,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            // As under the `drayage` command: the registries of the tests listen on loopback.
            miniflare: {
              bindings: {
                LOCAL: "true",
                TOKENS: [API_TOKEN_HASH],
                // A host that keeps a part of its quota from background copies.
                HOSTS: { "reserve.test": { quota_reserve: 10 } },
                REGISTRY_CREDENTIALS: JSON.stringify(CLOUD_CREDENTIALS),
              },
            },
          }),
        ],
        test: {
          name: "workerd",
          include: ["test/**/*.worker.test.ts"],
          globalSetup: ["test/registries.setup.ts"],
          provide: { apiToken: API_TOKEN },
          ...PATIENCE,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/**/*.e2e.test.ts"],
          globalSetup: ["test/e2e/e2e.setup.ts"],
          setupFiles: ["test/limits/e2e.setup.ts"],
          // Each file starts processes and registries of its own; together they would measure one another.
          fileParallelism: false,
          ...PATIENCE,
          testTimeout: 120_000,
        },
      },
    ],
  },
});

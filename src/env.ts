import type { QueueProbe } from "./doctor/queue.ts";
import type { WorkOrder } from "./host/contract.ts";
import type { CopyJob } from "./job/copy-job.ts";
import type { CopyGroup } from "./job/group/copy-group.ts";
import type { CopyIndex } from "./ledger/copy-index.ts";
import type { Notifier } from "./notify/notifier.ts";
import type { RegistryHost } from "./host/registry-host.ts";

/** The Worker's bindings, as wrangler.toml and the `drayage` command set them. Settings are read through `config.ts` only. */
export interface Env {
  JOBS: DurableObjectNamespace<CopyJob>;
  /** Copies of one source to several targets. */
  GROUPS: DurableObjectNamespace<CopyGroup>;
  /** One RegistryHost per registry host, by the host's name. */
  REGISTRIES: DurableObjectNamespace<RegistryHost>;
  INDEX: DurableObjectNamespace<CopyIndex>;
  /** Who is told of the ends of copies, until they have heard. */
  NOTIFIER: DurableObjectNamespace<Notifier>;
  LANES: Queue<WorkOrder | QueueProbe>;
  /** Optional: a data point for each copy that has ended. */
  ANALYTICS?: AnalyticsEngineDataset;
  /** Host settings: an object, or the same as JSON text. */
  HOSTS?: unknown;
  /** Hashes of the API's bearer tokens: a list, or the same as JSON text. */
  TOKENS?: unknown;
  /** Issuers of OpenID Connect tokens and whom they admit: a list, or the same as JSON text. */
  OIDC?: unknown;
  /** Cloudflare Access before the service, and whom it admits: an object, or the same as JSON text. */
  ACCESS?: unknown;
  /** Which of the requests that wait for a registry goes next; the name of a policy. */
  QUEUE_POLICY?: unknown;
  /** Who has waited longer than this goes first, whatever the policy says. */
  MAX_WAIT_SECONDS?: unknown;
  /** The registry hosts that may be used, as patterns: a list, or the same as text; not set: every one. */
  ALLOWED_REGISTRIES?: unknown;
  /** Secret: credentials in docker's own config.json format. */
  DOCKER_CONFIG?: string;
  /** Secret: credentials by registry host or `host/repository prefix`, those of clouds included: JSON. */
  REGISTRY_CREDENTIALS?: unknown;
  /** Secret: what webhooks prove to know, by the names that rules use: JSON. */
  HOOK_SECRETS?: unknown;
  /** Who is told of the ends of copies: a list, or the same as JSON text. */
  NOTIFICATIONS?: unknown;
  /** Secret: the keys that this is signed with, by name: JSON. */
  NOTIFICATION_SECRETS?: unknown;
  /** For how many days the record of a copy is kept. */
  RECORD_DAYS?: unknown;
  /** Which lines go to the log: `info` (all) or `error`. */
  LOG_LEVEL?: unknown;
  /** Only under the `drayage` command: asks the user's credential helpers. */
  CREDENTIALS?: Fetcher;
  /** Only under the `drayage` command: "true" when this machine's own registries may be reached (loopback, private). */
  LOCAL?: string;
}

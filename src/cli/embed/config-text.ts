/**
 * The configuration of workerd as Cap'n Proto text: the same bindings as wrangler.toml, with the local queue broker in
 * place of Cloudflare Queues. Pure text; it never holds a credential, only hashes of the API's tokens.
 */
import type { Artifact } from "./artifact.ts";

export interface ConfigOptions {
  artifact: Artifact;
  /** `address:port` for the API; port 0 picks a free one. */
  listen: string;
  /** Folder of the Durable Objects' storage. */
  stateFolder: string;
  /** Unix socket on which the command answers questions for credentials. */
  credentialsSocket: string;
  /** Unix socket on which the broker is woken after a start. */
  brokerSocket: string;
  /** The Worker's settings as they stand in its environment. */
  vars: Record<string, string>;
  /** Certificates in PEM, one each, trusted beside those that browsers trust. */
  trustedCertificates: string[];
}

/**
 * The Worker's secrets that come from the command's environment, by the names they have there: those of webhooks, and the
 * keys of notifications, as JSON. They go from there into the Worker, and into no file.
 */
export const SECRET_VARIABLES = {
  HOOK_SECRETS: "DRAYAGE_HOOK_SECRETS",
  NOTIFICATION_SECRETS: "DRAYAGE_NOTIFICATION_SECRETS",
} as const;

/** The Durable Object classes by binding; wrangler.toml has the same list. */
const NAMESPACES = {
  JOBS: "CopyJob",
  REGISTRIES: "RegistryHost",
  INDEX: "CopyIndex",
  NOTIFIER: "Notifier",
  GROUPS: "CopyGroup",
} as const;

/**
 * V8 sees only the small JavaScript half of a stream and leaves the native half to a collection that hardly ever comes:
 * without these a service grows by some megabytes with each copy, to about 50 MB above what it needs. A small first
 * limit and small steps above what is alive make it collect in time; with more alive, collections become rarer again.
 */
const V8_FLAGS = ["--initial-old-space-size=4", "--heap-growing-percent=30", "--max-semi-space-size=2"];

/** The whole configuration. Its file lies in the artifact's folder or elsewhere: every path in it is absolute. */
export function configText(options: ConfigOptions): string {
  const { artifact } = options;
  const tls = `(trustBrowserCas = true, trustedCertificates = [${options.trustedCertificates.map(text).join(", ")}])`;
  // The parser needs the spaces around "=" before a name that begins with a dot.
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "broker", worker = .broker),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = ${tls})),
    (name = "state", disk = (path = ${text(options.stateFolder)}, writable = true)),
    (name = "credentials", external = (address = ${text(`unix:${options.credentialsSocket}`)}, http = ())),
  ],
  sockets = [
    (name = "http", address = ${text(options.listen)}, http = (), service = "main"),
    (name = "broker", address = ${text(`unix:${options.brokerSocket}`)}, http = (), service = "broker"),
  ],
  v8Flags = [${V8_FLAGS.map(text).join(", ")}],
);

const main :Workerd.Worker = (
  modules = [
    (name = "worker.mjs", esModule = embed ${text(`${artifact.folder}/worker.mjs`)}),
${artifact.modules.map((file) => `    (name = ${text(file)}, wasm = embed ${text(`${artifact.folder}/${file}`)}),\n`).join("")}  ],
  compatibilityDate = ${text(artifact.compatibilityDate)},
  compatibilityFlags = [${artifact.compatibilityFlags.map(text).join(", ")}],
  durableObjectNamespaces = [
${Object.values(NAMESPACES)
  .map((name) => `    (className = ${text(name)}, uniqueKey = ${text(name)}, enableSql = true),\n`)
  .join("")}  ],
  durableObjectStorage = (localDisk = "state"),
  bindings = [
${Object.entries(NAMESPACES)
  .map(([binding, name]) => `    (name = ${text(binding)}, durableObjectNamespace = ${text(name)}),\n`)
  .join("")}    (name = "LANES", queue = "broker"),
    (name = "CREDENTIALS", service = "credentials"),
${Object.entries(SECRET_VARIABLES)
  .map(([secret, variable]) => `    (name = ${text(secret)}, fromEnvironment = ${text(variable)}),\n`)
  .join("")}${Object.entries(options.vars)
    .map(([name, value]) => `    (name = ${text(name)}, text = ${text(value)}),\n`)
    .join("")}  ],
);

const broker :Workerd.Worker = (
  modules = [ (name = "broker.mjs", esModule = embed ${text(`${artifact.folder}/broker.mjs`)}) ],
  compatibilityDate = ${text(artifact.compatibilityDate)},
  compatibilityFlags = ["service_binding_extra_handlers"],
  durableObjectNamespaces = [
    (className = "Broker", uniqueKey = "Broker", enableSql = true, preventEviction = true),
  ],
  durableObjectStorage = (localDisk = "state"),
  bindings = [
    (name = "BROKER", durableObjectNamespace = "Broker"),
    (name = "CONSUMER", service = "main"),
    (name = "QUEUE", json = ${text(JSON.stringify(artifact.queue))}),
  ],
);
`;
}

/** Splits a PEM file into its certificates. An empty list: there is none in it. */
export function certificatesOf(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
}

/** A Cap'n Proto text literal: escapes as in C; what is not ASCII goes through as UTF-8. */
function text(value: string): string {
  const escaped = value.replace(/["\\]/g, "\\$&").replace(/\p{Cc}/gu, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${escaped}"`;
}

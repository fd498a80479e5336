/**
 * The service inside this machine: the project's own Worker in plain workerd, with its queue and the user's credentials.
 * Used by `copy` (state thrown away) and `serve` (state kept). It starts and ends the service, and asks it nothing.
 */
import { accessSync, chmodSync, constants, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { request, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveCredentials } from "../credentials/server.ts";
import type { CredentialLookup } from "../credentials/lookup.ts";
import { loadArtifact, type Artifact } from "./artifact.ts";
import type { FileSettings } from "../settings.ts";
import { configText } from "./config-text.ts";
import { startWorkerd } from "./workerd-process.ts";

export interface EmbedOptions {
  /** Where the Durable Objects live; null: a temporary folder, deleted at the end. */
  stateFolder: string | null;
  /** `address:port`; port 0 picks a free one. */
  listen: string;
  settings: FileSettings;
  /** `sha256:<hex>` of every token that may use the API. */
  tokenHashes: string[];
  trustedCertificates: string[];
  credentials: CredentialLookup;
  /** Gets the lines of workerd and of the Worker in it; null: nobody reads them, and only errors are written. */
  onLine: ((line: string) => void) | null;
  /** Another build than the installed one; for tests. */
  artifact?: Artifact;
}

export interface Embedded {
  /** Of workerd. */
  pid: number;
  port: number;
  /** Resolves when the queue delivers again what an earlier process left; rejects in words. */
  delivering: Promise<void>;
  /** Resolves with the last lines of output when the runtime ends by itself. */
  died: Promise<string>;
  /** Resolves when no work order is under way any more, or after `limitMs`. */
  settled(limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

/** Memory that a temporary state may need at most: manifests and ledgers, never blobs. */
const SCRATCH_BYTES = 64 * 1024 * 1024;

/** Longest wait for the broker's answer: it has only to read its table. */
const BROKER_LIMIT_MS = 5_000;

/** At the end nobody waits long for it. */
const BROKER_END_LIMIT_MS = 1_000;

/** How often the broker is asked whether all work orders have ended. */
const SETTLED_POLL_MS = 50;

/** Resolves when the service listens. @throws Error in words when it cannot be started. */
export async function startEmbedded(options: EmbedOptions): Promise<Embedded> {
  const artifact = options.artifact ?? loadArtifact();
  // Of the mode 0700 that mkdtemp gives: the sockets in it are for this user alone.
  const scratchFolder = mkdtempSync(join(scratchRoot(), "drayage-"));
  let credentials: Server | null = null;
  try {
    const stateFolder = options.stateFolder ?? join(scratchFolder, "state");
    mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
    const credentialsSocket = join(scratchFolder, "credentials.sock");
    const brokerSocket = join(scratchFolder, "broker.sock");
    const configFile = join(scratchFolder, "workerd.capnp");
    const { listen, trustedCertificates } = options;
    const sockets = { listen, credentialsSocket, brokerSocket };
    const vars = workerVars(options);
    writeFileSync(configFile, configText({ artifact, stateFolder, ...sockets, trustedCertificates, vars }), {
      mode: 0o600,
    });
    const answering = await serveCredentials(credentialsSocket, options.credentials);
    credentials = answering;
    const workerd = await startWorkerd({
      configFile,
      scratchFolder,
      inOrder: options.stateFolder !== null,
      onLine: options.onLine ?? (() => undefined),
    });
    // An object that nobody asks anything is not even loaded: an earlier process may have left messages.
    const delivering = options.stateFolder === null ? Promise.resolve() : wake(brokerSocket);
    return {
      pid: workerd.pid,
      port: workerd.port,
      delivering,
      died: workerd.died,
      settled: async (limitMs) => {
        const untilMs = performance.now() + limitMs;
        while ((await underDelivery(brokerSocket)) > 0 && performance.now() < untilMs) {
          await new Promise((resolve) => setTimeout(resolve, SETTLED_POLL_MS));
        }
      },
      stop: async () => {
        if (options.stateFolder !== null) {
          await askBroker(brokerSocket, "/end", BROKER_END_LIMIT_MS).catch(() => undefined);
        }
        await workerd.stop();
        answering.close();
      },
    };
  } catch (error) {
    credentials?.close();
    rmSync(scratchFolder, { recursive: true, force: true });
    throw error;
  }
}

/** The Worker's environment as text; what is not set is not there. Anything else than text goes as JSON. */
export function workerVars({
  settings,
  tokenHashes,
  onLine,
}: Pick<EmbedOptions, "settings" | "tokenHashes" | "onLine">): Record<string, string> {
  const { hosts, queuePolicy, maxWaitSeconds, allowedRegistries, oidc, access, notifications, recordDays } = settings;
  const vars = {
    HOSTS: hosts,
    TOKENS: tokenHashes,
    QUEUE_POLICY: queuePolicy,
    MAX_WAIT_SECONDS: maxWaitSeconds,
    ALLOWED_REGISTRIES: allowedRegistries,
    OIDC: oidc,
    ACCESS: access,
    NOTIFICATIONS: notifications,
    RECORD_DAYS: recordDays,
    LOG_LEVEL: onLine === null ? "error" : undefined,
  };
  const given = Object.entries(vars).filter(([, value]) => value !== undefined);
  const texts = given.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
  return { ...Object.fromEntries(texts), LOCAL: "true" };
}

async function wake(socketPath: string): Promise<void> {
  await askBroker(socketPath, "/wake");
}

/** Work orders that lanes have taken and not ended; none when the broker cannot say. */
async function underDelivery(socketPath: string): Promise<number> {
  try {
    const metrics: unknown = JSON.parse(await askBroker(socketPath, "/metrics"));
    const isCount = typeof metrics === "object" && metrics !== null && "underDelivery" in metrics;
    return isCount ? Number(metrics.underDelivery) : 0;
  } catch {
    return 0;
  }
}

function askBroker(socketPath: string, path: string, limitMs = BROKER_LIMIT_MS): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new Error(`The local queue does not answer: ${error.message}`));
    const asked = request({ socketPath, path, method: "POST", timeout: limitMs }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => (text += piece));
      response.once("error", fail);
      response.once("end", () => {
        if (response.statusCode === 200) {
          resolve(text);
        } else {
          fail(new Error(`status ${response.statusCode}`));
        }
      });
    });
    asked.once("timeout", () => asked.destroy(new Error("no answer in time")));
    asked.once("error", fail);
    asked.end();
  });
}

/** Memory where the system offers some as a file system: SQLite's commits cost a tenth there. */
function scratchRoot(): string {
  const memory = "/dev/shm";
  try {
    accessSync(memory, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(memory);
    return bavail * bsize >= SCRATCH_BYTES ? memory : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** Makes a folder that only its owner can look into, also where it exists already. */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
}

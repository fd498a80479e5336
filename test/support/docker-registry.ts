/**
 * Starts Debian's `docker-registry` (CNCF distribution) for end-to-end tests, each with a folder, a configuration and a
 * port of its own. Says in one line what is missing where it cannot; skipping or failing is the test's decision.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface DockerRegistryOptions {
  /** Asks for Basic authentication. */
  htpasswd?: { user: string; password: string };
  /** Asks for tokens of this server (`token-server.ts`). */
  token?: { realm: string; service: string; issuer: string; certificatePath: string };
  /** Sends push events there. */
  notifications?: { url: string; headers?: Record<string, string> }[];
  /** Answers blob reads with a redirect to this base URL. */
  redirect?: string;
}

export interface DockerRegistry extends AsyncDisposable {
  /** As in a reference: `127.0.0.1:PORT`. */
  readonly host: string;
  readonly url: string;
  /** Root of its storage on disk, in distribution's layout. */
  readonly root: string;
  /** What it has printed so far. */
  log(): string;
  /** Ends the process and removes its folder. */
  close(): Promise<void>;
}

const START_TIMEOUT_MS = 10_000;
/** After this a process that was asked to end is ended. */
const END_TIMEOUT_MS = 3000;
const HOW_TO_GET = "apt-get install docker-registry apache2-utils";

/** Null: it can be started. Else why not and how to change that, in one line. */
export function dockerRegistryAvailable(): string | null {
  const missing = [
    ["docker-registry", "--version"],
    ["htpasswd", "-nbB", "user", "password"],
  ].flatMap(([tool = "", ...args]) => (spawnSync(tool, args, { stdio: "ignore" }).error ? [tool] : []));
  return missing.length === 0 ? null : `${missing.join(" and ")} not found: ${HOW_TO_GET}`;
}

export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const reason = dockerRegistryAvailable();
  if (reason !== null) {
    throw new Error(reason);
  }
  // In memory where the system offers it: these tests are about bytes, not about the disk.
  const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const folder = await mkdtemp(join(base, "docker-registry-"));
  const root = join(folder, "storage");
  await writeFile(join(folder, "config.yml"), await configuration(folder, root, options));
  const child = spawn("docker-registry", ["serve", join(folder, "config.yml")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, OTEL_TRACES_EXPORTER: "none" },
  });
  // A test run that is broken off leaves no registry behind.
  const endWithUs = (): void => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", endWithUs);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => (text += String(data)));
  }
  const close = async (): Promise<void> => {
    await end(child);
    process.off("exit", endWithUs);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const host = await listening(child, () => text);
    return { host, url: `http://${host}`, root, log: () => text, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** JSON is YAML: no quoting of our own. */
async function configuration(folder: string, root: string, options: DockerRegistryOptions): Promise<string> {
  const { htpasswd, token, notifications = [], redirect } = options;
  const auth: Record<string, unknown> = {};
  if (htpasswd) {
    const path = join(folder, "htpasswd");
    const made = spawnSync("htpasswd", ["-inB", htpasswd.user], { input: htpasswd.password, encoding: "utf8" });
    await writeFile(path, made.stdout);
    auth.htpasswd = { realm: "test", path };
  }
  if (token) {
    const { realm, service, issuer, certificatePath } = token;
    auth.token = { realm, service, issuer, rootcertbundle: certificatePath };
  }
  return JSON.stringify({
    version: "0.1",
    log: { level: "info", accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: root },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    // Foreign layers name other hosts; the default refuses every manifest that does.
    validation: { manifests: { urls: { allow: [".*"] } } },
    http: { addr: "127.0.0.1:0", secret: "test" },
    ...(Object.keys(auth).length > 0 ? { auth } : {}),
    ...(redirect === undefined
      ? {}
      : { middleware: { storage: [{ name: "redirect", options: { baseurl: redirect } }] } }),
    notifications: {
      endpoints: notifications.map(({ url, headers = {} }, i) => ({
        name: `endpoint${i}`,
        url,
        headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
        timeout: "5s",
        threshold: 3,
        backoff: "1s",
      })),
    },
  });
}

/** The address it chose, as it says it in its log. */
function listening(child: ChildProcess, text: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      stop();
      reject(new Error(`docker-registry ${why}: ${text().trim().split("\n").slice(-3).join(" / ")}`));
    };
    const look = (): void => {
      const host = /listening on (127\.0\.0\.1:\d+)/.exec(text())?.[1];
      if (host === undefined) {
        return;
      }
      stop();
      resolve(host);
    };
    const onExit = (): void => fail("ended at once");
    const timer = setTimeout(() => fail("did not start"), START_TIMEOUT_MS);
    const stop = (): void => {
      clearTimeout(timer);
      child.off("exit", onExit);
      child.stdout?.off("data", look);
      child.stderr?.off("data", look);
    };
    child.on("exit", onExit);
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
  });
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
    child.on("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill("SIGTERM");
  });
}

/**
 * The folder in which `serve` keeps its state: the Worker's storage, the API's token for this user, the address it
 * listens on, and a lock, since two processes on one storage would destroy it.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join, resolve } from "node:path";
import { makePrivateFolder } from "./embed/embed.ts";
import { UsageError } from "./failure.ts";
import { newToken } from "./token.ts";

/** Longest path of a Unix socket: 104 bytes on macOS, 108 on Linux, one of them the end mark. */
const SOCKET_PATH_LIMIT_BYTES = 103;

export interface StateFolder {
  /** For the Worker's storage. */
  storage: string;
  token: string;
  /** Whether the token was made just now and has to be shown. */
  tokenIsNew: boolean;
  /** Writes down where the service listens, for `copy --server`, and a new token: one that nobody was shown is not kept. */
  announce(url: string): void;
  release(): void;
}

/**
 * Opens the folder for this process alone.
 * @throws UsageError when another `serve` has it.
 */
export async function openStateFolder(path: string): Promise<StateFolder> {
  if (path === "") {
    throw new UsageError("--state", "--state is empty; name a folder");
  }
  const folder = resolve(path);
  try {
    makePrivateFolder(folder);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new UsageError(
      "--state",
      `${folder} cannot be used as state folder (${code}); choose another with --state DIR`,
    );
  }
  const lock = await takeLock(folder);
  const addressFile = join(folder, "address");
  const known = readToken(folder);
  const token = known ?? newToken();
  return {
    storage: join(folder, "objects"),
    token,
    tokenIsNew: known === null,
    announce: (url) => {
      if (known === null) {
        writeFileSync(join(folder, "token"), `${token}\n`, { mode: 0o600 });
      }
      writeFileSync(addressFile, `${url}\n`, { mode: 0o600 });
    },
    release: () => {
      rmSync(addressFile, { force: true });
      lock.close();
    },
  };
}

/** The token of a `serve` on this machine, when `url` is where the one with this folder listens; else null. */
export function tokenOfServe(folder: string, url: URL): string | null {
  if (!isLoopback(url.hostname)) {
    return null;
  }
  try {
    const address = new URL(readFileSync(join(folder, "address"), "utf8").trim());
    return address.port === url.port && url.protocol === "http:" ? readToken(folder) : null;
  } catch {
    return null;
  }
}

function readToken(folder: string): string | null {
  try {
    return readFileSync(join(folder, "token"), "utf8").trim() || null;
  } catch {
    return null;
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

/** A listening socket is a lock that no crash leaves behind: one that nobody answers on is free. */
async function takeLock(folder: string): Promise<Server> {
  const path = join(folder, "lock.sock");
  if (Buffer.byteLength(path) > SOCKET_PATH_LIMIT_BYTES) {
    throw new UsageError("--state", `${folder} is too long a path for a socket; choose a shorter one`);
  }
  if (await answers(path)) {
    throw new UsageError("--state", `another \`drayage serve\` uses ${folder}; end it, or give this one --state DIR`);
  }
  rmSync(path, { force: true });
  return new Promise((done, fail) => {
    const server = createServer((socket) => socket.end());
    server.once("error", fail);
    server.listen(path, () => done(server));
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", () => done(false));
  });
}

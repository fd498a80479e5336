/**
 * The folder in which `serve` keeps its state: the Worker's storage, the API's token for this user, the address it
 * listens on, and a lock, since two processes on one storage would destroy it.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { makePrivateFolder } from "./embed/embed.ts";
import { UsageError } from "./failure.ts";
import { takeLock } from "./folder-lock.ts";
import { newToken } from "./token.ts";

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
  const freeLock = await takeLock(folder);
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
      freeLock();
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

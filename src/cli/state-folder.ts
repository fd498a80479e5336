/**
 * The folder in which `serve` keeps its state: the Worker's storage, the API's token for this user, and a lock, since two
 * processes on one storage would destroy it. Who holds the lock says where it listens. A file would still say so after a
 * crash, and whoever listens there then would be shown the token.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { makePrivateFolder } from "./embed/embed.ts";
import { UsageError } from "./failure.ts";
import { askHolder, takeLock } from "./folder-lock.ts";
import { newToken } from "./token.ts";

/** A start takes half a second. */
const START_LIMIT_MS = 3_000;
const START_POLL_MS = 50;

export interface StateFolder {
  /** For the Worker's storage. */
  storage: string;
  token: string;
  /** Whether the token was made just now and has to be shown. */
  tokenIsNew: boolean;
  /**
   * Says where the service listens, for `copy --server`, and keeps a new token: one that nobody was shown is not kept.
   * @param url With an IP address: a name may come to stand for another one.
   */
  announce(url: string): void;
  /** Says so no longer: from now on anybody may listen there. */
  withdraw(): void;
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
      lock.say(url);
    },
    withdraw: () => lock.say(""),
    release: () => lock.free(),
  };
}

/** A `serve` of this user, as it is found. */
export interface FoundServe {
  /** Its own address: another name of this machine may lead to somebody else who listens there. */
  url: string;
  token: string;
  /** Whether it is there still. */
  isThere(): Promise<boolean>;
}

/** The `serve` with this folder, when `url` is where it listens; else null. */
export async function findServe(folder: string, url: URL): Promise<FoundServe | null> {
  const address = await onceAnnounced(folder);
  const token = readToken(folder);
  if (address === null || token === null || url.protocol !== "http:" || address.port !== url.port) {
    return null;
  }
  return url.hostname === address.hostname || url.hostname === "localhost"
    ? {
        url: address.href,
        token,
        isThere: async () => (await announced(folder))?.href === address.href,
      }
    : null;
}

/** Where the `serve` with this folder listens; null: there is none, or it is about to end. */
async function announced(folder: string): Promise<URL | null> {
  const said = (await askHolder(folder)) ?? "";
  return URL.canParse(said) ? new URL(said) : null;
}

/** As {@link announced}, but one that is just starting is waited for: it listens before it is sure of itself. */
async function onceAnnounced(folder: string): Promise<URL | null> {
  const untilMs = performance.now() + START_LIMIT_MS;
  while ((await askHolder(folder)) === "" && performance.now() < untilMs) {
    await new Promise((done) => setTimeout(done, START_POLL_MS));
  }
  return announced(folder);
}

function readToken(folder: string): string | null {
  try {
    return readFileSync(join(folder, "token"), "utf8").trim() || null;
  } catch {
    return null;
  }
}

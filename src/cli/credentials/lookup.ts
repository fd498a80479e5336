/**
 * The user's own registry credentials: which files hold them, in which order, and which helper answers for which host.
 * The `auths` of a file are read by `registry/credentials.ts`, as in a deployed service.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseDockerConfig, type Credential } from "../../registry/credentials.ts";
import { errorDetailOf } from "../../registry/errors.ts";
import { DOCKER_HUB } from "../../registry/reference.ts";
import { askHelper } from "./helper.ts";

/** Credentials for a repository of a host; null: none are known. @throws Error in words, without secrets. */
export type CredentialLookup = (host: string, repository: string | null) => Promise<Credential | null>;

type Environment = Readonly<Record<string, string | undefined>>;

/** Under this name docker keeps what belongs to Docker Hub. */
const HUB_SERVER = "https://index.docker.io/v1/";

/** A helper may start a key ring or ask a cloud; its answers live for hours. */
const HELPER_MEMORY_MS = 5 * 60_000;

/** So that ten requests at once make one call of a helper that has nothing to say or fails. */
const HELPER_REFUSAL_MEMORY_MS = 5_000;

interface AuthFile {
  path: string;
  text: string;
  helpers: Record<string, string>;
  /** Keys of `auths`, as they are written. */
  listed: string[];
  store: string | null;
}

/**
 * Files that may hold credentials, best first. `required`: the user named it, so that its absence is an error.
 * Order as docker's, then podman's and skopeo's.
 */
export function authFiles(env: Environment, home = homedir()): { path: string; required: boolean }[] {
  const named = env["REGISTRY_AUTH_FILE"];
  if (named !== undefined && named !== "") {
    return [{ path: named, required: true }];
  }
  const dockerFolder = env["DOCKER_CONFIG"];
  const runtimeFolder = env["XDG_RUNTIME_DIR"];
  const files = [{ path: join(dockerFolder || join(home, ".docker"), "config.json"), required: false }];
  if (runtimeFolder) {
    files.push({ path: join(runtimeFolder, "containers", "auth.json"), required: false });
  }
  return files;
}

/** A lookup over the user's files, read anew for every question, so that a `docker login` counts at once. */
export function userCredentials(env: Environment, home = homedir(), now: () => number = Date.now): CredentialLookup {
  const ask = rememberingHelpers(now);
  return async (host, repository) => {
    for (const { path, required } of authFiles(env, home)) {
      const file = await readAuthFile(path, required);
      const credential = file === null ? null : await lookUp(file, host, repository, ask);
      if (credential !== null) {
        return credential;
      }
    }
    return null;
  };
}

async function lookUp(
  file: AuthFile,
  host: string,
  repository: string | null,
  ask: typeof askHelper,
): Promise<Credential | null> {
  for (const key of helperKeys(host, repository)) {
    const helper = file.helpers[key];
    if (helper !== undefined) {
      return ask(helper, host === DOCKER_HUB ? HUB_SERVER : key);
    }
  }
  const listed = listedCredential(file, host, repository);
  if (listed !== null || file.store === null) {
    return listed;
  }
  const stored = await ask(file.store, host === DOCKER_HUB ? HUB_SERVER : host);
  // docker stores Docker Hub under its old address, podman and skopeo under its name.
  const other = host === DOCKER_HUB ? DOCKER_HUB : withPort(host);
  // docker lists what its store holds.
  const isStored = host === DOCKER_HUB || (other !== null && file.listed.includes(other));
  return stored === null && other !== null && isStored ? ask(file.store, other) : stored;
}

/** As a login may have named a host whose one name leaves the port out; null: it has another one. */
function withPort(host: string): string | null {
  return /:\d+$/.test(host) ? null : `${host}:443`;
}

/** From the longest path to the host alone, as containers' auth.json has it. */
function helperKeys(host: string, repository: string | null): string[] {
  const parts = repository === null ? [] : repository.split("/");
  const hosts = [host, withPort(host)].filter((name) => name !== null);
  const keys = parts.flatMap((_, index) =>
    hosts.map((name) => [name, ...parts.slice(0, parts.length - index)].join("/")),
  );
  return host === DOCKER_HUB ? [...keys, host, HUB_SERVER, "index.docker.io"] : [...keys, ...hosts];
}

function listedCredential(file: AuthFile, host: string, repository: string | null): Credential | null {
  try {
    return parseDockerConfig(file.text)(host, repository);
  } catch (error) {
    throw new Error(`${file.path}: ${errorDetailOf(error).message}`, { cause: error });
  }
}

async function readAuthFile(path: string, required: boolean): Promise<AuthFile | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    if ((code === "ENOENT" || code === "ENOTDIR") && !required) {
      return null;
    }
    throw new Error(`The credentials file ${path} cannot be read (${code})`, { cause: error });
  }
  // As docker does, which leaves such a file behind when a disk was full.
  if (text.trim() === "") {
    return null;
  }
  let parsed: unknown;
  let brokenAt: string | null = null;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    brokenAt = placeIn(text, error instanceof Error ? error.message : "");
  }
  if (brokenAt !== null) {
    // Without the parser's own words, which quote the text.
    throw new Error(
      `The credentials file ${path} is not JSON (${brokenAt}); mend it, or move it away and log in again`,
    );
  }
  const helpers = fieldOf(parsed, "credHelpers");
  const store = fieldOf(parsed, "credsStore");
  const auths = fieldOf(parsed, "auths");
  return {
    path,
    text,
    helpers: textsOf(helpers),
    listed: typeof auths === "object" && auths !== null ? Object.keys(auths) : [],
    store: typeof store === "string" && store !== "" ? store : null,
  };
}

/** Where the parser gave up, as `line 3, column 7`; it names a position, or the text's end. */
function placeIn(text: string, words: string): string {
  const position = /at position (\d+)/.exec(words)?.[1];
  const lines = text.slice(0, position === undefined ? text.length : Number(position)).split("\n");
  return `line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : null;
}

function textsOf(value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) {
    return {};
  }
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string" && entry[1] !== ""),
  );
}

/** Keeps what helpers answered for a while, questions under way included. */
function rememberingHelpers(now: () => number): typeof askHelper {
  const answers = new Map<string, { answer: Promise<Credential | null>; untilMs: number }>();
  return (name, server) => {
    const key = `${name} ${server}`;
    const known = answers.get(key);
    if (known !== undefined && known.untilMs > now()) {
      return known.answer;
    }
    const answer = askHelper(name, server);
    const entry = { answer, untilMs: Number.POSITIVE_INFINITY };
    answers.set(key, entry);
    answer.then(
      (credential) => (entry.untilMs = now() + (credential === null ? HELPER_REFUSAL_MEMORY_MS : HELPER_MEMORY_MS)),
      () => (entry.untilMs = now() + HELPER_REFUSAL_MEMORY_MS),
    );
    return answer;
  };
}

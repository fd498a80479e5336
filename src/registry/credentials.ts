/**
 * Credentials in docker's own config.json format (docker's cli documentation; containers-auth.json(5) adds keys with a
 * path). Pure. Credential helpers are programs and cannot run here: the `drayage` command asks them itself.
 */
import { CopyError } from "./errors.ts";
import { canonicalHost } from "./reference.ts";

/** How to prove who we are to one registry. */
export type Credential = (
  | { kind: "basic"; username: string; password: string }
  /** docker's `identitytoken`: an OAuth2 refresh token. The name that came with it matters to endpoints without OAuth2. */
  | { kind: "identity"; token: string; username: string }
  /** docker's `registrytoken`: a ready bearer token. */
  | { kind: "bearer"; token: string }
) & {
  /** A cloud gave it for a while, until then (milliseconds since the epoch): there is another to be had. Missing: it stays. */
  expiresAtMs?: number;
};

/**
 * Credentials for a repository of a host; `repository` null: for the host as such. Null: none are known.
 * `refused`: this one was refused before its time; another one is wanted, if there is one to be had.
 */
export type CredentialLookup = (
  host: string,
  repository: string | null,
  refused?: Credential,
) => Credential | null | Promise<Credential | null>;

/** Synchronous form of {@link CredentialLookup}, for what does not change. */
export type StoredCredentials = (host: string, repository: string | null) => Credential | null;

/** The name docker stores beside an identity token, and the user that token endpoints expect with one. */
const IDENTITY_USER = "<token>";

/**
 * Reads docker's config.json (also containers' auth.json) from its text. Of two keys that name the same registry the one
 * that says more about the repository counts; of two spellings of one host, the first.
 * @throws CopyError `configuration` that names the field, never its content.
 */
export function parseDockerConfig(text: string): StoredCredentials {
  const byPlace = readDockerAuths(text);
  return (host, repository) => nearestPlace(byPlace, host, repository);
}

/**
 * The credentials of docker's config.json by place: `host`, or `host/repository` prefix.
 * @throws CopyError as {@link parseDockerConfig}.
 */
export function readDockerAuths(text: string): Map<string, Credential> {
  const config = parseObject(text);
  const auths = config["auths"] ?? {};
  if (!isRecord(auths)) {
    throw fault("auths", "must be an object keyed by registry host");
  }
  const byPlace = new Map<string, Credential>();
  for (const [key, entry] of Object.entries(auths)) {
    const credential = readEntry(`auths[${JSON.stringify(key)}]`, entry);
    const place = placeOf(key);
    if (credential !== null && !byPlace.has(place)) {
      byPlace.set(place, credential);
    }
  }
  return byPlace;
}

/** What is kept for the most precise place that the repository is in; null: nothing, not even for its host. */
export function nearestPlace<T>(byPlace: ReadonlyMap<string, T>, host: string, repository: string | null): T | null {
  let place = canonicalHost(host) + (repository === null ? "" : `/${repository}`);
  for (;;) {
    const kept = byPlace.get(place);
    if (kept !== undefined) {
      return kept;
    }
    const slash = place.lastIndexOf("/");
    if (slash < 0) {
      return null;
    }
    place = place.slice(0, slash);
  }
}

/**
 * The place that a key means, as people and tools write it: `ghcr.io`, `https://index.docker.io/v1/`,
 * `http://localhost:5000/`, `quay.io/team/app`. The API version that docker once put at the end is not a path.
 */
export function placeOf(key: string): string {
  const [host = "", ...path] = key
    .trim()
    .replace(/^https?:\/\//i, "")
    .replace(/\/+$/, "")
    .split("/");
  const isVersion = path.length === 1 && /^v[12]$/.test(path[0] ?? "");
  return [canonicalHost(host), ...(isVersion ? [] : path)].join("/");
}

function readEntry(field: string, entry: unknown): Credential | null {
  if (!isRecord(entry)) {
    throw fault(field, "must be an object");
  }
  const registryToken = readText(field, entry, "registrytoken");
  if (registryToken !== "") {
    return { kind: "bearer", token: registryToken };
  }
  const pair = readPair(field, entry);
  const identityToken = readText(field, entry, "identitytoken");
  if (identityToken !== "") {
    return { kind: "identity", token: identityToken, username: pair?.username || IDENTITY_USER };
  }
  return pair === null ? null : { kind: "basic", ...pair };
}

/** `auth` is base64 of `username:password`; docker also takes the two as fields. An empty entry belongs to a helper. */
function readPair(field: string, entry: Record<string, unknown>): { username: string; password: string } | null {
  const auth = readText(field, entry, "auth");
  if (auth === "") {
    const username = readText(field, entry, "username");
    return username === "" ? null : { username, password: readText(field, entry, "password") };
  }
  const pair = decodeBase64(auth);
  const colon = pair?.indexOf(":") ?? -1;
  if (pair === null || colon < 1) {
    throw fault(`${field}.auth`, 'must be base64 of "username:password"');
  }
  // Older docker versions padded the password with zero bytes.
  return { username: pair.slice(0, colon), password: pair.slice(colon + 1).replace(/\0+$/, "") };
}

function decodeBase64(text: string): string | null {
  try {
    const bytes = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  } catch {
    return null;
  }
}

function readText(field: string, entry: Record<string, unknown>, name: string): string {
  const value = entry[name] ?? "";
  if (typeof value !== "string") {
    throw fault(`${field}.${name}`, "must be a string");
  }
  return value;
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text around the fault, which may be a password.
    throw fault("the document", "is not valid JSON");
  }
  if (!isRecord(value)) {
    throw fault("the document", 'must be an object such as {"auths": {…}}');
  }
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fault(field: string, problem: string): CopyError {
  return new CopyError({
    code: "configuration",
    side: "service",
    host: "",
    operation: "read credentials",
    retryable: false,
    message: `docker's config.json (DOCKER_CONFIG): ${field} ${problem}`,
  });
}

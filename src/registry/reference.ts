/**
 * Names of things in registries: `host/repository:tag@digest` (grammar: OCI distribution-spec, "Pulling manifests";
 * short Docker Hub names as docker reads them). Pure; it must never ask a registry anything.
 */
import { isLoopback } from "./address.ts";
import { CopyError } from "./errors.ts";
import { describeDigestFault } from "./digest.ts";

export interface Reference {
  /** Registry host with port if any, canonical: Docker Hub is `docker.io`. */
  host: string;
  repository: string;
  tag?: string;
  digest?: string;
}

/** The name Docker Hub has in every reference, whatever it was called. */
export const DOCKER_HUB = "docker.io";

const DOCKER_HUB_ALIASES: ReadonlySet<string> = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/** Registries and clients keep `host/repository` within 255 characters (distribution-spec, "Pulling manifests"). */
const MAX_NAME_CHARACTERS = 255;

/** Distribution-spec: a tag has at most this many characters. */
const MAX_TAG_CHARACTERS = 128;

/** Nothing longer can be valid: 255 for the name, 128 for a tag, and the longest digest; keeps the patterns off huge input. */
const MAX_REFERENCE_CHARACTERS = 1024;

const MAX_PORT = 65_535;

const HOST_LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/;
const IPV6 = /^[0-9A-Fa-f:.]+$/;
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/**
 * Reads a reference as users write it. `alpine` is `docker.io/library/alpine:latest`; without tag and digest the tag is
 * `latest`; with both, both are kept. `field` is the name of the input, for the error.
 * @throws CopyError `invalid_request` that says what is wrong, where, and what is expected.
 */
export function parseReference(text: string, field = "reference"): Reference {
  return withDefaultTag(parseName(text, field));
}

/** As everywhere with containers: a name without tag and digest is that of the tag `latest`. */
export function withDefaultTag(name: Reference): Reference {
  return name.tag === undefined && name.digest === undefined ? { ...name, tag: "latest" } : name;
}

/** As {@link parseReference}, only that a name without tag and digest stays one: it is that of a repository. */
export function parseName(text: string, field = "reference"): Reference {
  const fail = (problem: string): never => {
    throw new CopyError({
      code: "invalid_request",
      side: "request",
      host: "",
      operation: "read reference",
      retryable: false,
      message: `${field} ${quote(text)}: ${problem}`,
    });
  };
  if (text === "") {
    return fail("it is empty; expected host/repository:tag or host/repository@digest");
  }
  if (text.length > MAX_REFERENCE_CHARACTERS) {
    return fail(`it has ${text.length} characters; a reference has at most ${MAX_REFERENCE_CHARACTERS}`);
  }
  const space = /[\s\p{Cc}]/u.exec(text);
  if (space) {
    return fail(`there is white space or a control character at position ${space.index + 1}; remove it`);
  }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text);
  if (scheme) {
    return fail(
      `a reference has no scheme; leave out "${scheme[0]}" ` +
        "(whether a host is reached over plain HTTP is a host setting)",
    );
  }

  const at = text.indexOf("@");
  const named = at < 0 ? text : text.slice(0, at);
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined) {
    const fault = describeDigestFault(digest);
    if (fault !== null) {
      return fail(`the digest after "@" ${fault}`);
    }
  }
  if (named === "") {
    return fail('the repository before "@" is missing');
  }

  const { host, rest } = splitHost(named, fail);
  const colon = rest.indexOf(":", rest.lastIndexOf("/") + 1);
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  if (tag !== undefined) {
    const fault = describeTagFault(tag);
    if (fault !== null) {
      return fail(fault);
    }
  }
  let repository = colon < 0 ? rest : rest.slice(0, colon);
  const fault = describeRepositoryFault(repository);
  if (fault !== null) {
    return fail(fault);
  }
  if (host === DOCKER_HUB && !repository.includes("/")) {
    repository = `library/${repository}`;
  }
  if (host.length + 1 + repository.length > MAX_NAME_CHARACTERS) {
    return fail(`host and repository together have more than ${MAX_NAME_CHARACTERS} characters`);
  }
  return {
    host,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The full form of a reference: `host/repository[:tag][@digest]`; {@link parseReference} reads it back unchanged. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return `${reference.host}/${reference.repository}${tag}${digest}`;
}

/** Whether the text is a tag as the distribution-spec has it. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/**
 * A registry host under its one name: lower case, Docker Hub's aliases as `docker.io`, without the port that it is reached
 * at anyway (`ghcr.io:443`). Other ports and brackets stay.
 */
export function canonicalHost(host: string): string {
  const lower = withoutDefaultPort(host.toLowerCase());
  return DOCKER_HUB_ALIASES.has(lower) ? DOCKER_HUB : lower;
}

/**
 * The default is that of the scheme which a host has without any settings, plain HTTP on loopback and HTTPS elsewhere: what
 * a name means must not depend on settings. What is only a host for its port (`registry:443`) keeps it, and so does a
 * pattern that would take in other ports without it (`*:443`).
 */
function withoutDefaultPort(host: string): string {
  const [, name = "", port = ""] = /^(.*[^:*]):0*([1-9][0-9]*)$/.exec(host) ?? [];
  if (name === "") {
    return host;
  }
  const isHostAlone = /[.[]/.test(name) || name === "localhost";
  if (!isHostAlone || (port !== "443" && port !== "80")) {
    return `${name}:${port}`;
  }
  const url = `http://${name}/`;
  const isPlain = URL.canParse(url) && isLoopback(new URL(url).hostname);
  return port === (isPlain ? "80" : "443") ? name : `${name}:${port}`;
}

/**
 * Docker's rule for what is a host: the part before the first slash, if it has a dot or a colon or is `localhost`.
 * Everything else is a repository of Docker Hub. (Docker also takes a part with upper case for a host; it is far more
 * often a repository written wrongly, and is refused as one.)
 */
function splitHost(named: string, fail: (problem: string) => never): { host: string; rest: string } {
  const slash = named.indexOf("/");
  if (slash < 0) {
    if (named.startsWith("[")) {
      return fail('the repository after the host is missing; expected "host/repository"');
    }
    return { host: DOCKER_HUB, rest: named };
  }
  const first = named.slice(0, slash);
  if (first === "") {
    return fail('it begins with "/"; expected a host or a repository first');
  }
  const isHost = /[.:[\]]/.test(first) || first.toLowerCase() === "localhost";
  if (!isHost) {
    return { host: DOCKER_HUB, rest: named };
  }
  const fault = describeHostFault(first);
  if (fault !== null) {
    return fail(fault);
  }
  const rest = named.slice(slash + 1);
  if (rest === "") {
    return fail(`the repository after the host "${first}" is missing; expected "host/repository"`);
  }
  return { host: canonicalHost(first), rest };
}

/** What is wrong with a host, with its port if any, as a clause; null: nothing. */
export function describeHostFault(host: string): string | null {
  const parts = /^(\[[^\]]*\]|[^:[\]]*)(?::(.*))?$/.exec(host);
  if (!parts) {
    return `the host ${quote(host)} is malformed; expected "name", "name:port" or "[IPv6]:port"`;
  }
  const name = parts[1] ?? "";
  const port = parts[2];
  if (port !== undefined && (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > MAX_PORT)) {
    return `the port ${quote(port)} of the host is not a number from 1 to ${MAX_PORT}`;
  }
  if (name.startsWith("[")) {
    const address = name.slice(1, -1);
    const isAddress = IPV6.test(address) && address.includes(":") && URL.canParse(`http://${name}/`);
    return isAddress ? null : `${quote(name)} is not an IPv6 address in brackets`;
  }
  for (const label of name.split(".")) {
    if (label === "") {
      return `the host ${quote(host)} has an empty part; expected a name such as "ghcr.io"`;
    }
    if (!HOST_LABEL.test(label)) {
      return `the part ${quote(label)} of the host may only have letters, digits and inner hyphens`;
    }
  }
  return URL.canParse(`http://${name}/`) ? null : `${quote(name)} is neither a host name nor an IP address`;
}

/** What is wrong with a repository, as the end of a sentence; null: nothing. */
export function describeRepositoryFault(repository: string): string | null {
  if (repository === "") {
    return "the repository is empty";
  }
  for (const component of repository.split("/")) {
    if (component === "") {
      return `the repository ${quote(repository)} has an empty part (a slash too many)`;
    }
    if (component !== component.toLowerCase()) {
      return `the repository ${quote(repository)} has upper case; repositories are lower case: ${quote(repository.toLowerCase())}`;
    }
    if (!PATH_COMPONENT.test(component)) {
      return (
        `the part ${quote(component)} of the repository is not valid; expected lower-case letters and digits, ` +
        'separated by ".", "_", "__" or "-"'
      );
    }
  }
  return null;
}

/** What is wrong with a tag, as the end of a sentence; null: nothing. */
export function describeTagFault(tag: string): string | null {
  if (tag === "") {
    return 'the tag after ":" is empty';
  }
  if (tag.length > MAX_TAG_CHARACTERS) {
    return `the tag has ${tag.length} characters; at most ${MAX_TAG_CHARACTERS} are allowed`;
  }
  if (TAG.test(tag)) {
    return null;
  }
  return `the tag ${quote(tag)} is not valid; expected letters, digits, "_", "." and "-", not beginning with "." or "-"`;
}

/** Input in an error: quoted, and cut where it is long. */
function quote(text: string): string {
  const shown = text.length > 120 ? `${text.slice(0, 120)}…` : text;
  return JSON.stringify(shown);
}

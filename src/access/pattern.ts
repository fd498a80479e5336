/**
 * Patterns over references: `host/repository[:tag]`, with `*` for any characters within an element and `**` for any
 * elements. Pure. A pattern always speaks of whole elements, so that no name that merely begins alike is ever meant:
 * `ghcr.io/acme` is that repository alone, `ghcr.io/acme/**` is everything below it.
 */
import { canonicalHost, DOCKER_HUB, type Reference } from "../registry/reference.ts";
import { fitsSequence, fitsWildcard } from "./wildcard.ts";

/** A reference has at most 255 characters before its tag, and 128 in it. */
const MAX_PATTERN_CHARACTERS = 400;

const ANY = "**";
/** A host with its port; brackets are those of IPv6. */
const HOST_ELEMENT = /^[a-z0-9.:[\]*-]+$/;
const REPOSITORY_ELEMENT = /^[a-z0-9._*-]+$/;
const TAG = /^[A-Za-z0-9._*-]{1,128}$/;

export interface Pattern {
  /** Host and repository components. The element `**` is any elements: none or more between others, one or more at the end. */
  elements: readonly string[];
  /** Null: the whole repository, whatever its tags, and by digest. */
  tag: string | null;
}

/**
 * Reads a pattern. Docker Hub is read as in references: its other names are `docker.io`, and a repository of one element
 * is below `library/`. The tag `*` says no more than no tag, and is left out.
 * @returns The pattern, or the fault as the end of a sentence that begins with the pattern.
 */
export function readPattern(text: string): Pattern | { fault: string } {
  if (text.length > MAX_PATTERN_CHARACTERS) {
    return { fault: `has more than ${MAX_PATTERN_CHARACTERS} characters` };
  }
  const slash = text.lastIndexOf("/");
  const colon = slash < 0 ? -1 : text.indexOf(":", slash);
  const name = colon < 0 ? text : text.slice(0, colon);
  const tag = colon < 0 ? null : text.slice(colon + 1);
  const [first = "", ...components] = name.split("/");
  const host = canonicalHost(first);
  const fault = faultOf(host, components, tag);
  if (fault !== null) {
    return { fault };
  }
  const [only] = components;
  const official = host === DOCKER_HUB && components.length === 1 && only !== ANY;
  return {
    elements: [host, ...(official ? ["library"] : []), ...components],
    tag: tag === null || tag === "*" || tag === ANY ? null : tag,
  };
}

/** The one spelling of a pattern. */
export function formatPattern({ elements, tag }: Pattern): string {
  return elements.join("/") + (tag === null ? "" : `:${tag}`);
}

/**
 * Whether a reference lies in a pattern. One that names a digest lies only in patterns without a tag: what the digest
 * names may never have had that tag. So does one that names neither, which is a repository with all its tags.
 */
export function inPattern(reference: Reference, pattern: Pattern): boolean {
  const { host, repository, tag, digest } = reference;
  if (pattern.tag !== null && (tag === undefined || digest !== undefined || !fitsWildcard(pattern.tag, tag))) {
    return false;
  }
  return fits(pattern.elements, [host, ...repository.split("/")]);
}

/** Whether anything at this host may lie in the pattern. */
export function hostInPattern(host: string, { elements }: Pattern): boolean {
  const [first = ""] = elements;
  return first === ANY || fitsWildcard(first, host);
}

/**
 * Whether everything that lies in `narrow` lies in `wide`. Never true where it is not; where only several patterns
 * together, or an unusual spelling, would cover it, it is false.
 */
export function covers(wide: Pattern, narrow: Pattern): boolean {
  const tagCovered = wide.tag === null || (narrow.tag !== null && fitsWildcard(wide.tag, narrow.tag));
  // A wildcard of the narrow pattern is a letter that no name has: only a wildcard of the wide one can take it.
  return tagCovered && fits(wide.elements, narrow.elements);
}

/** Whether elements fit elements; `**` among the names is one of a narrower pattern, which only another `**` can take. */
function fits(pattern: readonly string[], names: readonly string[]): boolean {
  return fitsSequence(
    openEnded(pattern),
    openEnded(names),
    ANY,
    (element, name) => name !== ANY && fitsWildcard(element, name),
  );
}

/** At the end `**` is at least one element, since `ghcr.io/acme/**` is below `ghcr.io/acme`. */
function openEnded(elements: readonly string[]): readonly string[] {
  return elements.at(-1) === ANY ? [...elements.slice(0, -1), "*", ANY] : elements;
}

function faultOf(host: string, components: readonly string[], tag: string | null): string | null {
  if (host === "" || components.includes("")) {
    return "has an empty element (a slash too many, or nothing)";
  }
  if (host !== ANY && (components.length === 0 || !/[.:*[\]]|^localhost$/.test(host))) {
    return 'must name host and repository, such as "ghcr.io/acme/**" or "docker.io/library/alpine"';
  }
  const elements = [host, ...components];
  if (elements.some((element) => element !== ANY && element.includes(ANY))) {
    return 'has "**" beside other characters; it stands alone between slashes, as in "ghcr.io/acme/**"';
  }
  if (!HOST_ELEMENT.test(host)) {
    return "has a host with characters that hosts do not have";
  }
  const upper = components.find((component) => component !== component.toLowerCase());
  if (upper !== undefined) {
    return "has upper case in its repository; repositories are lower case";
  }
  if (!components.every((component) => REPOSITORY_ELEMENT.test(component))) {
    return "has characters that repositories do not have";
  }
  if (tag !== null && tag !== ANY && (!TAG.test(tag) || tag.includes(ANY))) {
    return 'has a tag that no tag can be; letters, digits, "_", ".", "-" and "*" are allowed';
  }
  return null;
}

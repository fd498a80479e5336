/**
 * Which addresses the service may call. Callers name registries, and registries name further addresses (token realms,
 * redirects, upload locations, links), so without a rule either could send the service into somebody's private network.
 * Pure: names are judged as they stand, nothing is resolved. On Cloudflare private addresses cannot be reached whatever a
 * name resolves to.
 *
 * Two rules, both asked: what the service may call at all, before every request (wire.ts), and where a registry may lead
 * its client, at every address a registry names (transport.ts, token.ts).
 */
import { kindOf, MAX_NAME_CHARACTERS } from "./address.ts";

/** Signed addresses of stores have one to four thousand characters; servers refuse more than eight to sixteen thousand. */
const MAX_ADDRESS_CHARACTERS = 16 * 1024;

/** Why an address must not be called, as the end of a sentence that begins with the address; null: it may be. */
export type Refusal = (url: URL) => string | null;

export interface ReachRule {
  /** True on the user's own machine: its own and private registries are the point there. */
  local: boolean;
  /** Hosts with port (`registry.example.com:5000`) that settings name, as registries or as issuers: their ports are wanted. */
  named: readonly string[];
  /** Hosts that are configured with `tls = "disabled"`: plain HTTP is wanted there. */
  plain: readonly string[];
}

/** Why the service must not call a URL, or null when it may. Never repeats the URL's query or user information. */
export function urlRefusal(url: URL, rule: ReachRule): string | null {
  const malformed = formProblem(url);
  if (malformed !== null || rule.local) {
    return malformed;
  }
  const kind = kindOf(url.hostname);
  if (kind.nearness === "loopback") {
    return "is this machine itself, which a deployed service never calls";
  }
  if (kind.form === "address" || kind.nearness !== "public") {
    return kind.because;
  }
  if (url.protocol === "http:" && !rule.plain.some((host) => isAt(url, host))) {
    return 'is plain HTTP; only a host configured with tls = "disabled" may be';
  }
  if (url.port !== "" && !rule.named.some((host) => isAt(url, host))) {
    return `is at port ${url.port}, which no host settings name; add HOSTS."${url.host}"`;
  }
  return null;
}

/**
 * Why the registry at `registry` must not lead its client to `target`, as the end of a sentence; null: it may.
 * A registry in a private network may lead to others there; a public one never may.
 */
export function reachProblem(target: URL, registry: URL): string | null {
  const malformed = formProblem(target);
  if (malformed !== null) {
    return malformed;
  }
  if (registry.protocol === "https:" && target.protocol === "http:") {
    return "is plain HTTP, the registry is not";
  }
  if (target.hostname === registry.hostname) {
    return null;
  }
  const { nearness } = kindOf(target.hostname);
  if (nearness === "link") {
    return "is a link-local address";
  }
  const isInward = nearness !== "public" && kindOf(registry.hostname).nearness === "public";
  return isInward ? "is in a private network, the registry is not" : null;
}

/** What no address may be, wherever it leads. */
function formProblem(url: URL): string | null {
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return `has the scheme ${url.protocol}// instead of https://`;
  }
  if (url.username !== "" || url.password !== "") {
    return "carries user information in its address";
  }
  const isTooLong = url.hostname.length > MAX_NAME_CHARACTERS || url.href.length > MAX_ADDRESS_CHARACTERS;
  return isTooLong ? "is too long for an address" : null;
}

/** Whether the URL points to this host; a port that is not said is the scheme's own on both sides. */
function isAt(url: URL, host: string): boolean {
  const named = `${url.protocol}//${host}`;
  return URL.canParse(named) && new URL(named).host === url.host;
}

/**
 * Which outgoing addresses the service may call. Callers name registries and registries name further URLs (token realms,
 * upload locations, redirects), so without a rule either could send the service into a private network. Pure: names are
 * judged as they stand, nothing is resolved. On Cloudflare private addresses cannot be reached whatever a name resolves to.
 */
import { PRIVATE_ENDINGS } from "../registry/reach.ts";
import { bare, isAddress, isLoopback, parseHostName } from "./host-name.ts";

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "https:": 443, "http:": 80 };

export interface ReachRule {
  /** True on the user's own machine: its own and private registries are the point there. */
  local: boolean;
  /** Hosts with port (`registry.example.com:5000`) that a reference or the host settings name: their ports are wanted. */
  named: readonly string[];
  /** Hosts that are configured with `tls = "disabled"`: plain HTTP is wanted there. */
  plain: readonly string[];
}

/**
 * Why a registry host (`name` or `name:port`, as a reference names it) must not be called, or null when it may be.
 * The reason completes a sentence that begins with the host.
 */
export function hostRefusal(host: string, local: boolean): string | null {
  const name = parseHostName(host);
  if (name === null) {
    return "is not a host name";
  }
  return local ? null : nameRefusal(name.hostname);
}

/** Why a URL must not be called, or null when it may be. Never repeats the URL's query or user information. */
export function urlRefusal(url: URL, rule: ReachRule): string | null {
  const defaultPort = DEFAULT_PORTS[url.protocol];
  if (defaultPort === undefined) {
    return `has the scheme ${url.protocol}// instead of https://`;
  }
  if (url.username !== "" || url.password !== "") {
    return "carries user information in its address";
  }
  if (rule.local) {
    return null;
  }
  const refusal = nameRefusal(bare(url.hostname));
  if (refusal !== null) {
    return refusal;
  }
  if (url.protocol === "http:" && !rule.plain.some((host) => isAt(url, host))) {
    return 'is plain HTTP; only a host configured with tls = "disabled" may be';
  }
  if (url.port !== "" && !rule.named.some((host) => isAt(url, host))) {
    return `is at port ${url.port}, which neither the reference nor the host settings name`;
  }
  return null;
}

/** Whether the URL points to this host; a port that is not said is the scheme's own on both sides. */
function isAt(url: URL, host: string): boolean {
  const named = `${url.protocol}//${host}`;
  return URL.canParse(named) && new URL(named).host === url.host;
}

function nameRefusal(hostname: string): string | null {
  if (isLoopback(hostname)) {
    return "is this machine itself, which a deployed service never calls";
  }
  if (isAddress(hostname)) {
    return "is an IP address; use the registry's public name";
  }
  if (!hostname.includes(".")) {
    return "is a single-label name, which only private networks have";
  }
  const ending = PRIVATE_ENDINGS.find((each) => hostname.endsWith(`.${each}`));
  return ending === undefined ? null : `ends with .${ending}, which only private networks have`;
}

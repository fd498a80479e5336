/**
 * Where a registry may send its client: token realms, redirects and upload locations are the registry's words, and must
 * not turn the service into a way into somebody's private network. Pure: names are judged as they stand, nothing is
 * resolved. Whether a registry itself may be called is decided elsewhere.
 */

/** Endings of names that only private networks use (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`, common habits). */
export const PRIVATE_ENDINGS: readonly string[] = [
  "internal",
  "local",
  "localhost",
  "localdomain",
  "home.arpa",
  "lan",
  "intranet",
  "corp",
  "home",
];

/** `link`: an address of the machine's own link, where clouds keep their metadata service. */
type Nearness = "public" | "local" | "link";

/**
 * Why the registry at `registry` must not lead its client to `target`, as the end of a sentence; null: it may.
 * A registry in a private network may lead to others there; a public one never may.
 */
export function reachProblem(target: URL, registry: URL): string | null {
  if (target.protocol !== "https:" && target.protocol !== "http:") {
    return `has the scheme ${target.protocol}// instead of https://`;
  }
  if (target.username !== "" || target.password !== "") {
    return "carries user information";
  }
  if (registry.protocol === "https:" && target.protocol === "http:") {
    return "is plain HTTP, the registry is not";
  }
  if (target.hostname === registry.hostname) {
    return null;
  }
  const nearness = nearnessOf(target.hostname);
  if (nearness === "public") {
    return null;
  }
  if (nearness === "link") {
    return "is a link-local address";
  }
  return nearnessOf(registry.hostname) === "public" ? "is in a private network, the registry is not" : null;
}

/** @param hostname As `URL.hostname` has it: lower case, addresses in canonical form, IPv6 in brackets. */
function nearnessOf(hostname: string): Nearness {
  const name = hostname.replace(/\.$/, "");
  if (name.startsWith("[")) {
    return nearnessOfIPv6(name.slice(1, -1));
  }
  const octets = /^(\d{1,3})\.(\d{1,3})\.\d{1,3}\.\d{1,3}$/.exec(name);
  if (octets) {
    return nearnessOfIPv4(Number(octets[1]), Number(octets[2]));
  }
  const isPrivate = PRIVATE_ENDINGS.some((ending) => name === ending || name.endsWith(`.${ending}`));
  return !name.includes(".") || isPrivate ? "local" : "public";
}

/** RFC 6890's ranges that are not globally reachable, as far as anything listens there. */
function nearnessOfIPv4(first: number, second: number): Nearness {
  if (first === 169 && second === 254) {
    return "link";
  }
  const isLocal =
    first === 0 ||
    first === 10 ||
    first === 127 ||
    (first === 100 && second >= 64 && second < 128) ||
    (first === 172 && second >= 16 && second < 32) ||
    (first === 192 && second === 168) ||
    (first === 198 && (second === 18 || second === 19)) ||
    first >= 224;
  return isLocal ? "local" : "public";
}

function nearnessOfIPv6(address: string): Nearness {
  // An IPv4 address inside: mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96). URL writes its halves in hex.
  const mapped = /^(?:::ffff|64:ff9b:):([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
  if (mapped) {
    const high = Number.parseInt(mapped[1] ?? "0", 16);
    return nearnessOfIPv4(high >> 8, high & 255);
  }
  if (/^fe[89ab]/.test(address)) {
    return "link";
  }
  return /^(?:::|f[cd]|ff)/.test(address) ? "local" : "public";
}

/**
 * What a host name names, judged as it stands: nothing is resolved. Pure. Which of it may be called is decided in reach.ts.
 */

/** Endings of names that only private networks use (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`, common habits). */
const PRIVATE_ENDINGS: readonly string[] = [
  "internal",
  "intranet",
  "private",
  "local",
  "localhost",
  "localdomain",
  "home.arpa",
  "home",
  "lan",
  "corp",
  "svc",
  "consul",
  "onion",
];

/** Public names under which clouds without `.internal` offer their metadata service. */
const METADATA_NAMES: ReadonlySet<string> = new Set([
  "metadata.goog",
  "metadata.tencentyun.com",
  "metadata.platformequinix.com",
]);

/** Public zones whose names resolve to whatever address is written in them, loopback included. */
const ADDRESS_ZONES: readonly string[] = ["nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "vcap.me"];

/** RFC 1035: no name that resolves has more. */
export const MAX_NAME_CHARACTERS = 253;

/** Enough of a name that is far too long to be recognised by. */
const SHOWN_CHARACTERS = 60;

export type Nearness =
  | "public"
  /** In somebody's own network. */
  | "private"
  /** On the machine's own link, where clouds keep their metadata service. */
  | "link"
  | "loopback";

export interface HostKind {
  form: "name" | "address";
  nearness: Nearness;
  /** For a name that is not public: what gives it away, as the end of a sentence. */
  because: string;
}

/**
 * @param hostname As `URL.hostname` has it: lower case, numbers as the IPv4 address they mean, IPv6 in brackets or bare.
 */
export function kindOf(hostname: string): HostKind {
  const name = bare(hostname);
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(name);
  if (octets) {
    return address(nearnessOfIPv4(octets.slice(1).map(Number)));
  }
  if (name.includes(":")) {
    return address(nearnessOfIPv6(groupsOf(name)));
  }
  return kindOfName(name);
}

/** Whether it names this machine itself: `localhost`, 127.0.0.0/8, ::1, also written as one another. */
export function isLoopback(hostname: string): boolean {
  return kindOf(hostname).nearness === "loopback";
}

/** `[::1]` → `::1`; `localhost.` → `localhost`, which names the same host to a resolver. */
export function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.+$/, "");
}

/** The host of an address for a message: a registry may make it as long as a header can be. */
export function shownHost({ host }: URL): string {
  return host.length > MAX_NAME_CHARACTERS ? `${host.slice(0, SHOWN_CHARACTERS)}…` : host;
}

function kindOfName(name: string): HostKind {
  if (name === "localhost" || name.endsWith(".localhost")) {
    return { form: "name", nearness: "loopback", because: "is this machine itself" };
  }
  if (!name.includes(".")) {
    return { form: "name", nearness: "private", because: "is a single-label name, which only private networks have" };
  }
  const ending = PRIVATE_ENDINGS.find((each) => name.endsWith(`.${each}`));
  if (ending !== undefined) {
    const because = `ends with .${ending}, which only private networks have`;
    return { form: "name", nearness: "private", because };
  }
  if (METADATA_NAMES.has(name)) {
    return { form: "name", nearness: "link", because: "is a cloud's metadata service" };
  }
  const zone = ADDRESS_ZONES.find((each) => name === each || name.endsWith(`.${each}`));
  if (zone !== undefined) {
    return { form: "name", nearness: "private", because: `is in ${zone}, whose names stand for any address` };
  }
  return { form: "name", nearness: "public", because: "" };
}

function address(nearness: Nearness): HostKind {
  return { form: "address", nearness, because: "is an IP address; use the registry's public name" };
}

/** RFC 6890's ranges that are not globally reachable, those for documentation included. */
function nearnessOfIPv4([a = 0, b = 0, c = 0, d = 0]: readonly number[]): Nearness {
  if (a === 127) {
    return "loopback";
  }
  // 168.63.129.16: the host agent of every machine in Azure.
  if ((a === 169 && b === 254) || (a === 168 && b === 63 && c === 129 && d === 16)) {
    return "link";
  }
  const isPrivate =
    a === 0 ||
    a === 10 ||
    (a === 100 && b >= 64 && b < 128) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    (a === 192 && b === 0 && (c === 0 || c === 2)) ||
    (a === 198 && (b === 18 || b === 19)) ||
    (a === 198 && b === 51 && c === 100) ||
    (a === 203 && b === 0 && c === 113) ||
    a >= 224;
  return isPrivate ? "private" : "public";
}

function nearnessOfIPv6(groups: readonly number[]): Nearness {
  const [first = 0, second = 0] = groups;
  if (groups.slice(0, 7).every((group) => group === 0)) {
    return groups[7] === 1 ? "loopback" : "private";
  }
  const embedded = embeddedIPv4(groups);
  if (embedded !== null) {
    return nearnessOfIPv4(embedded);
  }
  if ((first & 0xffc0) === 0xfe80) {
    return "link";
  }
  const isPrivate =
    (first & 0xfe00) === 0xfc00 || // unique local (RFC 4193)
    (first & 0xffc0) === 0xfec0 || // site-local, deprecated
    (first & 0xff00) === 0xff00 || // multicast
    (first === 0x2001 && (second === 0 || second === 0xdb8)) || // Teredo, documentation
    (first === 0x0064 && second === 0xff9b) || // NAT64 with a prefix of one's own (RFC 8215)
    first === 0x0100; // discard (RFC 6666)
  return isPrivate ? "private" : "public";
}

/** The IPv4 address that an IPv6 address stands for, by whatever way of writing or tunnelling; null: none. */
function embeddedIPv4(groups: readonly number[]): number[] | null {
  const [a, b, c, d, e, f, high = 0, low = 0] = groups;
  const isZero = a === 0 && b === 0 && c === 0 && d === 0;
  const isCompatible = isZero && e === 0 && f === 0;
  const isMapped = isZero && e === 0 && f === 0xffff;
  const isTranslated = isZero && e === 0xffff && f === 0;
  const isNat64 = a === 0x0064 && b === 0xff9b && c === 0 && d === 0 && e === 0 && f === 0;
  if (isCompatible || isMapped || isTranslated || isNat64) {
    return octetsOf(high, low);
  }
  // 6to4 (RFC 3056) has it right behind its prefix.
  return a === 0x2002 ? octetsOf(b ?? 0, c ?? 0) : null;
}

function octetsOf(high: number, low: number): number[] {
  return [high >> 8, high & 255, low >> 8, low & 255];
}

/** The eight groups of an IPv6 address in the form that `URL` writes it: hex, at most one `::`. */
function groupsOf(text: string): number[] {
  const [head = "", tail] = text.split("::");
  const numbers = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const [before, after] = [numbers(head), numbers(tail ?? "")];
  const missing = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  return [...before, ...Array.from({ length: missing }, () => 0), ...after];
}

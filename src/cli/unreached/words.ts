/** What a look at a host that could not be reached has found, and the sentence for it. Pure. */

/** Where a registry is reached. */
export interface Address {
  /** The registry's host as it stands in references; null: it is another one that the registry has named. */
  host: string | null;
  /** A name or an IP address, without brackets. */
  name: string;
  port: number;
  tls: boolean;
}

/** How far the look had come. */
export type Stage = "lookup" | "connect" | "answer";

export type Finding =
  | { kind: "unknown-name" }
  /** The names' server did not help; `code` is the system's word. */
  | { kind: "no-lookup"; code: string }
  | { kind: "refused"; addresses: readonly string[] }
  | { kind: "no-way"; code: string; addresses: readonly string[] }
  | { kind: "silent"; stage: Stage; limitMs: number }
  | { kind: "hung-up" }
  | { kind: "plain" }
  | { kind: "secure" }
  | { kind: "certificate"; problem: string; certificate: Certificate };

/** What of a certificate helps a person. */
export interface Certificate {
  /** "": it does not say. */
  issuer: string;
  /** As the certificate's own text has it: "DNS:registry.example.com, IP Address:10.0.0.1"; "": none. */
  names: string;
  validFrom: string;
  validTo: string;
}

/** One sentence or two, with their full stops. */
export function findingText(finding: Finding, address: Address): string {
  if (finding.kind === "certificate") {
    return certificateText(finding.problem, finding.certificate, address.name);
  }
  const { host, name, port, tls } = address;
  const at = name.includes(":") ? `[${name}]:${port}` : `${name}:${port}`;
  switch (finding.kind) {
    case "unknown-name":
      return `There is no host of the name ${name}.`;
    case "no-lookup":
      return `The name ${name} cannot be looked up now (${finding.code}); check this machine's network and name server.`;
    case "refused":
      return `Nothing listens at ${at}: the connection is refused${through(finding.addresses, name)}.`;
    case "no-way":
      return `No connection to ${at} comes about from this machine: ${finding.code}${through(finding.addresses, name)}.`;
    case "silent":
      return silentText(finding.stage, at, name, finding.limitMs / 1_000);
    case "hung-up":
      return `${at} takes the connection and hangs up${tls ? " before TLS is agreed on" : " without an answer"}.`;
    case "plain":
      return host === null
        ? `${at} speaks plain HTTP, not HTTPS, as which the registry names it.`
        : `It speaks plain HTTP there, not HTTPS: say so with --plain-http ${host}.`;
    case "secure":
    default:
      return `It speaks HTTPS there, not plain HTTP: leave out --plain-http ${host}, or set tls = "enabled" in the host settings, under [hosts."${host}"].`;
  }
}

function silentText(stage: Stage, at: string, name: string, seconds: number): string {
  const words: Record<Stage, string> = {
    lookup: `The name ${name} was not looked up within ${seconds} s; check this machine's network and name server.`,
    connect: `${at} does not answer within ${seconds} s: no connection comes about; a firewall may drop it.`,
    answer: `${at} takes the connection, but does not answer within ${seconds} s.`,
  };
  return words[stage];
}

/** @param problem OpenSSL's word for it, or Node's. */
function certificateText(problem: string, { issuer, names, validFrom, validTo }: Certificate, name: string): string {
  const by = issuer === "" ? "" : ` (${issuer})`;
  switch (problem) {
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
      return "Its certificate is not trusted, since it is self-signed: name it with --ca FILE.";
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return `Its certificate is not trusted, since this machine does not know who has signed it${by}: name that authority's certificate with --ca FILE.`;
    case "CERT_HAS_EXPIRED":
      return `Its certificate is not valid any more: it ended on ${validTo}.`;
    case "CERT_NOT_YET_VALID":
      return `Its certificate is not valid yet: it begins on ${validFrom}; check this machine's clock.`;
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return names === "" ? `Its certificate is not for ${name}.` : `Its certificate is for ${names}, not for ${name}.`;
    default:
      return `Its certificate is not trusted: ${problem}.`;
  }
}

/** The addresses that a name stands for; an address stands for itself. */
function through(addresses: readonly string[], name: string): string {
  const others = addresses.filter((each) => each !== name);
  return others.length === 0 ? "" : ` (${others.join(", ")})`;
}

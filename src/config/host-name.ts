/**
 * Names of registry hosts as text: `ghcr.io`, `registry.example.com:5000`, `[::1]:5000`. Pure. What may be reached is
 * decided in `registry/reach.ts`.
 */
import { bare, MAX_NAME_CHARACTERS } from "../registry/address.ts";
import { canonicalHost, describeHostFault } from "../registry/reference.ts";

const HOST_AND_PORT = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?$/;

export interface HostName {
  /** Lower case, IPv4 and IPv6 in their canonical form, IPv6 without brackets. */
  hostname: string;
  /** Null: the scheme's own. */
  port: number | null;
}

/** Takes `name` or `name:port` apart; null when it is neither. `0x7f.1` and its like come out as the address they mean. */
export function parseHostName(text: string): HostName | null {
  const match = HOST_AND_PORT.exec(text.toLowerCase());
  if (match?.[1] === undefined) {
    return null;
  }
  if (!URL.canParse(`http://${match[1]}`)) {
    return null;
  }
  const hostname = bare(new URL(`http://${match[1]}`).hostname);
  const port = match[2] === undefined ? null : Number(match[2]);
  const possible = hostname !== "" && (port === null || (port >= 1 && port <= 65_535));
  return possible ? { hostname, port } : null;
}

/** The one spelling of a registry host, as references have it; null when no reference can have it. */
export function registryHost(text: string): string | null {
  const isHost = text.length <= MAX_NAME_CHARACTERS && describeHostFault(text) === null && parseHostName(text) !== null;
  return isHost ? canonicalHost(text) : null;
}

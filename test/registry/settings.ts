/** How a registry is reached and treated where nothing is configured for it, on loopback: without TLS. */
import type { HostSettings } from "../../src/registry/contract.ts";

export function settingsFor(host: string, changed: Partial<HostSettings> = {}): HostSettings {
  return {
    host,
    hostname: host,
    tls: "disabled",
    pathPrefix: "",
    reqConcurrent: 0,
    reqPerSec: 0,
    quotaReserve: 0,
    chunkBytes: 0,
    verify: "stream",
    mirrors: [],
    ...changed,
  };
}

/** What a file of copies says of registries, put beside what its user says of them: the user's own word goes first. Pure. */
import { canonicalHost } from "../../registry/reference.ts";
import { nearestPlace } from "../../registry/credentials.ts";
import type { CredentialLookup } from "../credentials/lookup.ts";
import type { FileSettings } from "../settings.ts";
import type { LocalSettings } from "./contract.ts";

/** The user's settings, with those of the file for what they leave open. */
export function withLocalHosts(settings: FileSettings, { hosts }: LocalSettings): FileSettings {
  const merged: Record<string, unknown> = { ...settings.hosts };
  for (const [host, fields] of Object.entries(hosts)) {
    const key = Object.keys(merged).find((name) => canonicalHost(name) === host) ?? host;
    const own = merged[key];
    merged[key] = typeof own === "object" && own !== null ? { ...fields, ...own } : (own ?? fields);
  }
  return { ...settings, hosts: merged };
}

/** The file's credentials where it has some, as the tools do whose files these are; else the user's. */
export function withLocalCredentials(user: CredentialLookup, local: LocalSettings): CredentialLookup {
  const { credentials, withoutUserCredentials } = local;
  if (credentials.size === 0 && !withoutUserCredentials) {
    return user;
  }
  return async (host, repository) => {
    const known = nearestPlace(credentials, host, repository);
    return known === null && !withoutUserCredentials ? user(host, repository) : known;
  };
}

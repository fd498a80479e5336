/** What the parts of the client share: the host, its transport and requester, and the names of things in its API. */
import { CopyError, type ErrorCode, type ErrorDetail } from "./errors.ts";
import type { Requester } from "./requester.ts";
import { DOCKER_HUB } from "./reference.ts";
import type { HostSettings } from "./contract.ts";
import type { Transport } from "./transport.ts";

export interface HostClient {
  settings: HostSettings;
  side: ErrorDetail["side"];
  transport: Transport;
  requester: Requester;
}

export function readScopes(client: HostClient, repository: string): string[] {
  return [`repository:${wireName(client, repository)}:pull`];
}

/**
 * Scopes for writing, and for mounting from another repository. Docker Hub refuses a token request that names a
 * repository the account has no part in, so it is never asked for the other one.
 */
export function writeScopes(client: HostClient, repository: string, mountFrom?: string): string[] {
  const own = `repository:${wireName(client, repository)}:pull,push`;
  const isForeignKept = mountFrom !== undefined && client.settings.host !== DOCKER_HUB;
  return isForeignKept ? [own, `repository:${wireName(client, mountFrom)}:pull`] : [own];
}

/** The repository as the host itself knows it, with the path prefix of its settings. */
export function wireName({ settings }: HostClient, repository: string): string {
  const prefix = settings.pathPrefix.replace(/^\/+|\/+$/g, "");
  return prefix === "" ? repository : `${prefix}/${repository}`;
}

/** `library/alpine:latest` or `library/alpine@sha256:…`, for errors. */
export function nameOf(repository: string, reference: string): string {
  return `${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
}

/** An error in what the host answered, though the status was good. */
export function answerError(
  client: HostClient,
  operation: string,
  code: ErrorCode,
  problem: string,
  extra: { status?: number; retryable?: boolean } = {},
): CopyError {
  return new CopyError({
    code,
    side: client.side,
    host: client.settings.host,
    operation,
    retryable: false,
    ...extra,
    message: `${client.settings.host} ${problem} ("${operation}")`,
  });
}

/** A length header as a number; null where it is missing or none. */
export function lengthOf(response: Response): number | null {
  const text = response.headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text.trim()) ? Number(text) : null;
}

/** How the body was encoded on the way, fit for a sentence; null: not at all, as was asked for. */
export function encodingOf(response: Response): string | null {
  const text = (response.headers.get("content-encoding") ?? "").trim().toLowerCase();
  return text === "" || text === "identity" ? null : text.replace(/[^a-z0-9, .+-]/g, "?").slice(0, 40);
}

/**
 * Where credentials come from: the secrets DOCKER_CONFIG and REGISTRY_CREDENTIALS of a deployed service, or, under the
 * `drayage` command, the user's own docker configuration and helpers, asked through the CREDENTIALS service.
 */
import * as z from "zod";
import { registryCredentials } from "../config.ts";
import type { CloudCredential } from "../config/registry-credentials.ts";
import type { Env } from "../env.ts";
import { obtain } from "../registry/cloud/obtain.ts";
import { remembered } from "../registry/cloud/remembered.ts";
import { nearestPlace, readDockerAuths, type Credential, type CredentialLookup } from "../registry/credentials.ts";
import type { EndpointOptions } from "../registry/endpoint.ts";
import { CopyError } from "../registry/errors.ts";

const Answer = z.union([
  z.object({ username: z.string(), password: z.string() }),
  z.object({ identityToken: z.string(), username: z.string() }),
  z.object({ registryToken: z.string() }),
]);

const Complaint = z.object({ error: z.string() });

/** The secrets and services that hold credentials. */
export type KeychainEnv = Pick<Env, "CREDENTIALS" | "DOCKER_CONFIG" | "REGISTRY_CREDENTIALS">;

/**
 * The credentials for one registry host: the one whose place says most about the repository; of one place in both
 * secrets, that of REGISTRY_CREDENTIALS.
 * @param endpoints How clouds are asked, for the host that the credentials are for.
 * @throws CopyError `configuration` for a secret that cannot be read.
 */
export function keychainOf(env: KeychainEnv, endpoints: EndpointOptions): CredentialLookup {
  const { CREDENTIALS: service, DOCKER_CONFIG: docker } = env;
  if (service !== undefined) {
    return (host, repository) => ask(service, host, repository);
  }
  const byPlace = new Map<string, (refused?: Credential) => Credential | Promise<Credential>>();
  for (const [place, credential] of docker === undefined || docker === "" ? [] : readDockerAuths(docker)) {
    byPlace.set(place, () => credential);
  }
  for (const [place, entry] of registryCredentials(env)) {
    byPlace.set(place, entry.kind === "basic" ? () => entry : ofCloud(entry, endpoints));
  }
  return (host, repository, refused) => nearestPlace(byPlace, host, repository)?.(refused) ?? null;
}

function ofCloud(entry: CloudCredential, endpoints: EndpointOptions): (refused?: Credential) => Promise<Credential> {
  return remembered(() => obtain(endpoints, entry), endpoints.now);
}

async function ask(service: Fetcher, host: string, repository: string | null): Promise<Credential | null> {
  const query = new URLSearchParams({ host, ...(repository === null ? {} : { repository }) });
  const answer = await service.fetch(`http://credentials/?${query.toString()}`);
  if (answer.status === 204) {
    return null;
  }
  // The parser's own message quotes the text around the fault, which may be a password.
  const body: unknown = await answer.json().catch(() => null);
  const found = Answer.safeParse(body);
  if (!answer.ok || !found.success) {
    const complaint = Complaint.safeParse(body);
    throw new CopyError({
      code: "configuration",
      side: "service",
      host,
      operation: "read credentials",
      retryable: false,
      message: complaint.success ? complaint.data.error : `The credentials for ${host} could not be read.`,
    });
  }
  const { data } = found;
  if ("password" in data) {
    return { kind: "basic", ...data };
  }
  return "identityToken" in data
    ? { kind: "identity", token: data.identityToken, username: data.username }
    : { kind: "bearer", token: data.registryToken };
}

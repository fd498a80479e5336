/**
 * Where credentials come from: the secret DOCKER_CONFIG of a deployed service, or, under the `drayage` command, the
 * user's own docker configuration and helpers, asked through the CREDENTIALS service.
 */
import * as z from "zod";
import type { Env } from "../env.ts";
import { parseDockerConfig, type Credential, type CredentialLookup } from "../registry/credentials.ts";
import { CopyError } from "../registry/errors.ts";

const Answer = z.union([
  z.object({ username: z.string(), password: z.string() }),
  z.object({ identityToken: z.string(), username: z.string() }),
  z.object({ registryToken: z.string() }),
]);

const Complaint = z.object({ error: z.string() });

export function keychainOf(env: Pick<Env, "CREDENTIALS" | "DOCKER_CONFIG">): CredentialLookup {
  const { CREDENTIALS: service, DOCKER_CONFIG: secret } = env;
  if (service !== undefined) {
    return (host, repository) => ask(service, host, repository);
  }
  return secret === undefined || secret === "" ? () => null : parseDockerConfig(secret);
}

async function ask(service: Fetcher, host: string, repository: string | null): Promise<Credential | null> {
  const query = new URLSearchParams({ host, ...(repository === null ? {} : { repository }) });
  const answer = await service.fetch(`http://credentials/?${query.toString()}`);
  if (answer.status === 204) {
    return null;
  }
  const body: unknown = await answer.json();
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

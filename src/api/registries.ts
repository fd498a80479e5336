/** `/v1/registries`: which registry hosts are in use, how things stand at one of them, and forgetting what it taught. */
import { mayUseHost } from "../access/scopes.ts";
import { settingsOf } from "../config.ts";
import { registryHost } from "../config/host-name.ts";
import { INDEX_NAME } from "../ledger/contract.ts";
import type { AdmittedCall, Answer, Operation } from "./operation.ts";
import { Problem } from "./problem.ts";
import { ProblemSchema, RegistryListSchema, RegistryPath, RegistrySchema } from "./schemas.ts";

const NO_HOST: Answer = { description: "This is not the name of a host.", schema: ProblemSchema };

export const REGISTRIES: readonly Operation[] = [
  {
    id: "listRegistries",
    method: "GET",
    path: "/v1/registries",
    action: "registries",
    summary: "List the registry hosts in use",
    description:
      "Every host that a copy has named and that lies in your scopes, most recently used first, at most 1,000.",
    answers: { 200: { description: "The hosts.", schema: RegistryListSchema } },
    handle: list,
  },
  {
    id: "getRegistry",
    method: "GET",
    path: "/v1/registries/{host}",
    action: "registries",
    summary: "See a registry host",
    description:
      "Its queue, slots, backoff, quota, settings and what was learned about it. A host that was never used is all zeros.",
    parameters: { path: RegistryPath },
    answers: { 200: { description: "The host as it is.", schema: RegistrySchema }, 404: NO_HOST },
    handle: see,
  },
  {
    id: "forgetRegistry",
    method: "DELETE",
    path: "/v1/registries/{host}/learned",
    action: "registries",
    summary: "Forget what a registry host has taught",
    description:
      "Its limit starts anew, a pause ends, quota and mount candidates are forgotten. Copies under way go on.",
    parameters: { path: RegistryPath },
    answers: { 200: { description: "The host as it is then.", schema: RegistrySchema }, 404: NO_HOST },
    handle: forget,
  },
];

async function list({ env, principal }: AdmittedCall): Promise<Response> {
  const hosts = await env.INDEX.getByName(INDEX_NAME).hosts();
  const mine = hosts.filter(({ host }) => mayUseHost(principal, host));
  const registries = mine.map(({ host, firstUsedAtMs, lastUsedAtMs }) => ({
    host,
    firstUsedAt: new Date(firstUsedAtMs).toISOString(),
    lastUsedAt: new Date(lastUsedAtMs).toISOString(),
  }));
  return Response.json({ registries });
}

async function see(call: AdmittedCall): Promise<Response> {
  return Response.json(await registryOf(call).snapshot());
}

async function forget(call: AdmittedCall): Promise<Response> {
  return Response.json(await registryOf(call).forget());
}

/** @throws CopyError `configuration`: with wrong settings the host's object would not even start. */
function registryOf({ path, env, principal }: AdmittedCall) {
  const host = registryHost(path["host"] ?? "");
  if (host === null || !mayUseHost(principal, host)) {
    throw new Problem(
      "not-found",
      "This is not a registry host, or none of yours; write it as in a reference, such as docker.io.",
    );
  }
  settingsOf(env);
  return env.REGISTRIES.getByName(host);
}

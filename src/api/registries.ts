/** `/v1/registries/{host}`: how things stand at one registry host. */
import { registryHost } from "../config/host-name.ts";
import type { Call, Operation } from "./operation.ts";
import { Problem } from "./problem.ts";
import { ProblemSchema, RegistryPath, RegistrySchema } from "./schemas.ts";

export const REGISTRIES: readonly Operation[] = [
  {
    id: "getRegistry",
    method: "GET",
    path: "/v1/registries/{host}",
    summary: "See a registry host",
    description:
      "Its queue, slots, backoff, quota and what was learned about it. A host that was never used is all zeros.",
    parameters: { path: RegistryPath },
    answers: {
      200: { description: "The host as it is.", schema: RegistrySchema },
      404: { description: "This is not the name of a host.", schema: ProblemSchema },
    },
    handle: see,
  },
];

async function see({ path, env }: Call): Promise<Response> {
  const host = registryHost(path["host"] ?? "");
  if (host === null) {
    throw new Problem("not-found", "This is not a registry host; write it as in a reference, such as docker.io.");
  }
  return Response.json(await env.REGISTRIES.getByName(host).snapshot());
}

/** `/v1/registries/{host}/repositories`: what a registry lists of its repositories, as far as one may copy from them. */
import * as z from "zod";
import { readableAt } from "../access/scopes.ts";
import { reachRefusal, settingsOf } from "../config.ts";
import { registryHost } from "../config/host-name.ts";
import { describeRepositoryFault } from "../registry/reference.ts";
import { wholeCatalog } from "../registry/whole-catalog.ts";
import { readQuery } from "./input.ts";
import type { AdmittedCall, Operation } from "./operation.ts";
import { invalidFields, Problem } from "./problem.ts";
import { ProblemSchema, RegistryPath } from "./schemas.ts";

const MAX_CURSOR_CHARACTERS = 2_048;

const Query = z.strictObject({
  cursor: z
    .string("must be given once")
    .regex(/^\?[\x21-\x7e]+$/, "must be what `next` said on the page before")
    .max(MAX_CURSOR_CHARACTERS, "must be what `next` said on the page before")
    .optional()
    .describe("Where the page begins: `next` of the page before."),
});

export const RepositoryListSchema = z
  .object({
    repositories: z.array(z.string()).meta({
      description: "Names as references have them, in the registry's order. A page may be empty and not the last.",
      examples: [["team/api", "team/web"]],
    }),
    next: z.string().nullable().describe("`cursor` of the page after this one; null: this is the last."),
  })
  .describe("A page of a registry's repositories.");

export const REPOSITORIES: readonly Operation[] = [
  {
    id: "listRepositories",
    method: "GET",
    path: "/v1/registries/{host}/repositories",
    action: "copy",
    summary: "List a registry's repositories",
    description:
      "What the registry lists (`GET /v2/_catalog`), in its pages, as far as you may copy from it with all tags. Whose sources are " +
      "only a part of the registry gets that part in one answer, of at most 5,000 names. Many registries have no such list, Docker " +
      "Hub and GHCR among them: 502 then.",
    parameters: { path: RegistryPath, query: Query },
    answers: {
      200: {
        description: "The repositories.",
        schema: RepositoryListSchema,
        headers: { Link: 'The next page, `rel="next"`; absent on the last (RFC 8288).' },
      },
      404: {
        description: "This is not the name of a host, or none that you may copy from.",
        schema: ProblemSchema,
      },
      502: { description: "The registry does not list its repositories for us, or failed.", schema: ProblemSchema },
    },
    handle: list,
  },
];

async function list({ request, path, env, principal }: AdmittedCall): Promise<Response> {
  const { cursor = null } = readQuery(request, Query);
  const host = registryHost(path["host"] ?? "");
  const readable = host === null ? null : readableAt(principal, host);
  if (host === null || readable === null) {
    throw new Problem(
      "not-found",
      "This is not a registry host, or none that you may copy from; write it as in a reference, such as ghcr.io.",
    );
  }
  settingsOf(env);
  const refusal = reachRefusal(env, host);
  if (refusal !== null) {
    throw invalidFields([{ field: "host", message: `the host ${host} ${refusal}` }]);
  }
  const page = async (at: string | null) => env.REGISTRIES.getByName(host).listRepositories(at);
  if (readable !== "all") {
    // A page's cursor may be the name of a repository, of one that is nobody else's business.
    return Response.json({ repositories: await wholeCatalog(host, readable, page), next: null });
  }
  const { repositories, next } = await page(cursor);
  const named = repositories.filter((repository) => describeRepositoryFault(repository) === null);
  const link = `</v1/registries/${encodeURIComponent(host)}/repositories?cursor=${encodeURIComponent(next ?? "")}>; rel="next"`;
  return Response.json({ repositories: named, next }, { headers: next === null ? {} : { link } });
}

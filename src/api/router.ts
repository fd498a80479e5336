/**
 * The Worker's `fetch`: finds the operation for a request, lets it pass the door, and turns whatever is thrown into an
 * answer. Moves no bytes of blobs and knows nothing of what the operations do.
 */
import { AutoRouter, type IRequest } from "itty-router";
import { mayDo } from "../access/scopes.ts";
import type { Env } from "../env.ts";
import { authenticate } from "./auth.ts";
import { refuseQuery } from "./input.ts";
import type { Operation } from "./operation.ts";
import { OPERATIONS } from "./operations.ts";
import { Problem, problemAnswer } from "./problem.ts";

/** Answers are about one moment and often not for everyone's eyes. */
const ANSWER_HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

/** Exported for the test that compares its routes with the OpenAPI document. */
export const router = AutoRouter<IRequest, [Env, ExecutionContext]>({
  missing: (request) => problemAnswer(unrouted(request), Date.now()),
  catch: (thrown) => problemAnswer(thrown, Date.now()),
  finally: [withAnswerHeaders],
});

const VERBS = { GET: "get", POST: "post", PUT: "put", DELETE: "delete", OPTIONS: "options" } as const;

for (const operation of OPERATIONS) {
  const route = operation.path.replaceAll(/\{(\w+)\}/g, ":$1");
  const serve = (request: IRequest, env: Env, ctx: ExecutionContext) => served(operation, request, env, ctx);
  router[VERBS[operation.method]](route, serve);
}

/** Answers any request; never throws. HEAD is answered as GET without the body. */
export async function handleFetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  if (request.method !== "HEAD") {
    return router.fetch(request, env, ctx);
  }
  const answer: Response = await router.fetch(new Request(request, { method: "GET" }), env, ctx);
  await answer.body?.cancel();
  return new Response(null, answer);
}

async function served(operation: Operation, request: IRequest, env: Env, ctx: ExecutionContext): Promise<Response> {
  if (operation.action === "open") {
    return operation.handle({ request, path: decoded(request.params), env, ctx });
  }
  const principal = await authenticate(request, env);
  if (!mayDo(principal, operation.action)) {
    const { actions } = principal.scopes;
    throw new Problem(
      "forbidden",
      `${principal.name} may not do this: ${operation.action} is needed, and its actions are ${actions.join(", ")}.`,
      { headers: { "www-authenticate": 'Bearer realm="drayage", error="insufficient_scope"' } },
    );
  }
  const path = decoded(request.params);
  if (operation.parameters?.query === undefined) {
    refuseQuery(request);
  }
  return operation.handle({ request, path, env, ctx, principal });
}

function decoded(parameters: IRequest["params"]): Record<string, string> {
  try {
    return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    throw new Problem("not-found", "The address has a % that does not begin a character in UTF-8, as %2F does.");
  }
}

/** No route for this method: 405 where the address has others, else 404. */
function unrouted(request: IRequest): Problem {
  const { pathname } = new URL(request.url);
  const methods = router.routes.filter(([, pattern]) => pattern.test(pathname)).map(([method]) => method);
  if (methods.length === 0) {
    return new Problem("not-found", "There is nothing at this address; GET /openapi.json describes all there is.");
  }
  const allow = (methods.includes("GET") ? ["HEAD", ...methods] : methods).sort().join(", ");
  return new Problem("method-not-allowed", `Use one of ${allow}.`, { headers: { allow } });
}

function withAnswerHeaders(answer: unknown): Response | undefined {
  if (!(answer instanceof Response)) {
    return undefined;
  }
  for (const [name, value] of Object.entries(ANSWER_HEADERS)) {
    answer.headers.set(name, value);
  }
  return answer;
}

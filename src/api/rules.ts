/** `/v1/rules`: write, see, list, delete and run rules. Parses, asks the index, answers. */
import type * as z from "zod";
import { hashOfPathPart, newPathPart } from "../hooks/path-part.ts";
import { INDEX_NAME } from "../ledger/contract.ts";
import type { RuleCondition, RuleEntry, RulePutAnswer } from "../ledger/rule-contract.ts";
import { formatReference, parseName } from "../registry/reference.ts";
import { errorDetailOf } from "../registry/errors.ts";
import type { RulePlan } from "../sync/contract.ts";
import { type Expanded, imageCopy, onlySource, repositoryCopy } from "../sync/expand.ts";
import { describeCircle, namesHost } from "../sync/rule-faults.ts";
import { readBody, readHeaders, readQuery } from "./input.ts";
import type { AdmittedCall, Answer, Operation } from "./operation.ts";
import { invalidFields, Problem } from "./problem.ts";
import { refuseBeyond, ruleOf } from "./rule-request.ts";
import { runViewOf, viewOf } from "./rule-views.ts";
import {
  DeleteRuleHeaders,
  PutRuleHeaders,
  PutRuleQuery,
  PutRuleSchema,
  RotatedRuleSchema,
  RULE_NAME,
  RULE_NAME_FIX,
  RuleListSchema,
  RulePath,
  RuleRequestSchema,
  RuleSchema,
  RulesQuery,
  RunListSchema,
  RunRequestSchema,
  RunsQuery,
  StartedRunSchema,
} from "./rule-schemas.ts";
import { ProblemSchema } from "./schemas.ts";

const NO_SUCH_RULE: Answer = { description: "There is no such rule.", schema: ProblemSchema };
const STALE: Answer = { description: "The rule has another version, or is there already.", schema: ProblemSchema };
const ETAG = { ETag: "The rule's version, for `If-Match`." };
const LINK = { Link: 'The next page, `rel="next"`; absent on the last (RFC 8288).' };

export const RULES: readonly Operation[] = [
  {
    id: "putRule",
    method: "PUT",
    path: "/v1/rules/{name}",
    action: "rules",
    summary: "Write a rule",
    description:
      "Makes it, or replaces it whole. Whoever writes it owns it, and its copies are made with their scopes; a rule with " +
      "`push` needs the action `hooks` too. The answer to the first writing of a rule with `push` has its address.",
    parameters: { path: RulePath, query: PutRuleQuery, header: PutRuleHeaders },
    body: RuleRequestSchema,
    answers: {
      200: { description: "The rule is changed, or was like this before.", schema: PutRuleSchema, headers: ETAG },
      201: { description: "The rule is made.", schema: PutRuleSchema, headers: ETAG },
      400: { description: "The body is not JSON.", schema: ProblemSchema },
      404: { description: "The name in the address is not encoded as in addresses.", schema: ProblemSchema },
      409: { description: "The name is another's, or others listen at its address.", schema: ProblemSchema },
      412: STALE,
      413: { description: "The body is too large.", schema: ProblemSchema },
      415: { description: "The body is not sent as JSON.", schema: ProblemSchema },
    },
    handle: put,
  },
  {
    id: "listRules",
    method: "GET",
    path: "/v1/rules",
    action: "rules",
    summary: "List rules, by name",
    description: "The operator sees all, everybody else their own.",
    parameters: { query: RulesQuery },
    answers: { 200: { description: "A page of rules.", schema: RuleListSchema, headers: LINK } },
    handle: list,
  },
  {
    id: "getRule",
    method: "GET",
    path: "/v1/rules/{name}",
    action: "rules",
    summary: "See a rule",
    parameters: { path: RulePath },
    answers: { 200: { description: "The rule.", schema: RuleSchema, headers: ETAG }, 404: NO_SUCH_RULE },
    handle: view,
  },
  {
    id: "deleteRule",
    method: "DELETE",
    path: "/v1/rules/{name}",
    action: "rules",
    summary: "Delete a rule",
    description: "Its address leads nowhere from then on. Runs that wait are dropped, copies under way go on.",
    parameters: { path: RulePath, header: DeleteRuleHeaders },
    answers: {
      204: { description: "There is no such rule any more." },
      404: NO_SUCH_RULE,
      409: { description: "Other rules listen at its address.", schema: ProblemSchema },
      412: STALE,
    },
    handle: remove,
  },
  {
    id: "runRule",
    method: "POST",
    path: "/v1/rules/{name}/run",
    action: "rules",
    summary: "Run a rule now",
    description:
      "Copies the rule's repository, or what `source` names. The body may be left out. It begins when the rule's runs for " +
      "the same target have ended. Where the rule's source is a pattern and nothing is named, the registry is asked for its " +
      "repositories (`GET /v2/_catalog`), and each of them that fits is copied by a run of its own; whether it lists them is " +
      "seen in the rule's runs.",
    parameters: { path: RulePath },
    body: RunRequestSchema,
    isBodyOptional: true,
    answers: {
      202: { description: "The copy is started, or one like it waits already.", schema: StartedRunSchema },
      400: { description: "The body is not JSON.", schema: ProblemSchema },
      404: NO_SUCH_RULE,
      409: { description: "Whoever wrote the rule may not copy this.", schema: ProblemSchema },
      413: { description: "The body is too large.", schema: ProblemSchema },
      415: { description: "The body is not sent as JSON.", schema: ProblemSchema },
    },
    handle: run,
  },
  {
    id: "listRuns",
    method: "GET",
    path: "/v1/rules/{name}/runs",
    action: "rules",
    summary: "List a rule's runs, newest first",
    description: "The newest 200, of the last 30 days.",
    parameters: { path: RulePath, query: RunsQuery },
    answers: { 200: { description: "A page of runs.", schema: RunListSchema, headers: LINK }, 404: NO_SUCH_RULE },
    handle: runs,
  },
  {
    id: "rotateRule",
    method: "POST",
    path: "/v1/rules/{name}/rotate",
    action: "rules",
    summary: "Give a rule another address",
    description: "The old one leads nowhere from then on.",
    parameters: { path: RulePath },
    answers: {
      200: { description: "The rule, with its new address.", schema: RotatedRuleSchema, headers: ETAG },
      404: NO_SUCH_RULE,
      409: { description: "The rule has no address of its own.", schema: ProblemSchema },
    },
    handle: rotate,
  },
];

async function put(call: AdmittedCall): Promise<Response> {
  const { request, env, principal } = call;
  const name = call.path["name"] ?? "";
  if (!RULE_NAME.test(name)) {
    throw invalidFields([{ field: "name", message: RULE_NAME_FIX }]);
  }
  const { dry_run: dryRun } = readQuery(request, PutRuleQuery);
  const headers = readHeaders(request, PutRuleHeaders);
  const body = await readBody(request, RuleRequestSchema);
  const read = ruleOf(body, env, Date.now());
  refuseBeyond(principal, read);
  const part = newPathPart();
  const answer = await env.INDEX.getByName(INDEX_NAME).putRule({
    name,
    body: JSON.stringify(body),
    plan: read.plan,
    enabled: body.enabled,
    push:
      read.push === null || "from" in read.push ? read.push : { ...read.push, pathHash: await hashOfPathPart(part) },
    by: principal,
    condition: conditionOf(headers["if-match"], headers["if-none-match"]),
    dryRun: dryRun === "true",
  });
  if (!("rule" in answer)) {
    throw putRefusal(answer, read.push);
  }
  const { kind: outcome, rule, newAddress } = answer;
  const address = newAddress && dryRun !== "true" ? addressOf(request, name, part) : null;
  const status = outcome === "created" && dryRun !== "true" ? 201 : 200;
  const written: z.input<typeof PutRuleSchema> = { ...viewOf(rule), outcome, address };
  return Response.json(written, { status, headers: etagOf(rule) });
}

async function view(call: AdmittedCall): Promise<Response> {
  const rule = await ruleAt(call);
  return Response.json(viewOf(rule), { headers: etagOf(rule) });
}

async function list({ request, env, principal }: AdmittedCall): Promise<Response> {
  const { limit, cursor } = readQuery(request, RulesQuery);
  const { rules, next } = await env.INDEX.getByName(INDEX_NAME).listRules({
    limit,
    ...ownedBy(principal),
    ...(cursor === undefined ? {} : { cursor }),
  });
  const answer: z.input<typeof RuleListSchema> = { rules: rules.map(viewOf), next };
  return Response.json(answer, { headers: linkOf("/v1/rules", next, { limit: String(limit) }) });
}

async function remove({ request, path, env, principal }: AdmittedCall): Promise<Response> {
  const { "if-match": match } = readHeaders(request, DeleteRuleHeaders);
  const index = env.INDEX.getByName(INDEX_NAME);
  const answer = await index.deleteRule(path["name"] ?? "", conditionOf(match), ownedBy(principal).owner);
  switch (answer.kind) {
    case "deleted":
      return new Response(null, { status: 204 });
    case "unknown":
      throw noSuchRule();
    case "stale":
      throw stale(answer.version);
    case "listened":
      throw listened(answer.by);
    default:
      return answer satisfies never;
  }
}

async function run(call: AdmittedCall): Promise<Response> {
  const { request, env } = call;
  const { source } = (await isWithoutBody(request)) ? {} : await readBody(request, RunRequestSchema);
  const { name, plan } = await ruleAt(call);
  if (source === undefined && onlySource(plan) === null) {
    return runAll(name, plan, env);
  }
  const made = wantedCopy(plan, source, Date.now());
  if ("ignored" in made) {
    throw invalidFields([{ field: "source", message: made.ignored }]);
  }
  const wish = { rule: name, trigger: "manual" as const, request: made.request, deliveryKey: null, hint: null };
  const [answer] = await env.INDEX.getByName(INDEX_NAME).wish([wish]);
  if (answer === undefined || answer.kind === "ignored") {
    throw new Problem("conflict", `Nothing is started: ${answer?.reason ?? "the service does not say why"}.`);
  }
  const started: z.input<typeof StartedRunSchema> = {
    outcome: answer.kind,
    copy: answer.copy,
    source: { reference: formatReference(made.request.source) },
    target: { reference: formatReference(made.request.target) },
  };
  return Response.json(started, { status: 202 });
}

/** The registry of the rule's source is asked for its repositories; what comes of it is seen in the rule's runs. */
async function runAll(rule: string, plan: RulePlan, env: AdmittedCall["env"]): Promise<Response> {
  const problem = namesHost(plan)
    ? describeCircle(plan, Date.now())
    : `is missing: the host in the rule's source ${plan.source} is a pattern, so no registry can be asked for its repositories`;
  if (problem !== null) {
    throw invalidFields([{ field: namesHost(plan) ? "target" : "source", message: problem }]);
  }
  const answer = await env.INDEX.getByName(INDEX_NAME).wishAll(rule);
  if (answer.kind === "ignored") {
    throw new Problem("conflict", `Nothing is started: ${answer.reason}.`);
  }
  const started: z.input<typeof StartedRunSchema> = {
    outcome: answer.kind,
    copy: null,
    source: { reference: plan.source },
    target: { reference: `${plan.target.host}/${plan.target.repository}` },
  };
  return Response.json(started, { status: 202 });
}

async function runs({ request, path, env, principal }: AdmittedCall): Promise<Response> {
  const { limit, state, cursor } = readQuery(request, RunsQuery);
  const name = path["name"] ?? "";
  const page = await env.INDEX.getByName(INDEX_NAME).listRuns(name, {
    limit,
    ...ownedBy(principal),
    ...(state === undefined ? {} : { state }),
    ...(cursor === undefined ? {} : { cursor: Number(cursor) }),
  });
  if (page === null) {
    throw noSuchRule();
  }
  const next = page.next === null ? null : String(page.next);
  const answer: z.input<typeof RunListSchema> = { runs: page.runs.map(runViewOf), next };
  const query = { limit: String(limit), ...(state === undefined ? {} : { state }) };
  return Response.json(answer, { headers: linkOf(`/v1/rules/${name}/runs`, next, query) });
}

async function rotate({ request, path, env, principal }: AdmittedCall): Promise<Response> {
  const name = path["name"] ?? "";
  const part = newPathPart();
  const index = env.INDEX.getByName(INDEX_NAME);
  const rule = await index.rotateHook(name, await hashOfPathPart(part), ownedBy(principal).owner);
  if (rule === null) {
    throw noSuchRule();
  }
  if (rule === "no-hook") {
    throw new Problem("conflict", 'This rule has no address of its own; write it with "push" to give it one.');
  }
  const answer: z.input<typeof RotatedRuleSchema> = { ...viewOf(rule), address: addressOf(request, name, part) };
  return Response.json(answer, { headers: etagOf(rule) });
}

/** @throws Problem 404 for a rule that is somebody else's, as for one that does not exist. */
async function ruleAt({ path, env, principal }: AdmittedCall): Promise<RuleEntry> {
  const rule = await env.INDEX.getByName(INDEX_NAME).findRule(path["name"] ?? "", ownedBy(principal).owner);
  if (rule === null) {
    throw noSuchRule();
  }
  return rule;
}

/** The operator has all rules to look after, everybody else their own. */
function ownedBy({ id, kind }: AdmittedCall["principal"]): { owner?: string } {
  return kind === "root" ? {} : { owner: id };
}

/** By what comes, not by its headers: a body may lack its type, and a request without one may have it and tell no length. */
async function isWithoutBody(request: Request): Promise<boolean> {
  for await (const piece of request.clone().body ?? []) {
    if (piece.byteLength > 0) {
      return false;
    }
  }
  return true;
}

function wantedCopy(plan: RulePlan, source: string | undefined, nowMs: number): Expanded {
  if (source === undefined) {
    const only = onlySource(plan);
    return only === null ? { ignored: "is missing" } : repositoryCopy(plan, only, nowMs);
  }
  try {
    const reference = parseName(source, "source");
    const isImage = reference.tag !== undefined || reference.digest !== undefined;
    return isImage ? imageCopy(plan, reference, nowMs) : repositoryCopy(plan, reference, nowMs);
  } catch (thrown) {
    return { ignored: errorDetailOf(thrown).message };
  }
}

function conditionOf(match: string | undefined, noneMatch?: string): RuleCondition {
  if (match !== undefined) {
    return { kind: "version", version: match === "*" ? null : Number(match.replaceAll('"', "")) };
  }
  return noneMatch === undefined ? { kind: "none" } : { kind: "new" };
}

function putRefusal(answer: Exclude<RulePutAnswer, { rule: RuleEntry }>, push: unknown): Problem {
  switch (answer.kind) {
    case "taken":
      return new Problem("conflict", "Somebody else has a rule of this name; choose another.");
    case "stale":
      return stale(answer.version);
    case "listened":
      return listened(answer.by);
    case "too-many":
      return new Problem("conflict", "There are too many rules; delete some that nobody needs.");
    case "no-hook": {
      const from = typeof push === "object" && push !== null && "from" in push ? String(push.from) : "";
      return invalidFields([
        { field: "push.with", message: `there is no rule ${from} of yours with an address of its own` },
      ]);
    }
    default:
      return answer satisfies never;
  }
}

function stale(version: number | null): Problem {
  const what = version === null ? "There is no such rule." : `The rule has the version ${version}.`;
  return new Problem("changed-meanwhile", `${what} See what it is now, and ask again.`);
}

function listened(by: readonly string[]): Problem {
  return new Problem("conflict", `Other rules listen at the address of this one: ${by.join(", ")}. Change them first.`);
}

function noSuchRule(): Problem {
  return new Problem("not-found", "There is no rule with this name; GET /v1/rules lists them.");
}

function addressOf(request: Request, name: string, part: string): string {
  return new URL(`/v1/hooks/${name}/${part}`, request.url).href;
}

function etagOf({ version }: RuleEntry): Record<string, string> {
  return { etag: `"${version}"` };
}

function linkOf(path: string, next: string | null, query: Record<string, string>): Record<string, string> {
  const parameters = next === null ? "" : new URLSearchParams({ ...query, cursor: next }).toString();
  return next === null ? {} : { link: `<${path}?${parameters}>; rel="next"` };
}

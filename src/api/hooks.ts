/**
 * `/v1/hooks/{name}/{part}`: where registries deliver. Open to whoever knows the part that cannot be guessed, which no log
 * shows; what a delivery must prove besides is its rule's to say. Answers once every push is a row.
 */
import * as z from "zod";
import { hookSecrets, reachRefusal } from "../config.ts";
import type { CheckedPushEvent, Hook, Ignored, StartResult } from "../hooks/contract.ts";
import { deliver } from "../hooks/deliver.ts";
import { hashOfPathPart, newPathPart } from "../hooks/path-part.ts";
import { KeySets } from "../hooks/token.ts";
import { INDEX_NAME } from "../ledger/contract.ts";
import type { HookEntry, Wish } from "../ledger/rule-contract.ts";
import { writeLine } from "../log.ts";
import { formatReference, type Reference } from "../registry/reference.ts";
import { imageCopy } from "../sync/expand.ts";
import type { Env } from "../env.ts";
import type { Call, OpenOperation } from "./operation.ts";
import { ProblemSchema } from "./schemas.ts";

const HookPath = z.object({
  name: z.string().describe("The rule's name."),
  part: z.string().describe("The part that cannot be guessed."),
});

const StartedSchema = z.object({ copy: z.string(), source: z.string(), target: z.string() });

const DeliveredSchema = z
  .looseObject({
    outcome: z.enum(["started", "joined", "ignored", "pong"]),
    sender: z.string(),
    hook: z.string(),
    counts: z.exactOptional(z.object({ started: z.int(), joined: z.int(), ignored: z.int() })),
    started: z.exactOptional(z.array(StartedSchema)),
    joined: z.exactOptional(z.array(StartedSchema)).describe("Copies of the same thing that wait, run or have run."),
    ignored: z.exactOptional(z.array(z.object({ what: z.string(), reason: z.string() }))),
  })
  .describe("What became of a delivery. Lists have at most 100 entries.");

/** Azure Event Grid asks whether its events are wanted before it sends any. */
const HandshakeSchema = z
  .object({ validationResponse: z.string() })
  .describe("The answer to a sender that asks first whether its deliveries are wanted.");

export const DeliveryAnswerSchema = z.union([DeliveredSchema, HandshakeSchema]);

const NOT_HERE = { description: "There is no hook at this address.", schema: ProblemSchema };

const FAILED = { description: "The service failed, or is configured wrongly.", schema: ProblemSchema };

export const HOOKS: readonly OpenOperation[] = [
  {
    id: "deliver",
    method: "POST",
    path: "/v1/hooks/{name}/{part}",
    action: "open",
    summary: "Deliver a registry's webhook",
    description: "For registries: the address is that of a rule with `push`.",
    parameters: { path: HookPath },
    anyBody:
      "What the sender sends: JSON whatever its type says, also packed or as the field `payload` of a form; up to 1 MiB, and " +
      "5,000 pushes.",
    answers: {
      200: { description: "Nothing new is started.", schema: DeliveryAnswerSchema },
      202: { description: "Copies are started.", schema: DeliveryAnswerSchema },
      400: { description: "The delivery cannot be read.", schema: ProblemSchema },
      401: { description: "It does not prove what the rule demands.", schema: ProblemSchema },
      404: NOT_HERE,
      413: { description: "It has more than 1 MiB, or more than 5,000 pushes.", schema: ProblemSchema },
      500: FAILED,
      503: { description: "It cannot be checked now, or the service is busy; send it again.", schema: ProblemSchema },
    },
    handle: take,
  },
  {
    id: "permitDeliveries",
    method: "OPTIONS",
    path: "/v1/hooks/{name}/{part}",
    action: "open",
    summary: "Ask whether deliveries are wanted",
    description: "The question that CloudEvents and Event Grid ask before they deliver anything.",
    parameters: { path: HookPath },
    answers: {
      200: { description: "They are." },
      404: NOT_HERE,
      500: FAILED,
      503: { description: "The service is busy; ask again.", schema: ProblemSchema },
    },
    handle: take,
  },
];

/** Keys of token issuers, for an isolate's life. */
let keySets: KeySets | null = null;

async function take({ request, path, env }: Call): Promise<Response> {
  const nowMs = Date.now();
  const part = path["part"] ?? "";
  const entry = await env.INDEX.getByName(INDEX_NAME).findHook(path["name"] ?? "", await hashOfPathPart(part));
  keySets ??= new KeySets((url, init) => fetchKeys(url, init, env));
  return deliver(entry === null ? null : hookOf(entry, env), part, request, {
    start: (events) => start(entry, events, env, nowMs),
    keySets,
    nowMs,
  });
}

async function start(
  hook: HookEntry | null,
  events: readonly CheckedPushEvent[],
  env: Env,
  nowMs: number,
): Promise<StartResult> {
  const result: StartResult = { started: [], joined: [], ignored: [] };
  const wishes: Wish[] = [];
  for (const event of events) {
    const { wanted, ignored } = wishesOf(hook, event, nowMs);
    const deliveryKey = wanted.length > 0 ? await deliveryKeyOf(hook, event) : null;
    wishes.push(...wanted.map((wish) => ({ ...wish, deliveryKey })));
    result.ignored.push(...ignored);
  }
  const answers = wishes.length === 0 ? [] : await env.INDEX.getByName(INDEX_NAME).wish(wishes);
  for (const [at, answer] of answers.entries()) {
    const wish = wishes[at];
    if (wish === undefined) {
      continue;
    }
    const source = formatReference(wish.request.source);
    if (answer.kind === "ignored") {
      result.ignored.push({ what: source, reason: `rule ${wish.rule}: ${answer.reason}` });
    } else {
      result[answer.kind].push({ copy: answer.copy, source, target: formatReference(wish.request.target) });
    }
  }
  return result;
}

/** What the rules at this address make of a push. One that none of them takes is ignored once, not once for each. */
function wishesOf(
  hook: HookEntry | null,
  event: CheckedPushEvent,
  nowMs: number,
): { wanted: Wish[]; ignored: Ignored[] } {
  const { registryHost: host, repository, tag, digest } = event;
  const source: Reference = {
    host,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined || tag !== undefined ? {} : { digest }),
  };
  const wanted: Wish[] = [];
  const reasons: string[] = [];
  for (const { rule, plan, enabled } of hook?.listeners ?? []) {
    const made = enabled ? imageCopy(plan, source, nowMs) : { ignored: "the rule is switched off" };
    if ("ignored" in made) {
      reasons.push(`rule ${rule}: ${made.ignored}`);
    } else {
      wanted.push({ rule, trigger: "push", request: made.request, deliveryKey: null, hint: digest ?? null });
    }
  }
  if (wanted.length > 0) {
    return { wanted, ignored: [] };
  }
  const [first = "no rule listens here", ...more] = reasons;
  const reason = more.length === 0 ? first : `none of the ${reasons.length} rules that listen here takes it (${first})`;
  return { wanted, ignored: [{ what: formatReference(source), reason }] };
}

/** The same in every repetition of one push by its sender; null where the sender numbers nothing. */
async function deliveryKeyOf(hook: HookEntry | null, event: CheckedPushEvent): Promise<string | null> {
  const { deliveryId, registryHost, repository, tag, digest } = event;
  if (deliveryId === undefined) {
    return null;
  }
  const text = JSON.stringify([hook?.name, deliveryId, registryHost, repository, tag, digest]);
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function hookOf({ name, settings, pathHash }: HookEntry, env: Env): Hook {
  const { secrets, headers, ...read } = settings;
  const known = hookSecrets(env);
  const secretOf = (secret: string): string => {
    const value = known.get(secret);
    if (value === undefined) {
      writeLine({ msg: "secret of a hook is missing in HOOK_SECRETS", hook: name, secret }, "error");
    }
    // Something that nobody can prove to know: a secret that is gone lets nobody in.
    return value ?? newPathPart();
  };
  return {
    ...read,
    name,
    pathHash,
    ...(secrets === undefined ? {} : { secrets: secrets.map(secretOf) }),
    ...(headers === undefined
      ? {}
      : { headers: headers.map((header) => ({ name: header.name, value: secretOf(header.secret) })) }),
  };
}

/** Rules say where keys are, so the address is judged like any other that the service is told to call. */
function fetchKeys(url: string, init: RequestInit, env: Env): Promise<Response> {
  const refusal = reachRefusal(env, new URL(url));
  if (refusal !== null) {
    throw new Error(`${url} ${refusal}`);
  }
  return fetch(url, { ...init, redirect: "manual" });
}

/** `/v1/copies`: make, see, list, cancel and follow copies. Parses, asks the object in charge, answers. */
import type { Principal } from "../access/contract.ts";
import { copyRefusal, mountScope } from "../access/scopes.ts";
import type { CopyRequest } from "../copy/request.ts";
import { INDEX_NAME, type Limited } from "../ledger/contract.ts";
import { ENDED_STATES, KEPT_MS, type CopyJobRpc, type CopyView } from "../job/contract.ts";
import type { CopyEntry } from "../ledger/contract.ts";
import { formatReference } from "../registry/reference.ts";
import { copyIdTimeMs, ID_RANDOM_BYTES, isCopyId, newCopyId } from "../copy/copy-id.ts";
import { CopyRequestSchema } from "./copy-request-schema.ts";
import { copyRequestOf, fingerprintOf } from "./copy-request.ts";
import { readBody, readHeaders, readQuery } from "./input.ts";
import type { AdmittedCall, Answer, Operation } from "./operation.ts";
import { Problem } from "./problem.ts";
import {
  CopyListSchema,
  CopyPath,
  CopySchema,
  CreateHeaders,
  EventsHeaders,
  EventsQuery,
  ListQuery,
  MAX_WAIT_SECONDS,
  ProblemSchema,
  TagListSchema,
  TagsQuery,
  ViewQuery,
} from "./schemas.ts";

/** A copy lives for a day at most, and its object for some days more: of an older one only the record is left. */
const GONE_AFTER_MS = KEPT_MS + 2 * 24 * 60 * 60 * 1000;

const LOCATION = { Location: "Where the copy is: `/v1/copies/{id}`." };
const NO_SUCH_COPY: Answer = { description: "There is no such copy.", schema: ProblemSchema };

export const COPIES: readonly Operation[] = [
  {
    id: "createCopy",
    method: "POST",
    path: "/v1/copies",
    action: "copy",
    summary: "Make a copy",
    description:
      "Answers as soon as the copy is accepted; it goes on by itself. Nothing is started when the answer is a 4xx.",
    parameters: { header: CreateHeaders },
    body: CopyRequestSchema,
    answers: {
      200: { description: "This idempotency key has made this copy before.", schema: CopySchema, headers: LOCATION },
      202: { description: "The copy is accepted.", schema: CopySchema, headers: LOCATION },
      400: { description: "The body is not JSON.", schema: ProblemSchema },
      409: { description: "The idempotency key was used for another request.", schema: ProblemSchema },
      413: { description: "The body is too large.", schema: ProblemSchema },
      415: { description: "The body is not sent as JSON.", schema: ProblemSchema },
      429: {
        description: "A limit of the key is reached; nothing is started.",
        schema: ProblemSchema,
        headers: { "Retry-After": "Seconds until it is worth another try." },
      },
    },
    handle: create,
  },
  {
    id: "listCopies",
    method: "GET",
    path: "/v1/copies",
    action: "read",
    summary: "List copies, newest first",
    description: "Copies of the last 30 days (`RECORD_DAYS`), at most the newest 100,000.",
    parameters: { query: ListQuery },
    answers: {
      200: {
        description: "A page of copies.",
        schema: CopyListSchema,
        headers: { Link: 'The next page, `rel="next"`; absent on the last (RFC 8288).' },
      },
    },
    handle: list,
  },
  {
    id: "getCopy",
    method: "GET",
    path: "/v1/copies/{id}",
    action: "read",
    summary: "See a copy, or wait for its end",
    parameters: { path: CopyPath, query: ViewQuery },
    answers: { 200: { description: "The copy as it is.", schema: CopySchema }, 404: NO_SUCH_COPY },
    handle: view,
  },
  {
    id: "cancelCopy",
    method: "DELETE",
    path: "/v1/copies/{id}",
    action: "cancel",
    summary: "Cancel a copy",
    description: "A copy that has ended stays as it is. The target's tag is untouched by a cancelled copy.",
    parameters: { path: CopyPath },
    answers: {
      200: { description: "The copy has ended.", schema: CopySchema },
      202: { description: "The copy is being cancelled.", schema: CopySchema },
      404: NO_SUCH_COPY,
    },
    handle: cancel,
  },
  {
    id: "listCopyTags",
    method: "GET",
    path: "/v1/copies/{id}/tags",
    action: "read",
    summary: "See what became of each tag",
    description:
      "The names that the copy writes at the target: one, or those of a repository, in the source's order. Kept for " +
      "seven days after the copy's end.",
    parameters: { path: CopyPath, query: TagsQuery },
    answers: {
      200: {
        description: "A page of names.",
        schema: TagListSchema,
        headers: { Link: 'The next page, `rel="next"`; absent on the last (RFC 8288).' },
      },
      404: NO_SUCH_COPY,
    },
    handle: tags,
  },
  {
    id: "followCopy",
    method: "GET",
    path: "/v1/copies/{id}/events",
    action: "read",
    summary: "Follow a copy",
    description:
      "Server-Sent Events: `state`, `tags`, `tag`, `manifest`, `blob` and `warning` can be resumed from any id, `progress` is only for " +
      "the moment. The stream ends after the copy has ended. Seven days later only the last `state` is left.",
    parameters: { path: CopyPath, query: EventsQuery, header: EventsHeaders },
    answers: { 200: { description: "The events.", mediaType: "text/event-stream" }, 404: NO_SUCH_COPY },
    handle: events,
  },
];

async function tags(call: AdmittedCall): Promise<Response> {
  const { state, limit, cursor } = readQuery(call.request, TagsQuery);
  const job = await jobOf(call);
  const page = await job.tags({
    limit,
    ...(state === undefined ? {} : { state }),
    ...(cursor === undefined ? {} : { cursor: Number(cursor) }),
  });
  if (page === null) {
    found(await recordOf(call));
    throw new Problem(
      "not-found",
      "What became of each tag was kept for seven days; the copy as a whole is still there.",
    );
  }
  const headers = new Headers();
  if (page.next !== null) {
    const query = new URLSearchParams({
      ...(state === undefined ? {} : { state }),
      limit: String(limit),
      cursor: String(page.next),
    });
    headers.set("link", `</v1/copies/${call.path["id"] ?? ""}/tags?${query.toString()}>; rel="next"`);
  }
  return Response.json({ tags: page.tags, next: page.next === null ? null : String(page.next) }, { headers });
}

async function create({ request, env, principal }: AdmittedCall): Promise<Response> {
  const { "idempotency-key": key } = readHeaders(request, CreateHeaders);
  const body = await readBody(request, CopyRequestSchema);
  const copy = copyRequestOf(body, env, Date.now());
  refuseOutOfScope(principal, copy);
  const asked = { by: principal.id, name: principal.name, how: "api", rule: null } as const;
  const made = { ...copy, asked, mountable: mountScope(principal, copy.target.host) };
  const id = newCopyId(Date.now(), crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
  const entry = {
    id,
    source: formatReference(copy.source),
    target: formatReference(copy.target),
    fingerprint: await fingerprintOf(copy, body),
    hosts: [copy.source.host, copy.target.host],
    by: { id: principal.id, limits: principal.limits, budget: principal.budget },
    asked,
  };
  const index = env.INDEX.getByName(INDEX_NAME);
  if (key === undefined && Object.keys(principal.limits).length === 0) {
    // The list takes no part in the copy, so neither waits for the other.
    const [begun] = await Promise.all([env.JOBS.getByName(id).start(id, made), index.register(entry)]);
    return copyAnswer(begun, 202);
  }
  const registered = await index.register({ ...entry, ...(key === undefined ? {} : { key }) });
  if (registered.kind === "limited") {
    throw limitReached(registered);
  }
  if (registered.kind === "conflict") {
    throw new Problem(
      "conflict",
      `This Idempotency-Key made the copy ${registered.id} from another request within the last 24 hours; use a new key.`,
    );
  }
  // Known copies are started as well: the request that registered it may have been cut off before it could.
  const started = await env.JOBS.getByName(registered.id).start(registered.id, made);
  return copyAnswer(started, registered.kind === "created" ? 202 : 200);
}

async function view(call: AdmittedCall): Promise<Response> {
  const { wait = 0 } = readQuery(call.request, ViewQuery);
  return copyAnswer(await viewOf(call, (job) => job.view(Math.min(wait, MAX_WAIT_SECONDS) * 1000)), 200);
}

async function list({ request, env, principal }: AdmittedCall): Promise<Response> {
  const { state, limit, cursor } = readQuery(request, ListQuery);
  const page = await env.INDEX.getByName(INDEX_NAME).list({
    limit,
    ...(principal.kind === "root" ? {} : { viewer: { id: principal.id, scopes: principal.scopes } }),
    ...(state === undefined ? {} : { state }),
    ...(cursor === undefined ? {} : { cursor }),
  });
  const headers = new Headers();
  if (page.next !== null) {
    const query = new URLSearchParams({
      ...(state === undefined ? {} : { state }),
      limit: String(limit),
      cursor: page.next,
    });
    headers.set("link", `</v1/copies?${query.toString()}>; rel="next"`);
  }
  return Response.json({ copies: page.copies.map(listed), next: page.next }, { headers });
}

async function cancel(call: AdmittedCall): Promise<Response> {
  const copy = await viewOf(call, (job) => job.cancel());
  return copyAnswer(copy, ENDED_STATES.includes(copy.state) ? 200 : 202);
}

async function events(call: AdmittedCall): Promise<Response> {
  const { after = 0 } = readQuery(call.request, EventsQuery);
  const { "last-event-id": last = after } = readHeaders(call.request, EventsHeaders);
  const job = await jobOf(call);
  const stream = (await job.events(last)) ?? lastEventOf(found(await recordOf(call)));
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
}

/** @throws Problem 404 for a copy that is none of the principal's business, as for one that does not exist. */
async function jobOf({ env, path, principal }: AdmittedCall) {
  const id = path["id"] ?? "";
  if (!isCopyId(id)) {
    throw noSuchCopy();
  }
  if (principal.kind !== "root") {
    const viewer = { id: principal.id, scopes: principal.scopes };
    found(await env.INDEX.getByName(INDEX_NAME).find(id, viewer));
  }
  return env.JOBS.getByName(id);
}

/** A copy by what its object says, or by its record once that is gone. */
async function viewOf(
  call: AdmittedCall,
  ask: (job: Pick<CopyJobRpc, "view" | "cancel">) => Promise<CopyView | null>,
): Promise<CopyView> {
  const job = await jobOf(call);
  // An object that is gone would come back, empty, for being asked.
  const isGone = copyIdTimeMs(call.path["id"] ?? "") < Date.now() - GONE_AFTER_MS;
  const record = isGone ? await recordOf(call) : null;
  return record ?? found((await ask(job)) ?? (await recordOf(call)));
}

async function recordOf({ env, path }: AdmittedCall): Promise<CopyView | null> {
  return (await env.INDEX.getByName(INDEX_NAME).find(path["id"] ?? ""))?.record ?? null;
}

/** What is left to tell to somebody who follows a copy whose events are gone. */
function lastEventOf(data: CopyView): string {
  const event = { seq: 1, at: data.times.doneAt, type: "state", data };
  return `id: 1\nevent: state\ndata: ${JSON.stringify(event)}\n\n`;
}

function refuseOutOfScope(principal: Principal, copy: CopyRequest): void {
  const refusal = copyRefusal(principal, copy);
  if (refusal === null) {
    return;
  }
  const errors = refusal.side === "action" ? [] : [{ field: refusal.side, message: refusal.message }];
  throw new Problem("forbidden", refusal.message, { errors });
}

function limitReached({ limit, allowed, retryAtMs }: Limited): Problem {
  const what = limit === "copiesAtOnce" ? "copies at once" : "copies per hour";
  const seconds = Math.max(1, Math.ceil((retryAtMs - Date.now()) / 1000));
  return new Problem(
    "limit-reached",
    `This key may have ${allowed} ${what}, and has them; try again in ${seconds} s.`,
    {
      headers: { "retry-after": String(seconds) },
    },
  );
}

function found<T>(answer: T | null): T {
  if (answer === null) {
    throw noSuchCopy();
  }
  return answer;
}

function noSuchCopy(): Problem {
  return new Problem("not-found", "There is no copy with this id; GET /v1/copies lists them.");
}

function copyAnswer(copy: CopyView, status: 200 | 202): Response {
  return Response.json(copy, { status, headers: { location: `/v1/copies/${copy.id}` } });
}

function listed(entry: CopyEntry) {
  return {
    id: entry.id,
    state: entry.state,
    asked: entry.asked,
    source: { reference: entry.source, digest: entry.record?.source.digest ?? null },
    target: { reference: entry.target, digest: entry.record?.target.digest ?? null },
    bytes: entry.record?.bytes ?? null,
    requests: entry.record?.requests ?? null,
    times: {
      acceptedAt: new Date(entry.acceptedAtMs).toISOString(),
      doneAt: entry.doneAtMs === null ? null : new Date(entry.doneAtMs).toISOString(),
    },
    error: entry.record?.error ?? null,
  };
}

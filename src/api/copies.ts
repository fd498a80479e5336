/** `/v1/copies`: make, see, list, cancel and follow copies. Parses, asks the object in charge, answers. */
import { INDEX_NAME } from "../ledger/contract.ts";
import { ENDED_STATES, type CopyView } from "../job/contract.ts";
import type { CopyEntry } from "../ledger/contract.ts";
import { formatReference } from "../registry/reference.ts";
import { ID_RANDOM_BYTES, isCopyId, newCopyId } from "./copy-id.ts";
import { copyRequestOf, fingerprintOf } from "./copy-request.ts";
import { readBody, readHeaders, readQuery } from "./input.ts";
import type { Answer, Call, Operation } from "./operation.ts";
import { Problem } from "./problem.ts";
import {
  CopyListSchema,
  CopyPath,
  CopyRequestSchema,
  CopySchema,
  CreateHeaders,
  EventsHeaders,
  EventsQuery,
  ListQuery,
  MAX_WAIT_SECONDS,
  ProblemSchema,
  ViewQuery,
} from "./schemas.ts";

/** The index is one per tenant, and there is one tenant. */

const LOCATION = { Location: "Where the copy is: `/v1/copies/{id}`." };
const NO_SUCH_COPY: Answer = { description: "There is no such copy.", schema: ProblemSchema };

export const COPIES: readonly Operation[] = [
  {
    id: "createCopy",
    method: "POST",
    path: "/v1/copies",
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
    },
    handle: create,
  },
  {
    id: "listCopies",
    method: "GET",
    path: "/v1/copies",
    summary: "List copies, newest first",
    description: "Copies of the last 30 days, at most the newest 100,000.",
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
    summary: "See a copy, or wait for its end",
    parameters: { path: CopyPath, query: ViewQuery },
    answers: { 200: { description: "The copy as it is.", schema: CopySchema }, 404: NO_SUCH_COPY },
    handle: view,
  },
  {
    id: "cancelCopy",
    method: "DELETE",
    path: "/v1/copies/{id}",
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
    id: "followCopy",
    method: "GET",
    path: "/v1/copies/{id}/events",
    summary: "Follow a copy",
    description:
      "Server-Sent Events: `state`, `manifest`, `blob` and `warning` can be resumed from any id, `progress` is only for " +
      "the moment. The stream ends after the copy has ended.",
    parameters: { path: CopyPath, query: EventsQuery, header: EventsHeaders },
    answers: { 200: { description: "The events.", mediaType: "text/event-stream" }, 404: NO_SUCH_COPY },
    handle: events,
  },
];

async function create({ request, env }: Call): Promise<Response> {
  const { "idempotency-key": key } = readHeaders(request, CreateHeaders);
  const copy = copyRequestOf(await readBody(request, CopyRequestSchema), env);
  const id = newCopyId(Date.now(), crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
  const entry = {
    id,
    source: formatReference(copy.source),
    target: formatReference(copy.target),
    fingerprint: await fingerprintOf(copy),
    hosts: [copy.source.host, copy.target.host],
  };
  const index = env.INDEX.getByName(INDEX_NAME);
  if (key === undefined) {
    // The list takes no part in the copy, so neither waits for the other.
    const [made] = await Promise.all([env.JOBS.getByName(id).start(id, copy), index.register(entry)]);
    return copyAnswer(made, 202);
  }
  const registered = await index.register({ ...entry, key });
  if (registered.kind === "conflict") {
    throw new Problem(
      "conflict",
      `This Idempotency-Key made the copy ${registered.id} from another request within the last 24 hours; use a new key.`,
    );
  }
  // Known copies are started as well: the request that registered it may have been cut off before it could.
  const started = await env.JOBS.getByName(registered.id).start(registered.id, copy);
  return copyAnswer(started, registered.kind === "created" ? 202 : 200);
}

async function view(call: Call): Promise<Response> {
  const { wait = 0 } = readQuery(call.request, ViewQuery);
  return copyAnswer(found(await jobOf(call).view(Math.min(wait, MAX_WAIT_SECONDS) * 1000)), 200);
}

async function list({ request, env }: Call): Promise<Response> {
  const { state, limit, cursor } = readQuery(request, ListQuery);
  const page = await env.INDEX.getByName(INDEX_NAME).list({
    limit,
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

async function cancel(call: Call): Promise<Response> {
  const copy = found(await jobOf(call).cancel());
  return copyAnswer(copy, ENDED_STATES.includes(copy.state) ? 200 : 202);
}

async function events(call: Call): Promise<Response> {
  const { after = 0 } = readQuery(call.request, EventsQuery);
  const { "last-event-id": last = after } = readHeaders(call.request, EventsHeaders);
  const stream = found(await jobOf(call).events(last));
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
}

function jobOf({ env, path }: Call) {
  const id = path["id"] ?? "";
  if (!isCopyId(id)) {
    throw noSuchCopy();
  }
  return env.JOBS.getByName(id);
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
    source: { reference: entry.source },
    target: { reference: entry.target },
    times: {
      acceptedAt: new Date(entry.acceptedAtMs).toISOString(),
      doneAt: entry.doneAtMs === null ? null : new Date(entry.doneAtMs).toISOString(),
    },
  };
}

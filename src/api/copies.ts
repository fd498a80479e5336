/** `/v1/copies`: make, see, list, cancel and follow copies. Parses, asks the object in charge, answers. */
import { ENDED_STATES, type CopyView } from "../job/contract.ts";
import type { GroupView } from "../job/group/contract.ts";
import { type CopyEntry, INDEX_NAME } from "../ledger/contract.ts";
import { create } from "./copy-creation.ts";
import { CopiesRequestSchema } from "./copy-request-schema.ts";
import { copyAnswer, followedOf, found, isGone, jobOf, recordOf, viewOf } from "./copy-views.ts";
import { readHeaders, readQuery } from "./input.ts";
import type { AdmittedCall, Answer, Operation } from "./operation.ts";
import { Problem } from "./problem.ts";
import {
  CopyListSchema,
  CopyOrGroupSchema,
  CopyPath,
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
      "Answers as soon as the copy is accepted; it goes on by itself. Nothing is started when the answer is a 4xx. With `targets` " +
      "the answer is a group: an ordinary copy for each target, seen, waited for, followed and cancelled together by the " +
      "group's id, or each by its own.",
    parameters: { header: CreateHeaders },
    body: CopiesRequestSchema,
    answers: {
      200: {
        description: "This idempotency key has made this copy before.",
        schema: CopyOrGroupSchema,
        headers: LOCATION,
      },
      202: { description: "The copy is accepted.", schema: CopyOrGroupSchema, headers: LOCATION },
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
    description:
      "Copies of the last 30 days (`RECORD_DAYS`), at most the newest 100,000. Of a group its copies are listed, each with the " +
      "group's id.",
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
    answers: { 200: { description: "The copy as it is.", schema: CopyOrGroupSchema }, 404: NO_SUCH_COPY },
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
      200: { description: "The copy has ended.", schema: CopyOrGroupSchema },
      202: { description: "The copy is being cancelled.", schema: CopyOrGroupSchema },
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
      "the moment. Of a group: `state`, `copy` when one of its copies begins or ends, and `warning`. The stream ends after the copy has ended. Seven days later only the last `state` is left.",
    parameters: { path: CopyPath, query: EventsQuery, header: EventsHeaders },
    answers: { 200: { description: "The events.", mediaType: "text/event-stream" }, 404: NO_SUCH_COPY },
    handle: events,
  },
];

async function tags(call: AdmittedCall): Promise<Response> {
  const { state, limit, cursor } = readQuery(call.request, TagsQuery);
  const job = await jobOf(call);
  const query = {
    limit,
    ...(state === undefined ? {} : { state }),
    ...(cursor === undefined ? {} : { cursor: Number(cursor) }),
  };
  const page = isGone(call) ? null : await job.tags(query);
  if (page === null) {
    found(await recordOf(call));
    throw new Problem(
      "not-found",
      "What became of each tag was kept for seven days; the copy as a whole is still there.",
    );
  }
  const headers = new Headers();
  if (page.next !== null) {
    const next = new URLSearchParams({
      ...(state === undefined ? {} : { state }),
      limit: String(limit),
      cursor: String(page.next),
    });
    headers.set("link", `</v1/copies/${call.path["id"] ?? ""}/tags?${next.toString()}>; rel="next"`);
  }
  return Response.json({ tags: page.tags, next: page.next === null ? null : String(page.next) }, { headers });
}

async function view(call: AdmittedCall): Promise<Response> {
  const { wait = 0 } = readQuery(call.request, ViewQuery);
  return copyAnswer(await viewOf(call, (followed) => followed.view(Math.min(wait, MAX_WAIT_SECONDS) * 1000)), 200);
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
  const copy = await viewOf(call, (followed) => followed.cancel());
  return copyAnswer(copy, ENDED_STATES.includes(copy.state) ? 200 : 202);
}

async function events(call: AdmittedCall): Promise<Response> {
  const { after = 0 } = readQuery(call.request, EventsQuery);
  const { "last-event-id": last = after } = readHeaders(call.request, EventsHeaders);
  const followed = await followedOf(call);
  const stream = (isGone(call) ? null : await followed.events(last)) ?? lastEventOf(found(await recordOf(call)));
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
}

/** What is left to tell to somebody who follows a copy whose events are gone. */
function lastEventOf(data: CopyView | GroupView): string {
  const event = { seq: 1, at: data.times.doneAt, type: "state", data };
  return `id: 1\nevent: state\ndata: ${JSON.stringify(event)}\n\n`;
}

function listed(entry: CopyEntry) {
  return {
    id: entry.id,
    state: entry.state,
    asked: entry.asked,
    group: entry.group,
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

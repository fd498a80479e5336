/** `/v1/notifications`: who is told of the ends of copies, what waits to be told, and what nobody took. */
import * as z from "zod";
import { notificationTargets } from "../config.ts";
import { END_STATES, NOTIFIER_NAME, type NotificationEntry } from "../notify/contract.ts";
import { readQuery } from "./input.ts";
import type { AdmittedCall, Answer, Operation } from "./operation.ts";
import { Problem } from "./problem.ts";
import { MAX_PAGE, ProblemSchema } from "./schemas.ts";
import { refuseBounded } from "./whole-service.ts";

const Time = z.iso.datetime();
const Count = z.int().min(0);

const EntrySchema = z.object({
  id: z.string().meta({ examples: ["evt_01jd7m3k8a0v5q2r9s4t6u1b3c.ops"] }),
  event: z.string().describe("The event's `id`, and the header `webhook-id`."),
  receiver: z.string(),
  copy: z.string(),
  type: z.enum(["dev.drayage.copy.succeeded", "dev.drayage.copy.failed", "dev.drayage.copy.cancelled"]),
  attempts: Count,
  reason: z.string().nullable().describe("What the last attempt came to; null: there was none."),
  times: z.object({
    createdAt: Time,
    nextAt: Time.nullable().describe("When it is sent next; null: not any more, unless somebody says so."),
  }),
});

export const NotificationsSchema = z
  .object({
    receivers: z.array(
      z.object({
        name: z.string(),
        host: z.string().describe("Of its address; the rest of it may be a secret."),
        events: z.array(z.enum(END_STATES)),
        sources: z.array(z.string()).nullable(),
        targets: z.array(z.string()).nullable(),
        keys: Count.describe("How many keys every message is signed with."),
      }),
    ),
    counts: z.object({
      pending: Count,
      dead: Count,
      delivered: Count.describe("Messages that were taken since the service was set up."),
      refused: Count.describe("Attempts that failed since then."),
    }),
    notifications: z.array(EntrySchema),
    next: z.string().nullable().describe("`cursor` of the page after this one; null: this is the last."),
  })
  .describe("Who is told of the ends of copies, and what has not been taken.");

export const NotificationSchema = EntrySchema.describe("One message for one receiver.");

const Query = z.strictObject({
  state: z
    .enum(["pending", "dead"], "must be pending or dead")
    .default("dead")
    .describe("Which messages: those that are sent again, or those that are not any more."),
  limit: z
    .string("must be given once")
    .regex(/^[1-9][0-9]{0,2}$/, `must be a whole number from 1 to ${MAX_PAGE}`)
    .transform(Number)
    .pipe(z.int().max(MAX_PAGE, `must be a whole number from 1 to ${MAX_PAGE}`))
    .default(MAX_PAGE)
    .describe("Messages on a page."),
  cursor: z
    .string("must be given once")
    .regex(/^[0-9]{1,15}$/, "must be what `next` said on the page before")
    .optional()
    .describe("`next` of the page before."),
});

const Path = z.object({ id: z.string() });
const NO_SUCH: Answer = { description: "There is no dead message with this id.", schema: ProblemSchema };

export const NOTIFICATIONS: readonly Operation[] = [
  {
    id: "listNotifications",
    method: "GET",
    path: "/v1/notifications",
    action: "registries",
    summary: "See who is told, and what was not taken",
    description: "Oldest first. It concerns all copies, so it takes scopes without bounds.",
    parameters: { query: Query },
    answers: { 200: { description: "Receivers, counts and a page of messages.", schema: NotificationsSchema } },
    handle: list,
  },
  {
    id: "retryNotification",
    method: "POST",
    path: "/v1/notifications/dead/{id}/retry",
    action: "registries",
    summary: "Send a dead message again",
    description: "With all its attempts anew, and the same `webhook-id`.",
    parameters: { path: Path },
    answers: { 202: { description: "It is sent again.", schema: NotificationSchema }, 404: NO_SUCH },
    handle: retry,
  },
  {
    id: "discardNotification",
    method: "DELETE",
    path: "/v1/notifications/dead/{id}",
    action: "registries",
    summary: "Forget a dead message",
    parameters: { path: Path },
    answers: { 204: { description: "It is gone." }, 404: NO_SUCH },
    handle: discard,
  },
];

async function list({ request, env, principal }: AdmittedCall): Promise<Response> {
  refuseBounded(principal);
  const { state, limit, cursor } = readQuery(request, Query);
  const receivers = notificationTargets(env).map(({ name, url, events, sources, targets, keys }) => ({
    name,
    host: new URL(url).host,
    events,
    sources,
    targets,
    keys: keys.length,
  }));
  const notifier = env.NOTIFIER.getByName(NOTIFIER_NAME);
  const [counts, page] = await Promise.all([
    notifier.counts(),
    notifier.list({ state, limit, ...(cursor === undefined ? {} : { cursor }) }),
  ]);
  return Response.json({ receivers, counts, notifications: page.entries.map(viewOf), next: page.next });
}

async function retry({ env, path, principal }: AdmittedCall): Promise<Response> {
  refuseBounded(principal);
  const entry = await env.NOTIFIER.getByName(NOTIFIER_NAME).retry(path["id"] ?? "");
  if (entry === null) {
    throw noSuchMessage();
  }
  return Response.json(viewOf(entry), { status: 202 });
}

async function discard({ env, path, principal }: AdmittedCall): Promise<Response> {
  refuseBounded(principal);
  if (!(await env.NOTIFIER.getByName(NOTIFIER_NAME).discard(path["id"] ?? ""))) {
    throw noSuchMessage();
  }
  return new Response(null, { status: 204 });
}

function noSuchMessage(): Problem {
  return new Problem("not-found", "There is no dead message with this id; GET /v1/notifications lists them.");
}

function viewOf(entry: NotificationEntry) {
  return {
    id: entry.id,
    event: entry.event,
    receiver: entry.receiver,
    copy: entry.copy,
    type: `dev.drayage.copy.${entry.state}`,
    attempts: entry.attempts,
    reason: entry.reason,
    times: {
      createdAt: new Date(entry.createdAtMs).toISOString(),
      nextAt: entry.nextAtMs === null ? null : new Date(entry.nextAtMs).toISOString(),
    },
  };
}

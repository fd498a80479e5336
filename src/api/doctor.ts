/** `/v1/doctor`: whether the service has what it needs, and whether it reaches a registry. */
import * as z from "zod";
import { clientReach, hostSettings, notificationTargets } from "../config.ts";
import { registryHost } from "../config/host-name.ts";
import { fail, FINDING_STATES, ok, warn, type Finding, type Report } from "../doctor/contract.ts";
import { queueFinding, roundTripMs } from "../doctor/queue.ts";
import { settingsFindings } from "../doctor/settings.ts";
import type { Env } from "../env.ts";
import { INDEX_NAME } from "../ledger/contract.ts";
import { writeLine } from "../log.ts";
import { NOTIFIER_NAME } from "../notify/contract.ts";
import { isLoopback } from "../registry/address.ts";
import { discard } from "../registry/body.ts";
import { createHostClient } from "../registry/client.ts";
import { ConnectionBudget } from "../registry/connection-budget.ts";
import { errorDetailOf } from "../registry/errors.ts";
import type { Gate } from "../registry/gate.ts";
import { VERSION } from "../registry/user-agent.ts";
import { invalidFields } from "./problem.ts";
import { readQuery } from "./input.ts";
import type { AdmittedCall, Operation } from "./operation.ts";
import { refuseBounded } from "./whole-service.ts";

/** Hosts whose lanes are looked at: enough to see that the queue is not read. */
const HOSTS_LOOKED_AT = 10;

export const ReportSchema = z
  .object({
    version: z.string().nullable(),
    findings: z.array(
      z.object({
        name: z.string().describe("What was looked at."),
        state: z.enum(FINDING_STATES),
        message: z.string(),
        fix: z.string().nullable().describe("What to do; null where nothing is to be done."),
      }),
    ),
  })
  .describe("Whether the service has what it needs.") satisfies z.ZodType<Report>;

const Query = z.strictObject({
  registry: z
    .string("must be given once")
    .optional()
    .describe("A registry host, as in references: it is asked whether it takes our credentials."),
});

export const DOCTOR: readonly Operation[] = [
  {
    id: "getDoctor",
    method: "GET",
    path: "/v1/doctor",
    action: "registries",
    summary: "Look for what is missing",
    description:
      "Bindings, settings, whether secrets can be read (never what is in them), objects, how long a message takes through " +
      "the queue (up to 15 seconds, then nobody reads it), and with `registry` one request to its `/v2/`. It concerns the whole service, so it takes scopes without bounds.",
    parameters: { query: Query },
    answers: { 200: { description: "What was found, good or bad.", schema: ReportSchema } },
    handle: look,
  },
];

async function look({ request, env, principal }: AdmittedCall): Promise<Response> {
  refuseBounded(principal);
  const { registry } = readQuery(request, Query);
  const host = registry === undefined ? null : registryHost(registry);
  if (registry !== undefined && host === null) {
    throw invalidFields([
      { field: "registry", message: "is not a registry host; write it as in a reference, such as ghcr.io" },
    ]);
  }
  const asked = await Promise.all([
    objects(env),
    queue(env),
    dead(env),
    ...(host === null ? [] : [reached(env, host)]),
  ]);
  const findings = [...settingsFindings(env, isLoopback(new URL(request.url).hostname)), ...asked.flat()];
  const report: Report = { version: VERSION, findings };
  return Response.json(report);
}

async function objects(env: Env): Promise<Finding[]> {
  try {
    const { open, runsWaiting } = await env.INDEX.getByName(INDEX_NAME).metrics();
    return [ok("objects", `The index answers: ${open.running} copies run, ${runsWaiting} runs of rules wait.`)];
  } catch (error) {
    return [
      fail(
        "objects",
        `The index does not answer: ${errorDetailOf(error).message}`,
        "Look at the log (`wrangler tail`); after going back a version, deploy the newer one again.",
      ),
    ];
  }
}

/** Whether a message comes through the queue, and beside it work orders that no lane takes up. */
async function queue(env: Env): Promise<Finding[]> {
  const index = env.INDEX.getByName(INDEX_NAME);
  try {
    const hosts = await index.hosts();
    const [hostLooks, tookMs] = await Promise.all([
      Promise.all(hosts.slice(0, HOSTS_LOOKED_AT).map(({ host }) => lanesAt(env, host))),
      roundTripMs(crypto.randomUUID(), {
        open: (id) => index.openProbe(id),
        send: (message) => env.LANES.send(message),
        cameAtMs: (id) => index.probeCameAtMs(id),
        now: Date.now,
        pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      }),
    ]);
    const isWorking = hostLooks.some((each) => each.isWorking);
    return [queueFinding(tookMs, isWorking), ...hostLooks.flatMap(({ findings }) => findings)];
  } catch (error) {
    return [fail("queue", errorDetailOf(error).message, "Mend the binding LANES, and what else is found; deploy.")];
  }
}

/** One host that cannot answer does not keep back what is known of the others. */
async function lanesAt(env: Env, host: string): Promise<{ isWorking: boolean; findings: Finding[] }> {
  try {
    const { waiting, lanes } = await env.REGISTRIES.getByName(host).snapshot();
    const isStuck = waiting.blob > 0 && lanes.ordered > 0 && lanes.joined === 0;
    const stuck = warn(
      "queue",
      `Blobs wait for ${host}, and no lane has come yet.`,
      "If it stays like this, look at the queue's backlog: `wrangler queues info drayage-lanes`.",
    );
    return { isWorking: lanes.joined > 0, findings: isStuck ? [stuck] : [] };
  } catch (error) {
    const finding = fail(
      `registry ${host}`,
      `The object that keeps its queue does not answer: ${errorDetailOf(error).message}`,
      "Look at the log (`wrangler tail`), and at its settings under HOSTS; ask again in a minute.",
    );
    return { isWorking: false, findings: [finding] };
  }
}

async function dead(env: Env): Promise<Finding[]> {
  try {
    if (notificationTargets(env).length === 0) {
      return [];
    }
    const counts = await env.NOTIFIER.getByName(NOTIFIER_NAME).counts();
    return counts.dead === 0
      ? [ok("dead messages", "There are none.")]
      : [
          warn(
            "dead messages",
            `${counts.dead} notifications were never taken.`,
            "GET /v1/notifications lists them with their reasons; send each again, or forget it.",
          ),
        ];
  } catch {
    // What is wrong with the settings has been said.
    return [];
  }
}

/** Asks the host's base address (distribution-spec, "Determining Support"), with credentials where it wants some. */
async function reached(env: Env, host: string): Promise<Finding[]> {
  const name = `registry ${host}`;
  try {
    const settings = hostSettings(env, host);
    using session = await env.REGISTRIES.getByName(host).join({
      name: `doctor-${crypto.randomUUID()}`,
      width: 0,
      held: [],
    });
    // One question of somebody who looks for a fault does not queue up behind what the fault has stopped.
    const gate: Gate = { acquire: async () => ({ release: () => {} }), authorize: (asked) => session.authorize(asked) };
    const client = createHostClient({
      settings,
      side: "target",
      gate,
      fetch: (url, init) => fetch(url, init),
      now: Date.now,
      log: writeLine,
      budget: new ConnectionBudget(),
      refusalOf: clientReach(env, host),
      maxAttempts: 1,
    });
    const url = new URL(`${settings.tls === "disabled" ? "http" : "https"}://${settings.hostname}/v2/`);
    const sentAtMs = Date.now();
    await client.requester.perform(
      {
        operation: "check registry",
        about: "/v2/",
        kind: "query",
        bytes: 0,
        method: "GET",
        url,
        scopes: [],
        accept: [200],
        otherwise: "unsupported",
      },
      async ({ response }) => discard(response),
    );
    return [ok(name, `It answers, in ${Date.now() - sentAtMs} ms, and takes what we show it.`)];
  } catch (error) {
    const { code, message } = errorDetailOf(error);
    const fix =
      code === "unauthorized" || code === "denied"
        ? "Look at its credentials, and at what the service may reach (docs/credentials.md, docs/operations.md)."
        : "Look whether the host is written right and answers, and at its settings under HOSTS.";
    return [fail(name, message, fix)];
  }
}

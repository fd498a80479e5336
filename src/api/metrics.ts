/** `/metrics`: figures of the service for Prometheus. */
import { notificationTargets } from "../config.ts";
import type { HostSnapshot } from "../host/contract.ts";
import { type HostEntry, INDEX_NAME } from "../ledger/contract.ts";
import { NOTIFIER_NAME } from "../notify/contract.ts";
import { VERSION } from "../registry/user-agent.ts";
import { exposition, EXPOSITION_TYPE } from "./exposition.ts";
import { metricFamilies } from "./metric-families.ts";
import type { AdmittedCall, Operation } from "./operation.ts";
import { refuseBounded } from "./whole-service.ts";

/** Bounds the values of the label `host`, and the objects that one question wakes. */
const MAX_HOSTS = 50;
const HOUR_MS = 60 * 60 * 1000;

export const METRICS: readonly Operation[] = [
  {
    id: "getMetrics",
    method: "GET",
    path: "/metrics",
    action: "registries",
    summary: "Figures for Prometheus",
    description:
      "Of all copies, so it takes scopes without bounds. Registry hosts are those that were in use of late, at most 50: " +
      "asking the others would only wake them.",
    answers: {
      200: { description: "The figures, in the text format 0.0.4.", mediaType: EXPOSITION_TYPE },
    },
    handle: metrics,
  },
];

async function metrics({ env, principal }: AdmittedCall): Promise<Response> {
  refuseBounded(principal);
  const index = env.INDEX.getByName(INDEX_NAME);
  const isTold = notificationTargets(env).length > 0;
  const [figures, known, notifications] = await Promise.all([
    index.metrics(),
    index.hosts(),
    isTold ? env.NOTIFIER.getByName(NOTIFIER_NAME).counts() : null,
  ]);
  const inUse = hostsInUse(known, figures.open.running > 0, Date.now());
  const hosts = await Promise.all(inUse.map((host) => snapshotOf(() => env.REGISTRIES.getByName(host).snapshot())));
  const families = metricFamilies({
    version: VERSION,
    index: figures,
    hosts: hosts.filter((host) => host !== null),
    notifications,
  });
  return new Response(exposition(families), { headers: { "content-type": EXPOSITION_TYPE } });
}

/** An object that is asked is kept in memory, and paid for: only those where something is or was going on. */
function hostsInUse(hosts: readonly HostEntry[], isRunning: boolean, nowMs: number): string[] {
  const sinceMs = nowMs - (isRunning ? 24 : 1) * HOUR_MS;
  return hosts
    .filter(({ lastUsedAtMs }) => lastUsedAtMs >= sinceMs)
    .slice(0, MAX_HOSTS)
    .map(({ host }) => host);
}

/** One host that cannot answer does not take the others' figures away. */
function snapshotOf(ask: () => Promise<HostSnapshot>): Promise<HostSnapshot | null> {
  return ask().catch(() => null);
}

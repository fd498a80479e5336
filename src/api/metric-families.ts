/** Which figures `/metrics` has, made of what the objects say. Pure. No label has a value that grows with use, but `host`. */
import type { HostSnapshot } from "../host/contract.ts";
import type { IndexMetrics } from "../ledger/contract.ts";
import { DURATION_BOUNDS_SECONDS } from "../ledger/totals.ts";
import type { NotificationCounts } from "../notify/contract.ts";
import type { Family, Histogram, Sample } from "./exposition.ts";

/** What the figures are made of. `notifications` null: nobody is told of anything. */
export interface Measured {
  version: string;
  index: IndexMetrics;
  hosts: readonly HostSnapshot[];
  notifications: NotificationCounts | null;
}

export function metricFamilies({ version, index, hosts, notifications }: Measured): (Family | Histogram)[] {
  return [
    gauge("drayage_build_info", "The version that answers.", [{ labels: { version }, value: 1 }]),
    ...copies(index),
    ...registries(hosts),
    ...(notifications === null ? [] : told(notifications)),
  ];
}

function copies({ open, runsWaiting, totals }: IndexMetrics): (Family | Histogram)[] {
  const { ended, bytes, blobs, manifests, requests, durations } = totals;
  return [
    gauge("drayage_copies", "Copies that have not ended, by state.", by("state", open)),
    gauge("drayage_rule_runs_waiting", "Runs of rules that wait for their turn.", [{ labels: {}, value: runsWaiting }]),
    counter(
      "drayage_copies_ended_total",
      "Copies that have ended, by state and by how they were asked for.",
      Object.entries(ended).flatMap(([state, counts]) => by("how", counts, { state })),
    ),
    {
      name: "drayage_copy_duration_seconds",
      type: "histogram",
      help: "From accepting a copy to its end.",
      bounds: DURATION_BOUNDS_SECONDS,
      counts: durations.counts,
      sum: durations.sumSeconds,
    },
    counter("drayage_bytes_total", "Bytes of blobs, by what became of them.", by("outcome", bytes)),
    counter("drayage_blobs_total", "Blobs of ended copies, by what became of them.", by("outcome", blobs)),
    counter("drayage_manifests_total", "Manifests of ended copies, by what became of them.", by("outcome", manifests)),
    counter("drayage_copy_requests_total", "Requests that ended copies have made, by side.", by("side", requests)),
  ];
}

function registries(hosts: readonly HostSnapshot[]): Family[] {
  const each = (samples: (host: HostSnapshot) => Sample[]): Sample[] => hosts.flatMap(samples);
  const one = (value: (host: HostSnapshot) => number | null): Sample[] =>
    hosts.flatMap((host) => {
      const figure = value(host);
      return figure === null ? [] : [{ labels: { host: host.host }, value: figure }];
    });
  return [
    counter(
      "drayage_registry_requests_total",
      "Requests, by registry host and class of outcome.",
      // A slot that nobody used was no request.
      each(({ host, totalOutcomes: { unused: _unused, ...sent } }) => by("outcome", sent, { host })),
    ),
    gauge(
      "drayage_registry_waiting",
      "Requests that wait for a slot, by registry host and kind.",
      each(({ host, waiting }) => by("kind", waiting, { host })),
    ),
    gauge(
      "drayage_registry_active",
      "Slots that are taken, by registry host and kind.",
      each(({ host, active }) => by("kind", active, { host })),
    ),
    gauge(
      "drayage_registry_lanes",
      "Lanes, by registry host: ordered from the queue, and joined.",
      each(({ host, lanes }) => by("state", lanes, { host })),
    ),
    gauge(
      "drayage_registry_slots",
      "Requests at once that are allowed now.",
      one(({ limit }) => limit.slots),
    ),
    gauge(
      "drayage_registry_paused",
      "1 while the host is left alone.",
      one(({ pause }) => (pause === null ? 0 : 1)),
    ),
    gauge(
      "drayage_registry_held_back",
      "Waiting requests that a low quota holds back.",
      one(({ heldBack }) => heldBack),
    ),
    gauge(
      "drayage_registry_quota_remaining",
      "What the host last said is left of its rate limit.",
      one(({ quota }) => quota?.remaining ?? null),
    ),
  ];
}

function told({ pending, dead, delivered, refused }: NotificationCounts): Family[] {
  return [
    gauge("drayage_notifications", "Notifications that were not taken yet, or never.", by("state", { pending, dead })),
    counter("drayage_notifications_delivered_total", "Notifications that were taken.", [
      { labels: {}, value: delivered },
    ]),
    counter("drayage_notification_refusals_total", "Attempts to notify that failed.", [{ labels: {}, value: refused }]),
  ];
}

function gauge(name: Family["name"], help: string, samples: readonly Sample[]): Family {
  return { name, type: "gauge", help, samples };
}

function counter(name: Family["name"], help: string, samples: readonly Sample[]): Family {
  return { name, type: "counter", help, samples };
}

function by(label: string, counts: object, more: Readonly<Record<string, string>> = {}): Sample[] {
  return Object.entries(counts).flatMap(([name, value]) =>
    typeof value === "number" ? [{ labels: { ...more, [label]: name }, value }] : [],
  );
}

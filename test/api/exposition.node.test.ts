import { describe, expect, test } from "vitest";
import { exposition } from "../../src/api/exposition.ts";
import { metricFamilies } from "../../src/api/metric-families.ts";
import { noTotals, withCopy } from "../../src/ledger/totals.ts";
import { copy } from "../notify/support.ts";
import { scrape } from "./exposition.ts";

describe("the text", () => {
  test("is read back as it was, whatever the labels hold", () => {
    const host = 'a"b\\c\nd, e="f"';
    const text = exposition([
      {
        name: "drayage_x",
        type: "gauge",
        help: "Back\\slash\nand line.",
        samples: [{ labels: { host, k: "" }, value: 1.5 }],
      },
      { name: "drayage_none", type: "counter", help: "Left out.", samples: [] },
      { name: "drayage_y_total", type: "counter", help: "No labels.", samples: [{ labels: {}, value: 2 }] },
    ]);
    expect(scrape(text)).toEqual([
      { name: "drayage_x", type: "gauge", labels: { host, k: "" }, value: 1.5 },
      { name: "drayage_y_total", type: "counter", labels: {}, value: 2 },
    ]);
  });

  test("has a histogram's buckets summed up, to the last one that has them all", () => {
    const text = exposition([
      { name: "drayage_h", type: "histogram", help: "h", bounds: [0.5, 10], counts: [1, 0, 3], sum: 99.5 },
    ]);
    expect(scrape(text).map(({ name, labels, value }) => [name, labels["le"], value])).toEqual([
      ["drayage_h_bucket", "0.5", 1],
      ["drayage_h_bucket", "10", 1],
      ["drayage_h_bucket", "+Inf", 4],
      ["drayage_h_sum", undefined, 99.5],
      ["drayage_h_count", undefined, 4],
    ]);
  });
});

describe("the figures", () => {
  const index = { open: { accepted: 1, running: 2 }, runsWaiting: 3, totals: withCopy(noTotals(), copy()) };
  const samples = scrape(
    exposition(
      metricFamilies({
        version: "1",
        index,
        hosts: [],
        notifications: { pending: 1, dead: 2, delivered: 3, refused: 4 },
      }),
    ),
  );
  const valueOf = (name: string, labels: Record<string, string>) =>
    samples.find((sample) => sample.name === name && JSON.stringify(sample.labels) === JSON.stringify(labels))?.value;

  test.each<[string, Record<string, string>, number]>([
    ["drayage_build_info", { version: "1" }, 1],
    ["drayage_copies", { state: "running" }, 2],
    ["drayage_rule_runs_waiting", {}, 3],
    ["drayage_copies_ended_total", { state: "succeeded", how: "api" }, 1],
    ["drayage_bytes_total", { outcome: "copied" }, 700],
    ["drayage_blobs_total", { outcome: "unfinished" }, 1],
    ["drayage_copy_requests_total", { side: "target" }, 9],
    ["drayage_copy_duration_seconds_count", {}, 1],
    ["drayage_copy_duration_seconds_bucket", { le: "1" }, 0],
    ["drayage_copy_duration_seconds_bucket", { le: "2" }, 1],
    ["drayage_notifications", { state: "dead" }, 2],
    ["drayage_notifications_delivered_total", {}, 3],
    ["drayage_notification_refusals_total", {}, 4],
  ])("%s %o", (name, labels, value) => {
    expect(valueOf(name, labels)).toBe(value);
  });

  test("have names that end in _total where they only grow, and nowhere else", () => {
    for (const { name, type } of samples) {
      expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
    }
  });

  test("say nothing of notifications when nobody is told", () => {
    const families = metricFamilies({ version: "1", index, hosts: [], notifications: null });
    expect(families.filter(({ name }) => name.includes("notification"))).toEqual([]);
  });
});

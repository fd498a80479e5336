import { describe, expect, test } from "vitest";
import { readQueue } from "../../src/config/queue.ts";
import { readHosts, withDefaults } from "../../src/config/schema.ts";
import { START_LIMIT } from "../../src/host/concurrency.ts";
import { Limits, type LimitsState } from "../../src/host/limits.ts";
import { learnedProfile, settingsInForce } from "../../src/host/profile.ts";
import type { OutcomeClass } from "../../src/registry/gate.ts";

const HOST = "registry.example.com";
const START_MS = 1_800_000_000_000;

function stateAfter(outcomes: OutcomeClass[], reqConcurrent = 0): LimitsState {
  const limits = new Limits({ host: HOST, reqConcurrent, reqPerSec: 0, quotaReserve: 0 });
  outcomes.forEach((outcome, i) => {
    // Further apart than any pause, so that each counts.
    const now = START_MS + i * 60_000;
    const context = { startedAt: now, active: START_LIMIT, small: false, wanted: true };
    limits.outcome({ class: outcome }, context, now, 0);
  });
  return limits.snapshot();
}

function configured(entry: object) {
  return readHosts({ [HOST]: entry }).value.get(HOST) ?? withDefaults(HOST);
}

describe("what a host has taught", () => {
  test.each<[string, OutcomeClass[], number, object, RegExp[]]>([
    [
      "nothing yet",
      [],
      0,
      {
        concurrency: { limit: START_LIMIT, refusedAt: null, refused: false },
        backoff: { step: 0 },
        mountCandidates: 0,
      },
      [/thought to bear 8 requests/, /No failure/, /No blobs/],
    ],
    [
      "a number of requests that it refuses",
      ["throttled"],
      0,
      { concurrency: { limit: START_LIMIT / 2, refusedAt: START_LIMIT, refused: true }, backoff: { step: 1 } },
      [/bears 4 requests at once; it has refused 8/, /1 failure in a row/, /No blobs/],
    ],
    ["failures in a row", ["failed", "failed"], 0, { backoff: { step: 2 } }, [/8/, /2 failures in a row/, /No blobs/]],
    ["blobs to mount", ["ok"], 3, { mountCandidates: 3 }, [/9 requests/, /No failure/, /3 of its blobs/]],
  ])("%s", (_name, outcomes, candidates, numbers, sentences) => {
    const profile = learnedProfile(stateAfter(outcomes), candidates);
    expect(profile).toMatchObject(numbers);
    expect(profile.summary).toHaveLength(sentences.length);
    sentences.forEach((words, i) => expect(profile.summary[i]).toMatch(words));
  });

  test("is told as it was learned, under no cap", () => {
    expect(learnedProfile(stateAfter(["ok"], 2), 0).concurrency.limit).toBe(START_LIMIT);
  });
});

describe("the settings in force", () => {
  const queue = readQueue(undefined, undefined).value;

  test("without any configuration are all defaults", () => {
    const settings = settingsInForce(withDefaults(HOST), queue);
    expect(Object.values(settings).filter(({ isDefault, overridesLearned }) => !isDefault || overridesLearned)).toEqual(
      [],
    );
    expect(settings).toMatchObject({
      hostname: { value: HOST },
      tls: { value: "enabled" },
      queue_policy: { value: "drayage" },
      max_wait_seconds: { value: 600 },
    });
  });

  test.each<[string, unknown, object]>([
    ["tls", "disabled", { value: "disabled", isDefault: false, overridesLearned: false }],
    ["quota_reserve", 20, { value: 20, isDefault: false, overridesLearned: false }],
    ["chunk_bytes", "1MiB", { value: 1_048_576, isDefault: false, overridesLearned: false }],
    ["req_concurrent", 4, { value: 4, isDefault: false, overridesLearned: true }],
    ["req_concurrent", 0, { value: 0, isDefault: true, overridesLearned: false }],
  ])("%s = %j shows, and nothing else changes", (name, value, shown) => {
    const settings = settingsInForce(configured({ [name]: value }), queue);
    expect(settings).toEqual({ ...settingsInForce(withDefaults(HOST), queue), [name]: shown });
  });

  test("have every field that a host may be given, under its name in the configuration", () => {
    const hint = readHosts({ [HOST]: { no_such_field_at_all: 1 } }).complaints.join();
    const [, fields = ""] = /the fields are (.*)$/.exec(hint) ?? [];
    expect(Object.keys(settingsInForce(withDefaults(HOST), queue)).sort()).toEqual(
      [...fields.split(", "), "queue_policy", "max_wait_seconds"].sort(),
    );
  });

  test("have the queue's own", () => {
    const settings = settingsInForce(withDefaults(HOST), readQueue("fifo", "30").value);
    expect(settings["queue_policy"]).toEqual({ value: "fifo", isDefault: false, overridesLearned: false });
    expect(settings["max_wait_seconds"]).toEqual({ value: 30, isDefault: false, overridesLearned: false });
  });
});

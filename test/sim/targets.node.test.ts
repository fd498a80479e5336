/** What the queue must reach, with fewer seeds than the simulation itself: a change of policy that misses it fails here. */
import { describe, expect, test } from "vitest";
import { MAX_WAIT_MS, POLICIES } from "../../src/host/policy.ts";
import { mean, measure, together } from "./metrics.ts";
import type { Figures } from "./metrics.ts";
import { evenLoad, inBursts, MB, REQUEST_MS } from "./mixes.ts";
import type { Mix } from "./mixes.ts";
import { integer, seeded } from "./random.ts";
import { changingLimit, HARSH_HOSTS, HIDDEN_RATE, hiddenLimit, hiddenRate, run, SCENARIOS } from "./scenarios.ts";
import type { Scenario } from "./scenarios.ts";
import { simulate } from "./simulate.ts";
import type { Host } from "./simulate.ts";

const SEEDS = 80;

function scenarioOf(name: string, slots: number): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name && scenario.slots === slots);
  if (found === undefined) {
    throw new Error(`no scenario ${name} with ${slots} slots`);
  }
  return found;
}

/** A run in which the service has to find out what the host bears; `slots`: what that is. */
function adapt(mix: Mix, host: Host, slots: number): Figures {
  return measure(mix, simulate(mix, { policy: POLICIES.drayage, slots: 0, host, random: seeded(3) }), slots);
}

describe("twenty images on one host", () => {
  test.each([
    [3, 0.36],
    [6, 0.4],
  ])(
    "%d slots: mean completion at most %d, makespan at most the model's, nobody waits beyond the limit",
    (slots, most) => {
      const scenario = scenarioOf("twenty-images", slots);
      const [ours, model] = [run(scenario, POLICIES.drayage, SEEDS), run(scenario, POLICIES.upstream, SEEDS)];
      expect(ours.meanCompletion).toBeLessThanOrEqual(most);
      expect(ours.makespan).toBeLessThanOrEqual(model.makespan);
      expect(ours.worstWaitMs).toBeLessThanOrEqual(MAX_WAIT_MS);
    },
  );

  test.each([3, 6])("%d slots, all taken by layers: small requests wait at most twice what they take", (slots) => {
    const { smallWaitP99Ms } = run(scenarioOf("twenty-images", slots), POLICIES.drayage, SEEDS);
    expect(smallWaitP99Ms).toBeLessThanOrEqual(2 * REQUEST_MS);
  });
});

test("one image over three slots ends within 1 % of the lower bound", () => {
  expect(run(scenarioOf("one-image", 3), POLICIES.drayage).makespan).toBeLessThanOrEqual(1.01);
});

describe("a host that refuses more than it bears", () => {
  test.each([
    ["10 at once, layers of half a second", 10, 4 * MB, 2400],
    ["10 at once, layers of a fifth of a second", 10, 1.5 * MB, 6000],
    ["10 at once, layers of five seconds", 10, 50 * MB, 1200],
    ["3 at once", 3, 4 * MB, 1200],
    ["1 at once", 1, 4 * MB, 1200],
    ["40 at once", 40, 4 * MB, 6000],
  ])("%s: nine tenths of what it bears, few refusals", (_name, limit, bytes, layers) => {
    const figures = adapt(evenLoad(1, layers, bytes), hiddenLimit(limit), limit);
    expect(figures.throughput).toBeGreaterThanOrEqual(0.9);
    expect(figures.rejectedLater).toBeLessThan(0.02);
  });

  const means = (mix: (seed: number) => Mix, host: () => Host): Pick<Figures, "throughput" | "rejectedLater"> =>
    together([1, 2, 3, 4, 5].map((seed) => adapt(mix(seed), host(), 10)));

  test.each(HARSH_HOSTS)("10 at once, %s: nine tenths of it, few refusals", (_name, host) => {
    const { throughput, rejectedLater } = means(evenLoad, host);
    expect(throughput).toBeGreaterThanOrEqual(0.9);
    expect(rejectedLater).toBeLessThan(0.02);
  });

  test("10 at once, layers that come in bursts: nine tenths of it, few refusals", () => {
    const { throughput, rejectedLater } = means(inBursts, () => hiddenLimit(10));
    expect(throughput).toBeGreaterThanOrEqual(0.9);
    expect(rejectedLater).toBeLessThan(0.02);
  });

  test("10 at once, then 5, then 20: is followed, with few refusals", () => {
    const levels = [
      [0, 10],
      [20_000, 5],
      [40_000, 20],
    ] as const;
    const runs = [1, 2, 3, 4, 5].map((seed) => {
      const mix = evenLoad(seed, 2_400);
      const history = simulate(mix, {
        policy: POLICIES.drayage,
        slots: 0,
        host: changingLimit(levels),
        random: seeded(seed),
      });
      const { throughput, rejectedLater } = measure(mix, history, 1);
      const slotMs = 20_000 * 10 + 20_000 * 5 + (history.drainedAt - 40_000) * 20;
      return { share: (throughput * history.drainedAt) / slotMs, rejectedLater };
    });
    expect(mean(runs.map(({ share }) => share))).toBeGreaterThanOrEqual(0.8);
    expect(mean(runs.map(({ rejectedLater }) => rejectedLater))).toBeLessThan(0.02);
  });

  test.each([
    ["layers of a fifth of a second", 1.5 * MB],
    ["layers of a second", 9.5 * MB],
    ["layers that are hardly more than a request", 0.1 * MB],
  ])("20 requests a second, %s: nine tenths of them", (_name, bytes) => {
    const layers = 1800;
    const mix = evenLoad(1, layers, bytes);
    const history = simulate(mix, {
      policy: POLICIES.drayage,
      slots: 0,
      host: hiddenRate(HIDDEN_RATE),
      random: seeded(3),
    });
    const perSecond = layers / (history.drainedAt / 1000);
    expect(perSecond).toBeGreaterThanOrEqual(0.9 * HIDDEN_RATE);
  });
});

test("over a long line 200 layers take at most half of what six slots take", () => {
  // A round trip of 80 ms, three of them for each layer, and next to no bytes.
  const host: Host = { admits: () => true, speed: () => 10 * MB };
  const mix = evenLoad(1, 240, 1000);
  const lastEnd = (slots: number): number => {
    const { runs } = simulate(mix, { policy: POLICIES.drayage, slots, host, random: seeded(3) });
    return Math.max(...runs.map(({ endedAt }) => endedAt));
  };
  expect(lastEnd(0)).toBeLessThanOrEqual(lastEnd(6) / 2);
});

describe("age", () => {
  /** Small images without end, a fifth more than the slots can take, and one big one that arrived first. */
  function flood(seed: number, slots: number, forMs: number): Mix {
    const random = seeded(seed);
    const layer = (id: string, bytes: number, arrivesAt: number): Mix["images"][number] => ({
      name: id,
      arrivesAt,
      requests: [{ id, kind: "blob", bytes, arrivesAt }],
    });
    const images = [layer("big", 300 * MB, 50)];
    for (let at = 0; at < forMs; at += 1000 / slots / 1.2) {
      images.push(layer(`image-${images.length}`, integer(random, 5, 14) * MB, at));
    }
    return { images };
  }

  test.each([1, 3])("bounds every wait by the limit and what is under way then, over %d slots", (slots) => {
    const [maxWaitMs, mix] = [60_000, flood(1, slots, 240_000)];
    const runUnder = (limitMs: number): number => {
      const history = simulate(mix, { policy: POLICIES.drayage, slots, maxWaitMs: limitMs, random: seeded(3) });
      return measure(mix, history, slots).worstWaitMs;
    };
    const longestTransferMs = (300 * MB) / 10_000;
    expect(runUnder(Infinity)).toBeGreaterThan(2 * maxWaitMs);
    expect(runUnder(maxWaitMs)).toBeLessThanOrEqual(maxWaitMs + longestTransferMs + REQUEST_MS);
  });
});

/** The scenarios of the simulation: which mix meets which host with how many slots, and over how many seeds. */
import type { POLICIES } from "../../src/host/policy.ts";
import type { Policy } from "../../src/host/policy.ts";
import { measure, together } from "./metrics.ts";
import type { Figures } from "./metrics.ts";
import {
  CONNECTION_SPEED,
  evenLoad,
  evenLoadWithSmall,
  oneHugeLayer,
  oneImage,
  thousandTags,
  twentyImages,
  twoSpeeds,
} from "./mixes.ts";
import type { Mix } from "./mixes.ts";
import { seeded } from "./random.ts";
import { simulate } from "./simulate.ts";
import type { Host } from "./simulate.ts";

export interface Scenario {
  name: string;
  /** What the host bears at once, and with it the lower bound. */
  slots: number;
  /** The number of slots is not known to the service: it has to find out. */
  adaptive?: boolean;
  seeds: number;
  mix(seed: number): Mix;
  host?(): Host;
}

/** Answers 429 when more than `limit` requests are under way. */
export function hiddenLimit(limit: number): Host {
  return { admits: (_now, active) => active < limit, speed: () => CONNECTION_SPEED };
}

/** As {@link hiddenLimit}; after each refusal it refuses everything for as long, and says so or not. */
export function punishing(limit: number, forMs: number, more: Partial<Host> = {}): Host {
  let untilMs = 0;
  return {
    admits(now, active) {
      if (now < untilMs) {
        return false;
      }
      untilMs = active < limit ? untilMs : now + forMs;
      return active < limit;
    },
    speed: () => CONNECTION_SPEED,
    ...more,
  };
}

/** A limit that changes: each level from its time on, milliseconds since the start. */
export function changingLimit(levels: readonly (readonly [fromMs: number, limit: number])[]): Host {
  return {
    admits: (now, active) => active < (levels.findLast(([fromMs]) => fromMs <= now)?.[1] ?? Infinity),
    speed: () => CONNECTION_SPEED,
  };
}

/** Answers 429 to more than `perSecond` requests per second; a second's worth may come at once. */
export function hiddenRate(perSecond: number): Host {
  let [tokens, filledAt] = [perSecond, 0];
  return {
    admits(now) {
      tokens = Math.min(perSecond, tokens + ((now - filledAt) / 1000) * perSecond);
      filledAt = now;
      if (tokens < 1) {
        return false;
      }
      tokens--;
      return true;
    },
    speed: () => CONNECTION_SPEED,
  };
}

/** Loses speed in two steps: to a half after ten seconds, to a quarter after twenty. */
function slowing(): Host {
  return {
    admits: () => true,
    speed: (now) => CONNECTION_SPEED / (now < 10_000 ? 1 : now < 20_000 ? 2 : 4),
  };
}

/** Requests per second of the host with a hidden rate. */
export const HIDDEN_RATE = 20;
/** Bytes of a layer there: 0.2 s each on average, so that four at once make 20 a second. */
const RATE_LAYER_BYTES = 1_500_000;

/** Hosts that bear ten requests at once, and make more of it than a refusal of what is too much. */
export const HARSH_HOSTS: readonly (readonly [name: string, host: () => Host])[] = [
  ["counting-refused", () => ({ ...hiddenLimit(10), countsRefused: true })],
  ["retry-after", () => ({ ...hiddenLimit(10), retryAfterMs: 1_000 })],
  ["punishing", () => punishing(10, 1_000)],
  ["punishing-retry-after", () => punishing(10, 1_000, { retryAfterMs: 1_000 })],
  ["breaking-off", () => ({ ...hiddenLimit(10), breaksOff: true })],
  ["punishing-breaking-off", () => punishing(10, 1_000, { breaksOff: true })],
];

export const SCENARIOS: readonly Scenario[] = [
  { name: "one-image", slots: 3, seeds: 200, mix: oneImage },
  { name: "one-image", slots: 6, seeds: 200, mix: oneImage },
  { name: "twenty-images", slots: 3, seeds: 200, mix: twentyImages },
  { name: "twenty-images", slots: 6, seeds: 200, mix: twentyImages },
  { name: "one-huge-layer", slots: 6, seeds: 20, mix: oneHugeLayer },
  { name: "thousand-tags", slots: 6, seeds: 5, mix: thousandTags },
  {
    name: "hidden-limit",
    slots: 10,
    adaptive: true,
    seeds: 20,
    mix: evenLoad,
    host: () => hiddenLimit(10),
  },
  {
    name: "hidden-limit-small",
    slots: 10,
    adaptive: true,
    seeds: 20,
    mix: evenLoadWithSmall,
    host: () => hiddenLimit(10),
  },
  ...HARSH_HOSTS.map(([name, host]) => ({
    name: `hidden-limit-${name}`,
    slots: 10,
    adaptive: true,
    seeds: 20,
    mix: (seed: number) => evenLoad(seed),
    host,
  })),
  {
    name: "hidden-rate",
    slots: 4,
    adaptive: true,
    seeds: 20,
    mix: (seed) => evenLoad(seed, 1800, RATE_LAYER_BYTES),
    host: () => hiddenRate(HIDDEN_RATE),
  },
  { name: "slowing", slots: 6, seeds: 50, mix: twentyImages, host: slowing },
  { name: "two-speeds", slots: 6, seeds: 50, mix: twoSpeeds },
];

/** Runs a scenario under a policy over its seeds. */
export function run(scenario: Scenario, policy: Policy, seeds = scenario.seeds): Figures {
  const figures = Array.from({ length: seeds }, (_, seed) => {
    const mix = scenario.mix(seed);
    const history = simulate(mix, {
      policy,
      slots: scenario.adaptive === true ? 0 : scenario.slots,
      random: seeded(seed),
      ...(scenario.host === undefined ? {} : { host: scenario.host() }),
    });
    return measure(mix, history, scenario.slots);
  });
  return together(figures);
}

export const POLICY_NAMES = ["fifo", "upstream", "largest", "drayage"] as const satisfies (keyof typeof POLICIES)[];

/**
 * Faults of every family: what can be come through is, and what cannot be says why and whose fault it is. Nothing wrong is
 * stored, no upload is left, no tag is written by a copy that fails.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { shortenedLimits } from "../chaos/shortened.ts";
import { makeDistribution, type Distribution } from "../limits/distribution.ts";
import { Trials, type Outcome, type Trial } from "./trial.ts";
import { AT_EACH, EVERYWHERE } from "./trials-at-requests.ts";
import { HOPELESS, LAGGING } from "./trials-of-lag.ts";
import { READING } from "./trials-of-reading.ts";
import { WRITING } from "./trials-of-writing.ts";

/** Copies at once: most of the time of a trial is a pause. */
const WIDTH = 4;

let distribution: Distribution;
beforeAll(async () => {
  if (!inject("withoutRegistry")) {
    distribution = await makeDistribution({ frame: "test/limits/main.worker.ts", plugins: [shortenedLimits()] });
  }
});
afterAll(() => distribution?.[Symbol.asyncDispose]());

describe.skipIf(inject("withoutRegistry")).each([
  ["registries that fail once in everything", EVERYWHERE],
  ["requests that fail", AT_EACH],
  ["odd sources", READING],
  ["odd targets", WRITING],
  ["registries that lag behind themselves, and hopeless ones", [...LAGGING, ...HOPELESS]],
])("%s", (_, list) => {
  let trials: Trials;
  const outcomes = new Map(list.map((trial) => [trial, Promise.withResolvers<Outcome>()]));
  const waiting = [...outcomes];
  /** Each takes the next until there is none; whoever asks for an outcome waits for its turn. */
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [trial, outcome] = next;
      outcome.promise.catch(() => undefined);
      await trials.run(trial).then(outcome.resolve, outcome.reject);
    }
  };
  let working: Promise<unknown> = Promise.resolve();
  beforeAll(async () => {
    trials = await Trials.start(distribution);
    working = Promise.all(Array.from({ length: WIDTH }, work));
  });
  afterAll(async () => {
    waiting.length = 0;
    await working;
    await trials[Symbol.asyncDispose]();
  });

  it.each(list)("$what", async (trial) => {
    const outcome = await outcomes.get(trial)?.promise;
    expect(outcome).toBeDefined();
    if (outcome !== undefined) {
      judge(trial, outcome);
    }
  });

  it("all within the limits of production", () => {
    expect(trials.violations()).toEqual([]);
  });
});

function judge(trial: Trial, { state, error, missing, damage, uploadsLeft, isStruck }: Outcome): void {
  expect(damage).toEqual([]);
  expect(uploadsLeft).toBeLessThanOrEqual(trial.unknownUploads ?? 0);
  expect(isStruck).toBe(true);
  if (trial.fails === undefined) {
    expect({ state, error, missing }).toEqual({ state: "succeeded", error: null, missing: [] });
    return;
  }
  expect({ state, side: error?.side }).toEqual({ state: "failed", side: trial.fails.side });
  for (const words of trial.fails.says) {
    expect(error?.message).toMatch(words);
  }
}

/**
 * The life of a copy at its two hosts, from its first small request to the end of its last blob, disturbed between any two
 * steps: objects evicted, every call made twice, alarms that ring when nobody expects them. It always ends the same.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { playJobsAndLanes, SIDES, Walk, type Remains, type Side } from "./walk.ts";

/** Each step may be done again at once, as callers do who have not heard the answer; `once`: not even they would. */
interface Step {
  name: string;
  run: (walk: Walk) => Promise<void>;
  once?: boolean;
}

const STEPS: readonly Step[] = [
  { name: "asked for a manifest's slot", run: (walk) => walk.ask("manifest") },
  { name: "offered", run: (walk) => walk.offer() },
  { name: "gave the manifest's slot back", run: (walk) => walk.answer("manifest") },
  { name: "a lane was ordered", run: (walk) => walk.ordered() },
  { name: "the lane joined", run: (walk) => walk.join() },
  { name: "took the first blob", run: (walk) => walk.next(), once: true },
  { name: "borrowed", run: (walk) => walk.expectBothEndsTaken() },
  { name: "renewed", run: (walk) => walk.renew() },
  { name: "handed back for a pause", run: (walk) => walk.handBack() },
  { name: "took it again after the pause", run: (walk) => walk.next(), once: true },
  { name: "went on with it", run: (walk) => walk.expectHandedOver() },
  { name: "finished it and took the second", run: (walk) => walk.finishAndNext(), once: true },
  { name: "the job was told", run: (walk) => walk.expectTold(["sha256:large"]) },
  { name: "renewed the second", run: (walk) => walk.expectBothEndsTaken() },
  { name: "finished the second", run: (walk) => walk.finish() },
  { name: "the job was told of it", run: (walk) => walk.expectTold(["sha256:large", "sha256:small"]) },
  { name: "asked for the tag's slot", run: (walk) => walk.ask("tag") },
  { name: "gave the tag's slot back", run: (walk) => walk.answer("tag") },
  { name: "forgot what was learned", run: (walk) => walk.forget() },
];

const NOTHING = { head: 0, manifest: 0, query: 0, blob: 0 };
const FRESH_HOST = {
  waiting: NOTHING,
  active: NOTHING,
  learned: { limit: 8, refusedAt: null, refused: false },
  rows: 0,
  alarm: null,
};
const AS_EVER: Remains = {
  ends: [
    ["sha256:large", "there"],
    ["sha256:small", "there"],
  ],
  hosts: [FRESH_HOST, FRESH_HOST],
};

/** Walks all steps, each followed by what `disturb` does. */
async function walked(disturb: (walk: Walk, step: number) => Promise<void>, times = 1): Promise<Remains> {
  const walk = new Walk();
  for (const [index, { name, run, once }] of STEPS.entries()) {
    try {
      for (let time = 0; time < (once === true ? 1 : times); time++) {
        await run(walk);
      }
      await walk.expectWithinLimits();
      await disturb(walk, index);
    } catch (error) {
      throw new Error(`at step "${name}": ${String(error)}`, { cause: error });
    }
  }
  const remains = await walk.end();
  expect(walk.copied.filter((digest) => digest === "sha256:large").length).toBe(1);
  return remains;
}

beforeAll(playJobsAndLanes);

test("undisturbed it ends with both blobs there, no slot taken, no row left, and no alarm", async () => {
  expect(await walked(async () => undefined)).toEqual(AS_EVER);
});

describe.each<[string, readonly Side[]]>([
  ["the target's object", ["target"]],
  ["the source's object", ["source"]],
])("%s evicted", (_name, victims) => {
  test.concurrent.each(STEPS.map(({ name }, index) => [name, index] as const))(
    "after it %s: ends the same",
    async (_step, at) => {
      const remains = await walked(async (walk, step) => {
        if (step === at) {
          await Promise.all(victims.map((side) => walk.evict(side)));
        }
      });
      expect(remains).toEqual(AS_EVER);
    },
  );
});

test("both objects evicted after every step: ends the same", async () => {
  const remains = await walked(async (walk) => void (await Promise.all(SIDES.map((side) => walk.evict(side)))));
  expect(remains).toEqual(AS_EVER);
});

test("every call made twice: ends the same", async () => {
  expect(await walked(async () => undefined, 2)).toEqual(AS_EVER);
});

test("every call made twice, both objects evicted after every step: ends the same", async () => {
  const remains = await walked(async (walk) => void (await Promise.all(SIDES.map((side) => walk.evict(side)))), 2);
  expect(remains).toEqual(AS_EVER);
});

test("alarms that ring twice after every step: ends the same", async () => {
  const remains = await walked(async (walk) => {
    for (const side of [...SIDES, ...SIDES]) {
      await walk.ring(side);
    }
  });
  expect(remains).toEqual(AS_EVER);
});

/**
 * The life of a copy at its two hosts, from its first small request to the end of its last blob, disturbed between any two
 * steps: objects evicted, every call made twice, alarms that ring when nobody expects them. It always ends the same.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { AS_EVER, STEPS, walked } from "./walk-steps.worker.ts";
import { playJobsAndLanes, SIDES, type Side } from "./walk.worker.ts";

beforeAll(playJobsAndLanes);

test("undisturbed it ends with both blobs there, no slot taken, no row left, and no alarm", async () => {
  expect(await walked(async () => undefined)).toEqual(AS_EVER);
});

describe.each<[string, readonly Side[]]>([
  ["the target's object", ["target"]],
  ["the source's object", ["source"]],
])("%s evicted", (_name, victims) => {
  test.concurrent.each(STEPS.map(({ name }, index) => [name, index] as const))(
    'after "%s": ends the same',
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

test.concurrent.each(STEPS.map(({ name, moves }, index) => [name, moves === true, index] as const))(
  'lane and job gone after "%s": others go on, and it ends the same',
  async (_step, moves, at) => {
    const remains = await walked(async (walk, step) => {
      if (step === at) {
        await walk.die();
        if (moves) {
          await walk.next();
        }
      }
    });
    expect(remains).toEqual(AS_EVER);
  },
);

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

/**
 * Time that passes unseen: alarms that ring an hour late and twice, lanes that vanish with their machine, leases that have
 * run out. The clock alone is moved, so that only an alarm can tell the objects.
 */
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { LEASE_MS } from "../../src/host/leases.ts";
import { AS_EVER, STEPS, walked } from "./walk-steps.worker.ts";
import { playJobsAndLanes, SIDES, Walk } from "./walk.worker.ts";

const HOUR_MS = 3_600_000;

beforeAll(playJobsAndLanes);

/** How far the clock that the objects see is ahead. */
let aheadMs = 0;
beforeEach(() => {
  aheadMs = 0;
  const { now } = Date;
  vi.spyOn(Date, "now").mockImplementation(() => now() + aheadMs);
});
afterEach(() => void vi.restoreAllMocks());

async function ringAfter(walk: Walk, ms: number): Promise<void> {
  aheadMs += ms;
  for (const side of [...SIDES, ...SIDES]) {
    await walk.ring(side);
  }
}

describe("alarms that ring an hour late, and twice", () => {
  test.each(STEPS.map(({ name, moves }, index) => [name, moves === true, index] as const))(
    'after "%s": what was held is lost and taken anew, and it ends the same',
    async (_step, moves, at) => {
      const remains = await walked(async (walk, step) => {
        if (step === at) {
          await ringAfter(walk, HOUR_MS);
          if (moves) {
            await walk.expectLost();
            await walk.next();
          }
        }
      });
      expect(remains).toEqual(AS_EVER);
    },
  );
});

test("a lane that vanishes with its machine keeps its slots for as long as a lease lasts, and no longer", async () => {
  const walk = new Walk();
  await walk.offer();
  await walk.next();
  await ringAfter(walk, LEASE_MS - 1_000);
  await walk.expectBothEndsTaken();
  await ringAfter(walk, 2_000);
  await walk.expectNothingTaken();
  await walk.expectLost();
  await walk.next();
  await walk.finishAndNext();
  await walk.finish();
  expect(await walk.end()).toEqual(AS_EVER);
});

test("a lane that renews keeps its slots at both ends for as long as it does", async () => {
  const walk = new Walk();
  await walk.offer();
  await walk.next();
  for (let passedMs = 0; passedMs < 4 * LEASE_MS; passedMs += LEASE_MS / 3) {
    await ringAfter(walk, LEASE_MS / 3);
    await walk.renew();
    await walk.expectBothEndsTaken();
  }
  await walk.finishAndNext();
  await walk.finish();
  expect(await walk.end()).toEqual(AS_EVER);
});

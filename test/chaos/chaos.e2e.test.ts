/** A small chaos run with a seed of its own each time: `npm run chaos -- --seed S` repeats one that has failed. */
import { describe, expect, inject, it } from "vitest";
import { faultsOf, linesOf } from "./report.ts";
import { runChaos } from "./run.ts";

const COPIES = 30;
const WIDTH = 16;
const PAUSE_MAX_MS = 4_000;
/** Everything ends within its bound, and the last copy may begin late. */
const TEST_LIMIT_MS = 300_000;
const SEEDS = 1_000_000;

describe.skipIf(inject("withoutRegistry"))("under chaos", () => {
  it(
    "every copy ends right, and nothing is left over",
    async () => {
      const seed = Math.floor(Math.random() * SEEDS);
      console.log(`chaos: seed ${seed}`);
      const report = await runChaos({ copies: COPIES, seed, width: WIDTH, pauseMaxMs: PAUSE_MAX_MS, keep: false });
      expect(faultsOf(report), linesOf(report).join("\n")).toEqual([]);
      expect(Object.keys(report.blows)).not.toEqual([]);
      expect(Object.keys(report.faults)).not.toEqual([]);
    },
    TEST_LIMIT_MS,
  );
});

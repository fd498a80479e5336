/** The life of a copy at its two hosts, from its first small request to the end of its last blob, and how it always ends. */
import { expect } from "vitest";
import { Walk, type Remains } from "./walk.worker.ts";

/** Each step may be done again at once, as callers do who have not heard the answer; `once`: not even they would. */
export interface Step {
  name: string;
  /** A lane has a transfer under way after it. */
  moves?: boolean;
  run: (walk: Walk) => Promise<void>;
  once?: boolean;
}

export const STEPS: readonly Step[] = [
  { name: "asked for a manifest's slot", run: (walk) => walk.ask("manifest") },
  { name: "offered", run: (walk) => walk.offer() },
  { name: "gave the manifest's slot back", run: (walk) => walk.answer("manifest") },
  { name: "a lane was ordered", run: (walk) => walk.ordered() },
  { name: "the lane joined", run: (walk) => walk.join() },
  { name: "took the first blob", moves: true, run: (walk) => walk.next(), once: true },
  { name: "borrowed", moves: true, run: (walk) => walk.expectBothEndsTaken() },
  { name: "renewed", moves: true, run: (walk) => walk.renew() },
  { name: "handed back for a pause", run: (walk) => walk.handBack() },
  { name: "took it again after the pause", moves: true, run: (walk) => walk.nextAfterPause(), once: true },
  { name: "went on with it", moves: true, run: (walk) => walk.expectHandedOver() },
  { name: "finished it and took the second", moves: true, run: (walk) => walk.finishAndNext(), once: true },
  { name: "the job was told", moves: true, run: (walk) => walk.expectTold(["sha256:large"]) },
  { name: "borrowed for the second", moves: true, run: (walk) => walk.expectBothEndsTaken() },
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
export const AS_EVER: Remains = {
  ends: [
    ["sha256:large", "there"],
    ["sha256:small", "there"],
  ],
  hosts: [FRESH_HOST, FRESH_HOST],
};

/** Walks all steps, each done `times` times and followed by what `disturb` does. */
export async function walked(disturb: (walk: Walk, step: number) => Promise<void>, times = 1): Promise<Remains> {
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

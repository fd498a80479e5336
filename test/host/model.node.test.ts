import { describe, expect, test } from "vitest";
import { blob, Model, seeded } from "./model.ts";

const CASES = 10_000;

test(`random copies between random hosts all end, never above a limit (${CASES} cases)`, { timeout: 300_000 }, () => {
  for (let seed = 1; seed <= CASES; seed++) {
    const random = seeded(seed);
    const names = ["a", "b", "c", "d"].slice(0, 2 + Math.floor(random() * 3));
    const hosts = Object.fromEntries(names.map((name) => [name, 1 + Math.floor(random() * 3)]));
    const troubled = random() < 0.5;
    const model = new Model({
      hosts,
      random,
      maxWaitMs: random() < 0.5 ? 500 : 5_000,
      deaths: troubled ? 0.05 : 0,
      failures: troubled ? 0.1 : 0,
      losses: troubled ? 0.02 : 0,
    });
    const expected: string[] = [];
    const jobs = 1 + Math.floor(random() * 6);
    for (let j = 0; j < jobs; j++) {
      const pick = (): string => names[Math.floor(random() * names.length)] ?? "a";
      const [source, target] = [pick(), pick()];
      const atMs = random() * 2_000;
      const count = 1 + Math.floor(random() * 6);
      const offers = Array.from({ length: count }, (_, i) =>
        // Some blobs are wanted by several jobs at once.
        blob(`j${j}`, source, random() < 0.2 ? "shared" : `${j}-${i}`, 1 + random() * 1e7, atMs),
      );
      const distinct = [...new Map(offers.map((offer) => [offer.id, offer])).values()];
      model.offerAt(atMs, `j${j}`, target, distinct);
      if (random() < 0.1) {
        model.withdrawAt(atMs + random() * 2_000, `j${j}`, target);
      } else {
        expected.push(...distinct.map((offer) => offer.id));
      }
    }
    model.run(3_600_000);
    const missing = expected.filter((id) => !model.ended.has(id));
    expect({ seed, missing, violations: model.violations }).toEqual({ seed, missing: [], violations: [] });
  }
});

test("A to B and B to A at once, one slot each, for a long time: nobody starves", () => {
  const maxWaitMs = 10_000;
  const model = new Model({ hosts: { a: 1, b: 1 }, random: seeded(7), maxWaitMs, durationMs: () => 500 });
  for (let i = 0; i < 40; i++) {
    model.offerAt(0, `ab${i}`, "b", [blob(`ab${i}`, "a", `ab${i}`, 1e6, 0)]);
    model.offerAt(0, `ba${i}`, "a", [blob(`ba${i}`, "b", `ba${i}`, 1e6, 0)]);
  }
  model.run(3_600_000);
  expect(model.ended.size).toBe(80);
  expect(model.violations).toEqual([]);
});

test("a copy that needs two busy hosts is not starved by copies that need one", () => {
  // Each host is kept busy by its own short mounts; only an offer that keeps a slot while it waits can ever get both.
  const maxWaitMs = 5_000;
  const model = new Model({ hosts: { a: 1, b: 1 }, random: seeded(3), maxWaitMs, durationMs: () => 400 });
  model.offerAt(0, "both", "b", [blob("both", "a", "both", 1e6, 0)]);
  for (let i = 0; i < 300; i++) {
    const atMs = i * 200;
    model.offerAt(atMs, `a${i}`, "a", [blob(`a${i}`, "a", `a${i}`, 10, atMs)]);
    model.offerAt(atMs, `b${i}`, "b", [blob(`b${i}`, "b", `b${i}`, 10, atMs)]);
  }
  model.run(3_600_000);
  expect(model.violations).toEqual([]);
  expect(model.ended.get("both/app@both")?.waitedMs).toBeLessThan(maxWaitMs + 5_000);
});

test.each([0, 1, 40])(
  "a busy source and a busy target settle every blob in a few calls, each taking %i ms",
  (callMs) => {
    const blobs = 300;
    const model = new Model({ hosts: { a: 4, b: 4 }, random: seeded(1), callMs, durationMs: () => 100 });
    for (const job of ["j", "k", "l"]) {
      const offers = Array.from({ length: blobs / 3 }, (_, i) => blob(job, "a", `${job}${i}`, 1e6 + i, 0));
      model.offerAt(0, job, "b", offers);
    }
    model.run(3_600_000);
    expect(model.ended.size).toBe(blobs);
    expect(model.calls).toBeLessThan(blobs * 12);
  },
);

describe.each([
  ["ends alike", 16, 16],
  ["a narrow source", 8, 16],
  ["a narrow target", 16, 8],
])("%s, with small requests at both", (_name, source, target) => {
  test("take three calls a blob, whoever is full when: nothing is offered to whom has no room", () => {
    const blobs = 400;
    const random = seeded(7);
    const model = new Model({
      hosts: { source, target },
      random,
      callMs: 2,
      durationMs: (_bytes, draw) => 20 + draw() * 100,
    });
    const offers = Array.from({ length: blobs }, (_, i) => blob("j", "source", `b${i}`, 1000 + i, 0));
    model.offerAt(0, "j", "target", offers);
    for (let i = 0; i < 2 * blobs; i++) {
      model.askAt(random() * 3_000, `small${i}`, i % 2 === 0 ? "source" : "target", 10 + random() * 20);
    }
    model.run(3_600_000);
    expect(model.violations).toEqual([]);
    expect(model.ended.size).toBe(blobs);
    expect(model.calls / blobs).toBeLessThan(3);
  });
});

import { describe, expect, test } from "vitest";
import { MAX_WAIT_MS, nextSmall, POLICIES } from "../../src/host/policy.ts";
import type { Active, PolicyName, Situation } from "../../src/host/policy.ts";
import { SMALL_LIMIT_BYTES, WaitingQueue } from "../../src/host/queue.ts";
import type { Entry } from "../../src/host/queue.ts";
import type { RequestKind } from "../../src/registry/gate.ts";

const MB = 1_000_000;

/** `[id, kind, bytes, job, since]`. */
type Row = [id: string, kind: RequestKind, bytes: number, job?: string, since?: number];

const queueOf = (rows: readonly Row[]): WaitingQueue => {
  const queue = new WaitingQueue();
  for (const [id, kind, bytes, job = id, since = 0] of rows) {
    queue.add({ id, kind, bytes, job, since } satisfies Entry);
  }
  return queue;
};

const active = (...rows: [RequestKind, number, number?][]): Active[] =>
  rows.map(([kind, bytes, movedBytes]) => ({ kind, bytes, ...(movedBytes === undefined ? {} : { movedBytes }) }));

const pick = (name: PolicyName, rows: readonly Row[], situation: Partial<Situation> = {}): string | undefined => {
  const queue = queueOf(rows);
  const bytesLeft = rows.filter(([, kind]) => kind === "blob").reduce((sum, [, , bytes]) => sum + bytes, 0);
  const picked = POLICIES[name](queue, {
    now: 1000,
    slots: 3,
    active: [],
    bytesLeft,
    maxWaitMs: MAX_WAIT_MS,
    ...situation,
  });
  expect(queue.size).toBe(rows.length);
  return picked?.id;
};

describe("the model's policy", () => {
  test.each<[string, Active[], Row[], string | undefined]>([
    ["empty queue: nobody", active(["blob", MB]), [], undefined],
    [
      "nothing active: the oldest",
      [],
      [
        ["blob", "blob", MB],
        ["head", "head", 0],
      ],
      "blob",
    ],
    [
      "one blob active: the manifest",
      active(["blob", MB]),
      [
        ["blob", "blob", MB],
        ["manifest", "manifest", 900],
      ],
      "manifest",
    ],
    [
      "one blob active: a head before a manifest and a query",
      active(["blob", MB]),
      [
        ["manifest", "manifest", 9],
        ["query", "query", 9],
        ["head", "head", 9],
      ],
      "head",
    ],
    [
      "the first of equal heads",
      active(["blob", MB]),
      [
        ["first", "head", 9],
        ["second", "head", 9],
      ],
      "first",
    ],
    [
      "the smallest manifest",
      active(["blob", MB]),
      [
        ["large", "manifest", 900],
        ["small", "manifest", 90],
      ],
      "small",
    ],
    [
      "an unknown size loses to a known one",
      active(["blob", MB]),
      [
        ["unknown", "manifest", 0],
        ["known", "manifest", 90],
      ],
      "known",
    ],
    [
      "something small active: the oldest",
      active(["manifest", 90]),
      [
        ["old", "blob", 1],
        ["head", "head", 0],
        ["large", "blob", MB],
      ],
      "old",
    ],
    [
      "small and blob active: the largest",
      active(["manifest", 90], ["blob", 5]),
      [
        ["old", "blob", 10],
        ["large", "blob", MB],
      ],
      "large",
    ],
    [
      "three active, none large: the largest",
      active(["manifest", 90], ["blob", 5], ["blob", 6]),
      [
        ["old", "blob", 10],
        ["large", "blob", MB],
        ["head", "head", 0],
      ],
      "large",
    ],
    [
      "three active, none small: the small one",
      active(["blob", MB], ["blob", MB], ["blob", MB]),
      [
        ["old", "blob", 10],
        ["head", "head", 0],
        ["large", "blob", MB],
      ],
      "head",
    ],
    [
      "the largest of several",
      active(["manifest", 90], ["blob", 5]),
      [
        ["a", "blob", 10],
        ["b", "blob", 30],
        ["c", "blob", 20],
      ],
      "b",
    ],
    [
      "enough large ones active: the oldest",
      active(["head", 0], ["blob", MB]),
      [
        ["old", "blob", 10],
        ["large", "blob", MB],
      ],
      "old",
    ],
    // Not among the model's own cases.
    [
      "exactly 4 MiB is small",
      active(["blob", MB]),
      [
        ["old", "blob", 1],
        ["m", "manifest", SMALL_LIMIT_BYTES],
      ],
      "m",
    ],
    [
      "more than 4 MiB waits for its age",
      active(["blob", MB]),
      [
        ["old", "blob", 1],
        ["m", "manifest", SMALL_LIMIT_BYTES + 1],
      ],
      "old",
    ],
    [
      "90 % of the largest is large",
      active(["head", 0], ["blob", 90]),
      [
        ["old", "blob", 10],
        ["large", "blob", 100],
      ],
      "old",
    ],
    [
      "less than 90 % is not",
      active(["head", 0], ["blob", 89]),
      [
        ["old", "blob", 10],
        ["large", "blob", 100],
      ],
      "large",
    ],
    [
      "one active of two slots: no large goal, the oldest",
      active(["blob", 5]),
      [
        ["old", "blob", 10],
        ["large", "blob", MB],
      ],
      "old",
    ],
    [
      "blobs of unknown size: the oldest",
      active(["head", 0], ["blob", 5]),
      [
        ["old", "blob", 0],
        ["young", "blob", 0],
      ],
      "old",
    ],
  ])("%s", (_name, under, rows, expected) => {
    expect(pick("upstream", rows, { active: under })).toBe(expected);
  });
});

describe("the default policy", () => {
  const late = MAX_WAIT_MS + 1001;
  const blobs = (count: number, bytes: number): [RequestKind, number][] =>
    Array.from({ length: count }, () => ["blob", bytes]);
  const heads = (count: number): [RequestKind, number][] => Array.from({ length: count }, () => ["head", 0]);

  test.each<[string, Partial<Situation>, Row[], string | undefined]>([
    ["empty queue: nobody", {}, [], undefined],
    [
      "a small request goes before any blob",
      {},
      [
        ["blob", "blob", 900 * MB],
        ["query", "query", 0],
      ],
      "query",
    ],
    [
      "head, manifest, query",
      {},
      [
        ["query", "query", 0],
        ["manifest", "manifest", 9],
        ["head", "head", 9],
      ],
      "head",
    ],
    [
      "of one kind the oldest, not the smallest",
      {},
      [
        ["old", "manifest", 90, "j", 1],
        ["young", "manifest", 9, "j", 2],
      ],
      "old",
    ],
    [
      "the job nearest to its end, in it the largest blob",
      { slots: 1, bytesLeft: 1000 },
      [
        ["a1", "blob", 20, "a"],
        ["a2", "blob", 20, "a"],
        ["b1", "blob", 10, "b"],
        ["b2", "blob", 25, "b"],
      ],
      "b2",
    ],
    [
      "a blob that alone takes as long as all the rest goes first",
      { slots: 3 },
      [
        ["small", "blob", 10, "a"],
        ["huge", "blob", 90, "b"],
        ["middle", "blob", 20, "c"],
      ],
      "huge",
    ],
    [
      "one that takes less than its share of what is left does not",
      { slots: 3, bytesLeft: 300 },
      [
        ["small", "blob", 10, "a"],
        ["huge", "blob", 90, "b"],
      ],
      "small",
    ],
    [
      "what is under way counts in full when nobody told of its progress",
      { slots: 3, active: active(["blob", 200]), bytesLeft: 300 },
      [
        ["small", "blob", 10, "a"],
        ["huge", "blob", 90, "b"],
      ],
      "small",
    ],
    [
      "and with what is left of it when somebody did",
      { slots: 3, active: active(["blob", 200, 190]), bytesLeft: 300 },
      [
        ["small", "blob", 10, "a"],
        ["huge", "blob", 90, "b"],
      ],
      "huge",
    ],
    [
      "a blob that ends before a longer one under way can wait",
      { slots: 3, active: active(["blob", 500]), bytesLeft: 600 },
      [
        ["small", "blob", 10, "a"],
        ["huge", "blob", 300, "b"],
      ],
      "small",
    ],
    ["a manifest above 4 MiB goes when no blob waits", {}, [["m", "manifest", SMALL_LIMIT_BYTES + 1]], "m"],
    [
      "who waits longer than the limit goes before small and critical ones",
      { now: late, active: active(...heads(1), ...blobs(1, 5)) },
      [
        ["old", "blob", 10, "a", 1000],
        ["huge", "blob", 900, "b", late],
        ["head", "head", 0, "c", late],
      ],
      "old",
    ],
    [
      "but not while small requests have less than half of the slots",
      { now: late, active: active(...blobs(2, 5)) },
      [
        ["old", "blob", 10, "a", 1000],
        ["head", "head", 0, "c", late],
      ],
      "head",
    ],
    [
      "with one slot age decides alone: small requests have their extra slot",
      { now: late, slots: 1 },
      [
        ["old", "blob", 10, "a", 1000],
        ["head", "head", 0, "c", late],
      ],
      "old",
    ],
    [
      "exactly the limit is not longer than it",
      { now: 1000 + MAX_WAIT_MS },
      [
        ["old", "blob", 10, "a", 1000],
        ["huge", "blob", 900, "b", 2000],
      ],
      "huge",
    ],
    [
      "of several that are overdue the oldest",
      { now: 3 * late },
      [
        ["young", "blob", 900, "a", 1001],
        ["old", "blob", 10, "b", 1000],
      ],
      "old",
    ],
    [
      "a big manifest cannot starve either",
      { now: late },
      [
        ["m", "manifest", SMALL_LIMIT_BYTES + 1, "a", 1000],
        ["huge", "blob", 900, "b", late],
      ],
      "m",
    ],
  ])("%s", (_name, situation, rows, expected) => {
    expect(pick("drayage", rows, situation)).toBe(expected);
  });

  test("the extra slot takes the best small request and never a blob", () => {
    expect(
      nextSmall(
        queueOf([
          ["blob", "blob", 1],
          ["query", "query", 0],
          ["head", "head", 9],
        ]),
      )?.id,
    ).toBe("head");
    expect(
      nextSmall(
        queueOf([
          ["blob", "blob", 1],
          ["m", "manifest", SMALL_LIMIT_BYTES + 1],
        ]),
      ),
    ).toBeUndefined();
  });
});

describe("policies for comparison", () => {
  const rows: Row[] = [
    ["old", "blob", 10, "a", 1],
    ["large", "blob", 90, "b", 2],
    ["head", "head", 0, "c", 3],
  ];

  test.each<[PolicyName, string[]]>([
    ["fifo", ["old", "large", "head"]],
    ["largest", ["head", "large", "old"]],
  ])("%s", (name, expected) => {
    const queue = queueOf(rows);
    const order = rows.map(() => {
      const next = POLICIES[name](queue, { now: 9, slots: 3, active: [], bytesLeft: 100, maxWaitMs: MAX_WAIT_MS });
      queue.remove(next?.id ?? "");
      return next?.id;
    });
    expect(order).toEqual(expected);
  });
});

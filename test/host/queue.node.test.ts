import { describe, expect, test } from "vitest";
import { isSmall, SMALL_LIMIT_BYTES, WaitingQueue } from "../../src/host/queue.ts";
import type { Entry } from "../../src/host/queue.ts";

const MB = 1_000_000;

const entry = (id: string, change: Partial<Entry> = {}): Entry => ({
  id,
  kind: "blob",
  bytes: MB,
  job: "job",
  since: 0,
  ...change,
});

const queueOf = (...entries: Entry[]): WaitingQueue => {
  const queue = new WaitingQueue();
  for (const each of entries) {
    queue.add(each);
  }
  return queue;
};

/** Takes what `next` names until nothing is left. */
const drain = (queue: WaitingQueue, next: (queue: WaitingQueue) => Entry | undefined): string[] => {
  const ids: string[] = [];
  for (let found = next(queue); found !== undefined; found = next(queue)) {
    ids.push(found.id);
    queue.remove(found.id);
  }
  return ids;
};

describe("what is small", () => {
  test.each([
    ["a head", { kind: "head", bytes: 0 }, true],
    ["a manifest of exactly 4 MiB", { kind: "manifest", bytes: SMALL_LIMIT_BYTES }, true],
    ["a manifest of more", { kind: "manifest", bytes: SMALL_LIMIT_BYTES + 1 }, false],
    ["a blob of one byte", { kind: "blob", bytes: 1 }, false],
  ] as const)("%s", (_name, request, expected) => {
    expect(isSmall(request)).toBe(expected);
  });
});

describe("the waiting queue", () => {
  test("empty, it names nobody", () => {
    const queue = queueOf();
    expect(queue.size).toBe(0);
    expect(queue.totalBlobBytes).toBe(0);
    expect(queue.remove("a")).toBeUndefined();
    expect([queue.oldest(), queue.bestSmall(), queue.smallestSmall(), queue.largestBlob(), queue.leastLeft()]).toEqual(
      Array(5).fill(undefined),
    );
  });

  test("an id that waits already changes nothing, not even its age", () => {
    const queue = queueOf(entry("a", { since: 5 }), entry("a", { since: 1, bytes: 9 }));
    expect(queue.size).toBe(1);
    expect(queue.get("a")).toEqual(entry("a", { since: 5 }));
    expect(queue.totalBlobBytes).toBe(MB);
  });

  test("who comes back after a failed try is as old as before", () => {
    const [first, second] = [entry("first", { since: 1 }), entry("second", { since: 2 })];
    const queue = queueOf(first, second);
    queue.remove("first");
    queue.add(first);
    expect(queue.oldest()?.id).toBe("first");
  });

  test("a waiter that is cancelled in the middle leaves all behind it in place", () => {
    const queue = queueOf(entry("a"), entry("b"), entry("c"), entry("d"));
    expect(queue.remove("b")).toEqual(entry("b"));
    expect(queue.remove("b")).toBeUndefined();
    expect(drain(queue, (each) => each.oldest())).toEqual(["a", "c", "d"]);
  });

  test("counts what waits by kind, and the bytes of blobs only", () => {
    const queue = queueOf(
      entry("h", { kind: "head" }),
      entry("m1", { kind: "manifest", bytes: 9 }),
      entry("m2", { kind: "manifest", bytes: 9 }),
      entry("q", { kind: "query" }),
      entry("b"),
    );
    queue.remove("m1");
    expect(queue.countByKind()).toEqual({ head: 1, manifest: 1, query: 1, blob: 1 });
    expect(queue.totalBlobBytes).toBe(MB);
  });

  test("the counts it hands out are a copy", () => {
    const queue = queueOf(entry("b"));
    queue.countByKind().blob = 7;
    expect(queue.countByKind().blob).toBe(1);
  });

  test.each<[string, Entry[], (queue: WaitingQueue) => Entry | undefined, string[]]>([
    [
      "oldest: by age, then by arrival",
      [entry("c", { since: 2 }), entry("a", { since: 1 }), entry("b", { since: 1, kind: "head" })],
      (queue) => queue.oldest(),
      ["a", "b", "c"],
    ],
    [
      "best small: head, manifest, query, then age; neither blobs nor big manifests",
      [
        entry("query", { kind: "query" }),
        entry("manifest", { kind: "manifest", since: 2 }),
        entry("older", { kind: "manifest", since: 1 }),
        entry("big", { kind: "manifest", bytes: SMALL_LIMIT_BYTES + 1 }),
        entry("head", { kind: "head", since: 9 }),
        entry("blob", { bytes: 1 }),
      ],
      (queue) => queue.bestSmall(),
      ["head", "older", "manifest", "query"],
    ],
    [
      "smallest small: kind, then size, an unknown size last",
      [
        entry("unknown", { kind: "head", bytes: 0 }),
        entry("large", { kind: "head", bytes: 9 }),
        entry("small", { kind: "head", bytes: 3 }),
      ],
      (queue) => queue.smallestSmall(),
      ["small", "large", "unknown"],
    ],
    [
      "largest blob: by size, then age, then arrival",
      [
        entry("young", { bytes: 5, since: 2 }),
        entry("old", { bytes: 5, since: 1 }),
        entry("later", { bytes: 5, since: 2 }),
        entry("largest", { bytes: 6, since: 3 }),
      ],
      (queue) => queue.largestBlob(),
      ["largest", "old", "young", "later"],
    ],
    [
      "least left: the job with the fewest bytes waiting, in it the largest blob",
      [
        entry("a1", { job: "a", bytes: 1 }),
        entry("a9", { job: "a", bytes: 9 }),
        entry("b4", { job: "b", bytes: 4 }),
        entry("b2", { job: "b", bytes: 2 }),
      ],
      (queue) => queue.leastLeft(),
      ["b4", "b2", "a9", "a1"],
    ],
    [
      "least left, equal jobs: by the age of what would go, then by arrival",
      [entry("c", { job: "c", since: 2 }), entry("a", { job: "a", since: 1 }), entry("b", { job: "b", since: 1 })],
      (queue) => queue.leastLeft(),
      ["a", "b", "c"],
    ],
  ])("%s", (_name, entries, next, expected) => {
    expect(drain(queueOf(...entries), next)).toEqual(expected);
  });
});

describe("bytes that a job has left", () => {
  const twoJobs = (): WaitingQueue => queueOf(entry("a", { job: "a", bytes: 10 }), entry("b", { job: "b", bytes: 20 }));

  test("what was told counts, not what waits", () => {
    const queue = twoJobs();
    queue.setJobBytesLeft("a", 100);
    expect(queue.leastLeft()?.id).toBe("b");
    queue.setJobBytesLeft("a", 5);
    expect(queue.leastLeft()?.id).toBe("a");
  });

  test("may be told before anything of the job waits, and holds while nothing does", () => {
    const queue = new WaitingQueue();
    queue.setJobBytesLeft("a", 100);
    queue.add(entry("b", { job: "b", bytes: 20 }));
    queue.add(entry("a", { job: "a", bytes: 10 }));
    expect(queue.leastLeft()?.id).toBe("b");
    queue.remove("a");
    queue.add(entry("a", { job: "a", bytes: 10 }));
    expect(queue.leastLeft()?.id).toBe("b");
  });

  test("0 forgets what was told", () => {
    const queue = twoJobs();
    queue.setJobBytesLeft("a", 100);
    queue.setJobBytesLeft("a", 0);
    expect(queue.leastLeft()?.id).toBe("a");
    queue.remove("a");
    queue.setJobBytesLeft("a", 100);
    queue.setJobBytesLeft("a", 0);
    queue.add(entry("a", { job: "a", bytes: 10 }));
    expect(queue.leastLeft()?.id).toBe("a");
  });
});

test("of equal age the one with the lesser tie is the oldest, whatever came first; without ties the first to come", () => {
  const oldestOf = (...ties: (string | undefined)[]): string | undefined => {
    const queue = new WaitingQueue();
    ties.forEach((tie, i) => {
      queue.add({ id: `e${i}`, kind: "blob", bytes: 1, job: "j", since: 5, ...(tie === undefined ? {} : { tie }) });
    });
    return queue.oldest()?.id;
  };
  expect([oldestOf("b", "a"), oldestOf("a", "b"), oldestOf(undefined, "z"), oldestOf(undefined, undefined)]).toEqual([
    "e1",
    "e0",
    "e1",
    "e0",
  ]);
});

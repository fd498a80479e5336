import { expect, test } from "vitest";
import { atOnce, Pool } from "../../src/job/pool.ts";

function setUp(width: number) {
  const errors: unknown[] = [];
  const running: string[] = [];
  const started: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<void>>();
  let idles = 0;
  const pool = new Pool(
    width,
    (error) => errors.push(error),
    () => (idles += 1),
  );
  const add = (name: string) => {
    const end = Promise.withResolvers<void>();
    ends.set(name, end);
    pool.add(async () => {
      started.push(name);
      running.push(name);
      try {
        await end.promise;
      } finally {
        running.splice(running.indexOf(name), 1);
      }
    });
  };
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const end = (name: string, error?: Error) => {
    const task = ends.get(name);
    if (error) {
      task?.reject(error);
    } else {
      task?.resolve();
    }
    return settle();
  };
  return { pool, add, end, errors, running, started, idles: () => idles };
}

test("runs no more at once than its width, in order", async () => {
  const { add, end, running, started } = setUp(2);
  ["a", "b", "c", "d"].forEach(add);
  expect(running).toEqual(["a", "b"]);
  await end("b");
  expect(running).toEqual(["a", "c"]);
  await end("a");
  expect(started).toEqual(["a", "b", "c", "d"]);
});

test("tells when it has become idle", async () => {
  const { add, end, idles, pool } = setUp(2);
  ["a", "b"].forEach(add);
  await end("a");
  expect(idles()).toBe(0);
  await end("b");
  expect(idles()).toBe(1);
  expect(pool.idle).toBe(true);
});

test("tells the first error and begins nothing after it", async () => {
  const { add, end, errors, started, idles } = setUp(2);
  ["a", "b", "c"].forEach(add);
  const first = new Error("first");
  await end("a", first);
  await end("b", new Error("second"));
  add("d");
  expect(errors).toEqual([first]);
  expect(started).toEqual(["a", "b"]);
  expect(idles()).toBe(0);
});

test("what is done for all items begins nothing more once one has failed", async () => {
  const ends = [0, 1, 2, 3].map(() => Promise.withResolvers<void>());
  const started: number[] = [];
  const all = atOnce(2, ends, (item) => {
    started.push(ends.indexOf(item));
    return item.promise;
  });
  ends[0]?.reject(new Error("no"));
  await expect(all).rejects.toThrow("no");
  ends[1]?.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(started).toEqual([0, 1]);
});

import { describe, expect, test } from "vitest";
import { IndexedHeap } from "../../src/host/heap.ts";
import { integer, seeded } from "../sim/random.ts";

interface Item {
  key: string;
  rank: number;
}

const heapOf = (...items: Item[]): IndexedHeap<string, Item> => {
  const heap = new IndexedHeap<string, Item>(
    (item) => item.key,
    (left, right) => left.rank - right.rank || left.key.localeCompare(right.key),
  );
  for (const item of items) {
    heap.insert(item);
  }
  return heap;
};

const drain = (heap: IndexedHeap<string, Item>): string[] => {
  const keys: string[] = [];
  for (let item = heap.pop(); item !== undefined; item = heap.pop()) {
    keys.push(item.key);
  }
  return keys;
};

describe("an indexed heap", () => {
  test("empty, it has nothing to give", () => {
    const heap = heapOf();
    expect([heap.size, heap.peek(), heap.pop(), heap.remove("a"), heap.get("a"), heap.has("a")]).toEqual([
      0,
      undefined,
      undefined,
      undefined,
      undefined,
      false,
    ]);
  });

  test("gives items in order, whatever order they came in", () => {
    expect(drain(heapOf({ key: "c", rank: 3 }, { key: "a", rank: 1 }, { key: "b", rank: 2 }))).toEqual(["a", "b", "c"]);
  });

  test("an item with a key that is there replaces the other", () => {
    const heap = heapOf({ key: "a", rank: 1 }, { key: "b", rank: 2 });
    heap.insert({ key: "a", rank: 3 });
    expect(heap.get("a")).toEqual({ key: "a", rank: 3 });
    expect(drain(heap)).toEqual(["b", "a"]);
  });

  test("an item whose rank changed finds its new place on update, up or down", () => {
    const [first, last] = [
      { key: "first", rank: 1 },
      { key: "last", rank: 9 },
    ];
    const heap = heapOf(first, { key: "middle", rank: 5 }, last);
    last.rank = 0;
    heap.update("last");
    first.rank = 8;
    heap.update("first");
    heap.update("nobody");
    expect(drain(heap)).toEqual(["last", "middle", "first"]);
  });

  test("agrees with a sorted list over thousands of random changes", () => {
    const random = seeded(1);
    const heap = heapOf();
    const model = new Map<string, Item>();
    const least = (): Item | undefined =>
      [...model.values()].toSorted((a, b) => a.rank - b.rank || a.key.localeCompare(b.key))[0];
    for (let step = 0; step < 5000; step++) {
      const key = `k${integer(random, 0, 40)}`;
      switch (integer(random, 0, 3)) {
        case 0:
        case 1: {
          const item = { key, rank: integer(random, 0, 9) };
          heap.insert(item);
          model.set(key, item);
          break;
        }
        case 2:
          expect(heap.remove(key)).toBe(model.get(key));
          model.delete(key);
          break;
        default: {
          const item = model.get(key);
          if (item !== undefined) {
            item.rank = integer(random, 0, 9);
          }
          heap.update(key);
        }
      }
      expect(heap.size).toBe(model.size);
      expect(heap.peek()).toBe(least());
    }
  });
});

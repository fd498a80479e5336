import { describe, expect, test } from "vitest";
import { IndexedHeap } from "../../src/host/heap.ts";
import type { Placed } from "../../src/host/heap.ts";
import { integer, seeded } from "../sim/random.ts";

interface Item extends Placed {
  key: string;
  rank: number;
}

const item = (key: string, rank: number): Item => ({ key, rank, places: [] });

const heapOf = (...items: Item[]): IndexedHeap<Item> => {
  const heap = new IndexedHeap<Item>(0, (left, right) => left.rank - right.rank || left.key.localeCompare(right.key));
  for (const each of items) {
    heap.insert(each);
  }
  return heap;
};

const drain = (heap: IndexedHeap<Item>): string[] => {
  const keys: string[] = [];
  for (let next = heap.pop(); next !== undefined; next = heap.pop()) {
    keys.push(next.key);
  }
  return keys;
};

describe("an indexed heap", () => {
  test("empty, it has nothing to give", () => {
    const heap = heapOf();
    const stranger = item("a", 1);
    heap.update(stranger);
    expect([heap.size, heap.peek(), heap.pop(), heap.remove(stranger), heap.has(stranger)]).toEqual([
      0,
      undefined,
      undefined,
      false,
      false,
    ]);
  });

  test("gives items in order, whatever order they came in", () => {
    expect(drain(heapOf(item("c", 3), item("a", 1), item("b", 2)))).toEqual(["a", "b", "c"]);
  });

  test("an item that is inside already is not there twice", () => {
    const [a, b] = [item("a", 1), item("b", 2)];
    const heap = heapOf(a, b);
    a.rank = 3;
    heap.insert(a);
    expect(heap.size).toBe(2);
    expect(drain(heap)).toEqual(["b", "a"]);
  });

  test("an item that was taken out can come back", () => {
    const a = item("a", 1);
    const heap = heapOf(a, item("b", 2));
    expect([heap.remove(a), heap.has(a), heap.remove(a)]).toEqual([true, false, false]);
    heap.insert(a);
    expect(drain(heap)).toEqual(["a", "b"]);
  });

  test("an item whose rank changed finds its new place on update, up or down", () => {
    const [first, last] = [item("first", 1), item("last", 9)];
    const heap = heapOf(first, item("middle", 5), last);
    last.rank = 0;
    heap.update(last);
    first.rank = 8;
    heap.update(first);
    expect(drain(heap)).toEqual(["last", "middle", "first"]);
  });

  test("two heaps order the same items each in its own way", () => {
    const up = new IndexedHeap<Item>(0, (left, right) => left.rank - right.rank);
    const down = new IndexedHeap<Item>(1, (left, right) => right.rank - left.rank);
    const items = [item("b", 2), item("a", 1), item("c", 3)];
    for (const each of items) {
      up.insert(each);
      down.insert(each);
    }
    expect(up.pop()?.key).toBe("a");
    expect(drain(down)).toEqual(["c", "b", "a"]);
    expect(drain(up)).toEqual(["b", "c"]);
  });

  test("agrees with a sorted list over thousands of random changes", () => {
    const random = seeded(1);
    const heap = heapOf();
    const items = Array.from({ length: 40 }, (_, index) => item(`k${index}`, 0));
    const inside = new Set<Item>();
    const least = (): Item | undefined =>
      [...inside].toSorted((a, b) => a.rank - b.rank || a.key.localeCompare(b.key))[0];
    for (let step = 0; step < 5000; step++) {
      const each = items[integer(random, 0, items.length - 1)] ?? item("nobody", 0);
      if (random() < 0.4) {
        expect(heap.remove(each)).toBe(inside.delete(each));
      } else {
        each.rank = integer(random, 0, 9);
        if (inside.has(each)) {
          heap.update(each);
        } else {
          heap.insert(each);
        }
        inside.add(each);
      }
      expect(heap.size).toBe(inside.size);
      expect(heap.peek()).toBe(least());
    }
  });
});

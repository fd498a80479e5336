/**
 * An indexed binary heap: the least item is at hand, and any item is changed or removed wherever it stands.
 *
 * Each item keeps its own places, one for each heap that it may stand in: moving it writes a number, and no heap needs
 * a map of its own, which with 100,000 items in several heaps is most of the memory. Every change costs O(log n).
 */

/** Something that may stand in heaps. `places[i]` belongs to the heap that was made with index i; leave it alone. */
export interface Placed {
  readonly places: number[];
}

/** The place of an item that does not stand in the heap. */
export const NOWHERE = -1;

export class IndexedHeap<T extends Placed> {
  readonly #index: number;
  readonly #compare: (left: T, right: T) => number;
  readonly #items: T[] = [];

  /**
   * @param index Which of an item's places is this heap's. Heaps that may hold the same item need different ones.
   * @param compare Below zero when `left` comes first. It must order every two different items, or ties are arbitrary.
   */
  constructor(index: number, compare: (left: T, right: T) => number) {
    this.#index = index;
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#placeOf(item) !== NOWHERE;
  }

  /** The least item, left where it is. */
  peek(): T | undefined {
    return this.#items[0];
  }

  /** Adds an item. One that is inside already is put in its right place. */
  insert(item: T): void {
    if (!this.has(item)) {
      this.#put(item, this.#items.length);
    }
    this.#settle(item);
  }

  /** Puts an item in its right place after something that its order depends on has changed. */
  update(item: T): void {
    if (this.has(item)) {
      this.#settle(item);
    }
  }

  /** Takes an item out. False: it was not inside. */
  remove(item: T): boolean {
    const place = this.#placeOf(item);
    if (place === NOWHERE) {
      return false;
    }
    item.places[this.#index] = NOWHERE;
    const last = this.#items.pop();
    if (last !== undefined && last !== item) {
      this.#put(last, place);
      this.#settle(last);
    }
    return true;
  }

  /** Takes the least item out. */
  pop(): T | undefined {
    const first = this.peek();
    if (first !== undefined) {
      this.remove(first);
    }
    return first;
  }

  #placeOf(item: T): number {
    return item.places[this.#index] ?? NOWHERE;
  }

  #put(item: T, place: number): void {
    this.#items[place] = item;
    item.places[this.#index] = place;
  }

  #settle(item: T): void {
    const place = this.#placeOf(item);
    this.#rise(item, place);
    if (this.#placeOf(item) === place) {
      this.#sink(item, place);
    }
  }

  #rise(item: T, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#items[above];
      if (parent === undefined || this.#compare(parent, item) <= 0) {
        break;
      }
      this.#put(parent, place);
      place = above;
    }
    this.#put(item, place);
  }

  #sink(item: T, from: number): void {
    let place = from;
    for (;;) {
      const left = this.#items[2 * place + 1];
      if (left === undefined) {
        break;
      }
      const right = this.#items[2 * place + 2];
      const child = right !== undefined && this.#compare(right, left) < 0 ? right : left;
      if (this.#compare(item, child) <= 0) {
        break;
      }
      const below = this.#placeOf(child);
      this.#put(child, place);
      place = below;
    }
    this.#put(item, place);
  }
}

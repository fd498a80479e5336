/**
 * An indexed binary heap: the least item is at hand, and any item is found, changed or removed by its key.
 * Knows nothing of what it orders. Every change costs O(log n), every look O(1).
 */
export class IndexedHeap<K, T> {
  readonly #keyOf: (item: T) => K;
  readonly #compare: (left: T, right: T) => number;
  readonly #items: T[] = [];
  readonly #positions = new Map<K, number>();

  /**
   * @param keyOf The key that names an item; it must not change while the item is inside.
   * @param compare Below zero when `left` comes first. It must order every two different items, or ties are arbitrary.
   */
  constructor(keyOf: (item: T) => K, compare: (left: T, right: T) => number) {
    this.#keyOf = keyOf;
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  has(key: K): boolean {
    return this.#positions.has(key);
  }

  get(key: K): T | undefined {
    const position = this.#positions.get(key);
    return position === undefined ? undefined : this.#items[position];
  }

  /** The least item, left where it is. */
  peek(): T | undefined {
    return this.#items[0];
  }

  /** Adds an item. One with the same key is replaced. */
  insert(item: T): void {
    const key = this.#keyOf(item);
    const position = this.#positions.get(key);
    if (position !== undefined) {
      this.#settle(position, item);
      return;
    }
    const end = this.#items.length;
    this.#items.push(item);
    this.#positions.set(key, end);
    this.#rise(end, item);
  }

  /** Puts the item of this key in its right place, after something that its order depends on has changed. */
  update(key: K): void {
    const position = this.#positions.get(key);
    if (position === undefined) {
      return;
    }
    const item = this.#items[position];
    if (item !== undefined) {
      this.#settle(position, item);
    }
  }

  /** Takes the item of this key out. Undefined: there was none. */
  remove(key: K): T | undefined {
    const position = this.#positions.get(key);
    if (position === undefined) {
      return undefined;
    }
    const removed = this.#items[position];
    const last = this.#items.pop();
    this.#positions.delete(key);
    if (last !== undefined && position < this.#items.length) {
      this.#settle(position, last);
    }
    return removed;
  }

  /** Takes the least item out. */
  pop(): T | undefined {
    const first = this.#items[0];
    return first === undefined ? undefined : this.remove(this.#keyOf(first));
  }

  #settle(position: number, item: T): void {
    if (this.#rise(position, item) === position) {
      this.#sink(position, item);
    }
  }

  #place(position: number, item: T): void {
    this.#items[position] = item;
    this.#positions.set(this.#keyOf(item), position);
  }

  #rise(from: number, item: T): number {
    let position = from;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.#items[above];
      if (parent === undefined || this.#compare(parent, item) <= 0) {
        break;
      }
      this.#place(position, parent);
      position = above;
    }
    this.#place(position, item);
    return position;
  }

  #sink(from: number, item: T): void {
    let position = from;
    for (;;) {
      const left = this.#items[2 * position + 1];
      if (left === undefined) {
        break;
      }
      const right = this.#items[2 * position + 2];
      const rightFirst = right !== undefined && this.#compare(right, left) < 0;
      const child = rightFirst ? right : left;
      if (this.#compare(item, child) <= 0) {
        break;
      }
      this.#place(position, child);
      position = 2 * position + (rightFirst ? 2 : 1);
    }
    this.#place(position, item);
  }
}

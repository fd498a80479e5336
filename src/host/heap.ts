/**
 * An indexed binary heap: the least item is at hand, and any item is found, changed or removed by its key.
 * Knows nothing of what it orders. Every change costs O(log n), every look O(1).
 */

/** An item and where it stands. Moving it writes its position only: the map of keys is left alone, which is most of the cost. */
interface Node<T> {
  item: T;
  position: number;
}

export class IndexedHeap<K, T> {
  readonly #keyOf: (item: T) => K;
  readonly #compare: (left: T, right: T) => number;
  readonly #nodes: Node<T>[] = [];
  readonly #byKey = new Map<K, Node<T>>();

  /**
   * @param keyOf The key that names an item; it must not change while the item is inside.
   * @param compare Below zero when `left` comes first. It must order every two different items, or ties are arbitrary.
   */
  constructor(keyOf: (item: T) => K, compare: (left: T, right: T) => number) {
    this.#keyOf = keyOf;
    this.#compare = compare;
  }

  get size(): number {
    return this.#nodes.length;
  }

  has(key: K): boolean {
    return this.#byKey.has(key);
  }

  get(key: K): T | undefined {
    return this.#byKey.get(key)?.item;
  }

  /** The least item, left where it is. */
  peek(): T | undefined {
    return this.#nodes[0]?.item;
  }

  /** Adds an item. One with the same key is replaced. */
  insert(item: T): void {
    const key = this.#keyOf(item);
    const present = this.#byKey.get(key);
    if (present !== undefined) {
      present.item = item;
      this.#settle(present);
      return;
    }
    const node = { item, position: this.#nodes.length };
    this.#nodes.push(node);
    this.#byKey.set(key, node);
    this.#rise(node);
  }

  /** Puts the item of this key in its right place, after something that its order depends on has changed. */
  update(key: K): void {
    const node = this.#byKey.get(key);
    if (node !== undefined) {
      this.#settle(node);
    }
  }

  /** Takes the item of this key out. Undefined: there was none. */
  remove(key: K): T | undefined {
    const node = this.#byKey.get(key);
    if (node === undefined) {
      return undefined;
    }
    this.#byKey.delete(key);
    const last = this.#nodes.pop();
    if (last !== undefined && last !== node) {
      this.#place(last, node.position);
      this.#settle(last);
    }
    return node.item;
  }

  /** Takes the least item out. */
  pop(): T | undefined {
    const first = this.#nodes[0];
    return first === undefined ? undefined : this.remove(this.#keyOf(first.item));
  }

  #place(node: Node<T>, position: number): void {
    this.#nodes[position] = node;
    node.position = position;
  }

  #settle(node: Node<T>): void {
    const { position } = node;
    this.#rise(node);
    if (node.position === position) {
      this.#sink(node);
    }
  }

  #rise(node: Node<T>): void {
    let { position } = node;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.#nodes[above];
      if (parent === undefined || this.#compare(parent.item, node.item) <= 0) {
        break;
      }
      this.#place(parent, position);
      position = above;
    }
    this.#place(node, position);
  }

  #sink(node: Node<T>): void {
    let { position } = node;
    for (;;) {
      const left = this.#nodes[2 * position + 1];
      if (left === undefined) {
        break;
      }
      const right = this.#nodes[2 * position + 2];
      const child = right !== undefined && this.#compare(right.item, left.item) < 0 ? right : left;
      if (this.#compare(node.item, child.item) <= 0) {
        break;
      }
      const below = child.position;
      this.#place(child, position);
      position = below;
    }
    this.#place(node, position);
  }
}

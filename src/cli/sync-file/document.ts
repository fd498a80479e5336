/** A YAML (or JSON) text as plain data, and where in the text each value stands. Pure. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import type { Path } from "./contract.ts";
import { refuse, SyncFileError } from "./faults.ts";

export interface Place {
  /** Counted from 1. */
  line: number;
  column: number;
}

/** A list of some 50,000 copies; beyond it the service's API is the better way. */
const MAX_FILE_CHARACTERS = 16 * 1024 * 1024;

/** Values with aliases resolved: what bounds a small text that expands to a very large one. */
const MAX_VALUES = 2_000_000;

/** How numbers are read: as numbers, or as the text they were written with (`1.10` is a tag, and not `1.1`). */
type Numbers = "values" | "text";

export class SyncDocument {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  /** What aliases stand for; the library walks the whole document for each. */
  readonly #aliases = new Map<Node, Node>();
  /** Lists and maps that are being read: an alias for one of them would never end. */
  readonly #open = new Set<Node>();

  /** @throws SyncFileError with all errors of syntax and their places. */
  constructor(text: string) {
    if (text.length > MAX_FILE_CHARACTERS) {
      refuse(null, `the file has more than ${MAX_FILE_CHARACTERS} characters; split it`);
    }
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, { lineCounter: this.#lines, merge: true, prettyErrors: false });
    if (this.#document.errors.length > 0) {
      throw new SyncFileError(
        this.#document.errors.map(({ code, message, pos }) => ({
          path: null,
          // The library's own words are for whoever calls it.
          message: code === "MULTIPLE_DOCS" ? "a second document begins here; give each a file of its own" : message,
          at: this.#placeAt(pos[0]),
        })),
      );
    }
  }

  /** The whole as plain data. */
  data(numbers: Numbers): unknown {
    const budget = { left: MAX_VALUES };
    return this.#value(this.#document.contents, numbers, budget);
  }

  /** Where a value stands, or what is left of its path: its key, its item, or the map that lacks it. */
  placeOf(path: Path): Place {
    let node: Node | null = this.#document.contents;
    let offset = node?.range?.[0] ?? 0;
    for (const part of path) {
      node = this.#resolved(node);
      const found = isMap(node) ? pairOf(node, String(part)) : undefined;
      if (found !== undefined) {
        offset = offsetOf(found.key) ?? offset;
        node = isNode(found.value) ? found.value : null;
      } else if (isSeq(node) && typeof part === "number" && isNode(node.items[part])) {
        node = node.items[part];
        offset = node.range?.[0] ?? offset;
      } else {
        break;
      }
    }
    return this.#placeAt(offset);
  }

  #value(given: Node | null, numbers: Numbers, budget: { left: number }): unknown {
    budget.left -= 1;
    if (budget.left < 0) {
      refuse(null, `the file has more than ${MAX_VALUES} values once its aliases are resolved`);
    }
    const node = this.#resolved(given);
    if (isMap(node) || isSeq(node)) {
      return this.#collection(node, given, numbers, budget);
    }
    if (isScalar(node)) {
      return typeof node.value === "number" && numbers === "text" ? (node.source ?? String(node.value)) : node.value;
    }
    return null;
  }

  #collection(node: YAMLMap | YAMLSeq, given: Node | null, numbers: Numbers, budget: { left: number }): unknown {
    if (this.#open.has(node)) {
      this.#refuseAt(given, "this alias stands for what it is in itself");
    }
    this.#open.add(node);
    const value = isMap(node)
      ? this.#record(node, numbers, budget)
      : node.items.map((item) => this.#value(isNode(item) ? item : null, numbers, budget));
    this.#open.delete(node);
    return value;
  }

  #record(map: YAMLMap, numbers: Numbers, budget: { left: number }): Record<string, unknown> {
    const own: [string, unknown][] = [];
    const merged: [string, unknown][] = [];
    for (const { key, value } of map.items) {
      const name = isScalar(key) ? (key.source ?? String(key.value)) : null;
      if (name === null) {
        return this.#refuseAt(isNode(key) ? key : map, "a key must be plain text");
      }
      const plain = this.#value(isNode(value) ? value : null, numbers, budget);
      if (name === "<<") {
        const maps: unknown[] = Array.isArray(plain) ? plain : [plain];
        if (!maps.every(isRecord)) {
          return this.#refuseAt(isNode(key) ? key : map, "<< needs an object, or a list of objects");
        }
        merged.push(...maps.flatMap((each) => Object.entries(each)));
      } else {
        own.push([name, plain]);
      }
    }
    // Of several merged maps the first has a key, and the map's own keys go before all of them.
    return Object.fromEntries([...merged.reverse(), ...own]);
  }

  #resolved(node: Node | null): Node | null {
    if (!isAlias(node)) {
      return node;
    }
    const known = this.#aliases.get(node);
    if (known !== undefined) {
      return known;
    }
    const meant = node.resolve(this.#document);
    if (meant === undefined) {
      // As nothing at all it could leave out the choice of tags, and copy all of them.
      return this.#refuseAt(node, `there is no &${node.source} before this *${node.source}`);
    }
    this.#aliases.set(node, meant);
    return meant;
  }

  #refuseAt(node: Node | null, message: string): never {
    throw new SyncFileError([{ path: null, message, at: this.#placeAt(offsetOf(node) ?? 0) }]);
  }

  #placeAt(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

function pairOf(map: YAMLMap, name: string): Pair | undefined {
  return map.items.find(({ key }) => isScalar(key) && (key.source ?? String(key.value)) === name);
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * What a {@link CopyPlan} is made of: names, manifests and blobs with what they wait for, and what can be told from how they
 * hang together. Pure.
 */

export interface Root {
  key: string;
  node: Node;
  /** Its name is not written before it is known what is attached to it. */
  held: boolean;
  /** Its name may be written: said once. */
  offered: boolean;
  /** Manifests that refer to what is below this root, and go before its name. */
  attached: Set<Node>;
  /** Of these, how many are not at the target yet. */
  missingAttached: number;
  /** Manifests and blobs that were first seen below this root, for the bounds. */
  manifests: number;
  blobs: number;
}

export interface Node {
  digest: string;
  /** -1: not known yet. */
  sizeBytes: number;
  depth: number;
  state: "known" | "read" | "ready" | "published";
  /** What it needs is known; else it was found at the target, or has not been read yet. */
  isRead: boolean;
  /** It is to be pushed by its digest: said once. */
  offered: boolean;
  /** False for an entry of an index that turned out to be a blob: it counts as published once the blob is there. */
  push: boolean;
  /** A look has found it at the target, though what it refers to may be missing there. */
  isThere: boolean;
  /** An index of which only the chosen platforms are copied, though it stays as it is: its name in words. Else null. */
  narrowed: string | null;
  /** Something it needs was missing at the target, or it was itself. */
  changed: boolean;
  /** Blobs and children that are not at the target yet; meaningful once read. */
  missing: number;
  /** The root it was first seen below. */
  owner: Root | null;
  roots: Set<Root>;
  /** Roots that it is attached to. */
  holders: Set<Root>;
  /** What needs it: indexes, and manifests that refer to it. */
  parents: Set<Node>;
  /** What has to be there before it; of a manifest that refers to another, that one too. */
  children: Node[];
  blobs: Blob[];
}

export interface Blob {
  digest: string;
  sizeBytes: number;
  arrived: boolean;
  wantedBy: Set<Node>;
}

export function newNode(digest: string, sizeBytes: number, depth: number, owner: Root | null): Node {
  return {
    digest,
    sizeBytes,
    depth,
    state: "known",
    isRead: false,
    offered: false,
    push: true,
    isThere: false,
    narrowed: null,
    changed: false,
    missing: 0,
    owner,
    roots: new Set(),
    holders: new Set(),
    parents: new Set(),
    children: [],
    blobs: [],
  };
}

/** Upwards through all parents; a loop ends where it began. */
export function rootsAbove(nodes: Iterable<Node>): string[] {
  const keys = new Set<string>();
  const seen = new Set(nodes);
  for (const node of seen) {
    for (const { key } of [...node.roots, ...node.holders]) {
      keys.add(key);
    }
    for (const parent of node.parents) {
      seen.add(parent);
    }
  }
  return [...keys];
}

/** Whether it still waits for something. */
export function isOpen({ state }: Node): boolean {
  return state === "known" || state === "read";
}

/** Whether a manifest cannot be pushed before another. */
export function needs(node: Node, other: Node): boolean {
  const seen = new Set([node]);
  for (const each of seen) {
    each.children.forEach((child) => seen.add(child));
  }
  return seen.has(other);
}

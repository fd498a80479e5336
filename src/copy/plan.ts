/**
 * What is left of one copy, in memory: which manifests wait for which blobs and children. Pure bookkeeping: it decides
 * the order (children before parents, the root last), and reads, sends and stores nothing.
 */
import { type Descriptor, type ManifestGraph, manifestError } from "./graph.ts";

/** Bounds of one copy: far above what any image has, low enough that a hostile index cannot fill the ledger. */
export const MAX_MANIFESTS = 2_000;
export const MAX_BLOBS = 20_000;
/** Indexes within indexes; real ones have two levels. */
export const MAX_DEPTH = 32;

interface Node {
  digest: string;
  sizeBytes: number;
  depth: number;
  state: "known" | "read" | "taken" | "published";
  /** False for an entry of an index that turned out to be a blob: it counts as published once the blob is there. */
  push: boolean;
  /** Blobs and children that are not at the target yet; meaningful once read. */
  missing: number;
  parents: Node[];
}

interface Blob {
  sizeBytes: number;
  arrived: boolean;
  wantedBy: Node[];
}

/** What a manifest has brought that was not known before. */
export interface Additions {
  /** To be read next, unless known to be at the target. */
  children: Descriptor[];
  /** To be sent, unless known to be at the target. */
  blobs: Descriptor[];
}

export class CopyPlan {
  readonly #host: string;
  readonly #root: Node;
  readonly #nodes = new Map<string, Node>();
  readonly #blobs = new Map<string, Blob>();
  #missingBlobs = 0;
  #ready: Node[] = [];

  /** @param host Source registry, for errors. */
  constructor(host: string, root: { digest: string; sizeBytes: number }) {
    this.#host = host;
    this.#root = this.#know(root, 0);
  }

  /** The manifest that the copy is about. */
  get rootDigest(): string {
    return this.#root.digest;
  }

  /** The root is at the target: nothing is left. */
  get done(): boolean {
    return this.#root.state === "published";
  }

  /** How many blobs are not at the target yet. */
  get missingBlobs(): number {
    return this.#missingBlobs;
  }

  /**
   * A manifest of this plan has been read. Reading it again changes nothing.
   * @param push False: it is no manifest after all, only `graph.blobs` have to arrive.
   * @throws CopyError `manifest_invalid` when sizes contradict each other or a bound is passed.
   */
  add(digest: string, graph: Pick<ManifestGraph, "children" | "blobs">, push = true): Additions {
    const node = this.#nodes.get(digest);
    if (node === undefined || node.state !== "known") {
      return { children: [], blobs: [] };
    }
    const children = graph.children.filter((child) => this.#link(node, child));
    const blobs = graph.blobs.filter((blob) => this.#want(node, blob));
    node.state = "read";
    node.push = push;
    this.#settle(node);
    return { children, blobs };
  }

  /** A blob is at the target. Unknown digests and repetitions change nothing. */
  blobArrived(digest: string): void {
    const blob = this.#blobs.get(digest);
    if (blob === undefined || blob.arrived) {
      return;
    }
    blob.arrived = true;
    this.#missingBlobs -= 1;
    for (const node of blob.wantedBy) {
      this.#fulfil(node);
    }
  }

  /** A manifest is at the target, pushed or found there, and with it all it refers to. */
  published(digest: string): void {
    const node = this.#nodes.get(digest);
    if (node !== undefined) {
      this.#publish(node);
    }
  }

  /** Manifests that may be pushed now; each is answered once. The root comes when nothing else is left. */
  takeReady(): string[] {
    const ready = this.#ready;
    this.#ready = [];
    return ready.map((node) => node.digest);
  }

  /** Registers a child; true when it was not known before. */
  #link(parent: Node, descriptor: Descriptor): boolean {
    const known = this.#nodes.get(descriptor.digest);
    if (known !== undefined && known.sizeBytes !== descriptor.sizeBytes) {
      throw this.#conflict(parent, descriptor, known);
    }
    const child = known ?? this.#know(descriptor, parent.depth + 1);
    if (child.state !== "published") {
      parent.missing += 1;
      child.parents.push(parent);
    }
    return known === undefined;
  }

  #want(node: Node, descriptor: Descriptor): boolean {
    const known = this.#blobs.get(descriptor.digest);
    if (known !== undefined && known.sizeBytes !== descriptor.sizeBytes) {
      throw this.#conflict(node, descriptor, known);
    }
    const blob = known ?? { sizeBytes: descriptor.sizeBytes, arrived: false, wantedBy: [] };
    if (known === undefined) {
      if (this.#blobs.size >= MAX_BLOBS) {
        throw this.#tooMuch(node.digest, `more than ${MAX_BLOBS} blobs`);
      }
      this.#blobs.set(descriptor.digest, blob);
      this.#missingBlobs += 1;
    }
    if (!blob.arrived) {
      node.missing += 1;
      blob.wantedBy.push(node);
    }
    return known === undefined;
  }

  #know(descriptor: { digest: string; sizeBytes: number }, depth: number): Node {
    if (depth > MAX_DEPTH) {
      throw this.#tooMuch(descriptor.digest, `more than ${MAX_DEPTH} indexes within each other`);
    }
    if (this.#nodes.size >= MAX_MANIFESTS) {
      throw this.#tooMuch(descriptor.digest, `more than ${MAX_MANIFESTS} manifests`);
    }
    const { digest, sizeBytes } = descriptor;
    const node: Node = { digest, sizeBytes, depth, state: "known", push: true, missing: 0, parents: [] };
    this.#nodes.set(digest, node);
    return node;
  }

  #fulfil(node: Node): void {
    node.missing -= 1;
    this.#settle(node);
  }

  #settle(node: Node): void {
    if (node.state !== "read" || node.missing > 0) {
      return;
    }
    if (node.push) {
      node.state = "taken";
      this.#ready.push(node);
    } else {
      this.#publish(node);
    }
  }

  #publish(node: Node): void {
    if (node.state === "published") {
      return;
    }
    node.state = "published";
    for (const parent of node.parents) {
      this.#fulfil(parent);
    }
  }

  #conflict(node: Node, descriptor: Descriptor, known: { sizeBytes: number }) {
    const sizes = `${known.sizeBytes} and ${descriptor.sizeBytes} bytes`;
    return manifestError(
      { host: this.#host, digest: node.digest },
      `names ${descriptor.digest} with another size than a manifest before it: ${sizes}`,
    );
  }

  #tooMuch(digest: string, what: string) {
    return manifestError({ host: this.#host, digest }, `makes this copy too large: ${what}`);
  }
}

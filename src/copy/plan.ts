/**
 * What is left of one copy, in memory: which names wait for which manifests, and which manifests for which blobs and
 * children. Pure bookkeeping: it decides the order (children before parents, a name after all it stands for), and reads,
 * sends and stores nothing.
 *
 * A copy has one root per name that it writes at the target. Roots share manifests and blobs, so what several need is asked
 * for once. A root that has ended takes along whatever no other root needs, so that memory goes by the roots that are open.
 */
import { type Descriptor, type ManifestGraph, manifestError } from "./graph.ts";
import { type Blob, isOpen, needs, newNode, type Node, type Root, rootsAbove } from "./plan-node.ts";

/** Bounds of one root: far above what any image has, low enough that a hostile index cannot fill the ledger. */
export const MAX_MANIFESTS = 2_000;
export const MAX_BLOBS = 20_000;
/** Indexes within indexes; real ones have two levels. */
export const MAX_DEPTH = 32;

/** What a manifest has brought that was not known before. */
export interface Additions {
  /** To be read next, unless known to be at the target. */
  children: Descriptor[];
  /** To be sent, unless known to be at the target. */
  blobs: Descriptor[];
}

/** A manifest that may be pushed: under the name of a root, or (null) by its digest. */
export interface Push {
  digest: string;
  root: string | null;
}

export class CopyPlan {
  readonly #host: string;
  readonly #roots = new Map<string, Root>();
  readonly #nodes = new Map<string, Node>();
  readonly #blobs = new Map<string, Blob>();
  #missingBlobs = 0;
  #ready: Push[] = [];

  /** @param host Source registry, for errors. */
  constructor(host: string) {
    this.#host = host;
  }

  /** Keys of the roots that have not ended, oldest first. */
  get roots(): string[] {
    return [...this.#roots.keys()];
  }

  /** How many blobs are not at the target yet. */
  get missingBlobs(): number {
    return this.#missingBlobs;
  }

  /** How much is kept in memory: manifests and blobs. */
  get size(): number {
    return this.#nodes.size + this.#blobs.size;
  }

  /** Whether a root that has not ended needs this manifest. */
  has(digest: string): boolean {
    return this.#nodes.has(digest);
  }

  /**
   * Begins with a root: the manifest that is to have a name at the target.
   * @param key Any text that no other root of this plan has.
   * @param held Its name has to wait until {@link letGo}: it is not known yet what is attached to it.
   * @returns Whether the manifest was unknown so far, so that it has to be read.
   */
  addRoot(key: string, { digest, sizeBytes }: { digest: string; sizeBytes: number }, held = false): boolean {
    const known = this.#nodes.get(digest);
    const node = known ?? newNode(digest, sizeBytes, 0, null);
    const root: Root = {
      key,
      node,
      held,
      offered: false,
      attached: new Set(),
      missingAttached: 0,
      manifests: 1,
      blobs: 0,
    };
    node.owner ??= root;
    node.roots.add(root);
    this.#nodes.set(digest, node);
    this.#roots.set(key, root);
    this.#offerRoot(root);
    return known === undefined;
  }

  /** A look has found this manifest at the target, though what it refers to may be missing there. */
  found(digest: string): void {
    const node = this.#nodes.get(digest);
    if (node !== undefined) {
      node.isThere = true;
    }
  }

  /** Whether the target has this very manifest: it need not be pushed. */
  isThere(digest: string): boolean {
    return this.#nodes.get(digest)?.isThere === true;
  }

  /** Of this index only the platforms that are asked for are copied, though it stays as it is. */
  narrow(digest: string, name: string): void {
    const node = this.#nodes.get(digest);
    if (node !== undefined) {
      node.narrowed = name;
    }
  }

  /** The name of an index that is narrowed; null: it is copied whole. */
  narrowed(digest: string): string | null {
    return this.#nodes.get(digest)?.narrowed ?? null;
  }

  /** Whether all is known that the manifest of a root needs. */
  isClosed(key: string): boolean {
    const root = this.#roots.get(key);
    const seen = new Set(root === undefined ? [] : [root.node]);
    for (const node of seen) {
      if (node.state === "known") {
        return false;
      }
      node.children.forEach((child) => seen.add(child));
    }
    return true;
  }

  /** Digests of what a manifest names as its children; null: it has not been read, or nobody needs it. */
  childrenOf(digest: string): string[] | null {
    const node = this.#nodes.get(digest);
    return node?.isRead === true ? node.children.map((child) => child.digest) : null;
  }

  /**
   * A manifest refers to `subject`, which is part of a root: it is pushed after that, and before the root's name is written.
   * @returns Whether it was unknown so far, so that it has to be read.
   * @throws CopyError `manifest_invalid` when sizes contradict each other or a bound is passed.
   */
  attach(key: string, subject: string, descriptor: Descriptor): boolean {
    const root = this.#roots.get(key);
    const known = this.#nodes.get(descriptor.digest);
    if (root === undefined || known === root.node || (known !== undefined && root.attached.has(known))) {
      return false;
    }
    if (known !== undefined && known.sizeBytes >= 0 && known.sizeBytes !== descriptor.sizeBytes) {
      throw this.#conflict(root.node, descriptor, known);
    }
    const node = known ?? this.#know(descriptor, 0, root);
    root.attached.add(node);
    node.holders.add(root);
    root.missingAttached += node.state === "published" ? 0 : 1;
    const about = this.#nodes.get(subject);
    // A list of referrers may claim anything; the order only matters where it is possible.
    if (about !== undefined && isOpen(node) && !node.children.includes(about) && !needs(about, node)) {
      node.children.push(about);
      about.parents.add(node);
      node.missing += about.state === "published" ? 0 : 1;
      this.#offerByDigest(about);
    }
    this.#offerByDigest(node);
    return known === undefined;
  }

  /** All that is attached to a root is known: its name may be written once that is at the target too. */
  letGo(key: string): void {
    const root = this.#roots.get(key);
    if (root !== undefined) {
      root.held = false;
      this.#offerRoot(root);
    }
  }

  /** Digest of the manifest of a root; null: there is no such root (any more). */
  digestOf(key: string): string | null {
    return this.#roots.get(key)?.node.digest ?? null;
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
    node.isRead = true;
    node.push = push;
    this.#settle(node);
    return { children, blobs };
  }

  /**
   * A blob is at the target. Unknown digests and repetitions change nothing.
   * @param moved It was not there before.
   */
  blobArrived(digest: string, moved = true): void {
    const blob = this.#blobs.get(digest);
    if (blob === undefined || blob.arrived) {
      return;
    }
    blob.arrived = true;
    this.#missingBlobs -= 1;
    for (const node of blob.wantedBy) {
      this.#fulfil(node, moved);
    }
  }

  /**
   * A manifest is at the target, and with it all it refers to.
   * @param moved It was not there before.
   */
  published(digest: string, moved = true): void {
    const node = this.#nodes.get(digest);
    if (node === undefined || node.state === "published") {
      return;
    }
    node.changed ||= moved;
    this.#publish(node);
  }

  /** What may be pushed now; each is answered once. A root comes when all below it is there. */
  takeReady(): Push[] {
    const ready = this.#ready;
    this.#ready = [];
    // What nobody needs any more, since its roots have failed, is not pushed.
    return ready.filter(({ digest, root }) => (root === null ? this.#nodes.has(digest) : this.#roots.has(root)));
  }

  /**
   * The name of a root has been written, or it is given up: forgets what no other root needs.
   * @returns Whether anything below it was missing at the target.
   */
  endRoot(key: string): boolean {
    const root = this.#roots.get(key);
    if (root === undefined) {
      return false;
    }
    const { node, attached } = root;
    const hasChanged = node.changed || [...attached].some(({ changed }) => changed);
    this.#roots.delete(key);
    node.roots.delete(root);
    if (node.parents.size > 0 || node.holders.size > 0) {
      // The push under this root's name would have served those too.
      this.#offerByDigest(node);
    }
    attached.forEach(({ holders }) => holders.delete(root));
    [node, ...attached].forEach((each) => this.#release(each));
    return hasChanged;
  }

  /** Keys of the roots that cannot be finished without this manifest. */
  rootsOfManifest(digest: string): string[] {
    const node = this.#nodes.get(digest);
    return node === undefined ? [] : rootsAbove([node]);
  }

  /** Keys of the roots that cannot be finished without this blob. */
  rootsOfBlob(digest: string): string[] {
    return rootsAbove(this.#blobs.get(digest)?.wantedBy ?? []);
  }

  /** Registers a child; true when it was not known before. */
  #link(parent: Node, descriptor: Descriptor): boolean {
    const known = this.#nodes.get(descriptor.digest);
    if (known !== undefined && known.sizeBytes >= 0 && known.sizeBytes !== descriptor.sizeBytes) {
      throw this.#conflict(parent, descriptor, known);
    }
    const child = known ?? this.#know(descriptor, parent.depth + 1, parent.owner);
    if (child.parents.has(parent)) {
      // It refers to what it names, and waits for that since it was attached.
      return false;
    }
    child.parents.add(parent);
    parent.children.push(child);
    if (child.state === "published") {
      parent.changed ||= child.changed;
    } else {
      parent.missing += 1;
      // A name that has to wait, for this very parent perhaps, would keep it from being pushed.
      this.#offerByDigest(child);
    }
    return known === undefined;
  }

  #want(node: Node, descriptor: Descriptor): boolean {
    const { digest, sizeBytes } = descriptor;
    const known = this.#blobs.get(digest);
    if (known !== undefined && known.sizeBytes !== sizeBytes) {
      throw this.#conflict(node, descriptor, known);
    }
    const blob = known ?? { digest, sizeBytes, arrived: false, wantedBy: new Set() };
    if (known === undefined) {
      if (node.owner !== null && ++node.owner.blobs > MAX_BLOBS) {
        throw this.#tooMuch(node.digest, `more than ${MAX_BLOBS} blobs`);
      }
      this.#blobs.set(digest, blob);
      this.#missingBlobs += 1;
    }
    node.blobs.push(blob);
    blob.wantedBy.add(node);
    if (!blob.arrived) {
      node.missing += 1;
    }
    return known === undefined;
  }

  #know({ digest, sizeBytes }: Descriptor, depth: number, owner: Root | null): Node {
    if (depth > MAX_DEPTH) {
      throw this.#tooMuch(digest, `more than ${MAX_DEPTH} indexes within each other`);
    }
    if (owner !== null && ++owner.manifests > MAX_MANIFESTS) {
      throw this.#tooMuch(digest, `more than ${MAX_MANIFESTS} manifests`);
    }
    const node = newNode(digest, sizeBytes, depth, owner);
    this.#nodes.set(digest, node);
    return node;
  }

  #fulfil(node: Node, changed: boolean): void {
    node.missing -= 1;
    node.changed ||= changed;
    this.#settle(node);
  }

  #settle(node: Node): void {
    if (node.state !== "read" || node.missing > 0) {
      return;
    }
    if (!node.push) {
      this.#publish(node);
      return;
    }
    node.state = "ready";
    node.roots.forEach((root) => this.#offerRoot(root));
    this.#offerByDigest(node);
  }

  #offerRoot(root: Root): void {
    const { key, node, held, missingAttached } = root;
    if (!root.offered && !held && missingAttached === 0 && !isOpen(node)) {
      root.offered = true;
      this.#ready.push({ digest: node.digest, root: key });
    }
  }

  /** Under the name of a root it would be pushed as well; without one it is pushed for those who wait for it. */
  #offerByDigest(node: Node): void {
    const hasName = [...node.roots].some(({ offered }) => offered);
    const isWanted = node.roots.size === 0 || node.parents.size > 0 || node.holders.size > 0;
    if (node.state === "ready" && !node.offered && !hasName && isWanted) {
      node.offered = true;
      this.#ready.push({ digest: node.digest, root: null });
    }
  }

  #publish(node: Node): void {
    node.state = "published";
    node.roots.forEach((root) => this.#offerRoot(root));
    for (const parent of node.parents) {
      this.#fulfil(parent, node.changed);
    }
    for (const root of node.holders) {
      root.missingAttached -= 1;
      this.#offerRoot(root);
    }
  }

  /** Forgets a manifest that nobody needs any more, and with it what only it needed. */
  #release(first: Node): void {
    const queue = [first];
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      const isNeeded = node.roots.size > 0 || node.parents.size > 0 || node.holders.size > 0;
      if (isNeeded || !this.#nodes.delete(node.digest)) {
        continue;
      }
      for (const child of node.children) {
        child.parents.delete(node);
        queue.push(child);
      }
      for (const blob of node.blobs) {
        blob.wantedBy.delete(node);
        if (blob.wantedBy.size === 0 && this.#blobs.delete(blob.digest) && !blob.arrived) {
          this.#missingBlobs -= 1;
        }
      }
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

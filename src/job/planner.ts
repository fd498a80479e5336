/**
 * Reads at both ends until everything that has to move is known: compares, walks the source's manifests, and offers the
 * blobs of each as soon as it is read. Writes what it learns into the ledger; pushes nothing.
 */
import { type Descriptor, INDEX_TYPES, MANIFEST_TYPES, type ManifestGraph, parseManifest } from "../copy/graph.ts";
import { checkTargetDigest, childSizeMismatch, sourceMissing, sourceName, targetName } from "../copy/opening.ts";
import { CopyPlan } from "../copy/plan.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { Manifest, ManifestHead, Registry } from "../registry/contract.ts";
import { errorDetailOf } from "../registry/errors.ts";
import type { EventLog, NewEvent } from "./events.ts";
import type { Ledger, ManifestState, TargetRepository } from "./ledger.ts";
import { Pool } from "./pool.ts";

/** Manifests read at once: an object may have six connections waiting for answers. */
const READS_AT_ONCE = 6;

export interface PlannerParts {
  request: CopyRequest;
  source: Registry;
  target: Registry;
  ledger: Ledger;
  events: EventLog;
  now: () => number;
  /** Hands blobs to the target's host. */
  offer: (blobs: { digest: string; sizeBytes: number; sinceMs: number }[], mayExist: boolean) => Promise<void>;
  /** Before the writes of a step: books the clients' counts and warnings; throws when the run has been stopped. */
  beginStep: () => void;
  /** Something was added to the plan, or has been found at the target. */
  onPlan: () => void;
  onError: (error: unknown) => void;
  /** Nothing is under way here any more. */
  onIdle: () => void;
}

export class Planner {
  readonly #parts: PlannerParts;
  readonly #reads: Pool;
  /** Blobs that are at the target, whether the plan knows them yet or not. */
  readonly #arrived: Set<string>;
  #plan: CopyPlan | null = null;
  #repository: TargetRepository = "unknown";

  constructor(parts: PlannerParts) {
    this.#parts = parts;
    this.#arrived = new Set(parts.ledger.arrivedBlobs());
    this.#reads = new Pool(READS_AT_ONCE, parts.onError, parts.onIdle);
  }

  /** Null until both ends have been compared. */
  get plan(): CopyPlan | null {
    return this.#plan;
  }

  get idle(): boolean {
    return this.#reads.idle;
  }

  /** Whether blobs may be at the target already, so that looking first is worth a request. */
  get mayExist(): boolean {
    return this.#repository !== "new";
  }

  stop(): void {
    this.#reads.stop();
  }

  blobArrived(digest: string): void {
    this.#arrived.add(digest);
    this.#plan?.blobArrived(digest);
  }

  /**
   * Compares both ends and starts the walk; the rest comes through `onPlan`.
   * @returns False: the target has it already, nothing is to do.
   */
  async open(): Promise<boolean> {
    const { request, source, target, ledger, events } = this.#parts;
    const name = targetName(request);
    const targetHead = name === null ? Promise.resolve(null) : target.headManifest(request.target.repository, name);
    const repository = targetHead.then((head) => (head === null ? this.#lookAtRepository() : "holds_tag"));
    // Its error is the error of `targetHead`, which is waited for below.
    repository.catch(() => {});
    const pinned = request.source.digest;
    const sourceHead: Promise<Pick<ManifestHead, "digest"> | null> =
      pinned === undefined
        ? source.headManifest(request.source.repository, sourceName(request))
        : Promise.resolve({ digest: pinned });
    const [there, here] = await Promise.all([targetHead, sourceHead]);
    if (here === null) {
      throw sourceMissing(request);
    }
    if (here.digest !== "") {
      checkTargetDigest(request, here.digest);
    }
    if (there !== null && there.digest === here.digest) {
      this.#parts.beginStep();
      ledger.opened(there.digest, "holds_tag");
      ledger.manifestPresent(there);
      events.append(manifestEvent(there.digest, there.sizeBytes, "present"));
      return false;
    }
    const [manifest, known, rootThere] = await Promise.all([
      source.getManifest(request.source.repository, here.digest === "" ? sourceName(request) : here.digest),
      repository,
      there === null || here.digest === "" ? null : target.headManifest(request.target.repository, here.digest),
    ]);
    checkTargetDigest(request, manifest.digest);
    this.#parts.beginStep();
    this.#repository = known;
    ledger.opened(manifest.digest, known);
    this.#plan = this.#newPlan(manifest.digest, manifest.bytes.byteLength);
    await this.#take(manifest, rootThere === null ? "read" : "present");
    return true;
  }

  /** Goes on from the ledger, without reading again what it holds. */
  resume(root: string, repository: TargetRepository): void {
    this.#repository = repository;
    const known = new Map(this.#parts.ledger.manifests().map((row) => [row.digest, row]));
    const rootRow = known.get(root);
    const plan = this.#newPlan(root, rootRow?.sizeBytes ?? 0);
    this.#plan = plan;
    const queue: Descriptor[] = [{ digest: root, sizeBytes: rootRow?.sizeBytes ?? -1, mediaType: "" }];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const state = known.get(next.digest)?.state;
      const manifest = state === undefined ? null : this.#parts.ledger.manifest(next.digest);
      // A root that was found by its digest still has to get its tag.
      if (state === "copied" || (state === "present" && next.digest !== root)) {
        plan.published(next.digest);
      } else if (manifest === null) {
        this.#read(next);
      } else {
        const { children, blobs } = this.#add(next.digest, this.#parse(manifest));
        // Nothing is new here, unless the run before broke in the middle of a step.
        this.#parts.ledger.addBlobs(blobs, "waiting", this.#parts.now());
        queue.push(...children);
      }
    }
    this.#parts.onPlan();
  }

  #newPlan(digest: string, sizeBytes: number): CopyPlan {
    return new CopyPlan(this.#parts.request.source.host, { digest, sizeBytes });
  }

  /** A repository that does not exist holds no blobs; what cannot be told counts as existing. */
  async #lookAtRepository(): Promise<TargetRepository> {
    try {
      const tags = await this.#parts.target.listTags(this.#parts.request.target.repository, { limit: 1 });
      return tags === null ? "new" : "unknown";
    } catch {
      return "unknown";
    }
  }

  #read(descriptor: Descriptor): void {
    this.#reads.add(() => this.#readNow(descriptor));
  }

  async #readNow(descriptor: Descriptor): Promise<void> {
    const { request, source, target, ledger, events } = this.#parts;
    const { digest, sizeBytes } = descriptor;
    // In a repository without this tag the children are hardly ever there: not worth a request each. And a root that is
    // there still has to get its tag.
    const mayBeThere = this.#repository === "holds_tag" && digest !== this.#plan?.rootDigest;
    if (mayBeThere && (await target.headManifest(request.target.repository, digest)) !== null) {
      this.#parts.beginStep();
      ledger.manifestPresent(descriptor);
      events.append(manifestEvent(digest, sizeBytes, "present"));
      this.#plan?.published(digest);
      this.#parts.onPlan();
      return;
    }
    const manifest = await this.#fetch(descriptor);
    if (manifest === null) {
      await this.#takeAsBlob(descriptor);
      return;
    }
    const actual = manifest.bytes.byteLength;
    if (sizeBytes >= 0 && actual !== sizeBytes) {
      throw childSizeMismatch(source.host, digest, sizeBytes, actual);
    }
    await this.#take({ ...manifest, mediaType: descriptor.mediaType || manifest.mediaType }, "read");
  }

  /** Null: an index may name things of any type, and what is no manifest is kept as a blob (image-spec, "Image index"). */
  async #fetch(descriptor: Descriptor): Promise<Manifest | null> {
    const { request, source } = this.#parts;
    try {
      return await source.getManifest(request.source.repository, descriptor.digest);
    } catch (error) {
      const known = descriptor.mediaType === "" || [...INDEX_TYPES, ...MANIFEST_TYPES].includes(descriptor.mediaType);
      if (known || errorDetailOf(error).code !== "not_found") {
        throw error;
      }
      return null;
    }
  }

  /** A manifest that has just been read: into the plan and the ledger in one step, then its blobs go out. */
  async #take(manifest: Manifest, state: ManifestState): Promise<void> {
    const { ledger, events, now } = this.#parts;
    const graph = this.#parse(manifest);
    const { children, blobs } = this.#add(manifest.digest, graph);
    const present = state === "present";
    this.#parts.beginStep();
    ledger.saveManifest({ ...manifest, mediaType: graph.mediaType }, state);
    ledger.addBlobs(blobs, present ? "present" : "waiting", now());
    events.append(manifestEvent(manifest.digest, manifest.bytes.byteLength, state));
    events.append(...blobs.map((blob) => blobEvent(blob, present ? "present" : "waiting")));
    events.warn(graph.warnings);
    if (present) {
      for (const child of children) {
        ledger.manifestPresent(child);
        this.#plan?.published(child.digest);
      }
      for (const blob of blobs) {
        this.blobArrived(blob.digest);
      }
    } else {
      for (const child of children) {
        this.#read(child);
      }
    }
    this.#parts.onPlan();
    if (!present) {
      await this.#offer(blobs);
    }
  }

  async #takeAsBlob(descriptor: Descriptor): Promise<void> {
    const { ledger, events, now } = this.#parts;
    const { blobs } = this.#add(descriptor.digest, { children: [], blobs: [descriptor] }, false);
    this.#parts.beginStep();
    ledger.addBlobs(blobs, "waiting", now());
    events.append(...blobs.map((blob) => blobEvent(blob, "waiting")));
    this.#parts.onPlan();
    await this.#offer(blobs);
  }

  #add(digest: string, graph: Pick<ManifestGraph, "children" | "blobs">, push = true) {
    const plan = this.#plan;
    if (plan === null) {
      return { children: [], blobs: [] };
    }
    const additions = plan.add(digest, graph, push);
    for (const blob of additions.blobs) {
      if (this.#arrived.has(blob.digest)) {
        plan.blobArrived(blob.digest);
      }
    }
    return additions;
  }

  #offer(blobs: Descriptor[]): Promise<void> {
    const sinceMs = this.#parts.now();
    const missing = blobs.filter((blob) => !this.#arrived.has(blob.digest));
    if (missing.length === 0) {
      return Promise.resolve();
    }
    return this.#parts.offer(
      missing.map(({ digest, sizeBytes }) => ({ digest, sizeBytes, sinceMs })),
      this.mayExist,
    );
  }

  #parse(manifest: Manifest): ManifestGraph {
    const { digest, mediaType, bytes } = manifest;
    return parseManifest({ host: this.#parts.source.host, digest, mediaType, bytes });
  }
}

export function manifestEvent(digest: string, sizeBytes: number, state: ManifestState): NewEvent {
  return { type: "manifest", data: { digest, sizeBytes, state } };
}

function blobEvent(blob: Descriptor, state: "waiting" | "present"): NewEvent {
  return { type: "blob", data: { digest: blob.digest, sizeBytes: blob.sizeBytes, state } };
}

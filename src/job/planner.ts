/**
 * Walks the source's manifests below the roots that it is given, until everything that has to move is known, and offers the
 * blobs of each as soon as it is read. Writes what it learns into the ledger; pushes nothing.
 */
import { type Descriptor, INDEX_TYPES, MANIFEST_TYPES, type ManifestGraph, parseManifest } from "../copy/graph.ts";
import { childSizeMismatch } from "../copy/opening.ts";
import { planPlatforms } from "../copy/platform-plan.ts";
import type { Manifest } from "../registry/contract.ts";
import { type ErrorDetail, errorDetailOf } from "../registry/errors.ts";
import type { NewEvent } from "./events.ts";
import { unexplained } from "./failures.ts";
import type { ManifestState } from "./manifest-ledger.ts";
import type { WaitingBlob } from "./offers.ts";
import { Pool } from "./pool.ts";
import type { PoolParts } from "./step.ts";

/** Manifests read at once: an object may have six connections waiting for answers. */
const READS_AT_ONCE = 6;

/** Types of an index's entry that say manifest, or nothing: asked for as a manifest first. Others are hardly ever one. */
const MAY_BE_MANIFEST = /^$|manifest|index|^application\/(?:json|octet-stream)$|^text\/plain$/;

export interface PlannerParts extends PoolParts {
  now: () => number;
  /** Hands blobs to the target's host. */
  offer: (blobs: WaitingBlob[]) => void;
  /** Something was added to the plan, or has been found at the target. */
  onPlan: () => void;
  /** A manifest cannot be brought to the target; and with it no root that needs it. */
  onManifestFailed: (digest: string, error: unknown) => void;
  onBlobFailed: (digest: string, error: ErrorDetail) => void;
}

export class Planner {
  readonly #parts: PlannerParts;
  readonly #reads: Pool;

  constructor(parts: PlannerParts) {
    this.#parts = parts;
    this.#reads = new Pool(READS_AT_ONCE, parts.onError, parts.onIdle);
  }

  get idle(): boolean {
    return this.#reads.idle;
  }

  stop(): void {
    this.#reads.stop();
  }

  blobArrived(digest: string): void {
    this.#parts.plan.blobArrived(digest, this.#parts.ledger.blobs.get(digest)?.state !== "present");
  }

  /** Reads a manifest that is part of the plan. `look`: it may be at the target, as may what it refers to. */
  read(descriptor: Descriptor, look: boolean): void {
    this.#read(descriptor, look);
  }

  /** A manifest, found at the target, that nothing of the plan waits for. */
  note(descriptor: Descriptor): void {
    const { ledger, events } = this.#parts;
    if (ledger.manifests.known(descriptor.digest) === null) {
      this.#parts.beginStep();
      ledger.manifests.present(descriptor);
      events.append(manifestEvent(descriptor.digest, descriptor.sizeBytes, "present"));
    }
  }

  /** What of that which a manifest refers to is copied with it. */
  contentOf(manifest: Manifest): Pick<ManifestGraph, "children" | "blobs"> {
    return this.#parse(manifest);
  }

  /** The manifests that are copied with one, by what it says. */
  childrenIn(manifest: Manifest): string[] {
    return this.#parse(manifest).children.map(({ digest }) => digest);
  }

  /**
   * Takes up the manifest of a root as far as the ledger knows it: one that another root has brought, or that a run before
   * this one has read.
   * @returns False: it has to be read.
   */
  recall(root: string, mayBeThere: boolean): boolean {
    const { ledger, plan } = this.#parts;
    const rootState = ledger.manifests.known(root)?.state;
    const kept = rootState === undefined ? null : ledger.manifests.get(root);
    if (rootState === undefined || (rootState === "read" && kept === null)) {
      return false;
    }
    const queue: string[] = [root];
    for (let digest = queue.shift(); digest !== undefined; digest = queue.shift()) {
      const state = ledger.manifests.known(digest)?.state;
      const manifest = state === "read" ? ledger.manifests.get(digest) : null;
      if (state === "copied" || state === "present") {
        plan.published(digest, state === "copied");
      } else if (manifest !== null) {
        queue.push(...this.#recallManifest(manifest, mayBeThere));
      }
    }
    this.#parts.onPlan();
    return true;
  }

  /** A manifest of the plan that has just been read: into the plan and the ledger in one step, then its blobs go out. */
  take(manifest: Manifest, state: ManifestState, mayBeThere: boolean): void {
    const { ledger, events, plan, now } = this.#parts;
    const graph = this.#parse(manifest);
    const present = state === "present";
    this.#parts.beginStep();
    ledger.manifests.save({ ...manifest, mediaType: graph.mediaType }, state);
    const { children, blobs } = plan.add(manifest.digest, graph);
    const fresh = blobs.filter(({ digest }) => ledger.blobs.get(digest) === null);
    ledger.blobs.add(fresh, present ? "present" : "waiting", now(), manifest.place);
    events.append(
      manifestEvent(manifest.digest, manifest.bytes.byteLength, state),
      ...fresh.map((blob) => blobEvent(blob, present ? "present" : "waiting")),
    );
    events.warn(graph.warnings);
    for (const child of children) {
      if (present) {
        ledger.manifests.present(child);
        plan.published(child.digest, false);
      } else {
        this.#read(child, mayBeThere || this.#parts.request.deep === true);
      }
    }
    const waiting = this.#settleKnown(blobs);
    if (!present && plan.has(manifest.digest)) {
      this.#offer(waiting);
    }
    this.#parts.onPlan();
  }

  /** Into the plan from the ledger; answers the children that the ledger may know too. */
  #recallManifest(manifest: Manifest, mayBeThere: boolean): string[] {
    const { ledger, plan, now } = this.#parts;
    const { children, blobs } = plan.add(manifest.digest, this.#parse(manifest));
    // Nothing is new here, unless the run before broke in the middle of a step.
    ledger.blobs.add(blobs, "waiting", now());
    this.#offer(this.#settleKnown(blobs));
    const known: string[] = [];
    for (const child of children) {
      const state = ledger.manifests.known(child.digest)?.state;
      if (state === undefined || (state === "read" && ledger.manifests.get(child.digest) === null)) {
        this.#read(child, mayBeThere || this.#parts.request.deep === true);
      } else {
        known.push(child.digest);
      }
    }
    return known;
  }

  #read(descriptor: Descriptor, mayBeThere: boolean): void {
    const { plan, onManifestFailed } = this.#parts;
    this.#reads.add(async () => {
      if (!plan.has(descriptor.digest)) {
        return;
      }
      try {
        await this.#readNow(descriptor, mayBeThere);
      } catch (error) {
        onManifestFailed(descriptor.digest, error);
      }
    });
  }

  async #readNow(descriptor: Descriptor, mayBeThere: boolean): Promise<void> {
    const { request, source, target, plan } = this.#parts;
    const { digest, sizeBytes } = descriptor;
    const deep = request.deep === true;
    // Another root may have brought it in the meantime.
    if (this.recall(digest, mayBeThere)) {
      return;
    }
    if (await this.#isBlob(descriptor)) {
      if (plan.has(digest)) {
        this.#takeAsBlob(descriptor);
      }
      return;
    }
    // Where the tag is new the children are hardly ever there: not worth a request each.
    if (mayBeThere) {
      const head = await target.headManifest(request.target.repository, digest);
      if (head !== null && !deep) {
        this.#takeAsPresent(descriptor);
        return;
      }
      if (head !== null) {
        plan.found(digest);
      }
    }
    const manifest = await this.#fetch(descriptor);
    if (!plan.has(digest)) {
      return;
    }
    if (manifest === null) {
      this.#takeAsBlob(descriptor);
      return;
    }
    const actual = manifest.bytes.byteLength;
    if (sizeBytes >= 0 && actual !== sizeBytes) {
      throw childSizeMismatch(source.host, digest, sizeBytes, actual);
    }
    this.take({ ...manifest, mediaType: descriptor.mediaType || manifest.mediaType }, "read", mayBeThere);
  }

  /** An index may name things of any type, and what is no manifest is kept as a blob (image-spec, "Image index"). */
  async #isBlob({ digest, mediaType }: Descriptor): Promise<boolean> {
    const { request, source } = this.#parts;
    return !MAY_BE_MANIFEST.test(mediaType) && (await source.headBlob(request.source.repository, digest)) !== null;
  }

  /** Null: it is a blob, though its type did not say so. */
  async #fetch(descriptor: Descriptor): Promise<Manifest | null> {
    const { request, source } = this.#parts;
    try {
      return await source.getManifest(request.source.repository, descriptor.digest);
    } catch (error) {
      if ([...INDEX_TYPES, ...MANIFEST_TYPES].includes(descriptor.mediaType)) {
        throw error;
      }
      const { code } = errorDetailOf(error);
      // Some registries answer with the blob itself, or that this is no manifest; distribution breaks down over it.
      const isRefusal = ["not_found", "unsupported", "manifest_invalid"].includes(code);
      const { repository } = request.source;
      const isBlob =
        isRefusal || (code === "unavailable" && (await source.headBlob(repository, descriptor.digest)) !== null);
      if (!isBlob) {
        throw error;
      }
      return null;
    }
  }

  #takeAsPresent(descriptor: Descriptor): void {
    const { ledger, events, plan } = this.#parts;
    this.#parts.beginStep();
    ledger.manifests.present(descriptor);
    events.append(manifestEvent(descriptor.digest, descriptor.sizeBytes, "present"));
    plan.published(descriptor.digest, false);
    this.#parts.onPlan();
  }

  #takeAsBlob(descriptor: Descriptor): void {
    const { ledger, events, plan, now } = this.#parts;
    this.#parts.beginStep();
    const { blobs } = plan.add(descriptor.digest, { children: [], blobs: [descriptor] }, false);
    const fresh = blobs.filter(({ digest }) => ledger.blobs.get(digest) === null);
    ledger.blobs.add(fresh, "waiting", now());
    events.append(...fresh.map((blob) => blobEvent(blob, "waiting")));
    const waiting = this.#settleKnown(blobs);
    this.#parts.onPlan();
    this.#offer(waiting);
  }

  /**
   * Blobs that are new to the plan but not to the ledger: other roots have had them.
   * @returns Those that wait. Where the roots that had them have failed, nobody has offered them since.
   */
  #settleKnown(blobs: Descriptor[]): Descriptor[] {
    const { ledger, plan, onBlobFailed, target } = this.#parts;
    const waiting: Descriptor[] = [];
    for (const blob of blobs) {
      const { digest } = blob;
      const known = ledger.blobs.get(digest);
      if (known?.state === "failed") {
        onBlobFailed(digest, known.error ?? unexplained(target.host, digest));
      } else if (known?.state === "waiting") {
        waiting.push(blob);
      } else if (known !== null) {
        plan.blobArrived(digest, known.state !== "present");
      }
    }
    return waiting;
  }

  #offer(blobs: Descriptor[]): void {
    const sinceMs = this.#parts.now();
    this.#parts.offer(blobs.map(({ digest, sizeBytes }) => ({ digest, sizeBytes, sinceMs })));
  }

  #parse(manifest: Manifest): ManifestGraph {
    const { digest, mediaType, bytes } = manifest;
    const { source, request, plan } = this.#parts;
    const includeForeign = request.includeForeign === true;
    const graph = parseManifest({ host: source.host, digest, mediaType, bytes, includeForeign });
    const name = plan.narrowed(digest);
    if (name === null || request.platforms === undefined || graph.kind !== "index") {
      return graph;
    }
    const chosen = planPlatforms(manifest, request.platforms, { host: source.host, name });
    return chosen.kind === "index" ? { ...graph, children: chosen.children } : graph;
  }
}

export function manifestEvent(digest: string, sizeBytes: number, state: ManifestState): NewEvent {
  return { type: "manifest", data: { digest, sizeBytes, state } };
}

function blobEvent(blob: Descriptor, state: "waiting" | "present"): NewEvent {
  return { type: "blob", data: { digest: blob.digest, sizeBytes: blob.sizeBytes, state } };
}

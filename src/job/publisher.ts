/**
 * Pushes manifests to the target once all they refer to is there: children by digest, the root last and by its tag.
 * Bytes go out exactly as they were read.
 */
import { parseManifest } from "../copy/graph.ts";
import type { CopyPlan } from "../copy/plan.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { Manifest, Registry } from "../registry/contract.ts";
import type { EventLog } from "./events.ts";
import type { Ledger } from "./ledger.ts";
import { manifestEvent } from "./planner.ts";
import { Pool } from "./pool.ts";

/** Manifests pushed at once: an object may have six connections waiting for answers. */
const PUSHES_AT_ONCE = 6;

export interface PublisherParts {
  request: CopyRequest;
  target: Registry;
  ledger: Ledger;
  events: EventLog;
  /** Called synchronously before the root is pushed; throws when the copy no longer runs. */
  commit: () => void;
  /** Before the writes of a step: books the clients' counts and warnings; throws when the run has been stopped. */
  beginStep: () => void;
  /** A manifest has been pushed. */
  onPublished: () => void;
  onError: (error: unknown) => void;
  /** Nothing is under way here any more. */
  onIdle: () => void;
}

export class Publisher {
  readonly #parts: PublisherParts;
  readonly #pushes: Pool;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#pushes = new Pool(PUSHES_AT_ONCE, parts.onError, parts.onIdle);
  }

  get idle(): boolean {
    return this.#pushes.idle;
  }

  /** Pushes whatever the plan has ready. */
  pump(plan: CopyPlan): void {
    for (const digest of plan.takeReady()) {
      this.#pushes.add(() => this.#push(plan, digest));
    }
  }

  stop(): void {
    this.#pushes.stop();
  }

  async #push(plan: CopyPlan, digest: string): Promise<void> {
    const { request, target, ledger, events } = this.#parts;
    const isRoot = digest === plan.rootDigest;
    if (isRoot) {
      this.#parts.commit();
    }
    const manifest = ledger.manifest(digest);
    if (manifest === null) {
      throw new Error(`The ledger has lost the bytes of manifest ${digest}.`);
    }
    const name = isRoot ? (request.target.tag ?? digest) : digest;
    const { subject } = await target.putManifest(request.target.repository, name, manifest);
    this.#parts.beginStep();
    this.#noteSubject(manifest, subject);
    ledger.manifestCopied(digest);
    events.append(manifestEvent(digest, manifest.bytes.byteLength, "copied"));
    plan.published(digest);
    this.#parts.onPublished();
  }

  /**
   * Distribution-spec, "Pushing Manifests with Subject": without `OCI-Subject` in the answer the client has to list the
   * manifest under the fallback tag itself. That needs one writer per subject; until there is one, the user is told.
   */
  #noteSubject(manifest: Manifest, answered: string | null): void {
    const { digest, mediaType, bytes } = manifest;
    const { subject } = parseManifest({ host: this.#parts.request.source.host, digest, mediaType, bytes });
    if (subject === undefined || answered !== null) {
      return;
    }
    this.#parts.events.warn([
      `${this.#parts.target.host} keeps no list of referrers: ${digest} was copied, but is not found as a referrer of ${subject} there.`,
    ]);
  }
}

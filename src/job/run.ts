/**
 * One run of a copy in memory, from the first request (or from what the ledger holds) to the published root. It ends by
 * resolving or by throwing; what that means for the copy is its caller's business.
 */
import { manifestError } from "../copy/graph.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { BlobOffer } from "../host/contract.ts";
import type { Registry } from "../registry/contract.ts";
import type { EventLog } from "./events.ts";
import { endedError } from "./failures.ts";
import type { Ledger } from "./ledger.ts";
import { Planner } from "./planner.ts";
import { Publisher } from "./publisher.ts";

export interface RunParts {
  id: string;
  request: CopyRequest;
  ledger: Ledger;
  events: EventLog;
  source: Registry;
  target: Registry;
  now: () => number;
  /** Hands offers to the target's host; safe to repeat. */
  sendOffers: (offers: BlobOffer[]) => Promise<void>;
}

/** Offers of one call: far below the 32 MiB that a call may carry. */
const OFFERS_PER_CALL = 1_000;

export class CopyRun {
  readonly #parts: RunParts;
  readonly #planner: Planner;
  readonly #publisher: Publisher;
  readonly #finished = Promise.withResolvers<void>();
  readonly #requestsBefore: { source: number; target: number };
  readonly #progressAtMs = new Map<string, number>();
  #committing = false;
  #stopped = false;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#requestsBefore = parts.ledger.record()?.requests ?? { source: 0, target: 0 };
    const onError = (error: unknown) => this.#finished.reject(error);
    const beginStep = () => {
      if (this.#stopped) {
        throw endedError();
      }
      this.book();
    };
    const onIdle = () => this.#checkForLoop();
    // Without this a failure that nobody waits for any more would count as unhandled.
    this.#finished.promise.catch(() => {});
    this.#planner = new Planner({
      ...parts,
      beginStep,
      onError,
      onIdle,
      offer: (blobs, mayExist) => this.#offer(blobs, mayExist),
      onPlan: () => this.#pump(),
    });
    this.#publisher = new Publisher({
      ...parts,
      beginStep,
      onError,
      onIdle,
      commit: () => this.#commit(),
      onPublished: () => this.#pump(),
    });
  }

  /** The root is being pushed: whether the copy is done is now the target's word. */
  get committing(): boolean {
    return this.#committing;
  }

  /** Requests of the job itself, earlier runs included. */
  get requests(): { source: number; target: number } {
    const { source, target } = this.#parts;
    return {
      source: this.#requestsBefore.source + source.usage.requests,
      target: this.#requestsBefore.target + target.usage.requests,
    };
  }

  /** Resolves when the root is at the target under its name. */
  async toEnd(): Promise<void> {
    this.#begin().catch((error: unknown) => this.#finished.reject(error));
    await this.#finished.promise;
  }

  /** Blobs that have come to the target. */
  arrived(digests: string[]): void {
    for (const digest of digests) {
      this.#progressAtMs.delete(digest);
      this.#planner.blobArrived(digest);
    }
    this.#pump();
  }

  moved(digest: string): void {
    this.#progressAtMs.set(digest, this.#parts.now());
  }

  /** Offers what waits and has not moved for `quietMs`: the host may have missed the first offer, or we its answer. */
  async offerAgain(quietMs = 0): Promise<void> {
    if (this.#stopped || this.#planner.plan === null) {
      return;
    }
    const since = this.#parts.now() - quietMs;
    const quiet = this.#parts.ledger
      .waitingBlobs()
      .filter((blob) => Math.max(blob.sinceMs, this.#progressAtMs.get(blob.digest) ?? 0) <= since);
    await this.#offer(quiet, this.#planner.mayExist);
  }

  /** Breaks off whatever still waits; nothing new begins. Requests under way are ended by the clients' signal. */
  stop(reason: unknown): void {
    this.#stopped = true;
    this.#planner.stop();
    this.#publisher.stop();
    this.#finished.reject(reason);
  }

  /** Writes the counts and warnings of this run's clients into the ledger. */
  book(): void {
    const { ledger, events, source, target } = this.#parts;
    ledger.setRequests(this.requests);
    events.warn(source.usage.warnings);
    events.warn(target.usage.warnings);
  }

  async #begin(): Promise<void> {
    const record = this.#parts.ledger.record();
    if (record === null) {
      return;
    }
    if (record.root === null || record.repository === null) {
      if (!(await this.#planner.open())) {
        this.#finished.resolve();
      }
    } else {
      this.#planner.resume(record.root, record.repository);
      await this.offerAgain();
    }
  }

  #commit(): void {
    if (this.#stopped || !this.#parts.ledger.commit(this.#parts.now())) {
      throw endedError();
    }
    this.#committing = true;
  }

  #pump(): void {
    const plan = this.#planner.plan;
    if (plan === null || this.#stopped) {
      return;
    }
    if (plan.done) {
      this.#finished.resolve();
      return;
    }
    this.#publisher.pump(plan);
    this.#checkForLoop();
  }

  /** Digests make loops impossible, except with algorithms that cannot be verified here. */
  #checkForLoop(): void {
    const plan = this.#planner.plan;
    if (plan === null || plan.done || plan.missingBlobs > 0 || !this.#planner.idle || !this.#publisher.idle) {
      return;
    }
    const { host } = this.#parts.request.source;
    this.#finished.reject(
      manifestError({ host, digest: plan.rootDigest }, "refers to itself through its own children"),
    );
  }

  async #offer(blobs: { digest: string; sizeBytes: number; sinceMs: number }[], mayExist: boolean): Promise<void> {
    const { id, request } = this.#parts;
    const offers = blobs.map(({ digest, sizeBytes, sinceMs }) => ({
      id: offerId(id, request, digest),
      digest,
      sizeBytes,
      targetRepository: request.target.repository,
      sourceHost: request.source.host,
      sourceRepository: request.source.repository,
      mayExist,
      since: sinceMs,
      ...(request.background === true ? { background: true } : {}),
    }));
    for (let from = 0; from < offers.length && !this.#stopped; from += OFFERS_PER_CALL) {
      await this.#parts.sendOffers(offers.slice(from, from + OFFERS_PER_CALL));
    }
  }
}

/** Names a blob of a copy at the target's host. */
export function offerId(job: string, request: CopyRequest, digest: string): string {
  return `${job}/${request.target.repository}@${digest}`;
}

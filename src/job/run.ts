/**
 * One run of a copy in memory, from the first request (or from what the ledger holds) until every name has come to its end.
 * It ends by resolving or by throwing; what that means for the copy is its caller's business.
 */
import { manifestError } from "../copy/graph.ts";
import { leftOutWarning, NAMED_IN_WARNING } from "../copy/media-type-choice.ts";
import { CopyPlan } from "../copy/plan.ts";
import { type CopyRequest, isRepositoryCopy } from "../copy/request.ts";
import type { BlobOffer, ReferrerAddition } from "../host/contract.ts";
import type { Registry } from "../registry/contract.ts";
import { CopyError, type ErrorDetail, errorDetailOf } from "../registry/errors.ts";
import type { Place } from "../registry/places.ts";
import { Attacher } from "./attacher.ts";
import { creationsAt } from "./creation.ts";
import type { EventLog } from "./events.ts";
import { endedError, tagsFailed } from "./failures.ts";
import type { Ledger, TargetRepository } from "./ledger.ts";
import { listTagsToCopy } from "./listing.ts";
import { Offers, type WaitingBlob } from "./offers.ts";
import { Mender } from "./mender.ts";
import { NamePushes } from "./name-pushes.ts";
import { Opener } from "./opener.ts";
import { Planner } from "./planner.ts";
import { prune } from "./prune.ts";
import { Publisher } from "./publisher.ts";
import { Roots } from "./roots.ts";

export interface RunParts {
  id: string;
  request: CopyRequest;
  ledger: Ledger;
  events: EventLog;
  source: Registry;
  target: Registry;
  /** Where `source` reads from; missing: there is but one place. */
  places?: readonly Place[];
  now: () => number;
  /** Hands offers to the target's host; safe to repeat. */
  sendOffers: (offers: BlobOffer[]) => Promise<void>;
  /** Has the target's host list a referrer where the registry does not; safe to repeat. */
  addReferrer: (addition: ReferrerAddition) => Promise<void>;
}

export class CopyRun {
  readonly #parts: RunParts;
  readonly #plan: CopyPlan;
  readonly #offers: Offers;
  readonly #planner: Planner;
  readonly #attacher: Attacher;
  readonly #mender: Mender;
  readonly #publisher: Publisher;
  readonly #roots: Roots;
  readonly #finished = Promise.withResolvers<void>();
  readonly #requestsBefore: { source: number; target: number };
  readonly #progressAtMs = new Map<string, number>();
  #repository: TargetRepository | null = null;
  readonly #pushes = new NamePushes();
  /** Set once nothing new may be sent: the pushes under way still have their answers to come. */
  #refusal: unknown = null;
  /** The run has failed, though its caller has not stopped it yet: what follows from that is nobody's fault. */
  #hasFailed = false;
  #stopped = false;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#requestsBefore = parts.ledger.record()?.requests ?? { source: 0, target: 0 };
    // Without this a failure that nobody waits for any more would count as unhandled.
    this.#finished.promise.catch(() => {});
    this.#plan = new CopyPlan(parts.request.source.host);
    const shared = {
      ...parts,
      tags: parts.ledger.tags,
      plan: this.#plan,
      beginStep: () => this.#beginStep(),
      onError: (error: unknown) => this.#failed(error),
      onIdle: () => this.#whenIdle(),
      onPlan: () => this.#pump(),
      onManifestFailed: (digest: string, error: unknown) => this.#roots.fail(this.#plan.rootsOfManifest(digest), error),
    };
    this.#offers = new Offers({ ...shared, placeOf: (digest) => parts.ledger.blobs.placeOf(digest) });
    const planner = new Planner({
      ...shared,
      offer: (blobs) => this.#offers.add(blobs),
      onBlobFailed: (digest, error) => this.blobFailed(digest, error),
    });
    this.#planner = planner;
    this.#mender = new Mender({
      ...shared,
      contentOf: (manifest) => planner.contentOf(manifest),
      manifest: (digest) => this.#publisher.manifest(digest),
      offer: (blobs) => this.#offers.add(blobs),
      pause: (ms) => new Promise((wake) => setTimeout(wake, ms)),
    });
    this.#publisher = new Publisher({
      ...shared,
      mender: this.#mender,
      commit: (name, row) => this.#commit(name, row),
      onRootSettled: () => this.#endIfRefused(),
      onRoot: (row) => this.#roots.ended(row),
      onPublished: () => this.#pump(),
      onRootFailed: (key, error) => this.#roots.fail([key], error),
    });
    const attacher = new Attacher({
      ...shared,
      planner,
      repository: () => this.#repository,
      onNames: () => this.#roots.more(),
      onRootFailed: (key, error) => this.#roots.fail([key], error),
    });
    this.#attacher = attacher;
    const opener = new Opener({
      ...shared,
      planner,
      attacher,
      repository: () => this.#repository,
      onRepository: (repository) => this.#learnRepository(repository),
      onEnded: (row) => this.#roots.ended(row),
    });
    this.#roots = new Roots({ ...shared, opener, onAllEnded: () => void this.#finish() });
  }

  /** A name is being written, or removed: whether it is there is now the target's word. */
  get committing(): boolean {
    return this.#pushes.any;
  }

  /** Once nothing new may be sent: names of which nobody knows whether the target has taken them. */
  get unclearNames(): string[] {
    return this.#pushes.unclear;
  }

  /** Requests of the job itself, earlier runs included. */
  get requests(): { source: number; target: number } {
    const { source, target } = this.#parts;
    return {
      source: this.#requestsBefore.source + source.usage.requests,
      target: this.#requestsBefore.target + target.usage.requests,
    };
  }

  /** Resolves when every name is at the target. */
  async toEnd(): Promise<void> {
    this.#begin().catch((error: unknown) => this.#failed(error));
    await this.#finished.promise;
  }

  /** Blobs that have come to the target. */
  arrived(digests: string[]): void {
    for (const digest of digests) {
      this.#progressAtMs.delete(digest);
      this.#planner.blobArrived(digest);
      this.#mender.arrived(digest);
    }
    this.#pump();
  }

  /** A blob that cannot be brought to the target, and with it no root that needs it. */
  blobFailed(digest: string, error: ErrorDetail): void {
    this.#progressAtMs.delete(digest);
    this.#mender.failed(digest, new CopyError(error));
    this.#roots.fail(this.#plan.rootsOfBlob(digest), new CopyError(error));
    this.#pump();
  }

  moved(digest: string): void {
    this.#progressAtMs.set(digest, this.#parts.now());
  }

  /** Offers what waits and has not moved for `quietMs`: the host may have missed the first offer, or we its answer. */
  async offerAgain(quietMs = 0): Promise<void> {
    if (this.#stopped || this.#repository === null) {
      return;
    }
    const since = this.#parts.now() - quietMs;
    const quiet = this.#needed().filter(
      (blob) => Math.max(blob.sinceMs, this.#progressAtMs.get(blob.digest) ?? 0) <= since,
    );
    this.#offers.add(quiet);
  }

  /** Offers blobs that are to be read from another place now. Those that nobody waits for any more are left out. */
  offerElsewhere(digests: readonly string[]): void {
    const moved = new Set(digests);
    this.#offers.add(this.#needed().filter(({ digest }) => moved.has(digest)));
  }

  /** Breaks off whatever still waits; nothing new begins. Requests under way are ended by the clients' signal. */
  stop(reason: unknown): void {
    this.#stopped = true;
    this.#offers.stop();
    this.#roots.stop();
    this.#planner.stop();
    this.#attacher.stop();
    this.#publisher.stop();
    this.#mender.stop(reason);
    this.#finished.reject(reason);
  }

  /** Nothing new may be sent. The run ends once the pushes under way have their answers, if any are. */
  refuse(reason: unknown): void {
    this.#failed(reason);
  }

  /** Writes the counts and warnings of this run's clients into the ledger. */
  book(): void {
    const { ledger, events, source, target } = this.#parts;
    ledger.setRequests(this.requests);
    events.warn(source.usage.warnings);
    events.warn(target.usage.warnings);
  }

  /** What waits, but for blobs whose names have all failed; names that are yet to be opened offer theirs then. */
  #needed(): WaitingBlob[] {
    return this.#parts.ledger.blobs.waiting().filter(({ digest }) => this.#plan.rootsOfBlob(digest).length > 0);
  }

  async #begin(): Promise<void> {
    const { ledger, request } = this.#parts;
    const record = ledger.record();
    if (record === null) {
      return;
    }
    if (record.repository !== null) {
      this.#learnRepository(record.repository);
    }
    if (!isRepositoryCopy(request)) {
      this.#roots.beginSingle(record.root);
    } else if (record.repository === null) {
      await this.#list();
    }
    this.#roots.begin();
  }

  /** Lists both ends, and writes down which names the copy is about. */
  async #list(): Promise<void> {
    const { request, ledger, events, source } = this.#parts;
    const { tags } = ledger;
    const creations = creationsAt(source, request.source.repository);
    const { rows, repository, warnings } = await listTagsToCopy({ ...this.#parts, creations });
    this.#beginStep();
    tags.add(rows);
    ledger.opened(null, repository);
    events.warn(warnings);
    events.append({ type: "tags", data: tags.tally() });
    this.#learnRepository(repository);
  }

  #learnRepository(repository: TargetRepository): void {
    this.#repository = repository;
    this.#offers.mayExist = repository !== "new";
  }

  #beginStep(): void {
    if (this.#stopped) {
      throw endedError();
    }
    this.book();
  }

  /** @param row Of the name in the ledger, where it has one. */
  #commit(name: string, row?: number): (isClear: boolean) => void {
    const { ledger, now } = this.#parts;
    if (this.#stopped || this.#hasFailed || this.#refusal !== null || !ledger.commit(now(), row)) {
      throw endedError();
    }
    this.#pushes.begin(name);
    return (isClear) => {
      // While the run goes on the failure of the name is told with its reason.
      const isKnown = isClear || (this.#refusal === null && !this.#stopped);
      this.#pushes.end(name, isKnown);
      if (isKnown && row !== undefined) {
        ledger.tags.sent(row, false);
      }
    };
  }

  /** The last of the pushes that were waited for has its answer, and that is in the ledger. */
  #endIfRefused(): void {
    if (this.#refusal !== null && !this.#pushes.any) {
      this.#fail(this.#refusal);
    }
  }

  #fail(reason: unknown): void {
    this.#hasFailed = true;
    this.#finished.reject(reason);
  }

  /** Something that ends the run, though not what is being pushed at the moment. */
  #failed(error: unknown): void {
    if (errorDetailOf(error).code === "cancelled" && this.#pushes.any) {
      this.#refusal ??= error;
    } else {
      this.#fail(error);
    }
  }

  #pump(): void {
    if (this.#stopped || this.#hasFailed) {
      return;
    }
    this.#attacher.pump();
    this.#publisher.pump();
    this.#roots.open();
    this.#whenIdle();
  }

  /** Digests make loops impossible, except with algorithms that cannot be verified here. */
  #whenIdle(): void {
    const isBusy = !this.#roots.idle || !this.#planner.idle || !this.#attacher.idle || !this.#publisher.idle;
    const isOver = this.#stopped || this.#hasFailed || this.#refusal !== null;
    if (isOver || isBusy || this.#plan.missingBlobs > 0) {
      return;
    }
    const { host } = this.#parts.request.source;
    for (const key of this.#plan.roots) {
      const digest = this.#plan.digestOf(key) ?? "";
      this.#roots.fail([key], manifestError({ host, digest }, "refers to itself through its own children"));
    }
  }

  async #finish(): Promise<void> {
    const { request, ledger, events, target } = this.#parts;
    const { tags } = ledger;
    try {
      const { count, some } = tags.leftOut(NAMED_IN_WARNING);
      const leftOut = leftOutWarning(request, count, some);
      events.warn(leftOut === null ? [] : [leftOut]);
      if (tags.firstFailure() !== null) {
        throw tagsFailed(tags);
      }
      if (request.prune !== undefined) {
        const beginStep = () => this.#beginStep();
        const commit = (name: string, row: number) => this.#commit(name, row);
        await prune({ request, target, tags, events, beginStep, commit }, request.prune);
      }
      this.#finished.resolve();
    } catch (error) {
      this.#failed(error);
    }
  }
}

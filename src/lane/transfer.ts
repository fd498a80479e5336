/**
 * One blob from a source registry to a target registry, with as few requests as will do, and a report of what became
 * of it. Whether and when to try again is the target's host's business.
 */
import type { Transfer, TransferReport, TransferResult } from "../host/contract.ts";
import type { BlobBody, HostSettings, Registry, Upload } from "../registry/contract.ts";
import { algorithmOf, createHasher, isHashAlgorithm, type Hasher } from "../registry/digest.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import { initialShape, learnFrom, learnFromOffset, planUpload, type UploadShape } from "../registry/upload-shape.ts";
import { failure, refusesDigest, reportable, stalled, stalledBetween, type Place } from "./failures.ts";
import { graver, type HeldGate } from "./held-gate.ts";
import type { Meter } from "./meter.ts";
import { hashBlob, streamPieces, streamPiped, type Ends } from "./stream.ts";
import { withinMs } from "./time.ts";
import type { Session } from "./upload-sink.ts";
import { Watchdog } from "./watchdog.ts";

/** An end that moves no byte for this long is given up. */
export const IDLE_TIMEOUT_MS = 60_000;
/** Closing the session of a failed upload is a courtesy: the registry purges it in time. */
const CANCEL_LIMIT_MS = 5_000;

/** One registry in one transfer: a client of its own, so that its usage is this transfer's. */
export interface TransferEnd {
  registry: Registry;
  gate: HeldGate;
}

export interface TransferOptions {
  /** Aborted when the lease is lost or the lane ends: the transfer is broken off and reported as `returned`. */
  signal: AbortSignal;
  meter: Meter;
  idleMs: number;
  now: () => number;
  /** Repositories known to take our uploads; a first transfer into another one asks the target before it reads a byte. */
  pushable: Pushable;
}

/** Names of repositories, as `host/repository`. */
export interface Pushable {
  has(repository: string): boolean;
  add(repository: string): void;
}

/** The operation of every request that carries a blob's bytes to the target. */
const UPLOAD_OPERATION = "upload blob";

type Success = "copied" | "mounted" | "present";

/** Moves the blob. Never throws: what went wrong is in the report. */
export async function runTransfer(
  transfer: Transfer,
  source: TransferEnd,
  target: TransferEnd & { settings: HostSettings },
  options: TransferOptions,
): Promise<TransferReport> {
  using run = new Run(transfer, source, target, options);
  const result = await run.result();
  const { meter } = options;
  const oneHost = transfer.offer.sourceHost === target.registry.host;
  return {
    lease: transfer.lease,
    result,
    bytes: meter.bytes,
    // One host has one slot: everything that happened is booked on it.
    target: oneHost ? graver(target.gate.outcome, source.gate.outcome) : target.gate.outcome,
    source: oneHost ? { class: "unused" } : source.gate.outcome,
    requests: { source: source.registry.usage.requests, target: target.registry.usage.requests },
    warnings: [...new Set([...source.registry.usage.warnings, ...target.registry.usage.warnings])],
    ...(meter.firstByteAt !== undefined && { firstByteAt: meter.firstByteAt }),
    ...(run.learned !== null && { learned: run.learned }),
  };
}

class Run {
  readonly #transfer: Transfer;
  readonly #settings: HostSettings;
  readonly #options: TransferOptions;
  readonly #gates: { source: HeldGate; target: HeldGate };
  readonly #ends: Ends;
  readonly #watchdog: Watchdog;
  /** Ends every request of both sides at once. */
  readonly #controller = new AbortController();
  readonly #shape: UploadShape;
  #session: Session | null = null;
  #learned: UploadShape | null = null;

  constructor(
    transfer: Transfer,
    source: TransferEnd,
    target: TransferEnd & { settings: HostSettings },
    options: TransferOptions,
  ) {
    const { digest, sourceHost, sourceRepository, targetRepository } = transfer.offer;
    const { idleMs, now } = options;
    const places: { source: Place; target: Place } = {
      source: { side: "source", host: sourceHost, repository: sourceRepository, digest },
      target: { side: "target", host: target.registry.host, repository: targetRepository, digest },
    };
    this.#transfer = transfer;
    this.#settings = target.settings;
    this.#shape = transfer.shape ?? initialShape(target.settings);
    this.#options = options;
    this.#gates = { source: source.gate, target: target.gate };
    this.#watchdog = new Watchdog(idleMs, now, (side, limitMs) => {
      if (side === "either") {
        this.#breakOff(stalledBetween(places.source, places.target, limitMs));
        return;
      }
      this.#gates[side].record({ class: "failed" });
      this.#breakOff(stalled(places[side], limitMs));
    });
    const shared = { watchdog: this.#watchdog, idleMs, now, signal: this.#controller.signal };
    this.#ends = {
      source: { ...shared, registry: source.registry, gate: source.gate, place: places.source },
      target: { ...shared, registry: target.registry, place: places.target },
      breakOff: (reason) => this.#breakOff(reason),
    };
    if (options.signal.aborted) {
      this.#onReturn();
    } else {
      options.signal.addEventListener("abort", this.#onReturn, { once: true });
    }
  }

  /** How the target takes blobs, if that came out now; null: nothing new. */
  get learned(): UploadShape | null {
    return this.#learned;
  }

  async result(): Promise<TransferResult> {
    try {
      const kind = await this.#copy();
      this.#learnFromAnswers();
      return { kind };
    } catch (thrown) {
      this.#breakOff(thrown);
      await this.#cancelUpload();
      const error = this.#learnFromRefusal(await this.#verdict(thrown));
      return this.#options.signal.aborted ? { kind: "returned" } : { kind: "failed", error };
    }
  }

  [Symbol.dispose](): void {
    this.#options.signal.removeEventListener("abort", this.#onReturn);
    this.#watchdog[Symbol.dispose]();
  }

  async #copy(): Promise<Success> {
    const { offer } = this.#transfer;
    const { source, target } = this.#ends;
    const oneHost = offer.sourceHost === target.place.host;
    if (oneHost && offer.sourceRepository === offer.targetRepository) {
      return "present";
    }
    if (offer.mayExist && (await this.#isPresent())) {
      return "present";
    }

    const candidate = oneHost
      ? offer.sourceRepository
      : this.#transfer.mountFrom.find((repository) => repository !== offer.targetRepository);
    if (candidate !== undefined) {
      const started = await this.#startUpload(candidate);
      if (started === null) {
        return "mounted";
      }
      this.#session = this.#sessionOf(started);
    }
    if (offer.sizeBytes === 0) {
      await this.#putEmpty();
      return "copied";
    }
    const { body, session } = await this.#openBoth();
    if (body.encoding !== undefined) {
      const note = `; it says the bytes are encoded as ${body.encoding}, though it was asked not to encode anything`;
      source.place = { ...source.place, note };
    }
    if (body.contentLength !== null && body.contentLength !== offer.sizeBytes) {
      await body.stream.cancel().catch(() => undefined);
      throw failure(
        source.place,
        "size_mismatch",
        true,
        `offers ${body.contentLength} bytes where its manifest says ${offer.sizeBytes}`,
      );
    }
    const hasher = this.#settings.verify === "stream" ? hasherOf(offer.digest) : null;
    const isPipeable = hasher === null && session.plan.way === "put" && body.contentLength !== null;
    if (isPipeable) {
      await streamPiped(this.#ends, body, session, this.#options.meter);
    } else {
      await streamPieces(this.#ends, body, session, hasher, this.#options.meter);
    }
    return "copied";
  }

  async #isPresent(): Promise<boolean> {
    const { registry, place } = this.#ends.target;
    // The client has no signal for this one; whatever becomes of it, it moves no bytes.
    const heading = registry.headBlob(place.repository, place.digest);
    const sizeBytes = await this.#watchdog
      .watch("target", this.#ends.target.idleMs, this.#orAborted(heading))
      .catch((thrown: unknown) => {
        // A registry that answers no HEADs, or none of ours, may take the upload all the same.
        if (["unsupported", "denied"].includes(reportable(thrown).code)) {
          return null;
        }
        throw thrown;
      });
    // -1: there, size not said. Another size means a broken registry; what it makes of the upload decides.
    return sizeBytes === -1 || sizeBytes === this.#transfer.offer.sizeBytes;
  }

  /** Opens an upload session; null: the blob was mounted instead. */
  async #startUpload(mountFrom?: string): Promise<Upload | null> {
    const { registry, place, idleMs, signal } = this.#ends.target;
    const starting = registry.startUpload(place.repository, {
      digest: place.digest,
      signal,
      ...(mountFrom !== undefined && { mountFrom }),
    });
    const started = await this.#watchdog.watch("target", idleMs, starting);
    return started.mounted ? null : started.upload;
  }

  #sessionOf(upload: Upload): Session {
    const { offer, attempt } = this.#transfer;
    const { sizeBytes } = offer;
    const { minChunkBytes, maxChunkBytes = 0 } = upload;
    const plan = planUpload(this.#shape, sizeBytes, { minChunkBytes, maxChunkBytes }, attempt);
    return { upload, sizeBytes, plan, firstByte: 0 };
  }

  /** A refusal of the form in which the blob was sent is worth another try in the next one. */
  #learnFromRefusal(error: ErrorDetail): ErrorDetail {
    const isUpload = error.side === "target" && error.operation === UPLOAD_OPERATION;
    // What the settings demand is not given up on a refusal: who made them is told.
    if (this.#session === null || !isUpload || this.#settings.chunkBytes > 0) {
      return error;
    }
    const { plan, sizeBytes, firstByte } = this.#session;
    this.#learned = learnFrom(this.#shape, { plan, sizeBytes, firstByte, error });
    if (this.#learned === null) {
      this.#learnFromAnswers();
      return error;
    }
    return { ...error, retryable: true };
  }

  #learnFromAnswers(): void {
    const odd = this.#session?.oddOffset;
    this.#learned = odd === undefined ? null : learnFromOffset(this.#shape, odd.sentBytes, odd.toldBytes);
  }

  async #openSession(): Promise<Session> {
    if (this.#session === null) {
      const upload = await this.#startUpload();
      if (upload === null) {
        throw new Error("a mount that nobody asked for");
      }
      this.#session = this.#sessionOf(upload);
    }
    return this.#session;
  }

  /** The source's GET and the upload's POST, both under way at once. */
  async #openBoth(): Promise<{ body: BlobBody; session: Session }> {
    const { registry, place, idleMs, signal } = this.#ends.source;
    const { pushable } = this.#options;
    const { host, repository } = this.#ends.target.place;
    let opened: Promise<Session> | undefined;
    if (!pushable.has(`${host}/${repository}`)) {
      opened = this.#openSession();
      await opened;
      pushable.add(`${host}/${repository}`);
    }
    const getting = this.#watchdog.watch(
      "source",
      idleMs,
      registry.openBlob(place.repository, place.digest, { signal }),
    );
    const posting = opened ?? this.#openSession();
    // Without a session there is no use for the body. The other way round the session must be known, to be cancelled.
    posting.catch((thrown: unknown) => this.#breakOff(thrown));
    const [got, posted] = await Promise.allSettled([getting, posting]);
    if (posted.status === "rejected") {
      if (got.status === "fulfilled") {
        await got.value.stream.cancel().catch(() => undefined);
      }
      throw posted.reason;
    }
    if (got.status === "rejected") {
      throw got.reason;
    }
    return { body: got.value, session: posted.value };
  }

  async #putEmpty(): Promise<void> {
    const { registry, place, idleMs, signal } = this.#ends.target;
    const hasher = hasherOf(place.digest);
    if (hasher !== null && hasher.digest() !== place.digest) {
      throw failure(this.#ends.source.place, "digest_mismatch", false, "names a digest that no empty blob has");
    }
    const { upload } = await this.#openSession();
    const putting = registry.putBlob(upload, { digest: place.digest, sizeBytes: 0, body: null, signal });
    await this.#watchdog.watch("target", idleMs, putting);
  }

  /** The error to report. An invalid digest that was not seen on the way is looked into: it may be the source's fault. */
  async #verdict(thrown: unknown): Promise<ErrorDetail> {
    const detail = reportable(thrown);
    if (!refusesDigest(thrown)) {
      return detail;
    }
    // Right at the source, wrong at the target: damaged on the way, or by the target.
    const right = { ...detail, retryable: true, message: `${detail.message}; the source's bytes are right` };
    const hasher = hasherOf(this.#transfer.offer.digest);
    if (hasher === null) {
      return detail;
    }
    if (this.#settings.verify === "stream") {
      return right;
    }
    try {
      if (await this.#isSourceRight(hasher)) {
        return right;
      }
    } catch (cause) {
      return { ...detail, message: `${detail.message}; the source could not be checked: ${reportable(cause).message}` };
    }
    return failure(this.#ends.source.place, "digest_mismatch", true, "sends bytes with another digest").detail;
  }

  /** Reads the blob once more, for its hash alone. The transfer itself has been broken off already. */
  async #isSourceRight(hasher: Hasher): Promise<boolean> {
    const { idleMs, now, signal } = this.#options;
    const { source } = this.#ends;
    const controller = new AbortController();
    using watchdog = new Watchdog(idleMs, now, (_, limitMs) => controller.abort(stalled(source.place, limitMs)));
    const inquiry = { ...source, watchdog, signal: AbortSignal.any([controller.signal, signal]) };
    return await hashBlob(inquiry, this.#transfer.offer.sizeBytes, hasher);
  }

  async #cancelUpload(): Promise<void> {
    if (this.#session === null) {
      return;
    }
    await withinMs(CANCEL_LIMIT_MS, this.#ends.target.registry.cancelUpload(this.#session.upload));
  }

  #breakOff(reason: unknown): void {
    this.#gates.source.close();
    this.#gates.target.close();
    this.#controller.abort(reason);
  }

  readonly #onReturn = (): void => this.#breakOff(new Error("the lane gave the transfer back"));

  #orAborted<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#controller;
    return new Promise((resolve, reject) => {
      work.then(resolve, reject);
      const stop = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
      if (signal.aborted) {
        stop();
      } else {
        signal.addEventListener("abort", stop, { once: true });
      }
    });
  }
}

/** Null: digests of this algorithm cannot be computed here. */
function hasherOf(digest: string): Hasher | null {
  const algorithm = algorithmOf(digest);
  return isHashAlgorithm(algorithm) ? createHasher(algorithm) : null;
}

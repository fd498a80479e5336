/**
 * One blob from a source registry to a target registry, with as few requests as will do, and a report of what became
 * of it. Whether and when to try again is the target's host's business.
 */
import type { Handover, Transfer, TransferReport, TransferResult } from "../host/contract.ts";
import type { HostSettings, Registry } from "../registry/contract.ts";
import type { ErrorCode, ErrorDetail } from "../registry/errors.ts";
import { initialShape, learnFrom, learnFromOffset, type UploadShape } from "../registry/upload-shape.ts";
import { askOffset, deliver, type Delivery } from "./delivery.ts";
import { failure, outlasted, refusesDigest, reportable, stalled, stalledBetween, type Place } from "./failures.ts";
import { handoverOf, openedOf } from "./handover.ts";
import { graver, type HeldGate } from "./held-gate.ts";
import { LetGo, whyOf } from "./letting-go.ts";
import type { Meter } from "./meter.ts";
import { Opening, type Pushable } from "./opening.ts";
import type { Ends } from "./stream.ts";
import { Trail, type TrailTerms } from "./trail.ts";
import type { Session } from "./upload-sink.ts";
import { hasherOf, verdictOn } from "./verdict.ts";
import { Watchdog } from "./watchdog.ts";

/** An end that moves no byte for this long is given up. */
export const IDLE_TIMEOUT_MS = 60_000;

/** One registry in one transfer: a client of its own, so that its usage is this transfer's. */
export interface TransferEnd {
  registry: Registry;
  gate: HeldGate;
}

export interface TransferOptions {
  /** Breaks the transfer off; its reason is a {@link LetGo} that says what is to become of the upload. */
  signal: AbortSignal;
  /** Once aborted, the transfer leaves off where another lane can go on, if that comes. */
  timeUp: AbortSignal;
  meter: Meter;
  idleMs: number;
  /** A blob in chunks that will take longer than this is hashed so that another lane can go on, in milliseconds. */
  portableAfterMs: number;
  now: () => number;
  pushable: Pushable;
}

/** The operation of every request that carries a blob's bytes to the target. */
const UPLOAD_OPERATION = "upload blob";

/** Failures after which an upload is worth going on with: of the moment, not of the upload. */
const WORTH_KEEPING: ReadonlySet<ErrorCode> = new Set(["connection", "unavailable", "stalled", "rate_limited"]);

/** How often a blob is asked for that its source does not find. */
const LOOKS_MAX = 4;

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
    ...(meter.handover !== undefined && { handover: meter.handover }),
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
  readonly #opening: Opening;
  /** Ends every request of both sides at once. */
  readonly #controller = new AbortController();
  readonly #shape: UploadShape;
  #learned: UploadShape | null = null;

  constructor(
    transfer: Transfer,
    source: TransferEnd,
    target: TransferEnd & { settings: HostSettings },
    options: TransferOptions,
  ) {
    const { digest, sourceHost, sourceRepository, targetRepository } = transfer.offer;
    const { idleMs, now, pushable } = options;
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
    this.#opening = new Opening({ transfer, ends: this.#ends, shape: this.#shape, pushable, opened: this.#opened });
    if (options.signal.aborted) {
      this.#onLetGo();
    } else {
      options.signal.addEventListener("abort", this.#onLetGo, { once: true });
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
      this.#forgetSession();
      return { kind };
    } catch (thrown) {
      if (this.#mayCome(reportable(thrown))) {
        // So that the next look comes a little later.
        this.#gates.source.record({ class: "failed" });
      }
      this.#breakOff(thrown);
      return await this.#unfinished(thrown);
    }
  }

  [Symbol.dispose](): void {
    this.#options.signal.removeEventListener("abort", this.#onLetGo);
    this.#watchdog[Symbol.dispose]();
  }

  async #copy(): Promise<Success> {
    const { offer, handover } = this.#transfer;
    const { source, target } = this.#ends;
    const oneHost = offer.sourceHost === target.place.host;
    if (oneHost && offer.sourceRepository === offer.targetRepository) {
      return "present";
    }
    if (handover !== undefined && (await this.#goOn(handover))) {
      return "copied";
    }
    if (offer.mayExist && (await this.#opening.isPresent())) {
      return "present";
    }

    const candidate = oneHost
      ? offer.sourceRepository
      : this.#transfer.mountFrom.find((repository) => repository !== offer.targetRepository);
    if (candidate !== undefined && (await this.#opening.mount(candidate))) {
      return "mounted";
    }
    if (offer.sizeBytes === 0) {
      await this.#putEmpty();
      return "copied";
    }
    const { body, session } = await this.#opening.openBoth();
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
    await deliver(this.#deliveryOf(session, Trail.begin(this.#termsOf(session))), body);
    return "copied";
  }

  /** Goes on where another lane has left off. False: that cannot be, the blob has to begin anew. */
  async #goOn(handover: Handover): Promise<boolean> {
    const session = this.#opening.takeOver(handover);
    const trail = Trail.goOn(this.#termsOf(session), handover.offsetBytes, handover.hash);
    if (trail !== null) {
      this.#options.meter.handover = handover;
      const delivery = this.#deliveryOf(session, trail);
      if ((await askOffset(delivery)) && trail.rewind(session.storedBytes) !== null) {
        delivery.stored();
        await deliver(delivery, null);
        return true;
      }
      delete this.#options.meter.handover;
    }
    await this.#opening.cancel();
    return false;
  }

  async #putEmpty(): Promise<void> {
    const { registry, place, idleMs, signal } = this.#ends.target;
    const hasher = hasherOf(place.digest);
    if (hasher !== null && hasher.digest() !== place.digest) {
      throw failure(this.#ends.source.place, "digest_mismatch", false, "names a digest that no empty blob has");
    }
    const { upload } = await this.#opening.open();
    const putting = registry.putBlob(upload, { digest: place.digest, sizeBytes: 0, body: null, signal });
    await this.#watchdog.watch("target", idleMs, putting);
  }

  #termsOf({ plan, sizeBytes }: Session): TrailTerms {
    const { portableAfterMs, now } = this.#options;
    return {
      digest: this.#transfer.offer.digest,
      sizeBytes,
      isHashed: this.#settings.verify === "stream",
      mayOutlast: plan.way === "chunks" && plan.chunkBytes < sizeBytes,
      portableAfterMs,
      now,
    };
  }

  #deliveryOf(session: Session, trail: Trail): Delivery {
    const { meter, timeUp } = this.#options;
    const stored = (): void => {
      this.#opened(session);
      const handover = handoverOf(session, trail, meter.handover);
      if (handover !== undefined) {
        meter.handover = handover;
      }
    };
    return { ends: this.#ends, session, trail, meter, timeUp, stored, tellsOffset: this.#shape.tellsOffset };
  }

  /** What becomes of a transfer that did not come to its end, and of its upload. */
  async #unfinished(thrown: unknown): Promise<TransferResult> {
    const { signal, meter } = this.#options;
    if (signal.aborted || thrown instanceof LetGo) {
      return this.#letGo(signal.aborted ? whyOf(signal.reason) : "time");
    }
    const refusal = this.#learnFromRefusal(reportable(thrown));
    const error = this.#mayCome(refusal) ? { ...refusal, retryable: true } : refusal;
    const isWorthKeeping = error.retryable && this.#learned === null && WORTH_KEEPING.has(error.code);
    if (meter.handover === undefined || !isWorthKeeping) {
      await this.#drop();
    }
    if (!refusesDigest(thrown)) {
      return { kind: "failed", error };
    }
    const { source } = this.#ends;
    const inquiry = { source, sizeBytes: this.#transfer.offer.sizeBytes, verify: this.#settings.verify, signal };
    const verdict = await verdictOn(thrown, inquiry);
    return signal.aborted ? { kind: "returned" } : { kind: "failed", error: verdict };
  }

  async #letGo(why: ReturnType<typeof whyOf>): Promise<TransferResult> {
    const { handover, toldHandover } = this.#options.meter;
    if (why === "time" && handover !== undefined) {
      return { kind: "returned" };
    }
    // What the host knows of is its to end: another lane may be at it already.
    if (why !== "lost" || toldHandover === undefined) {
      await this.#drop();
    }
    return why === "time" ? { kind: "failed", error: outlasted(this.#ends.target.place).detail } : { kind: "returned" };
  }

  /** Deletes the upload: nobody is to go on with it. */
  async #drop(): Promise<void> {
    this.#forgetSession();
    await this.#opening.cancel();
  }

  #forgetSession(): void {
    delete this.#options.meter.handover;
    delete this.#options.meter.opened;
  }

  readonly #opened = (session: Session): void => {
    const opened = openedOf(session);
    if (opened !== undefined) {
      this.#options.meter.opened = opened;
    }
  };

  /**
   * A manifest has named the blob, so it has to be there: a registry that does not find it may lag behind itself, as after
   * a push of a moment ago.
   */
  #mayCome({ side, code }: ErrorDetail): boolean {
    const { offer, attempt } = this.#transfer;
    return side === "source" && code === "not_found" && offer.hasOtherPlace !== true && attempt < LOOKS_MAX;
  }

  /** A refusal of the form in which the blob was sent is worth another try in the next one. */
  #learnFromRefusal(error: ErrorDetail): ErrorDetail {
    const { session } = this.#opening;
    const isUpload = error.side === "target" && error.operation === UPLOAD_OPERATION;
    // What the settings demand is not given up on a refusal: who made them is told.
    if (session === null || !isUpload || this.#settings.chunkBytes > 0) {
      return error;
    }
    const { plan, sizeBytes, firstByte, isResumed } = session;
    if (isResumed && plan.way !== "chunks") {
      // It is the rest of a broken upload that was refused, which no registry has to take. A new one tells more.
      return { ...error, retryable: true };
    }
    this.#learned = learnFrom(this.#shape, { plan, sizeBytes, firstByte, error });
    if (this.#learned === null) {
      this.#learnFromAnswers();
      return error;
    }
    return { ...error, retryable: true };
  }

  #learnFromAnswers(): void {
    const odd = this.#opening.session?.oddOffset;
    this.#learned = odd === undefined ? null : learnFromOffset(this.#shape, odd.sentBytes, odd.toldBytes);
  }

  #breakOff(reason: unknown): void {
    this.#gates.source.close();
    this.#gates.target.close();
    this.#controller.abort(reason);
  }

  /** The reason is no error of a registry: what ends by it is booked on nobody. */
  readonly #onLetGo = (): void => this.#breakOff(new Error("the transfer was taken from the lane"));
}

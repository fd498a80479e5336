/**
 * One request with a body of exact length, written piece by piece. `FixedLengthStream` is what makes the runtime send
 * `Content-Length`. Whatever goes wrong, the registry's own answer is the error if there is one.
 */
import { brokenStream, type Place } from "./failures.ts";
import { withinMs } from "./time.ts";
import type { Watchdog } from "./watchdog.ts";

/** After the connection broke under a write, how long the registry's answer may take to come to light. */
const ANSWER_GRACE_MS = 500;
/** A registry that stores a large blob elsewhere may take minutes between the last byte and its answer. */
export const ANSWER_LIMIT_MS = 300_000;

export interface WriterTools {
  place: Place;
  watchdog: Watchdog;
  idleMs: number;
  signal: AbortSignal;
}

export class BodyWriter<Answer> {
  readonly #tools: WriterTools;
  readonly #writable: WritableStream<Uint8Array>;
  readonly #answer: Promise<Answer>;
  #writer: WritableStreamDefaultWriter<Uint8Array> | null = null;
  #settled = false;

  /** @param send Sends the request with this body; must end when the transfer's signal is aborted. */
  constructor(tools: WriterTools, sizeBytes: number, send: (body: ReadableStream<Uint8Array>) => Promise<Answer>) {
    this.#tools = tools;
    const body = new FixedLengthStream(sizeBytes);
    this.#writable = body.writable;
    this.#answer = send(body.readable).finally(() => {
      this.#settled = true;
    });
    this.#answer.catch((refusal: unknown) => {
      // Nobody takes the rest: neither a pending write nor a pipe may wait for ever.
      this.#writer?.abort(refusal).catch(() => undefined);
      if (!body.readable.locked) {
        body.readable.cancel(refusal).catch(() => undefined);
      }
    });
  }

  /** Resolves when the bytes are on their way; they may be overwritten then. */
  async write(bytes: Uint8Array): Promise<void> {
    const { watchdog, idleMs } = this.#tools;
    try {
      await watchdog.watch("target", idleMs, this.#open().write(bytes));
    } catch (thrown) {
      throw await this.#explain(thrown);
    }
  }

  /** Ends the body, of which nothing is missing, and waits for the answer. */
  async close(): Promise<Answer> {
    const closing = this.#open()
      .close()
      .catch(() => undefined);
    const answer = await this.#awaitAnswer();
    await closing;
    return answer;
  }

  /**
   * Has the runtime move a whole stream of exact length into the body, without a turn of the event loop per piece.
   * @param limitMs How long that may take in all.
   * @throws {SourceBroke} when it was the stream that broke; otherwise the target's error.
   */
  async pipe(stream: ReadableStream<Uint8Array>, limitMs: number): Promise<Answer> {
    const { watchdog, signal } = this.#tools;
    try {
      // `preventAbort`: a broken source leaves the request waiting, a broken target ends it. That tells them apart.
      await watchdog.watch("either", limitMs, stream.pipeTo(this.#writable, { preventAbort: true }));
    } catch (thrown) {
      signal.throwIfAborted();
      await this.#settle();
      if (!this.#settled) {
        throw new SourceBroke(thrown);
      }
      throw await this.#explain(thrown);
    }
    return this.#awaitAnswer();
  }

  /** Waits for the end of the request after the transfer's signal was aborted. Never throws. */
  async abort(): Promise<void> {
    await this.#writer?.abort(this.#tools.signal.reason).catch(() => undefined);
    await this.#settle();
  }

  #open(): WritableStreamDefaultWriter<Uint8Array> {
    if (this.#writer === null) {
      this.#writer = this.#writable.getWriter();
      this.#writer.closed.catch(() => undefined);
    }
    return this.#writer;
  }

  async #awaitAnswer(): Promise<Answer> {
    const { watchdog, place, signal } = this.#tools;
    try {
      return await watchdog.watch("target", ANSWER_LIMIT_MS, this.#answer);
    } catch (thrown) {
      signal.throwIfAborted();
      throw brokenStream(place, thrown);
    }
  }

  /** The registry's own error if it comes to light, else what broke the stream. */
  async #explain(thrown: unknown): Promise<unknown> {
    const { place, signal } = this.#tools;
    signal.throwIfAborted();
    await this.#settle();
    if (!this.#settled) {
      return brokenStream(place, thrown);
    }
    return this.#answer.then(
      () => brokenStream(place, thrown),
      (refusal: unknown) => brokenStream(place, refusal),
    );
  }

  /** Waits for the answer, good or bad, but not long. */
  async #settle(): Promise<void> {
    await withinMs(ANSWER_GRACE_MS, this.#answer);
  }
}

/** A piped source stream broke; carries what it threw. */
export class SourceBroke extends Error {
  readonly thrown: unknown;

  constructor(thrown: unknown) {
    super("the source's stream broke");
    this.name = "SourceBroke";
    this.thrown = thrown;
  }
}

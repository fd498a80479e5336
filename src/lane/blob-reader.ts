/**
 * The source end of a transfer: the bytes of one blob in pieces, through one buffer, across breaks of the connection.
 * It counts, and sees to it that exactly the blob's size comes; it does not hash.
 */
import type { BlobBody, Registry } from "../registry/contract.ts";
import type { CopyError } from "../registry/errors.ts";
import { brokenStream, failure, type Place } from "./failures.ts";
import type { HeldGate } from "./held-gate.ts";
import { giveBuffer, LEAST_PIECE_BYTES, nextLeastBytes, takeBuffer } from "./pieces.ts";
import { pause } from "./time.ts";
import type { Watchdog } from "./watchdog.ts";

/** Breaks in a row, without a piece between them, after which the source is given up. */
const RESUMES_MAX = 3;
/** Wait before the second resumption in a row, doubled from then on; the first follows at once. */
const RESUME_WAIT_MS = 200;

export interface ReaderTools {
  registry: Registry;
  gate: HeldGate;
  place: Place;
  watchdog: Watchdog;
  idleMs: number;
  now: () => number;
  signal: AbortSignal;
}

export class BlobReader {
  readonly #tools: ReaderTools;
  readonly #sizeBytes: number;
  #reader: ReadableStreamBYOBReader;
  #buffer: ArrayBuffer | null = null;
  /** Where the next byte stands in the blob. */
  #receivedBytes: number;
  #leastBytes = LEAST_PIECE_BYTES;
  #breaks = 0;

  /** @param body The answer to a GET of the blob, from `firstByte` on. */
  constructor(tools: ReaderTools, body: BlobBody, sizeBytes: number, firstByte = 0) {
    this.#tools = tools;
    this.#sizeBytes = sizeBytes;
    this.#receivedBytes = firstByte;
    this.#reader = body.stream.getReader({ mode: "byob" });
  }

  /**
   * Asks for the blob from a byte on.
   * @throws CopyError of the source: it has to have ranges.
   */
  static async from(tools: ReaderTools, sizeBytes: number, firstByte: number): Promise<BlobReader> {
    const problem = `sends no part of a blob, so that its upload cannot go on at byte ${firstByte}`;
    try {
      const body = await openFrom(tools, sizeBytes, firstByte);
      if (body !== null) {
        return new BlobReader(tools, body, sizeBytes, firstByte);
      }
    } catch (thrown) {
      tools.signal.throwIfAborted();
      const { detail } = brokenStream(tools.place, thrown);
      if (firstByte === 0 || detail.retryable) {
        throw thrown;
      }
      throw failure(tools.place, "unsupported", true, `${problem}: ${detail.message}`);
    }
    throw failure(tools.place, "unsupported", true, problem);
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get isComplete(): boolean {
    return this.#receivedBytes === this.#sizeBytes;
  }

  /**
   * The next piece, never empty, at most `mostBytes`. It lies in the one buffer: the piece before it is gone. Not to be
   * called once {@link isComplete}.
   * @throws CopyError of the source.
   */
  async read(mostBytes = Infinity): Promise<Uint8Array> {
    for (;;) {
      try {
        const piece = await this.#fill(mostBytes);
        if (piece !== null) {
          return piece;
        }
        throw failure(
          this.#tools.place,
          "connection",
          true,
          `sent only ${this.#receivedBytes} of ${this.#sizeBytes} bytes`,
        );
      } catch (thrown) {
        this.#tools.signal.throwIfAborted();
        await this.#resume(brokenStream(this.#tools.place, thrown));
      }
    }
  }

  /** Makes sure that nothing follows the last piece, whose bytes stay valid. */
  async expectEnd(): Promise<void> {
    const { place, watchdog, idleMs, signal } = this.#tools;
    const end = await watchdog
      .watch("source", idleMs, this.#reader.read(new Uint8Array(1)))
      .catch((): { done: boolean; value?: Uint8Array } => {
        // Everything has come; how the connection ended afterwards says nothing about the bytes.
        signal.throwIfAborted();
        return { done: true };
      });
    if (!end.done && end.value !== undefined && end.value.byteLength > 0) {
      await this.cancel();
      throw failure(place, "size_mismatch", true, `sends more than the ${this.#sizeBytes} bytes its manifest says`);
    }
  }

  /** Ends the reading, wherever it is, and gives the memory back. Never throws. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => undefined);
    this.release();
  }

  /** Gives the memory back. The last piece must not be used any more. */
  release(): void {
    if (this.#buffer !== null) {
      giveBuffer(this.#buffer);
    }
    this.#buffer = null;
  }

  async #fill(mostBytes: number): Promise<Uint8Array | null> {
    const { watchdog, idleMs, now } = this.#tools;
    const buffer = this.#buffer ?? takeBuffer(this.#sizeBytes);
    // A read that fails takes its buffer along; until it succeeds there is none.
    this.#buffer = null;
    const roomBytes = Math.min(buffer.byteLength, this.#sizeBytes - this.#receivedBytes, mostBytes);
    const view = new Uint8Array(buffer, 0, roomBytes);
    const startMs = now();
    const leastBytes = Math.min(this.#leastBytes, roomBytes);
    const { value } = await watchdog.watch("source", idleMs, this.#reader.readAtLeast(leastBytes, view));
    if (value === undefined) {
      return null;
    }
    if (value.buffer instanceof ArrayBuffer) {
      this.#buffer = value.buffer;
    }
    if (value.byteLength === 0) {
      return null;
    }
    this.#leastBytes = nextLeastBytes(this.#leastBytes, now() - startMs);
    this.#receivedBytes += value.byteLength;
    this.#breaks = 0;
    return value;
  }

  /** Opens the rest of the blob anew after a break, or throws why it broke. */
  async #resume(broke: CopyError): Promise<void> {
    const { gate, place, signal } = this.#tools;
    gate.record({ class: "failed" });
    await this.#reader.cancel().catch(() => undefined);
    let cause = broke;
    for (;;) {
      if (this.#breaks === RESUMES_MAX) {
        throw cause;
      }
      if (this.#breaks > 0) {
        await pause(RESUME_WAIT_MS * 2 ** (this.#breaks - 1), signal);
      }
      this.#breaks += 1;
      try {
        const body = await openFrom(this.#tools, this.#sizeBytes, this.#receivedBytes);
        if (body === null) {
          // Without ranges the bytes before the break would have to be read once more. Another try starts anew.
          throw cause;
        }
        this.#reader = body.stream.getReader({ mode: "byob" });
        return;
      } catch (thrown) {
        signal.throwIfAborted();
        const again = brokenStream(place, thrown);
        if (!again.detail.retryable) {
          // Whatever it has against ranges (416, 501, one that nobody asked for …): another try asks for the whole.
          throw cause;
        }
        if (again === cause) {
          throw again;
        }
        cause = again;
      }
    }
  }
}

/** The rest of the blob; null: the source has no ranges. */
async function openFrom(tools: ReaderTools, sizeBytes: number, fromByte: number): Promise<BlobBody | null> {
  const { registry, place, watchdog, idleMs, signal } = tools;
  const opening = registry.openBlob(place.repository, place.digest, { fromByte, signal });
  const body = await watchdog.watch("source", idleMs, opening);
  const isRange = body.firstByte === fromByte;
  const restBytes = sizeBytes - fromByte;
  const offeredBytes = body.contentLength ?? restBytes;
  const totalBytes = body.totalBytes ?? sizeBytes;
  if (isRange && offeredBytes === restBytes && totalBytes === sizeBytes) {
    return body;
  }
  await body.stream.cancel().catch(() => undefined);
  if (!isRange) {
    return null;
  }
  throw failure(
    place,
    "size_mismatch",
    true,
    `offers ${offeredBytes} bytes from byte ${fromByte} on, of ${totalBytes}, where ${restBytes} of ${sizeBytes} are missing`,
  );
}

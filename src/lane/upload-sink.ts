/**
 * The target end of a transfer: an open upload session that takes the blob in pieces, in one request or in chunks as
 * the host wants it. The session is closed only by `close`, after the digest is known to be right.
 */
import type { Registry, Upload } from "../registry/contract.ts";
import { ANSWER_LIMIT_MS, BodyWriter, type WriterTools } from "./body-writer.ts";

export interface SinkTools extends WriterTools {
  registry: Registry;
}

/** An open upload session and what is to go into it. */
export interface Session {
  /** In its newest state; what must be cancelled when the transfer fails. */
  upload: Upload;
  sizeBytes: number;
  /** Size of the upload's chunks; 0: all in one request. */
  chunkBytes: number;
}

export interface UploadSink {
  /** Resolves when the bytes are on their way; they may be overwritten then. */
  write(piece: Uint8Array): Promise<void>;
  /** Closes the session after the last byte was written: from here on the blob exists. */
  close(): Promise<void>;
  /** Waits for the end of a request that was broken off. Never throws. */
  abort(): Promise<void>;
}

export function openSink(tools: SinkTools, session: Session): UploadSink {
  return session.chunkBytes > 0 ? new ChunkedSink(tools, session) : new WholeSink(tools, session);
}

/** The body of the closing PUT of a session, in one piece. */
export function putWriter(tools: SinkTools, { upload, sizeBytes }: Session): BodyWriter<void> {
  const { registry, place, signal } = tools;
  return new BodyWriter(tools, sizeBytes, (body) =>
    registry.putBlob(upload, { digest: place.digest, sizeBytes, body, signal }),
  );
}

class WholeSink implements UploadSink {
  readonly #tools: SinkTools;
  readonly #session: Session;
  #writer: BodyWriter<void> | null = null;

  constructor(tools: SinkTools, session: Session) {
    this.#tools = tools;
    this.#session = session;
  }

  write(piece: Uint8Array): Promise<void> {
    // Not before there is something to send: the request holds one of the invocation's few connections.
    this.#writer ??= putWriter(this.#tools, this.#session);
    return this.#writer.write(piece);
  }

  async close(): Promise<void> {
    await this.#writer?.close();
  }

  async abort(): Promise<void> {
    await this.#writer?.abort();
  }
}

class ChunkedSink implements UploadSink {
  readonly #tools: SinkTools;
  readonly #session: Session;
  #writer: BodyWriter<Upload> | null = null;
  /** Where the next chunk begins, and how many bytes of the one under way are missing. */
  #nextByte = 0;
  #missingBytes = 0;

  constructor(tools: SinkTools, session: Session) {
    this.#tools = tools;
    this.#session = session;
  }

  async write(piece: Uint8Array): Promise<void> {
    let rest = piece;
    while (rest.byteLength > 0) {
      const writer = (this.#writer ??= this.#startChunk());
      const part = rest.subarray(0, this.#missingBytes);
      await writer.write(part);
      this.#missingBytes -= part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (this.#missingBytes > 0) {
        continue;
      }
      this.#session.upload = await writer.close();
      this.#writer = null;
    }
  }

  async close(): Promise<void> {
    const { registry, place, signal, watchdog } = this.#tools;
    const closing = registry.putBlob(this.#session.upload, { digest: place.digest, sizeBytes: 0, body: null, signal });
    await watchdog.watch("target", ANSWER_LIMIT_MS, closing);
  }

  async abort(): Promise<void> {
    await this.#writer?.abort();
  }

  #startChunk(): BodyWriter<Upload> {
    const { registry, signal } = this.#tools;
    const { upload, chunkBytes } = this.#session;
    const firstByte = this.#nextByte;
    const sizeBytes = Math.min(chunkBytes, this.#session.sizeBytes - firstByte);
    this.#nextByte = firstByte + sizeBytes;
    this.#missingBytes = sizeBytes;
    return new BodyWriter(this.#tools, sizeBytes, (body) =>
      registry.patchBlob(upload, { firstByte, sizeBytes, body, signal }),
    );
  }
}

/**
 * The target end of a transfer: an open upload session that takes the blob in pieces, in the shape that the host wants.
 * The session is closed only by `close`, after the digest is known to be right.
 */
import type { Registry, Upload } from "../registry/contract.ts";
import { CopyError } from "../registry/errors.ts";
import type { UploadPlan } from "../registry/upload-shape.ts";
import { failure } from "./failures.ts";
import { ANSWER_LIMIT_MS, BodyWriter, type WriterTools } from "./body-writer.ts";

export interface SinkTools extends WriterTools {
  registry: Registry;
}

/** An open upload session and what is to go into it. */
export interface Session {
  /** In its newest state; what must be cancelled when the transfer fails. */
  upload: Upload;
  sizeBytes: number;
  plan: UploadPlan;
  /** Where the newest request that carries bytes begins in the blob. */
  firstByte: number;
  /** Bytes that the registry has stored, by its own answers. */
  storedBytes: number;
  /** Where the next byte to send stands in the blob: the registry cannot have more. */
  sentBytes: number;
  /** How often a redirect has sent its bytes elsewhere. */
  moves: number;
  /** It was gone on with after a break: a refusal says nothing of the form in which the host takes blobs. */
  isResumed: boolean;
  /** An answer after a chunk that did not tell what had been sent. */
  oddOffset?: { sentBytes: number; toldBytes: number };
}

export interface UploadSink {
  /** Bytes that may be written before the next answer is due; a piece should not go beyond. Never 0. */
  readonly roomBytes: number;
  /** Resolves when the bytes are on their way; they may be overwritten then. */
  write(piece: Uint8Array): Promise<void>;
  /** Closes the session after the last byte was written: from here on the blob exists. */
  close(): Promise<void>;
  /** Waits for the end of a request that was broken off. Never throws. */
  abort(): Promise<void>;
}

export function openSink(tools: SinkTools, session: Session): UploadSink {
  const { plan } = session;
  if (plan.way === "put") {
    return new WholeSink(tools, session);
  }
  return new PatchSink(tools, session, plan.way === "chunks" ? plan.chunkBytes : null);
}

/** The body of the closing PUT of a session, with everything that has not been sent. */
export function putWriter(tools: SinkTools, session: Session): BodyWriter<void> {
  const { registry, place, signal } = tools;
  const { upload, sentBytes } = session;
  const sizeBytes = session.sizeBytes - sentBytes;
  session.firstByte = sentBytes;
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

  get roomBytes(): number {
    return this.#session.sizeBytes - this.#session.sentBytes;
  }

  write(piece: Uint8Array): Promise<void> {
    // Not before there is something to send: the request holds one of the invocation's few connections.
    this.#writer ??= putWriter(this.#tools, this.#session);
    this.#session.sentBytes += piece.byteLength;
    return this.#writer.write(piece);
  }

  async close(): Promise<void> {
    await (this.#writer === null ? putNothing(this.#tools, this.#session) : this.#writer.close());
  }

  async abort(): Promise<void> {
    await this.#writer?.abort();
  }
}

/** PATCHes, one or many, and a closing PUT without a body. */
class PatchSink implements UploadSink {
  readonly #tools: SinkTools;
  readonly #session: Session;
  readonly #chunkBytes: number | null;
  #writer: BodyWriter<Upload> | null = null;
  /** Of the request under way. */
  #missingBytes = 0;

  /** @param chunkBytes Null: one PATCH without Content-Range. */
  constructor(tools: SinkTools, session: Session, chunkBytes: number | null) {
    this.#tools = tools;
    this.#session = session;
    this.#chunkBytes = chunkBytes;
  }

  get roomBytes(): number {
    return this.#writer === null ? this.#requestBytes : this.#missingBytes;
  }

  async write(piece: Uint8Array): Promise<void> {
    const session = this.#session;
    const writer = (this.#writer ??= this.#startRequest());
    session.sentBytes += piece.byteLength;
    await writer.write(piece);
    this.#missingBytes -= piece.byteLength;
    if (this.#missingBytes > 0) {
      return;
    }
    session.upload = await writer.close();
    this.#writer = null;
    this.#check();
    session.storedBytes = session.sentBytes;
  }

  async close(): Promise<void> {
    await putNothing(this.#tools, this.#session);
  }

  async abort(): Promise<void> {
    await this.#writer?.abort();
  }

  get #requestBytes(): number {
    const { sizeBytes, sentBytes } = this.#session;
    return Math.min(this.#chunkBytes ?? sizeBytes, sizeBytes - sentBytes);
  }

  #startRequest(): BodyWriter<Upload> {
    const { registry, signal } = this.#tools;
    const session = this.#session;
    const { upload, sentBytes: firstByte } = session;
    const sizeBytes = this.#requestBytes;
    const isChunk = this.#chunkBytes !== null;
    session.firstByte = firstByte;
    this.#missingBytes = sizeBytes;
    return new BodyWriter(this.#tools, sizeBytes, (body) =>
      registry.patchBlob(upload, { sizeBytes, body, signal, ...(isChunk && { firstByte }) }),
    );
  }

  /** What the answer says of the offset is noted, not heeded: ECR's stands still, and the digest decides in the end. */
  #check(): void {
    const { upload, sizeBytes, sentBytes } = this.#session;
    if (upload.completed === true && sentBytes < sizeBytes) {
      const problem = `closed the upload after ${sentBytes} of ${sizeBytes} bytes`;
      const { detail } = failure(this.#tools.place, "upload_rejected", true, problem);
      throw new CopyError({ ...detail, status: 201 });
    }
    const { toldBytes } = upload;
    if (toldBytes !== undefined && toldBytes !== sentBytes && sentBytes < sizeBytes) {
      this.#session.oddOffset ??= { sentBytes, toldBytes };
    }
  }
}

/** Closes a session that has every byte. */
async function putNothing({ registry, place, signal, watchdog }: SinkTools, { upload }: Session): Promise<void> {
  const closing = registry.putBlob(upload, { digest: place.digest, sizeBytes: 0, body: null, signal });
  await watchdog.watch("target", ANSWER_LIMIT_MS, closing);
}

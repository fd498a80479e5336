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
  /** An answer after a chunk that did not tell what had been sent. */
  oddOffset?: { sentBytes: number; toldBytes: number };
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
  const { plan } = session;
  if (plan.way === "put") {
    return new WholeSink(tools, session);
  }
  return new PatchSink(tools, session, plan.way === "chunks" ? plan.chunkBytes : null);
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

/** PATCHes, one or many, and a closing PUT without a body. */
class PatchSink implements UploadSink {
  readonly #tools: SinkTools;
  readonly #session: Session;
  readonly #chunkBytes: number | null;
  #writer: BodyWriter<Upload> | null = null;
  /** Where the next request begins, and how many bytes of the one under way are missing. */
  #nextByte = 0;
  #missingBytes = 0;

  /** @param chunkBytes Null: one PATCH without Content-Range. */
  constructor(tools: SinkTools, session: Session, chunkBytes: number | null) {
    this.#tools = tools;
    this.#session = session;
    this.#chunkBytes = chunkBytes;
  }

  async write(piece: Uint8Array): Promise<void> {
    let rest = piece;
    while (rest.byteLength > 0) {
      const writer = (this.#writer ??= this.#startRequest());
      const part = rest.subarray(0, this.#missingBytes);
      await writer.write(part);
      this.#missingBytes -= part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (this.#missingBytes > 0) {
        continue;
      }
      this.#session.upload = await writer.close();
      this.#writer = null;
      this.#check();
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

  #startRequest(): BodyWriter<Upload> {
    const { registry, signal } = this.#tools;
    const session = this.#session;
    const { upload } = session;
    const chunkBytes = this.#chunkBytes;
    const firstByte = this.#nextByte;
    const leftBytes = session.sizeBytes - firstByte;
    const sizeBytes = chunkBytes === null ? leftBytes : Math.min(chunkBytes, leftBytes);
    session.firstByte = firstByte;
    this.#nextByte = firstByte + sizeBytes;
    this.#missingBytes = sizeBytes;
    return new BodyWriter(this.#tools, sizeBytes, (body) =>
      registry.patchBlob(upload, { sizeBytes, body, signal, ...(chunkBytes !== null && { firstByte }) }),
    );
  }

  /** What the answer says of the offset is noted, not heeded: ECR's stands still, and the digest decides in the end. */
  #check(): void {
    const { upload, sizeBytes } = this.#session;
    const sentBytes = this.#nextByte;
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

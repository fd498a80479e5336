/**
 * Whether a blob has to be sent at all, and the session it is sent into: looked for, mounted, opened, or taken over from
 * another lane. Sends no byte of it.
 */
import type { Handover, Transfer } from "../host/contract.ts";
import type { BlobBody, Upload } from "../registry/contract.ts";
import { planUpload, type UploadShape } from "../registry/upload-shape.ts";
import { reportable } from "./failures.ts";
import { uploadOf } from "./handover.ts";
import type { Ends } from "./stream.ts";
import { orAborted, withinMs } from "./time.ts";
import type { Session } from "./upload-sink.ts";

/** Closing the session of a failed upload is a courtesy: the registry purges it in time. */
const CANCEL_LIMIT_MS = 5_000;

/** Names of repositories, as `host/repository`. */
export interface Pushable {
  has(repository: string): boolean;
  add(repository: string): void;
}

export interface OpeningTools {
  transfer: Transfer;
  ends: Ends;
  shape: UploadShape;
  /** Repositories known to take our uploads; a first transfer into another one asks the target before it reads a byte. */
  pushable: Pushable;
  /** Told of a session as soon as it is open. */
  opened: (session: Session) => void;
}

export class Opening {
  readonly #tools: OpeningTools;
  #session: Session | null = null;

  constructor(tools: OpeningTools) {
    this.#tools = tools;
  }

  /** The session that is open now, in its newest state. */
  get session(): Session | null {
    return this.#session;
  }

  async isPresent(): Promise<boolean> {
    const { registry, place, watchdog, idleMs, signal } = this.#tools.ends.target;
    // The client has no signal for this one; whatever becomes of it, it moves no bytes.
    const heading = registry.headBlob(place.repository, place.digest);
    const sizeBytes = await watchdog.watch("target", idleMs, orAborted(signal, heading)).catch((thrown: unknown) => {
      // A registry that answers no HEADs, or none of ours, may take the upload all the same.
      if (["unsupported", "denied"].includes(reportable(thrown).code)) {
        return null;
      }
      throw thrown;
    });
    // -1: there, size not said. Another size means a broken registry; what it makes of the upload decides.
    return sizeBytes === -1 || sizeBytes === this.#tools.transfer.offer.sizeBytes;
  }

  /** Whether the blob was mounted from there; else the upload session is open. */
  async mount(fromRepository: string): Promise<boolean> {
    const upload = await this.#start(fromRepository);
    if (upload !== null) {
      this.#opened(upload);
    }
    return upload === null;
  }

  /** The session as another lane has left it. */
  takeOver(handover: Handover): Session {
    const { sizeBytes, targetRepository } = this.#tools.transfer.offer;
    const session = this.#sessionOf(uploadOf(targetRepository, handover));
    // How much was sent by a lane that died is not known.
    this.#session = { ...session, storedBytes: handover.offsetBytes, sentBytes: sizeBytes, isResumed: true };
    return this.#session;
  }

  async open(): Promise<Session> {
    if (this.#session === null) {
      const upload = await this.#start();
      if (upload === null) {
        throw new Error("a mount that nobody asked for");
      }
      return this.#opened(upload);
    }
    return this.#session;
  }

  /** The source's GET and the upload's POST, both under way at once. */
  async openBoth(): Promise<{ body: BlobBody; session: Session }> {
    const { ends, pushable } = this.#tools;
    const { registry, place, watchdog, idleMs, signal } = ends.source;
    const { host, repository } = ends.target.place;
    let opened: Promise<Session> | undefined;
    if (!pushable.has(`${host}/${repository}`)) {
      opened = this.open();
      await opened;
      pushable.add(`${host}/${repository}`);
    }
    const getting = watchdog.watch("source", idleMs, registry.openBlob(place.repository, place.digest, { signal }));
    const posting = opened ?? this.open();
    // Without a session there is no use for the body. The other way round the session must be known, to be cancelled.
    posting.catch((thrown: unknown) => ends.breakOff(thrown));
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

  /** Deletes the session, if any is open. Never throws. */
  async cancel(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    if (session !== null) {
      await withinMs(CANCEL_LIMIT_MS, this.#tools.ends.target.registry.cancelUpload(session.upload));
    }
  }

  /** Opens an upload session; null: the blob was mounted instead. */
  async #start(mountFrom?: string): Promise<Upload | null> {
    const { registry, place, watchdog, idleMs, signal } = this.#tools.ends.target;
    const starting = registry.startUpload(place.repository, {
      digest: place.digest,
      signal,
      ...(mountFrom !== undefined && { mountFrom }),
    });
    const started = await watchdog.watch("target", idleMs, starting);
    return started.mounted ? null : started.upload;
  }

  #opened(upload: Upload): Session {
    const session = this.#sessionOf(upload);
    this.#session = session;
    this.#tools.opened(session);
    return session;
  }

  #sessionOf(upload: Upload): Session {
    const { transfer, shape } = this.#tools;
    const { sizeBytes } = transfer.offer;
    const { minChunkBytes, maxChunkBytes = 0 } = upload;
    const plan = planUpload(shape, sizeBytes, { minChunkBytes, maxChunkBytes }, transfer.attempt);
    return { upload, sizeBytes, plan, firstByte: 0, storedBytes: 0, sentBytes: 0, moves: 0, isResumed: false };
  }
}

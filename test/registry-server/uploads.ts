/**
 * Upload sessions of the test registry: POST opens (or mounts, or takes the whole blob), PATCH appends, PUT closes, GET
 * tells the offset, DELETE cancels. As strict as the spec lets a registry be: the Location's state must be the newest,
 * a wrong Content-Range is 416, a wrong digest ends the session.
 */
import { createHash, randomUUID, type Hash } from "node:crypto";
import type { Exchange } from "./exchange.ts";
import { emptyReply, RegistryError, type Reply } from "./reply.ts";
import { digestLike, type Storage } from "./storage.ts";

export interface UploadOptions {
  /** Which mounts are granted: with `from` and without (`any`), only with, or none; what is not granted opens a session. */
  mount: "any" | "from" | "none";
  /** POST with `?digest` takes the blob; else it only opens a session, as the spec allows. */
  singlePost: boolean;
  /** `OCI-Chunk-Min-Length`; a smaller chunk that is not the last is refused. 0: none. */
  minChunkBytes: number;
  /** A body larger than this gets 413 (PUT, POST) or 416 (PATCH with Content-Range). 0: none. */
  maxBodyBytes: number;
  /** A body larger than this gets 413, but only as the one body of a PUT or POST. 0: none. */
  maxPutBytes: number;
  /** A chunk (PATCH with Content-Range) larger than this gets 416 that names the limit in MiB. 0: none. */
  maxChunkBytes: number;
  /** The limit of chunks is told as `OCI-Chunk-Max-Length`. */
  tellsMaxChunk: boolean;
  /** Which uploads are taken: `put` in the closing PUT, `patch` without Content-Range, `chunks` with it. */
  forms: readonly ("put" | "patch" | "chunks")[];
  /** All chunks but the last must be equally large, as the parts of some object stores. */
  equalChunks: boolean;
  /** A PATCH without Content-Range is the whole blob: it is stored, answered 201, and the session is over. */
  closesOnPatch: boolean;
  /** What a broken request has brought is thrown away. */
  dropsBroken: boolean;
  /** `Range` stays at the end of the first chunk, whatever came after it. */
  rangeStandsStill: boolean;
  location: "relative" | "absolute";
  /** Counts and hashes only: blobs can be sent but not read back. */
  discard: boolean;
}

/** An upload API that takes all that the spec has. */
export const LENIENT_UPLOADS: UploadOptions = {
  mount: "any",
  singlePost: true,
  minChunkBytes: 0,
  maxBodyBytes: 0,
  maxPutBytes: 0,
  maxChunkBytes: 0,
  tellsMaxChunk: false,
  forms: ["put", "patch", "chunks"],
  equalChunks: false,
  closesOnPatch: false,
  dropsBroken: false,
  rangeStandsStill: false,
  location: "relative",
  discard: false,
};

export interface OpenUpload {
  id: string;
  repository: string;
  offsetBytes: number;
  /** When it was opened, on the clock of `performance.now()`. */
  openedMs: number;
}

interface Session extends OpenUpload {
  hash: Hash;
  pieces: Buffer[];
  /** A request is writing now: a second one would mix its bytes in. */
  busy: boolean;
  /** The chunk before was below the minimum, or smaller than the first, so it must have been the last one. */
  shortChunk: boolean;
  firstChunkBytes: number;
}

export class Uploads {
  readonly #storage: Storage;
  readonly #options: UploadOptions;
  readonly #sessions = new Map<string, Session>();

  constructor(storage: Storage, options: UploadOptions) {
    this.#storage = storage;
    this.#options = options;
  }

  open(): OpenUpload[] {
    return [...this.#sessions.values()].map(({ id, repository, offsetBytes, openedMs }) => {
      return { id, repository, offsetBytes, openedMs };
    });
  }

  /** Forgets a session, as a registry does that was restarted or purged. */
  lose(id: string): void {
    this.#sessions.delete(id);
  }

  /** POST to `blobs/uploads/`. */
  async start(exchange: Exchange, repository: string): Promise<Reply> {
    const query = exchange.url.searchParams;
    const mount = query.get("mount");
    if (mount !== null) {
      const from = query.get("from");
      const allowed = this.#options.mount === "any" || (this.#options.mount === "from" && from !== null);
      const holder = from ?? this.#storage.holderOf(mount);
      const blob = holder === undefined ? undefined : this.#storage.blobIn(holder, mount);
      if (allowed && blob) {
        this.#storage.addBlob(repository, mount, blob);
        return created(repository, mount);
      }
    }
    const session: Session = {
      id: randomUUID(),
      repository,
      offsetBytes: 0,
      openedMs: performance.now(),
      hash: createHash("sha256"),
      pieces: [],
      busy: false,
      shortChunk: false,
      firstChunkBytes: 0,
    };
    this.#sessions.set(session.id, session);
    const digest = query.get("digest");
    if (digest !== null && this.#options.singlePost) {
      this.#checkPut(Number(exchange.header("content-length") ?? 0));
      await this.#append(exchange, session);
      return this.#close(session, digest);
    }
    return this.#accepted(exchange, session);
  }

  /** PATCH of a session: a chunk with Content-Range, or a stream without. */
  async append(exchange: Exchange, repository: string, id: string): Promise<Reply> {
    const session = this.#session(exchange, repository, id);
    const isChunk = exchange.header("content-range") !== undefined;
    this.#checkForm(isChunk ? "chunks" : "patch");
    this.#checkChunk(exchange, session);
    await this.#append(exchange, session);
    if (this.#options.closesOnPatch && !isChunk) {
      return this.#close(session, `sha256:${session.hash.copy().digest("hex")}`);
    }
    return this.#accepted(exchange, session);
  }

  /** PUT of a session: the last bytes, if any, and the digest of the whole. */
  async finish(exchange: Exchange, repository: string, id: string): Promise<Reply> {
    const digest = exchange.url.searchParams.get("digest");
    const session = this.#session(exchange, repository, id);
    if (digest === null) {
      throw new RegistryError(400, "DIGEST_INVALID", "PUT needs the digest parameter");
    }
    this.#checkRange(exchange, session);
    const bodyBytes = Number(exchange.header("content-length") ?? 0);
    if (bodyBytes > 0 && session.offsetBytes === 0) {
      this.#checkForm("put");
    }
    this.#checkPut(bodyBytes);
    await this.#append(exchange, session);
    return this.#close(session, digest);
  }

  /** GET of a session: 204 with the bytes stored so far. A stale Location is welcome here, and gets the newest. */
  status(exchange: Exchange, repository: string, id: string): Reply {
    return { ...this.#accepted(exchange, this.#known(repository, id)), status: 204 };
  }

  cancel(repository: string, id: string): Reply {
    this.#sessions.delete(this.#known(repository, id).id);
    return emptyReply(204);
  }

  #known(repository: string, id: string): Session {
    const session = this.#sessions.get(id);
    if (session?.repository === repository) {
      return session;
    }
    throw new RegistryError(404, "BLOB_UPLOAD_UNKNOWN", `there is no upload ${id} in ${repository}`);
  }

  #session(exchange: Exchange, repository: string, id: string): Session {
    const session = this.#known(repository, id);
    const state = exchange.url.searchParams.get("_state");
    if (state === null) {
      throw new RegistryError(400, "BLOB_UPLOAD_INVALID", "the query of the Location was lost on the way");
    }
    if (session.busy) {
      throw new RegistryError(409, "BLOB_UPLOAD_INVALID", "another request is writing this upload");
    }
    if (state !== stateOf(session)) {
      throw new RegistryError(416, "BLOB_UPLOAD_INVALID", "this Location is not the newest", rangeOf(session));
    }
    return session;
  }

  #checkRange(exchange: Exchange, session: Session): { lengthBytes: number } | null {
    const header = exchange.header("content-range");
    if (header === undefined) {
      return null;
    }
    const match = /^([0-9]+)-([0-9]+)$/.exec(header);
    if (!match) {
      throw new RegistryError(416, "RANGE_INVALID", `Content-Range "${header}" is not FIRST-LAST`, rangeOf(session));
    }
    const [first, last] = [Number(match[1]), Number(match[2])];
    if (first !== session.offsetBytes || last < first) {
      throw new RegistryError(416, "RANGE_INVALID", `expected byte ${session.offsetBytes} next`, rangeOf(session));
    }
    const declared = exchange.header("content-length");
    if (declared !== undefined && Number(declared) !== last - first + 1) {
      throw new RegistryError(400, "SIZE_INVALID", "Content-Range and Content-Length differ");
    }
    return { lengthBytes: last - first + 1 };
  }

  #checkForm(form: UploadOptions["forms"][number]): void {
    if (!this.#options.forms.includes(form)) {
      throw new RegistryError(
        form === "patch" ? 405 : 400,
        "UNSUPPORTED",
        `uploads of the form "${form}" are not supported`,
      );
    }
  }

  #checkPut(bodyBytes: number): void {
    const { maxPutBytes } = this.#options;
    if (maxPutBytes > 0 && bodyBytes > maxPutBytes) {
      throw new RegistryError(413, "SIZE_INVALID", "the body is too large");
    }
  }

  #checkChunk(exchange: Exchange, session: Session): void {
    const chunk = this.#checkRange(exchange, session);
    if (!chunk) {
      return;
    }
    const { minChunkBytes, maxBodyBytes, maxChunkBytes, equalChunks } = this.#options;
    if (maxChunkBytes > 0 && chunk.lengthBytes > maxChunkBytes) {
      const limit = `${(maxChunkBytes / 1024 ** 2).toFixed(2)}MiB`;
      const problem = `blob size exceeds the maximum permissible limit of ${limit}`;
      throw new RegistryError(416, "RANGE_INVALID", problem, rangeOf(session));
    }
    if (maxBodyBytes > 0 && chunk.lengthBytes > maxBodyBytes) {
      throw new RegistryError(416, "RANGE_INVALID", `a chunk may have ${maxBodyBytes} bytes`, rangeOf(session));
    }
    if (session.shortChunk) {
      throw new RegistryError(
        416,
        "SIZE_INVALID",
        `only the last chunk may be below ${minChunkBytes} bytes`,
        rangeOf(session),
      );
    }
    session.firstChunkBytes ||= chunk.lengthBytes;
    if (equalChunks && chunk.lengthBytes > session.firstChunkBytes) {
      throw new RegistryError(400, "SIZE_INVALID", "all chunks but the last must be equally large", rangeOf(session));
    }
    session.shortChunk = chunk.lengthBytes < (equalChunks ? session.firstChunkBytes : minChunkBytes);
  }

  async #append(exchange: Exchange, session: Session): Promise<void> {
    const { maxBodyBytes, discard, dropsBroken } = this.#options;
    if (maxBodyBytes > 0 && Number(exchange.header("content-length") ?? 0) > maxBodyBytes) {
      throw new RegistryError(413, "SIZE_INVALID", `a body may have ${maxBodyBytes} bytes`);
    }
    session.busy = true;
    const before = { hash: session.hash.copy(), offsetBytes: session.offsetBytes, pieces: session.pieces.length };
    try {
      // What arrived before a client breaks off stays, as in a real registry.
      for await (const piece of exchange.body()) {
        session.hash.update(piece);
        session.offsetBytes += piece.length;
        if (!discard) {
          session.pieces.push(piece);
        }
      }
    } catch (error) {
      if (dropsBroken) {
        session.hash = before.hash;
        session.offsetBytes = before.offsetBytes;
        session.pieces.length = before.pieces;
      }
      throw error;
    } finally {
      session.busy = false;
    }
  }

  #close(session: Session, digest: string): Reply {
    this.#sessions.delete(session.id);
    const actual = digest.startsWith("sha256:")
      ? `sha256:${session.hash.digest("hex")}`
      : this.#options.discard
        ? null
        : digestLike(digest, session.pieces);
    if (actual !== digest) {
      throw new RegistryError(
        400,
        "DIGEST_INVALID",
        `the bytes have digest ${actual ?? "of an unknown kind"}, not ${digest}`,
      );
    }
    const pieces = this.#options.discard ? null : session.pieces;
    this.#storage.addBlob(session.repository, digest, { sizeBytes: session.offsetBytes, pieces });
    return created(session.repository, digest);
  }

  #accepted(exchange: Exchange, session: Session): Reply {
    const path = `/v2/${session.repository}/blobs/uploads/${session.id}?_state=${stateOf(session)}`;
    const base = this.#options.location === "absolute" ? `http://${exchange.header("host")}` : "";
    return emptyReply(202, {
      location: base + path,
      ...(this.#options.rangeStandsStill && session.firstChunkBytes > 0
        ? { range: `0-${session.firstChunkBytes - 1}` }
        : rangeOf(session)),
      "docker-upload-uuid": session.id,
      ...(this.#options.minChunkBytes > 0 ? { "oci-chunk-min-length": String(this.#options.minChunkBytes) } : {}),
      ...(this.#options.tellsMaxChunk ? { "oci-chunk-max-length": String(this.#options.maxChunkBytes) } : {}),
    });
  }
}

function created(repository: string, digest: string): Reply {
  return emptyReply(201, { location: `/v2/${repository}/blobs/${digest}`, "docker-content-digest": digest });
}

/** Changes with every byte, so that a client which keeps an old Location is found out. */
function stateOf(session: Session): string {
  return Buffer.from(`${session.id.slice(0, 8)}:${session.offsetBytes}`).toString("base64url");
}

/** `0-0` for an empty upload, as distribution says it, although it could as well mean one byte. */
function rangeOf(session: Session): Record<string, string> {
  return { range: `0-${Math.max(0, session.offsetBytes - 1)}` };
}

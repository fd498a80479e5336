/**
 * The second listener of the test registry, where redirected blob reads end: it serves a signed path for a short time,
 * GET only, and refuses a request that carries credentials of the registry, as object stores do.
 */
import { createHmac, randomBytes } from "node:crypto";
import { blobReply } from "./blobs.ts";
import type { Exchange } from "./exchange.ts";
import { bytesReply, type RegistryError, type Reply } from "./reply.ts";
import type { Storage } from "./storage.ts";

export interface RedirectOptions {
  /** Blobs below this size are served by the registry itself. Default 0. */
  minBytes?: number;
  /** Default 307. */
  status?: 301 | 302 | 303 | 307 | 308;
  /** Life of a signed path, in seconds. Default 60. */
  lifeSeconds?: number;
}

export class Cdn {
  readonly #storage: Storage;
  readonly #options: RedirectOptions;
  readonly #now: () => number;
  readonly #secret = randomBytes(16);
  /** Address of its listener: `127.0.0.1:PORT`. */
  host = "";

  constructor(storage: Storage, options: RedirectOptions, now: () => number) {
    this.#storage = storage;
    this.#options = options;
    this.#now = now;
  }

  /** What the registry answers to a blob GET, or null when the blob is too small to be sent away. */
  redirect(digest: string, sizeBytes: number): Reply | null {
    if (sizeBytes < (this.#options.minBytes ?? 0)) {
      return null;
    }
    const path = `/cdn/${digest}`;
    const expires = String(this.#now() + (this.#options.lifeSeconds ?? 60) * 1000);
    const location = `http://${this.host}${path}?expires=${expires}&signature=${this.#sign(path, expires)}`;
    return { status: this.#options.status ?? 307, headers: { location }, body: [], sizeBytes: 0 };
  }

  serve(exchange: Exchange): Reply {
    const { pathname, searchParams } = exchange.url;
    if (exchange.header("authorization") !== undefined) {
      return xml(400, "InvalidArgument", "Only one authentication mechanism is allowed");
    }
    const expires = searchParams.get("expires") ?? "";
    const signed = searchParams.get("signature") === this.#sign(pathname, expires);
    if (exchange.method !== "GET" || !signed || Number(expires) <= this.#now()) {
      return xml(403, "AccessDenied", "Access denied");
    }
    const digest = pathname.slice("/cdn/".length);
    const blob = this.#storage.blobs.get(digest);
    if (!blob) {
      return xml(404, "NoSuchKey", "There is no such object");
    }
    const reply = blobReply(blob, digest, exchange.header("range"));
    // An object store knows nothing of registries' headers.
    delete reply.headers["docker-content-digest"];
    return reply;
  }

  #sign(path: string, expires: string): string {
    return createHmac("sha256", this.#secret).update(`${path}|${expires}`).digest("hex");
  }
}

/** Turns a refusal of the registry's kind into the store's kind. */
export function cdnError(error: RegistryError): Reply {
  return {
    ...xml(error.status, error.code, error.message),
    headers: { "content-type": "application/xml", ...error.headers },
  };
}

function xml(status: number, code: string, message: string): Reply {
  const text = `<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return bytesReply(status, Buffer.from(text), { "content-type": "application/xml" });
}

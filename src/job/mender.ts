/**
 * What to do when the target refuses a manifest because something it refers to is not there, though it was brought or found
 * there: waits, since parts of a registry may lag behind one another; then looks, and brings what is missing once more.
 */
import type { Descriptor } from "../copy/graph.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { Manifest, Registry } from "../registry/contract.ts";
import { CopyError, type ErrorDetail, errorDetailOf } from "../registry/errors.ts";
import type { WaitingBlob } from "./offers.ts";

/** Waits before the pushes that follow the first one, in milliseconds. After the last of them the refusal stands. */
const WAITS_MS = [500, 1_000, 2_000, 4_000] as const;
/** Before this push nothing is believed any more: what the manifest refers to is looked for. */
const LOOK_BEFORE = 2;

export interface MenderParts {
  request: Pick<CopyRequest, "target">;
  target: Pick<Registry, "host" | "headBlob" | "headManifest" | "putManifest">;
  /** Where a blob that had come is put down as missing; answers why it cannot be brought, where that is known. */
  ledger: { blobs: { reopen(digest: string): ErrorDetail | null } };
  events: { warn(messages: string[]): void };
  /** Before the writes of a step; throws when the run has been stopped. */
  beginStep: () => void;
  now: () => number;
  pause: (ms: number) => Promise<void>;
  /** What a manifest refers to. */
  contentOf: (manifest: Manifest) => { children: Descriptor[]; blobs: Descriptor[] };
  /** A manifest's bytes, as they were read. */
  manifest: (digest: string) => Promise<Manifest>;
  /** Hands blobs to the target's host. */
  offer: (blobs: WaitingBlob[]) => void;
}

export class Mender {
  readonly #parts: MenderParts;
  /** By digest: blobs that are on their way once more. */
  readonly #awaited = new Map<string, PromiseWithResolvers<void>>();

  constructor(parts: MenderParts) {
    this.#parts = parts;
  }

  /** Pushes a manifest, again and again while that may help. @throws what `push` threw last. */
  async push(manifest: Manifest, push: () => Promise<void>): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await push();
        return;
      } catch (error) {
        const detail = errorDetailOf(error);
        const waitMs = WAITS_MS[attempt];
        if (detail.code !== "content_missing") {
          throw error;
        }
        if (waitMs === undefined) {
          throw new CopyError({ ...detail, message: `${detail.message}; tried ${attempt + 1} times, ${REMEDY}` });
        }
        await this.#parts.pause(waitMs);
        if (attempt === LOOK_BEFORE) {
          await this.#bringMissing(manifest);
        }
      }
    }
  }

  arrived(digest: string): void {
    this.#awaited.get(digest)?.resolve();
    this.#awaited.delete(digest);
  }

  failed(digest: string, error: unknown): void {
    this.#awaited.get(digest)?.reject(error);
    this.#awaited.delete(digest);
  }

  stop(reason: unknown): void {
    [...this.#awaited.keys()].forEach((digest) => this.failed(digest, reason));
  }

  async #bringMissing(manifest: Manifest): Promise<void> {
    const { request, target, contentOf } = this.#parts;
    const { repository } = request.target;
    const { children, blobs } = contentOf(manifest);
    const missing: Descriptor[] = [];
    for (const blob of blobs) {
      if (await isMissing(() => target.headBlob(repository, blob.digest))) {
        missing.push(blob);
      }
    }
    await this.#sendAgain(missing);
    for (const { digest } of children) {
      if (await isMissing(() => target.headManifest(repository, digest))) {
        await target.putManifest(repository, digest, await this.#parts.manifest(digest));
      }
    }
  }

  async #sendAgain(blobs: Descriptor[]): Promise<void> {
    const { ledger, events, offer, now, beginStep, target } = this.#parts;
    if (blobs.length === 0) {
      return;
    }
    beginStep();
    const what = blobs.length === 1 ? "a blob" : `${blobs.length} blobs`;
    events.warn([`${target.host} did not have ${what} any more that had come to it, and was sent that again`]);
    for (const { digest } of blobs) {
      const failure = ledger.blobs.reopen(digest);
      if (failure !== null) {
        // Another manifest has had it sent again, and it could not be: nobody would be told of it once more.
        throw new CopyError(failure);
      }
    }
    const sinceMs = now();
    const coming = blobs.map(({ digest }) => {
      const awaited = this.#awaited.get(digest) ?? Promise.withResolvers<void>();
      this.#awaited.set(digest, awaited);
      return awaited.promise;
    });
    offer(blobs.map(({ digest, sizeBytes }) => ({ digest, sizeBytes, sinceMs })));
    await Promise.all(coming);
  }
}

const REMEDY = "and whatever it did not have was sent again";

/** A registry that does not answer HEADs may have it. */
async function isMissing(look: () => Promise<unknown>): Promise<boolean> {
  try {
    return (await look()) === null;
  } catch (error) {
    if (["unsupported", "denied"].includes(errorDetailOf(error).code)) {
      return false;
    }
    throw error;
  }
}

/**
 * A run's blobs on their way to the target's host. While one call is under way the next blobs gather, so that many small
 * images cost few calls.
 */
import type { CopyRequest } from "../copy/request.ts";
import type { BlobOffer } from "../host/contract.ts";
import type { Place } from "../registry/places.ts";

export interface WaitingBlob {
  digest: string;
  sizeBytes: number;
  /** First arrival, milliseconds since the epoch. */
  sinceMs: number;
}

export interface OffersParts {
  id: string;
  request: CopyRequest;
  /** Where the copy reads from; missing: its source. */
  places?: readonly Place[];
  /** From which of them a blob is to be read. */
  placeOf: (digest: string) => number;
  /** Hands offers to the target's host; safe to repeat. */
  sendOffers: (offers: BlobOffer[]) => Promise<void>;
  onError: (error: unknown) => void;
}

/** Offers of one call: far below the 32 MiB that a call may carry. */
const OFFERS_PER_CALL = 1_000;

export class Offers {
  readonly #parts: OffersParts;
  #waiting: WaitingBlob[] = [];
  #sending = false;
  #stopped = false;
  /** Whether blobs may be at the target already, so that looking first is worth a request. */
  mayExist = true;

  constructor(parts: OffersParts) {
    this.#parts = parts;
  }

  add(blobs: readonly WaitingBlob[]): void {
    this.#waiting.push(...blobs);
    if (!this.#sending) {
      this.#sending = true;
      this.#send().catch((error: unknown) => this.#parts.onError(error));
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting = [];
  }

  async #send(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && !this.#stopped) {
        const some = this.#waiting.splice(0, OFFERS_PER_CALL);
        await this.#parts.sendOffers(some.map((blob) => this.#offerOf(blob)));
      }
    } finally {
      this.#sending = false;
    }
  }

  #offerOf({ digest, sizeBytes, sinceMs }: WaitingBlob): BlobOffer {
    const { id, request, places = [], placeOf } = this.#parts;
    const at = placeOf(digest);
    // Should there be fewer places than when the blob was planned.
    const source = places[at] ?? request.source;
    return {
      id: offerId(id, request, digest, at),
      digest,
      sizeBytes,
      targetRepository: request.target.repository,
      sourceHost: source.host,
      sourceRepository: source.repository,
      ...(at < places.length - 1 && { hasOtherPlace: true }),
      mayExist: this.mayExist,
      ...(request.mountable === undefined ? {} : { mountable: request.mountable }),
      since: sinceMs,
      ...(request.background === true ? { background: true } : {}),
    };
  }
}

/**
 * Names a blob of a copy at the target's host.
 * @param place Which of the places the copy reads from it comes from: from another one it is another offer.
 */
export function offerId(job: string, request: CopyRequest, digest: string, place = 0): string {
  // No repository has a plus sign in its name.
  return `${job}/${request.target.repository}${place === 0 ? "" : `+${place}`}@${digest}`;
}

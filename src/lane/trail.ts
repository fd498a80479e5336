/**
 * The hash of a blob's bytes as they pass, with marks to go back to when the target turns out to have less than was sent.
 * Decides which hash: the runtime's, or the portable one where the blob may outlast the lane. Knows nothing of streams.
 */
import type { SavedHash } from "../host/contract.ts";
import { algorithmOf, createHasher, isHashAlgorithm, type Hasher } from "../registry/digest.ts";
import { PortableSha256 } from "./portable-sha256.ts";

/** Distance of marks: what a resumption may have to read from the source once more, without sending it. */
const MARK_BYTES = 8 * 1024 ** 2;
/** Both hashes run until so much has passed, or for so long: then the line's speed tells which of them is wanted. */
const PROBE_BYTES = 16 * 1024 ** 2;
const PROBE_MS = 2_000;

/** What a trail needs to choose its hash. */
export interface TrailTerms {
  digest: string;
  sizeBytes: number;
  /** False: nothing is hashed here, the digest is left to the target. */
  isHashed: boolean;
  /** Whether the blob can go over several lanes at all. */
  mayOutlast: boolean;
  /** A blob that will take longer than this, by the speed of its beginning, is hashed portably, in milliseconds. */
  portableAfterMs: number;
  now: () => number;
}

interface Hashes {
  native: Hasher | null;
  portable: PortableSha256 | null;
}

interface Mark {
  byte: number;
  hashes: Hashes;
}

export class Trail {
  readonly #terms: TrailTerms;
  #hashes: Hashes;
  #byte: number;
  /** In order of their bytes; the first is where this lane has begun. */
  #marks: Mark[];
  readonly #startByte: number;
  #startedAtMs: number | null = null;

  private constructor(terms: TrailTerms, hashes: Hashes, byte: number) {
    this.#terms = terms;
    this.#hashes = hashes;
    this.#byte = byte;
    this.#startByte = byte;
    this.#marks = [{ byte, hashes: fork(hashes) }];
  }

  /** From the blob's first byte. */
  static begin(terms: TrailTerms): Trail {
    const { digest, isHashed, mayOutlast } = terms;
    const algorithm = algorithmOf(digest);
    const isComputable = isHashed && isHashAlgorithm(algorithm);
    const native = isComputable ? createHasher(algorithm) : null;
    const portable = isComputable && mayOutlast && algorithm === "sha256" ? PortableSha256.start() : null;
    return new Trail(terms, { native, portable }, 0);
  }

  /** Where another lane has left off; null: its hash cannot be gone on with. */
  static goOn(terms: TrailTerms, byte: number, saved: SavedHash | undefined): Trail | null {
    const needsHash = terms.isHashed && isHashAlgorithm(algorithmOf(terms.digest));
    const portable = saved === undefined ? null : PortableSha256.load(saved);
    if (!needsHash) {
      return new Trail(terms, { native: null, portable: null }, byte);
    }
    return portable === null ? null : new Trail(terms, { native: null, portable }, byte);
  }

  /** Where the next byte stands in the blob. */
  get byte(): number {
    return this.#byte;
  }

  update(bytes: Uint8Array): void {
    this.#startedAtMs ??= this.#terms.now();
    this.#hashes.native?.update(bytes);
    this.#hashes.portable?.update(bytes);
    this.#byte += bytes.byteLength;
    this.#choose();
    const last = this.#marks.at(-1)?.byte ?? 0;
    if (this.#byte - last >= MARK_BYTES) {
      this.#marks.push({ byte: this.#byte, hashes: fork(this.#hashes) });
    }
  }

  /** The target has everything up to here: no going back behind it. */
  secure(): void {
    this.#marks = [{ byte: this.#byte, hashes: fork(this.#hashes) }];
  }

  /** Goes back to the last mark at or before a byte; answers where that is, or null when there is none. */
  rewind(byte: number): number | null {
    if (byte === this.#byte) {
      return byte;
    }
    if (!this.isHashing) {
      this.#byte = byte;
      return byte;
    }
    const mark = this.#marks.findLast((each) => each.byte <= byte);
    if (mark === undefined) {
      return null;
    }
    this.#marks = this.#marks.filter((each) => each.byte <= mark.byte);
    this.#hashes = fork(mark.hashes);
    this.#byte = mark.byte;
    return mark.byte;
  }

  /** The digest of the bytes up to here; null where none is computed. */
  digest(): string | null {
    const { native, portable } = this.#hashes;
    return (native ?? portable)?.fork().digest() ?? null;
  }

  /** The state for the next lane: null when it cannot be taken out, undefined when none is needed. */
  save(): SavedHash | null | undefined {
    return this.isHashing ? (this.#hashes.portable?.save() ?? null) : undefined;
  }

  get isHashing(): boolean {
    return this.#hashes.native !== null || this.#hashes.portable !== null;
  }

  #choose(): void {
    const { native, portable } = this.#hashes;
    if (native === null || portable === null) {
      return;
    }
    const { sizeBytes, portableAfterMs, now } = this.#terms;
    const doneBytes = this.#byte - this.#startByte;
    const tookMs = now() - (this.#startedAtMs ?? 0);
    if (doneBytes < PROBE_BYTES && tookMs < PROBE_MS) {
      return;
    }
    const leftMs = ((sizeBytes - this.#byte) / doneBytes) * tookMs;
    // Marks of before keep both: going back to one only means to choose again.
    this.#hashes = leftMs >= portableAfterMs ? { native: null, portable } : { native, portable: null };
  }
}

function fork({ native, portable }: Hashes): Hashes {
  return { native: native?.fork() ?? null, portable: portable?.fork() ?? null };
}

/**
 * The bytes of one blob from the source to an open upload session. Two ways: in pieces, hashed, with the last one held
 * back until the digest is right; or piped by the runtime, with the digest left to the target.
 */
import type { BlobBody } from "../registry/contract.ts";
import type { Hasher } from "../registry/digest.ts";
import { BlobReader, type ReaderTools } from "./blob-reader.ts";
import { SourceBroke } from "./body-writer.ts";
import { brokenStream, failure } from "./failures.ts";
import type { Meter } from "./meter.ts";
import { openSink, putWriter, type Session, type SinkTools } from "./upload-sink.ts";

/** The slowest line on which a piped blob is not taken for stalled: nothing can be seen of its progress. */
const LEAST_PIPED_BYTES_PER_SECOND = 32 * 1024;

/** Both ends of one transfer. */
export interface Ends {
  source: ReaderTools;
  target: SinkTools;
  /** Breaks off every request under way. What fails because of it is nobody's fault. */
  breakOff(reason: unknown): void;
}

/**
 * Reads, hashes and writes piece by piece, and closes the session.
 * @param hasher Null: the digest is left to the target.
 * @throws CopyError of the side at fault. The session is not closed then.
 */
export async function streamPieces(
  ends: Ends,
  body: BlobBody,
  session: Session,
  hasher: Hasher | null,
  meter: Meter,
): Promise<void> {
  const reader = new BlobReader(ends.source, body, session.sizeBytes);
  const sink = openSink(ends.target, session);
  try {
    let piece = await reader.read();
    meter.firstByteAt ??= ends.source.now();
    hasher?.update(piece);
    while (!reader.isComplete) {
      await sink.write(piece);
      meter.bytes += piece.byteLength;
      piece = await reader.read();
      hasher?.update(piece);
    }
    await reader.expectEnd();
    if (hasher !== null) {
      verify(ends, hasher);
    }
    await sink.write(piece);
    meter.bytes += piece.byteLength;
    reader.release();
    await sink.close();
  } catch (thrown) {
    ends.breakOff(thrown);
    await Promise.all([sink.abort(), reader.cancel()]);
    throw thrown;
  }
}

/**
 * Has the runtime pipe the body into the closing PUT, which costs no turn of the event loop per piece and cannot be
 * resumed. The body's length must be known to be right: a short one would end as a failure of the target.
 * @throws CopyError of the side at fault. The session is not closed then.
 */
export async function streamPiped(ends: Ends, body: BlobBody, session: Session, meter: Meter): Promise<void> {
  const { idleMs, now, gate, place } = ends.source;
  const limitMs = idleMs + (session.sizeBytes / LEAST_PIPED_BYTES_PER_SECOND) * 1000;
  const writer = putWriter(ends.target, session);
  try {
    meter.firstByteAt ??= now();
    await writer.pipe(body.stream, limitMs);
    meter.bytes = session.sizeBytes;
  } catch (thrown) {
    const error = thrown instanceof SourceBroke ? brokenStream(place, thrown.thrown) : thrown;
    if (thrown instanceof SourceBroke) {
      gate.record({ class: "failed" });
    }
    ends.breakOff(error);
    await writer.abort();
    throw error;
  }
}

/**
 * Reads a blob to its end and hashes it, to find out which side an invalid digest is the fault of.
 * @returns Whether the source sends what the digest says.
 * @throws CopyError of the source.
 */
export async function hashBlob(source: ReaderTools, sizeBytes: number, hasher: Hasher): Promise<boolean> {
  const { registry, place, watchdog, idleMs, signal } = source;
  const body = await watchdog.watch("source", idleMs, registry.openBlob(place.repository, place.digest, { signal }));
  const reader = new BlobReader(source, body, sizeBytes);
  try {
    while (!reader.isComplete) {
      hasher.update(await reader.read());
    }
    return hasher.digest() === place.digest;
  } finally {
    await reader.cancel();
  }
}

function verify(ends: Ends, hasher: Hasher): void {
  const { place } = ends.source;
  const actual = hasher.digest();
  if (actual === place.digest) {
    return;
  }
  throw failure(place, "digest_mismatch", true, `sent bytes with the digest ${actual}`);
}

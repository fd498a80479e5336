/**
 * The bytes of one blob from the source to an open upload session, until they are there or something breaks. Two ways: in
 * pieces, hashed, with the last one held back until the digest is right; or piped by the runtime, with the digest left to
 * the target.
 */
import type { BlobBody } from "../registry/contract.ts";
import type { BlobReader, ReaderTools } from "./blob-reader.ts";
import { SourceBroke } from "./body-writer.ts";
import { brokenStream, failure } from "./failures.ts";
import { LetGo } from "./letting-go.ts";
import type { Meter } from "./meter.ts";
import type { Trail } from "./trail.ts";
import { openSink, putWriter, type Session, type SinkTools, type UploadSink } from "./upload-sink.ts";

/** The slowest line on which a piped blob is not taken for stalled: nothing can be seen of its progress. */
const LEAST_PIPED_BYTES_PER_SECOND = 32 * 1024;

/** Both ends of one transfer. */
export interface Ends {
  source: ReaderTools;
  target: SinkTools;
  /** Breaks off every request under way. What fails because of it is nobody's fault. */
  breakOff(reason: unknown): void;
}

/** What is moved, and who wants to know of it. */
export interface Course {
  session: Session;
  trail: Trail;
  meter: Meter;
  /** Once aborted, the next answer of the target is a good place to leave off. */
  timeUp: AbortSignal;
  /** Called whenever the target has said what it has stored. */
  stored(): void;
}

/**
 * Reads, hashes and writes piece by piece from where the trail stands, and closes the session.
 * @param reader Stands where the trail does; null: every byte has been read.
 * @throws CopyError of the side at fault; {@link LetGo} when the time was up. The session is not closed then.
 */
export async function streamPieces(ends: Ends, reader: BlobReader | null, course: Course): Promise<void> {
  const sink = openSink(ends.target, course.session);
  try {
    await (reader === null ? verify(ends, course) : pump(ends, reader, sink, course));
    reader?.release();
    await sink.close();
  } catch (thrown) {
    ends.breakOff(thrown);
    await Promise.all([sink.abort(), reader?.cancel()]);
    throw thrown;
  }
}

async function pump(ends: Ends, reader: BlobReader, sink: UploadSink, course: Course): Promise<void> {
  const { session, trail, meter } = course;
  // What the target has already is read for its hash alone.
  while (trail.byte < session.sentBytes) {
    trail.update(await reader.read(session.sentBytes - trail.byte));
    meter.firstByteAt ??= ends.source.now();
  }
  if (reader.isComplete) {
    await reader.expectEnd();
    verify(ends, course);
  }
  while (!reader.isComplete) {
    const piece = await reader.read(sink.roomBytes);
    meter.firstByteAt ??= ends.source.now();
    trail.update(piece);
    if (reader.isComplete) {
      await reader.expectEnd();
      verify(ends, course);
    }
    const { storedBytes } = session;
    await sink.write(piece);
    meter.bytes = session.sentBytes;
    if (session.storedBytes > storedBytes) {
      // Marks before it are of no use any more, and a large blob would gather thousands.
      trail.secure();
      course.stored();
      if (course.timeUp.aborted && !reader.isComplete) {
        throw new LetGo("time", "the lane's time is up");
      }
    }
  }
}

/**
 * Has the runtime pipe the body into the closing PUT, which costs no turn of the event loop per piece and cannot be
 * resumed inside the request. The body's length must be known to be right: a short one would end as a failure of the target.
 * @throws CopyError of the side at fault. The session is not closed then.
 */
export async function streamPiped(ends: Ends, body: BlobBody, { session, meter }: Course): Promise<void> {
  const { idleMs, now, gate, place } = ends.source;
  const limitMs = idleMs + (session.sizeBytes / LEAST_PIPED_BYTES_PER_SECOND) * 1000;
  const writer = putWriter(ends.target, session);
  // How much of it goes out is not seen.
  session.sentBytes = session.sizeBytes;
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

/** No byte must be missing of what is closed next. */
function verify(ends: Ends, { trail }: Course): void {
  const { place } = ends.source;
  const actual = trail.digest();
  if (actual !== null && actual !== place.digest) {
    throw failure(place, "digest_mismatch", true, `sent bytes with the digest ${actual} in place of the blob's own`);
  }
}

/**
 * A blob into one upload session, across breaks of the target: asks how much has arrived, goes back to there, and goes on.
 * What breaks without having gained anything is left to the next try, which the host puts where it belongs in time.
 */
import { onAbort } from "../registry/aborts.ts";
import type { BlobBody } from "../registry/contract.ts";
import type { ErrorCode } from "../registry/errors.ts";
import { BlobReader } from "./blob-reader.ts";
import { Moved } from "../registry/transport.ts";
import { reportable } from "./failures.ts";
import { plausibleOffset } from "./offset.ts";
import { streamPieces, streamPiped, type Course, type Ends } from "./stream.ts";
import { pause } from "./time.ts";

/** Breaks after which the registry may still have what it was sent. */
const RESUMABLE: ReadonlySet<ErrorCode> = new Set(["connection", "unavailable"]);
/** Less than this is sent once more rather than asked for. */
const WORTHWHILE_BYTES = 512 * 1024;
/** A registry that sends the bytes of one blob elsewhere more often than this does so for ever. */
const MAX_MOVES = 3;
/** A request that we broke off ourselves is still being taken in at the other end for a moment. */
const SETTLE_MS = 200;

export interface Delivery extends Course {
  ends: Ends;
  /** Whether the registry's word on its offset counts; else our own count of what it has acknowledged does. */
  tellsOffset: boolean;
}

/**
 * Moves the blob from where the session stands, and closes the session.
 * @param body The answer to a GET of the whole blob; null: what is needed is asked for.
 * @throws CopyError of the side at fault; LetGo when the time was up. The session is not closed then.
 */
export async function deliver(delivery: Delivery, body: BlobBody | null): Promise<void> {
  const { ends, session, trail } = delivery;
  const isPiped = body !== null && body.contentLength !== null && session.plan.way === "put" && !trail.isHashing;
  let whole = body;
  for (;;) {
    const startByte = session.storedBytes;
    const stretch = stretchOf(ends);
    try {
      if (isPiped && whole !== null) {
        await streamPiped(stretch, whole, delivery);
      } else {
        await streamPieces(stretch, await readerOf(stretch, whole, delivery), delivery);
      }
      return;
    } catch (thrown) {
      ends.target.signal.throwIfAborted();
      const isOurBreak = isPiped && whole !== null && reportable(thrown).side === "source";
      whole = null;
      if (!(await goBack(delivery, thrown, startByte, isOurBreak))) {
        throw thrown;
      }
    }
  }
}

/** Asks for the offset of a session, and takes its word if it makes sense. False: it is gone, or tells nothing useful. */
export async function askOffset({ ends, session, tellsOffset }: Delivery): Promise<boolean> {
  const { registry, watchdog, idleMs, signal } = ends.target;
  if (!tellsOffset) {
    session.sentBytes = session.storedBytes;
    return true;
  }
  const told = await watchdog.watch("target", idleMs, registry.uploadOffset(session.upload, signal));
  const offsetBytes = told === null ? null : plausibleOffset(told.offsetBytes, session);
  if (told === null || offsetBytes === null) {
    return false;
  }
  session.upload = told.upload;
  session.storedBytes = offsetBytes;
  session.sentBytes = offsetBytes;
  return true;
}

/** After a break: back to what the target has. False: the upload cannot be gone on with here and now. */
async function goBack(delivery: Delivery, thrown: unknown, startByte: number, isOurBreak: boolean): Promise<boolean> {
  const { ends, session, trail, meter } = delivery;
  const { side, code } = reportable(thrown);
  if (thrown instanceof Moved) {
    return follow(delivery, thrown.url);
  }
  const isResumable = (side === "target" && RESUMABLE.has(code)) || isOurBreak;
  if (!isResumable || session.upload.completed || session.sentBytes - startByte < WORTHWHILE_BYTES) {
    return false;
  }
  if (isOurBreak) {
    await pause(SETTLE_MS, ends.target.signal);
  }
  // A registry that does not answer now is asked again by the next try, if anything can be handed to that.
  const isTold = await askOffset(delivery).catch(() => false);
  ends.target.signal.throwIfAborted();
  if (!isTold || session.storedBytes <= startByte || trail.rewind(session.storedBytes) === null) {
    return false;
  }
  session.isResumed = true;
  meter.bytes = session.storedBytes;
  delivery.stored();
  return true;
}

/** Sends what the redirected request was to bring once more, to where the registry wants it. False: it goes on and on. */
function follow({ session, trail, meter }: Delivery, { href }: URL): boolean {
  session.moves += 1;
  if (session.moves > MAX_MOVES || trail.rewind(session.storedBytes) === null) {
    return false;
  }
  session.upload = { ...session.upload, location: href };
  session.sentBytes = session.storedBytes;
  meter.bytes = session.storedBytes;
  return true;
}

async function readerOf(ends: Ends, whole: BlobBody | null, { session, trail }: Delivery): Promise<BlobReader | null> {
  const { sizeBytes } = session;
  if (whole !== null) {
    return new BlobReader(ends.source, whole, sizeBytes);
  }
  return trail.byte === sizeBytes ? null : BlobReader.from(ends.source, sizeBytes, trail.byte);
}

/** The same ends, with a break that ends only what is under way now. */
function stretchOf(ends: Ends): Ends {
  const broken = new AbortController();
  const { signal } = broken;
  onAbort([ends.target.signal], (reason) => broken.abort(reason));
  return {
    source: { ...ends.source, signal },
    target: { ...ends.target, signal },
    // The reason is no error of a registry: nothing that ends by it is booked on anybody.
    breakOff: () => broken.abort(new Error("broken off")),
  };
}

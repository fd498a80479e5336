/**
 * The memory that blob bytes pass through: one buffer per transfer, filled again and again and handed on to the next
 * transfer, so that the isolate's 128 MB hold whatever runs in it and nothing is left to the garbage collector.
 */

/**
 * Size of the buffer of one transfer. 64 transfers in one isolate hold 32 MiB; pieces of 256 KiB and 1 MiB were
 * measured to be equally fast.
 */
export const PIECE_BYTES = 256 * 1024;

/** A piece is handed on once it has this much: a slow line's bytes are not hoarded, and the last of them waits briefly. */
export const LEAST_PIECE_BYTES = 64 * 1024;
/** … and on a fast line this much, since every piece costs a turn of the event loop. */
export const MOST_PIECE_BYTES = 256 * 1024;

/** A piece that came faster than this may be larger, */
const QUICK_PIECE_MS = 20;
/** one that came slower than this must be smaller. */
const SLOW_PIECE_MS = 80;

/** Free buffers kept for the next transfer: as many as a host may have under way. */
const KEPT_BUFFERS = 64;

const free: ArrayBuffer[] = [];

/** A buffer for a blob of this size: never more than {@link PIECE_BYTES}, never more than the blob. */
export function takeBuffer(sizeBytes: number): ArrayBuffer {
  if (sizeBytes < PIECE_BYTES) {
    return new ArrayBuffer(sizeBytes);
  }
  return free.pop() ?? new ArrayBuffer(PIECE_BYTES);
}

/** Gives a buffer to the next transfer. Nothing may read or write it any more. */
export function giveBuffer(buffer: ArrayBuffer): void {
  if (buffer.byteLength === PIECE_BYTES && free.length < KEPT_BUFFERS) {
    free.push(buffer);
  }
}

/** How much the next piece should have at least, after one of `leastBytes` took `elapsedMs`. */
export function nextLeastBytes(leastBytes: number, elapsedMs: number): number {
  if (elapsedMs < QUICK_PIECE_MS) {
    return Math.min(MOST_PIECE_BYTES, leastBytes * 2);
  }
  if (elapsedMs > SLOW_PIECE_MS) {
    return Math.max(LEAST_PIECE_BYTES, leastBytes / 2);
  }
  return leastBytes;
}

/** What one lane leaves to the next: made from an open session, and made into one again. */
import type { Handover } from "../host/contract.ts";
import type { Upload } from "../registry/contract.ts";
import type { Trail } from "./trail.ts";
import type { Session } from "./upload-sink.ts";

/** Longest location that is kept. Signed ones have one or two thousand characters; a row is not to be filled by a registry. */
const LOCATION_MAX_CHARACTERS = 8_192;

/**
 * What another lane would need to go on with this session now.
 * @param before What it would have needed so far; what has come since is then told by the registry itself.
 * @returns Undefined: it cannot be gone on with by another lane, or nothing is in it.
 */
export function handoverOf(session: Session, trail: Trail, before?: Handover): Handover | undefined {
  const { upload, storedBytes } = session;
  const { location } = upload;
  if (upload.completed || location.length > LOCATION_MAX_CHARACTERS) {
    return undefined;
  }
  const hash = trail.byte === storedBytes ? trail.save() : null;
  if (hash === null || storedBytes === 0) {
    return before && { ...before, location };
  }
  return {
    v: 1,
    location,
    minChunkBytes: upload.minChunkBytes,
    maxChunkBytes: upload.maxChunkBytes ?? 0,
    offsetBytes: storedBytes,
    ...(hash !== undefined && { hash }),
  };
}

/** An open session with nothing in it that another lane could go on with. Undefined: it is over, or cannot be told. */
export function openedOf({ upload }: Session): Handover | undefined {
  const { location, minChunkBytes, maxChunkBytes = 0, completed } = upload;
  if (completed || location.length > LOCATION_MAX_CHARACTERS) {
    return undefined;
  }
  return { v: 1, location, minChunkBytes, maxChunkBytes, offsetBytes: 0 };
}

export function uploadOf(repository: string, { location, minChunkBytes, maxChunkBytes }: Handover): Upload {
  return { repository, location, minChunkBytes, maxChunkBytes };
}

/** Whether what a registry tells of a broken upload can be believed. Pure. */

/** What is known of an upload when its offset is asked for, in bytes of the blob. */
export interface KnownOffsets {
  /** Stored, by earlier answers. */
  storedBytes: number;
  /** Sent at most: nobody can have more. */
  sentBytes: number;
}

/**
 * The offset to go on from; null: it makes no sense, or nothing would be gained by it.
 * @param toldBytes What the registry says to have stored.
 */
export function plausibleOffset(toldBytes: number, { storedBytes, sentBytes }: KnownOffsets): number | null {
  const isWithin = Number.isSafeInteger(toldBytes) && toldBytes >= storedBytes && toldBytes <= sentBytes;
  // From its first byte on a blob goes into a new session: an old one may hold part of it without saying so.
  return isWithin && toldBytes > 0 ? toldBytes : null;
}

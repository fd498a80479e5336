/** What has happened so far in one transfer; written by who moves the bytes, read by whoever shows progress. */
export interface Meter {
  /** Bytes that went to the target. Piping counts them only at the end. */
  bytes: number;
  /** When the first byte came from the source, milliseconds since the epoch. */
  firstByteAt?: number;
}

/** Reads answers that are small by nature, with a bound on bytes and on time, whatever the answer says of itself. */

/** A small body that takes longer than this has stalled. */
const BODY_TIME_LIMIT_MS = 60_000;

/** A body that ended before its time. */
export class BrokenBody extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "BrokenBody";
  }
}

export type BoundedBody =
  | { kind: "whole"; bytes: Uint8Array }
  /** There was more; the rest was not read. `bytes` is what was. */
  | { kind: "cut"; bytes: Uint8Array };

/**
 * Reads at most `maxBytes` of the body and cancels the rest.
 * @throws BrokenBody when the body breaks off or takes too long.
 */
export async function readBounded(response: Response, maxBytes: number): Promise<BoundedBody> {
  if (response.body === null) {
    return { kind: "whole", bytes: new Uint8Array(0) };
  }
  const reader = response.body.getReader();
  let timer: ReturnType<typeof setTimeout> | null = null;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new BrokenBody(`it did not end within ${BODY_TIME_LIMIT_MS / 1000} s`)),
      BODY_TIME_LIMIT_MS,
    );
  });
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), stalled]);
      if (done) {
        return { kind: "whole", bytes: join(parts, sizeBytes) };
      }
      const part: Uint8Array = value;
      parts.push(part);
      sizeBytes += part.byteLength;
      if (sizeBytes > maxBytes) {
        quietly(reader.cancel());
        return { kind: "cut", bytes: join(parts, sizeBytes).subarray(0, maxBytes) };
      }
    }
  } catch (thrown) {
    quietly(reader.cancel());
    throw thrown instanceof BrokenBody
      ? thrown
      : new BrokenBody(thrown instanceof Error ? thrown.message : "the connection was lost");
  } finally {
    if (timer !== null) {
      clearTimeout(timer);
    }
  }
}

/** Lets go of a body nobody reads, so that its connection is free again. */
export function discard(response: Response): void {
  if (response.body !== null && !response.bodyUsed) {
    quietly(response.body.cancel());
  }
}

function quietly(promise: Promise<unknown>): void {
  promise.catch(() => {});
}

function join(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const [first] = parts;
  if (first && parts.length === 1) {
    return first;
  }
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

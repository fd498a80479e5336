/** Whose fault it is that a blob's bytes do not have its digest, when the target has found out and nobody looked before. */
import { onAbort } from "../registry/aborts.ts";
import type { HostSettings } from "../registry/contract.ts";
import { algorithmOf, createHasher, isHashAlgorithm, type Hasher } from "../registry/digest.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import { BlobReader, type ReaderTools } from "./blob-reader.ts";
import { failure, refusesDigest, reportable, stalled } from "./failures.ts";
import { Watchdog } from "./watchdog.ts";

export interface Inquiry {
  /** The source as the transfer knew it; what it had under way has been broken off. */
  source: ReaderTools;
  sizeBytes: number;
  verify: HostSettings["verify"];
  /** Ends the inquiry. */
  signal: AbortSignal;
}

/** The error to report. An invalid digest that was not seen on the way is looked into: it may be the source's fault. */
export async function verdictOn(thrown: unknown, { source, sizeBytes, verify, signal }: Inquiry): Promise<ErrorDetail> {
  const detail = reportable(thrown);
  const hasher = refusesDigest(thrown) ? hasherOf(source.place.digest) : null;
  if (hasher === null) {
    return detail;
  }
  // Right at the source, wrong at the target: damaged on the way, or by the target.
  const right = { ...detail, retryable: true, message: `${detail.message}; the source's bytes are right` };
  if (verify === "stream") {
    return right;
  }
  try {
    if (await isSourceRight(source, sizeBytes, hasher, signal)) {
      return right;
    }
  } catch (cause) {
    return { ...detail, message: `${detail.message}; the source could not be checked: ${reportable(cause).message}` };
  }
  return failure(source.place, "digest_mismatch", true, "sends bytes with another digest").detail;
}

/** Null: digests of this algorithm cannot be computed here. */
export function hasherOf(digest: string): Hasher | null {
  const algorithm = algorithmOf(digest);
  return isHashAlgorithm(algorithm) ? createHasher(algorithm) : null;
}

/** Reads the blob once more, for its hash alone. */
async function isSourceRight(
  source: ReaderTools,
  sizeBytes: number,
  hasher: Hasher,
  signal: AbortSignal,
): Promise<boolean> {
  const { place, idleMs, now } = source;
  const controller = new AbortController();
  using watchdog = new Watchdog(idleMs, now, (_, limitMs) => controller.abort(stalled(place, limitMs)));
  onAbort([signal], (reason) => controller.abort(reason));
  const tools = { ...source, watchdog, signal: controller.signal };
  const reader = await BlobReader.from(tools, sizeBytes, 0);
  try {
    while (!reader.isComplete) {
      hasher.update(await reader.read());
    }
    return hasher.digest() === place.digest;
  } finally {
    await reader.cancel();
  }
}

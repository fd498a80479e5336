/**
 * The errors that only the streaming of a blob knows: whose fault a broken stream is, and what a person is told.
 * Errors of single requests come from the registry client and pass through unchanged.
 */
import { asClause } from "../registry/wire.ts";
import { CopyError, errorDetailOf, type ErrorCode, type ErrorDetail } from "../registry/errors.ts";

export type Side = "source" | "target";

/** The registry and blob that an error speaks of. */
export interface Place {
  side: Side;
  host: string;
  repository: string;
  digest: string;
  /** What may explain wrong bytes, in words. */
  note?: string;
}

const OPERATIONS: Readonly<Record<Side, string>> = { source: "read blob", target: "upload blob" };

/** An error of one side of a transfer; `message` is a clause about that registry: "sent more than …". */
export function failure(place: Place, code: ErrorCode, retryable: boolean, message: string): CopyError {
  return new CopyError({
    code,
    side: place.side,
    host: place.host,
    operation: OPERATIONS[place.side],
    retryable,
    message: `${place.host}/${place.repository} ${message} (blob ${place.digest})${place.note ?? ""}`,
  });
}

/** What a broken stream threw, as an error of its side; an error that names its side already stays as it is. */
export function brokenStream(place: Place, thrown: unknown): CopyError {
  if (thrown instanceof CopyError) {
    return thrown;
  }
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  const what = place.side === "source" ? "broke off while sending" : "broke off while receiving";
  return failure(place, "connection", true, `${what}: ${asClause(words)}`);
}

export function stalled(place: Place, idleMs: number): CopyError {
  const what = place.side === "source" ? "sent" : "took";
  return failure(place, "stalled", true, `${what} nothing for ${Math.round(idleMs / 1000)} s`);
}

/** A blob that the runtime pipes by itself has not arrived in time: which end stands still cannot be told. */
export function stalledBetween(source: Place, target: Place, limitMs: number): CopyError {
  return new CopyError({
    code: "stalled",
    side: "service",
    host: "",
    operation: "transfer blob",
    retryable: true,
    message: `blob ${target.digest} did not get from ${source.host} to ${target.host} in ${Math.round(limitMs / 1000)} s`,
  });
}

/** A blob did not arrive in the time that a lane has, and cannot be gone on with by another one. */
export function outlasted(target: Place): CopyError {
  return new CopyError({
    code: "stalled",
    side: "service",
    host: target.host,
    operation: "transfer blob",
    retryable: true,
    message: `blob ${target.digest} did not get to ${target.host} in the time that one Worker has, and has to begin anew`,
  });
}

/** Whether the target refused the upload because the bytes do not have the digest (spec: `DIGEST_INVALID`). */
export function refusesDigest(thrown: unknown): boolean {
  const { side, code } = errorDetailOf(thrown);
  return side === "target" && code === "digest_mismatch";
}

/** The detail to report, with `operation` filled in for what is not ours. */
export function reportable(thrown: unknown): ErrorDetail {
  return errorDetailOf(thrown, "transfer blob");
}

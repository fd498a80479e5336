/** How a copy fails for reasons of its own, as errors in the project's one form. */
import { CopyError, type ErrorDetail } from "../registry/errors.ts";
import type { TagLedger } from "./tag-ledger.ts";

/** For whatever is still under way when a copy has ended. */
export function endedError(): CopyError {
  return new CopyError({
    code: "cancelled",
    side: "service",
    host: "",
    operation: "copy",
    retryable: false,
    message: "The copy has ended; nothing more is sent for it.",
  });
}

/** A settlement that says `failed` and not why. */
export function unexplained(host: string, digest: string): ErrorDetail {
  return {
    code: "internal",
    side: "service",
    host,
    operation: "copy blob",
    retryable: true,
    message: `Blob ${digest} could not be copied, and no reason was given.`,
  };
}

/** A copy that its group could not hand to a job of its own. */
export function neverBegun(): ErrorDetail {
  return {
    code: "internal",
    side: "service",
    host: "",
    operation: "start copy",
    retryable: true,
    message: "The copy could not be begun for an hour and was given up. Nothing was copied; ask for it again.",
  };
}

/** A copy that has outlived its bound. */
export function tooLong(host: string): ErrorDetail {
  return {
    code: "stalled",
    side: "service",
    host,
    operation: "copy",
    retryable: true,
    message: "The copy was not done after 24 hours and was given up; start it again to go on with what is missing.",
  };
}

/** A repository's copy in which names have failed: the first one's reason speaks for all. */
export function tagsFailed(tags: Pick<TagLedger, "tally" | "firstFailure">): CopyError {
  const { failed, all } = tags.tally();
  const { source, error } = tags.firstFailure() ?? { source: "", error: unexplained("", "") };
  const others = failed === 1 ? `1 of ${all} tags failed,` : `${failed} of ${all} tags failed, the first of them`;
  return new CopyError({ ...error, message: `${others} ${source}: ${error.message}` });
}

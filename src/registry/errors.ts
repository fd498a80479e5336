/**
 * The one error of the service: plain data, so that it survives RPC, storage and JSON unchanged.
 *
 * `side` says whose fault it is: the source registry, the target registry, the request itself, or us.
 */
export interface ErrorDetail {
  code: ErrorCode;
  side: "source" | "target" | "request" | "service";
  /** Registry host as in a reference, "" when no registry was involved. */
  host: string;
  /** What was being done, in words: "read manifest", "upload blob". */
  operation: string;
  /** HTTP status the registry answered with. */
  status?: number;
  /** When to try again, in milliseconds since the epoch. */
  retryAt?: number;
  /** Whether the same request may succeed later without anything being changed. */
  retryable: boolean;
  /** One sentence for a person: what was asked, what the registry said, what to do. Never a secret. */
  message: string;
}

export type ErrorCode =
  | "invalid_request"
  | "configuration"
  | "not_found"
  | "unauthorized"
  | "denied"
  | "rate_limited"
  | "unavailable"
  | "connection"
  | "stalled"
  | "digest_mismatch"
  | "size_mismatch"
  | "manifest_invalid"
  | "manifest_too_large"
  /** What a manifest refers to is not there, says the registry that was to take it. */
  | "content_missing"
  | "unsupported"
  | "upload_rejected"
  | "upload_lost"
  | "cancelled"
  | "internal";

/** Carries an {@link ErrorDetail} through `throw`. Across RPC only the data survives: read it with {@link errorDetailOf}. */
export class CopyError extends Error {
  readonly detail: ErrorDetail;

  constructor(detail: ErrorDetail) {
    super(detail.message);
    this.name = "CopyError";
    this.detail = detail;
  }
}

/** The detail of anything thrown; what is not ours becomes `internal`, without its stack. */
export function errorDetailOf(thrown: unknown, operation = "copy"): ErrorDetail {
  if (typeof thrown === "object" && thrown !== null && "detail" in thrown && isErrorDetail(thrown.detail)) {
    return thrown.detail;
  }
  return {
    code: "internal",
    side: "service",
    host: "",
    operation,
    retryable: true,
    message: thrown instanceof Error ? thrown.message : String(thrown),
  };
}

function isErrorDetail(value: unknown): value is ErrorDetail {
  return typeof value === "object" && value !== null && "code" in value && "operation" in value && "retryable" in value;
}

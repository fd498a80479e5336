/**
 * What the API answers when it cannot do what was asked: problem details (RFC 9457). The one place that turns an error into
 * an HTTP status. Never shows a stack or the words of an error that nobody wrote for a reader.
 */
import { writeLine } from "../log.ts";
import { errorDetailOf, type ErrorCode } from "../registry/errors.ts";

/** Every kind of problem; its name is the last part of `type`. */
const KINDS = {
  "malformed-request": { status: 400, title: "The request cannot be read" },
  unauthorized: { status: 401, title: "A valid token is needed" },
  forbidden: { status: 403, title: "The token does not allow this" },
  "not-found": { status: 404, title: "There is nothing here" },
  "method-not-allowed": { status: 405, title: "This address does not take this method" },
  conflict: { status: 409, title: "The request contradicts an earlier one" },
  "changed-meanwhile": { status: 412, title: "It is not what the request takes it for" },
  "too-large": { status: 413, title: "The body is too large" },
  "unsupported-media-type": { status: 415, title: "The body must be JSON" },
  "invalid-request": { status: 422, title: "The request has fields that cannot be accepted" },
  "limit-reached": { status: 429, title: "A limit of the token is reached" },
  internal: { status: 500, title: "The service failed" },
  configuration: { status: 500, title: "The service is configured wrongly" },
  registry: { status: 502, title: "A registry refused or failed" },
  unavailable: { status: 503, title: "Not now; try again later" },
  "not-set-up": { status: 503, title: "The service has not been set up" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemKind = keyof typeof KINDS;

/** A failed copy is no problem of the API (it is a copy's state): these are errors of a request itself. */
const KIND_OF_ERROR: Record<ErrorCode, ProblemKind> = {
  invalid_request: "invalid-request",
  configuration: "configuration",
  not_found: "registry",
  unauthorized: "registry",
  denied: "registry",
  rate_limited: "unavailable",
  unavailable: "unavailable",
  connection: "registry",
  stalled: "registry",
  digest_mismatch: "registry",
  size_mismatch: "registry",
  manifest_invalid: "registry",
  manifest_too_large: "registry",
  content_missing: "registry",
  unsupported: "registry",
  upload_rejected: "registry",
  upload_lost: "registry",
  cancelled: "conflict",
  internal: "internal",
};

/** What is wrong with one field, and the fix. */
export interface FieldError {
  /** `source`, `mirrors[0]`; for a query parameter or header its name; "" for the whole body. */
  field: string;
  message: string;
}

export class Problem extends Error {
  readonly kind: ProblemKind;
  readonly errors: readonly FieldError[];
  readonly headers: Readonly<Record<string, string>>;

  /** @param message One or two sentences for a person: what is wrong and what to do. */
  constructor(
    kind: ProblemKind,
    message: string,
    more: { errors?: readonly FieldError[]; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.name = "Problem";
    this.kind = kind;
    this.errors = more.errors ?? [];
    this.headers = more.headers ?? {};
  }
}

/** A request whose fields were read and cannot be accepted. */
export function invalidFields(errors: readonly FieldError[]): Problem {
  return new Problem(
    "invalid-request",
    errors.map(({ field, message }) => `${field || "body"}: ${message}`).join("\n"),
    {
      errors,
    },
  );
}

/** The status that a kind of problem is answered with. */
export function statusOf(kind: ProblemKind): number {
  return KINDS[kind].status;
}

/** The answer for anything thrown; what nobody expected is logged and answered without its words. */
export function problemAnswer(thrown: unknown, nowMs: number): Response {
  const problem = thrown instanceof Problem ? thrown : problemOf(thrown, nowMs);
  const { status, title } = KINDS[problem.kind];
  const body = {
    type: `urn:drayage:problem:${problem.kind}`,
    title,
    status,
    detail: problem.message,
    ...(problem.errors.length > 0 ? { errors: problem.errors } : {}),
  };
  return Response.json(body, { status, headers: { ...problem.headers, "content-type": "application/problem+json" } });
}

function problemOf(thrown: unknown, nowMs: number): Problem {
  const detail = errorDetailOf(thrown, "answer request");
  if (detail.code !== "internal") {
    const seconds = detail.retryAt === undefined ? 0 : Math.ceil((detail.retryAt - nowMs) / 1000);
    const headers: Record<string, string> = seconds > 0 ? { "retry-after": String(seconds) } : {};
    return new Problem(KIND_OF_ERROR[detail.code], detail.message, { headers });
  }
  logUnexpected(thrown);
  if (isPassing(thrown)) {
    return new Problem("unavailable", "The service is busy or being updated; send the same request again.", {
      headers: { "retry-after": "1" },
    });
  }
  return new Problem("internal", "Something went wrong that should not; the service's log says what.");
}

/** Cloudflare marks errors of a Durable Object that is overloaded, or was moved or replaced in the middle of a call. */
function isPassing(thrown: unknown): boolean {
  const marks = ["retryable", "overloaded", "durableObjectReset"];
  return typeof thrown === "object" && thrown !== null && marks.some((mark) => Reflect.get(thrown, mark) === true);
}

function logUnexpected(thrown: unknown): void {
  const error = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  // What the caller is not told, the operator is.
  writeLine({ msg: "request failed unexpectedly", error }, "error");
}

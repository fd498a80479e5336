/**
 * What an answer means: for the host's limits and backoff (an Outcome), and for a person (a CopyError with the
 * registry's own words). The only place that knows statuses and the spec's error codes.
 */
import { discard, readBounded } from "./body.ts";
import { CopyError, type ErrorCode, type ErrorDetail } from "./errors.ts";
import type { Outcome, OutcomeClass, Quota } from "./gate.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { wordsOf, type RegistryWords } from "./words.ts";

/** The operation in which blobs are read (blobs.ts). */
const READ_BLOB = "read blob";

/** The operations that begin a push of a blob (uploads.ts) and of a manifest (manifests.ts). */
const PUSHES: ReadonlySet<string> = new Set(["start upload", "write manifest"]);

/** Far more than any reason takes; what is beyond it is not read. */
const MAX_ERROR_BODY_BYTES = 64 * 1024;

/** The client's statuses that pass: what came too slowly, too early (RFC 8470), too often. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429]);
/** The server's that do not: what it cannot do, has no room for, runs in circles over, or wants a login to a network for. */
const LASTING: ReadonlySet<number> = new Set([501, 505, 506, 507, 508, 510, 511]);

/** Codes of the distribution-spec (and of docker's registry before it) that say more than the status. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  BLOB_UNKNOWN: "not_found",
  BLOB_UPLOAD_INVALID: "upload_lost",
  BLOB_UPLOAD_UNKNOWN: "upload_lost",
  DENIED: "denied",
  DIGEST_INVALID: "digest_mismatch",
  MANIFEST_BLOB_UNKNOWN: "content_missing",
  MANIFEST_INVALID: "manifest_invalid",
  MANIFEST_UNKNOWN: "not_found",
  MANIFEST_UNVERIFIED: "manifest_invalid",
  NAME_INVALID: "invalid_request",
  NAME_UNKNOWN: "not_found",
  SIZE_INVALID: "size_mismatch",
  TAG_INVALID: "invalid_request",
  UNSUPPORTED: "unsupported",
};

/** What another try may find changed, though not the same request at once. */
const LATER: ReadonlySet<ErrorCode> = new Set(["upload_lost", "content_missing"]);

export interface AnswerContext {
  side: ErrorDetail["side"];
  host: string;
  /** "read manifest" */
  operation: string;
  /** What it was about, for the sentence: "library/alpine:latest". */
  about: string;
  /** For statuses that say nothing more precise. */
  otherwise: ErrorCode;
  /** For a 404 without a code of the spec. */
  missing: ErrorCode;
  /** The store that answered instead of the registry, after a redirect; null: the registry itself. */
  elsewhere: string | null;
  /** The `Authorization` that was sent, null for none: decides the advice, and is kept out of the message. */
  authorization: string | null;
  /** Where the answer came from; what of its query may be a secret is kept out of the message. */
  url: URL;
  nowMs: number;
}

/** Whether the same request may succeed later. */
export function isRetried(status: number): boolean {
  return PASSING.has(status) || (status >= 500 && !LASTING.has(status));
}

/** What the answer means to the host's limits. */
export function outcomeOf(response: Response, nowMs: number): Outcome {
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), nowMs);
  const quota = quotaOf(response.headers);
  return {
    class: classOf(response),
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
    ...(quota === null ? {} : { quota }),
  };
}

/** What an error that came without an answer means to the host's limits. */
export function outcomeOfError(error: CopyError, nowMs: number): Outcome {
  const { code, retryAt } = error.detail;
  const classes: Partial<Record<ErrorCode, OutcomeClass>> = {
    connection: "refused",
    stalled: "failed",
    unavailable: "failed",
    rate_limited: "throttled",
  };
  return {
    class: classes[code] ?? "ok",
    ...(retryAt === undefined ? {} : { retryAfterMs: Math.max(0, retryAt - nowMs) }),
  };
}

/** `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining: 76;w=21600`, as Docker Hub sends them; null: not sent. */
export function quotaOf(headers: Headers): Quota | null {
  const limit = /^\s*(\d{1,12})(?:.*?;\s*w=(\d{1,9}))?/.exec(headers.get("ratelimit-limit") ?? "");
  const remaining = /^\s*(\d{1,12})/.exec(headers.get("ratelimit-remaining") ?? "");
  if (!limit || !remaining) {
    return null;
  }
  return {
    limit: Number(limit[1]),
    remaining: Number(remaining[1]),
    ...(limit[2] === undefined ? {} : { windowSeconds: Number(limit[2]) }),
  };
}

/** The error for an answer that is none of those the operation can use. Reads and ends its body. */
export async function refusalOf(response: Response, context: AnswerContext): Promise<CopyError> {
  const words = await readWords(response, secretsOf(context));
  const { status } = response;
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), context.nowMs);
  // Its code too, where the words are others: that is what its documentation speaks of.
  const isNews = /^[A-Z_]{2,40}$/.test(words.code) && !words.text.toUpperCase().includes(words.code);
  const named = isNews ? ` (${words.code})` : "";
  const said = words.text === "" ? named : `${named}: ${words.text}`;
  if (context.elsewhere !== null && status !== 429) {
    return new CopyError({
      code: "unavailable",
      side: context.side,
      host: context.host,
      operation: context.operation,
      status,
      retryable: true,
      message:
        `${context.host} sent "${context.operation}" of ${context.about} on to ${context.elsewhere}, ` +
        `which answered ${status}${said}`,
    });
  }
  const code = codeOf(response, words, context);
  const advice = adviceFor(code, status, context);
  return new CopyError({
    code,
    side: context.side,
    host: context.host,
    operation: context.operation,
    status,
    // A success that the operation does not know (Quay's health page in place of a 202) comes from something in between.
    retryable: isRetried(status) || isSecondaryLimit(response) || LATER.has(code) || status < 300,
    ...(retryAfterMs === null ? {} : { retryAt: context.nowMs + retryAfterMs }),
    message: `${context.host} answered ${status} to "${context.operation}" of ${context.about}${said}${advice}`,
  });
}

async function readWords(response: Response, secrets: readonly string[]): Promise<RegistryWords> {
  try {
    const { bytes } = await readBounded(response, MAX_ERROR_BODY_BYTES);
    return wordsOf(new TextDecoder().decode(bytes), secrets);
  } catch {
    // The refusal stands without its words.
    discard(response);
    return { code: "", text: "" };
  }
}

/**
 * What was sent and might be repeated: the `Authorization`, its value, of Basic the password; and whatever the query has
 * besides the API's own parameters, which is a signature or the state of an upload.
 */
function secretsOf({ authorization, url }: AnswerContext): string[] {
  const secrets = [...url.searchParams].filter(([name]) => !API_PARAMETERS.has(name)).map(([, value]) => value);
  if (authorization === null) {
    return secrets;
  }
  const value = authorization.replace(/^\S+\s+/, "");
  secrets.push(authorization, value);
  if (/^basic\s/i.test(authorization)) {
    const pair = new TextDecoder().decode(Uint8Array.from(atob(value), (character) => character.charCodeAt(0)));
    secrets.push(pair.slice(pair.indexOf(":") + 1));
  }
  return secrets;
}

/** Distribution-spec: everything a client puts into a query by itself. */
const API_PARAMETERS: ReadonlySet<string> = new Set([
  "artifactType",
  "digest",
  "digest-algorithm",
  "from",
  "last",
  "mount",
  "n",
]);

/** GitHub answers its secondary limits with 403 and `Retry-After`. */
function isSecondaryLimit(response: Response): boolean {
  return response.status === 403 && response.headers.has("retry-after");
}

function classOf(response: Response): OutcomeClass {
  if (response.status === 429 || isSecondaryLimit(response)) {
    return "throttled";
  }
  return isRetried(response.status) ? "failed" : "ok";
}

function codeOf(response: Response, words: RegistryWords, context: AnswerContext): ErrorCode {
  const { status } = response;
  if (status === 429 || isSecondaryLimit(response)) {
    return "rate_limited";
  }
  if (status === 408 || status === 425 || (status >= 500 && status !== 501)) {
    return "unavailable";
  }
  if (status === 401) {
    return "unauthorized";
  }
  if (status === 403) {
    return "denied";
  }
  const named = CODES[words.code];
  if (named !== undefined) {
    return named === "not_found" ? nearest(context) : named;
  }
  if (status === 404) {
    return context.missing;
  }
  return status === 405 || status === 501 ? "unsupported" : context.otherwise;
}

/** Whatever is unknown to who takes a manifest belongs to that manifest. */
function nearest({ missing }: AnswerContext): ErrorCode {
  return missing === "content_missing" ? missing : "not_found";
}

/** What a person can do about it, as an end of the sentence. */
function adviceFor(code: ErrorCode, status: number, context: AnswerContext): string {
  const { host, side, authorization, operation } = context;
  if (code === "unauthorized" || code === "denied") {
    const missing = side === "target" ? "" : ", or it does not exist";
    return authorization === null
      ? ` (no credentials for ${host} are known; log in to it first${missing})`
      : ` (the credentials known for ${host} do not suffice; check them and what they allow${missing})`;
  }
  if (code === "not_found" && side === "source" && operation === READ_BLOB) {
    return ` (a manifest there names it, yet it is gone: push the image to ${host} once more)`;
  }
  // Distribution says so in `readonly` mode, of maintenance, and as a pull-through cache.
  if (status === 405 && PUSHES.has(operation)) {
    return ` (${host} takes no pushes there: it is read-only, or a pull-through cache; name another target)`;
  }
  if (status === 413) {
    return ` (it does not take that much in one request; set chunk_bytes for ${host})`;
  }
  // RFC 4918, section 11.5.
  return status === 507 ? ` (${host} has no room left)` : "";
}

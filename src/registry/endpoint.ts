/**
 * Requests to endpoints that give out proof of who we are: token endpoints of registries, and those of clouds. Bounds what
 * is read, puts refusals into words, and keeps secrets out of them. What is asked for stands with who asks.
 */
import { Cut } from "./aborts.ts";
import { isRetried } from "./answer.ts";
import { BrokenBody, readBounded } from "./body.ts";
import { CopyError, type ErrorCode, type ErrorDetail } from "./errors.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { wordsOf } from "./words.ts";
import type { Wire } from "./wire.ts";

const TIME_LIMIT_MS = 30_000;

/** Tokens with long lists of grants reach tens of kilobytes. */
const MAX_ANSWER_BYTES = 256 * 1024;

const OPERATION = "authorize";

export interface EndpointOptions {
  wire: Wire;
  /** Milliseconds since the epoch. */
  now: () => number;
  side: ErrorDetail["side"];
  /** The registry host that the proof is for. */
  host: string;
}

export interface EndpointRequest {
  method: "GET" | "POST";
  url: URL;
  headers: Record<string, string>;
  /** ASCII: a form, JSON, or nothing. */
  body: string | null;
}

/** What is said when an endpoint does not give what it was asked for. */
export interface EndpointWords {
  /** Who was asked: "the token endpoint auth.docker.io". */
  endpoint: string;
  /** What a 400, 401 or 403 calls for, in brackets behind the endpoint's own words; "" for none. */
  advice: string;
  /** Never to be seen in an error, though the endpoint may send them back. */
  secrets: readonly string[];
}

/** Sends the request once. @throws CopyError as a {@link Wire} does. */
export function sendTo({ wire }: EndpointOptions, request: EndpointRequest): Promise<Response> {
  return wire({
    ...request,
    operation: OPERATION,
    bodyBytes: request.body?.length ?? 0,
    timeLimitMs: TIME_LIMIT_MS,
    cut: new Cut(),
    attempt: 1,
    redirect: 0,
  });
}

/** The text of an answer, bounded. @throws CopyError `connection` when it breaks off. */
export async function textOf(options: EndpointOptions, endpoint: string, response: Response): Promise<string> {
  try {
    return new TextDecoder().decode((await readBounded(response, MAX_ANSWER_BYTES)).bytes);
  } catch (thrown) {
    const reason = thrown instanceof BrokenBody ? thrown.message : "the connection was lost";
    throw endpointError(options, "connection", true, `${endpoint} broke off its answer: ${reason}`);
  }
}

/** The error for an answer that refuses: `rate_limited` or `unavailable`, which may pass, else `unauthorized`. */
export async function refusedBy(
  options: EndpointOptions,
  { endpoint, advice, secrets }: EndpointWords,
  response: Response,
): Promise<CopyError> {
  const { status } = response;
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), options.now());
  const text = await textOf(options, endpoint, response).catch(() => "");
  const words = spokenOf(text, secrets);
  const isThrottled = status === 429 || (status === 400 && THROTTLED.test(text));
  const code: ErrorCode = isThrottled ? "rate_limited" : isRetried(status) ? "unavailable" : "unauthorized";
  const isAdvised = advice !== "" && code === "unauthorized" && ADVISED.has(status);
  const problem = `${endpoint} answered ${status}${words === "" ? "" : `: ${words}`}${isAdvised ? ` (${advice})` : ""}`;
  const { detail } = endpointError(options, code, code !== "unauthorized", problem);
  return new CopyError({
    ...detail,
    status,
    ...(retryAfterMs === null ? {} : { retryAt: options.now() + retryAfterMs }),
  });
}

/** An error of `authorize` at the registry that the proof was for. */
export function endpointError(
  { side, host }: EndpointOptions,
  code: ErrorCode,
  retryable: boolean,
  problem: string,
): CopyError {
  return new CopyError({ code, side, host, operation: OPERATION, retryable, message: `${host}: ${problem}` });
}

/** Value of the `Authorization` header for a name and a password. */
export function basicHeader(username: string, password: string): string {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}

const ADVISED: ReadonlySet<number> = new Set([400, 401, 403]);

/** AWS answers 400 to who asks too often, and says so in the body only. */
const THROTTLED = /\b(?:Throttling(?:Exception)?|RequestLimitExceeded|TooManyRequestsException)\b/;

/** The words of an answer: as registries have them, or AWS's XML. */
function spokenOf(text: string, secrets: readonly string[]): string {
  const [code, message] = ["Code", "Message"].map((name) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1]);
  return wordsOf(code === undefined ? text : `${code}: ${message ?? ""}`, secrets).text;
}

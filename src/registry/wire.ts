/**
 * One HTTP request on the wire, to a registry or a token endpoint: sent, timed, logged, its connection errors put into
 * words. Knows nothing of registries, authentication or redirects.
 */
import type { Cut } from "./aborts.ts";
import { shownHost } from "./address.ts";
import type { ConnectionBudget } from "./connection-budget.ts";
import { CopyError, errorDetailOf, type ErrorDetail } from "./errors.ts";
import type { Refusal } from "./reach.ts";
import { USER_AGENT } from "./user-agent.ts";

/** What is handed to `fetch`; a type of its own, so that it means the same in workerd and in Node. */
export interface WireInit {
  method: string;
  headers: Record<string, string>;
  body: ReadableStream<Uint8Array> | Uint8Array | string | null;
  redirect: "manual";
  /** Neither tokens nor private blobs may land in a cache that others share. */
  cache: "no-store";
  /** Bytes as they were sent: a decoded body no longer has the digest that was asked for. */
  encodeResponseBody: "manual";
  /** Node wants it for streamed bodies; workerd ignores it. */
  duplex: "half";
  signal: AbortSignal;
}

export type Fetch = (url: string, init: WireInit) => Promise<Response>;

/** One structured log line per request on the wire. Never a query, never a header's value. */
export interface RequestLine {
  msg: "request";
  method: string;
  host: string;
  path: string;
  /** 0: no answer came. */
  status: number;
  /** Length of the body: of the request's own where it has one, else what the answer says of its; 0 if unsaid. */
  bytes: number;
  /** From sending until the answer's headers. */
  ms: number;
  attempt: number;
  /** How many redirects led here. */
  redirect: number;
}

export type Log = (line: RequestLine) => void;

export interface WireOptions {
  fetch: Fetch;
  now: () => number;
  log: Log;
  /** Without one, requests are not held back. */
  budget?: ConnectionBudget;
  /** What must not be called, asked before every request. */
  refusalOf: Refusal;
  /** For errors. */
  side: ErrorDetail["side"];
  host: string;
}

export interface WireRequest {
  /** For errors: "read manifest". */
  operation: string;
  method: string;
  url: URL;
  headers: Record<string, string>;
  body: ReadableStream<Uint8Array> | Uint8Array | string | null;
  bodyBytes: number;
  /** How long to wait for the answer's headers. */
  timeLimitMs: number;
  /** Ends the request and the reading of its answer. */
  cut: Cut;
  attempt: number;
  redirect: number;
}

/**
 * Sends one request and waits for the headers of its answer.
 * @throws CopyError `denied` for an address that must not be called, `connection` when no answer came, `stalled` when none
 * came in time, `cancelled` when a signal ended it; a CopyError that is a signal's reason, or that `fetch` throws, is
 * thrown as it is.
 */
export type Wire = (request: WireRequest) => Promise<Response>;

export function createWire(options: WireOptions): Wire {
  // A method call would hand fetch a `this` that it refuses in workerd.
  const { fetch, now, log, budget, refusalOf, side, host } = options;

  return async (request) => {
    const { url, method, operation, cut } = request;
    const refusal = refusalOf(url);
    if (refusal !== null) {
      const message = `${shownHost(url)} is not called: it ${refusal} ("${operation}")`;
      throw new CopyError({ code: "denied", side, host, operation, retryable: false, message });
    }
    const giveBack = (await acquire(budget, request, side, host)) ?? (() => {});
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      cut.now();
    }, request.timeLimitMs);
    const startedMs = now();
    let response: Response | null = null;
    try {
      response = await fetch(url.href, {
        method,
        headers: { "user-agent": USER_AGENT, "accept-encoding": "identity", ...request.headers },
        body: request.body,
        redirect: "manual",
        cache: "no-store",
        encodeResponseBody: "manual",
        duplex: "half",
        signal: cut.signal,
      });
      return response;
    } catch (thrown) {
      const ended = endedBy(cut.signals, operation, side, host);
      if (ended !== null) {
        throw ended;
      }
      if (thrown instanceof CopyError) {
        // It was not let out: that is no failure of the host, and no reason to try again.
        throw thrown;
      }
      if (isLate) {
        throw failure(
          side,
          host,
          operation,
          "stalled",
          `${url.host} did not answer within ${request.timeLimitMs / 1000} s`,
        );
      }
      throw failure(
        side,
        host,
        operation,
        "connection",
        `${url.host} could not be reached or hung up${reasonOf(thrown, url)}`,
      );
    } finally {
      clearTimeout(timer);
      giveBack();
      log({
        msg: "request",
        method,
        host: url.host,
        path: url.pathname,
        status: response?.status ?? 0,
        bytes: request.body === null ? lengthOf(response) : request.bodyBytes,
        ms: Math.round(now() - startedMs),
        attempt: request.attempt,
        redirect: request.redirect,
      });
    }
  };
}

/** The error for a signal that has fired: its reason where that is a CopyError, else `cancelled`. Null: none has. */
export function endedBy(
  signals: readonly AbortSignal[],
  operation: string,
  side: ErrorDetail["side"],
  host: string,
): CopyError | null {
  const fired = signals.find((each) => each.aborted);
  if (!fired) {
    return null;
  }
  const detail = errorDetailOf(fired.reason, operation);
  if (detail.code !== "internal") {
    return new CopyError(detail);
  }
  return new CopyError({
    code: "cancelled",
    side,
    host,
    operation,
    retryable: false,
    message: `"${operation}" at ${host} was cancelled`,
  });
}

async function acquire(
  budget: ConnectionBudget | undefined,
  { cut, operation }: WireRequest,
  side: ErrorDetail["side"],
  host: string,
): Promise<(() => void) | null> {
  const ended = endedBy(cut.signals, operation, side, host);
  if (ended !== null) {
    throw ended;
  }
  if (!budget) {
    return null;
  }
  try {
    return await budget.acquire(cut.signal);
  } catch (thrown) {
    throw endedBy(cut.signals, operation, side, host) ?? thrown;
  }
}

function failure(
  side: ErrorDetail["side"],
  host: string,
  operation: string,
  code: "stalled" | "connection",
  problem: string,
): CopyError {
  return new CopyError({ code, side, host, operation, retryable: true, message: `${problem} ("${operation}")` });
}

/** The system's name for what went wrong (`ECONNREFUSED`), or the runtime's own short words; never an address. */
function reasonOf(thrown: unknown, url: URL): string {
  if (!(thrown instanceof Error)) {
    return "";
  }
  const { cause } = thrown;
  if (typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string") {
    return `: ${cause.code}`;
  }
  // Workerd's words for names that do not resolve and for handshakes that fail: it tells no more than a number of its log.
  if (/^internal error\b/.test(thrown.message)) {
    return url.protocol === "https:"
      ? ": no connection came about; check its name and port, that it speaks HTTPS, and that its certificate is trusted"
      : ": no connection came about; check its name and port";
  }
  return thrown.message === "" || thrown.message.includes("://") ? "" : `: ${asClause(thrown.message)}`;
}

/** The runtime's own words, a sentence, as a part of ours. */
export function asClause(words: string): string {
  return words.trim().slice(0, 200).replace(/\.$/, "");
}

function lengthOf(response: Response | null): number {
  const length = Number(response?.headers.get("content-length") ?? 0);
  return Number.isSafeInteger(length) && length > 0 ? length : 0;
}

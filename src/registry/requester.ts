/**
 * One operation at a registry, from waiting for a slot to its result: authorization, the answer to a 401, retries.
 * How long to wait between attempts is the gate's business: a slot is given back with what became of the request, and
 * asking for the next one waits as long as the host needs.
 */
import { Cut, onAbort } from "./aborts.ts";
import { outcomeOf, outcomeOfError, refusalOf } from "./answer.ts";
import { BrokenBody, discard } from "./body.ts";
import { CopyError, errorDetailOf, type ErrorCode, type ErrorDetail } from "./errors.ts";
import type { Authorization, Gate, Outcome, RequestKind, Slot } from "./gate.ts";
import type { Transport } from "./transport.ts";
import { endedBy } from "./wire.ts";

/** How often a request is sent before its failure is the operation's. */
const MAX_ATTEMPTS = 6;

/**
 * Signed addresses of stores are short-lived, and stores lag behind registries: a refused one is asked for anew, at the
 * registry, this often in all. What still fails then is tried again later, as a whole.
 */
const MAX_ADDRESSES = 2;

/** Answers of registries come within seconds; some check a store before they do. */
const ANSWER_TIME_LIMIT_MS = 60_000;

/**
 * A request with a large body is answered after all of it has arrived and been hashed and stored. What bounds it is the
 * caller's watch over the bytes; this limit only keeps a dead connection from outliving the invocation (15 minutes).
 */
export const UPLOAD_TIME_LIMIT_MS = 14 * 60_000;

/** An upload's token must outlive the time between asking for it and the registry's check of it. */
const UPLOAD_AUTHORIZATION_MS = 60_000;

export interface Call {
  /** "read manifest"; the error's `operation`. */
  operation: string;
  /** What it is about, for the error: "library/alpine:latest". */
  about: string;
  kind: RequestKind;
  /** Bytes the request is expected to move, for the order in the host's queue. */
  bytes: number;
  method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  url: URL;
  scopes: string[];
  headers?: Record<string, string>;
  body?: Body;
  /** Statuses the caller looks at itself; every other is an error. */
  accept: readonly number[];
  /** Code for statuses that say nothing more precise. */
  otherwise: ErrorCode;
  /** What a 404 means when the registry does not say; default `not_found`. */
  missing?: ErrorCode;
  signal?: AbortSignal;
  /** The answer's body is read after the call has ended, and its signals end that reading too. */
  streams?: true;
  timeLimitMs?: number;
  maxAttempts?: number;
}

/** A stream can be sent only once: such a call is not retried. */
export type Body =
  | { kind: "bytes"; bytes: Uint8Array }
  | { kind: "stream"; stream: ReadableStream<Uint8Array>; sizeBytes: number };

export interface RequesterOptions {
  transport: Transport;
  gate: Gate;
  side: ErrorDetail["side"];
  host: string;
  now: () => number;
  signal?: AbortSignal;
  maxAttempts?: number;
}

export interface Answer {
  response: Response;
  /** Where the answer came from, after redirects. */
  url: URL;
}

export class Requester {
  readonly #options: RequesterOptions;
  /** What was last authorized, by scopes: spares asking the gate again for every request. Null: nothing is needed. */
  readonly #authorizations = new Map<string, Authorization | null>();

  constructor(options: RequesterOptions) {
    this.#options = options;
  }

  /**
   * Makes the call and hands its answer to `read`, still within the slot; an error `read` throws counts as the request's.
   * What `read` does not consume of the body it leaves to the caller, or discards.
   * @param wasDone Asked before a failure is reported, if any try may have been carried out though its answer was lost:
   * the result, if the registry did it all the same.
   * @throws CopyError
   */
  async perform<T>(
    call: Call,
    read: (answer: Answer) => T | Promise<T>,
    wasDone?: () => Promise<T | null>,
  ): Promise<T> {
    const { gate, now } = this.#options;
    const allowed = call.maxAttempts ?? this.#options.maxAttempts ?? MAX_ATTEMPTS;
    const maxAttempts = call.body?.kind === "stream" ? 1 : allowed;
    let isUnclear = false;
    for (let count = 1; ; count++) {
      const slot = await this.#acquire(gate, call);
      const cut = new Cut(this.#signals(call));
      const attempt: Attempt = { count, cut, outcome: null };
      try {
        const result = await read(await this.#send(call, attempt));
        slot.release(attempt.outcome ?? { class: "ok" });
        if (call.streams !== true) {
          cut.release();
        }
        return result;
      } catch (thrown) {
        cut.release();
        const error = this.#asError(thrown, call);
        slot.release(outcomeAfter(error, attempt, now()));
        isUnclear ||= UNCLEAR.has(error.detail.code);
        const isOver = !error.detail.retryable || OTHERS_TO_MEND.has(error.detail.code);
        if (isOver || count >= maxAttempts) {
          // An inquiry that fails itself says nothing; the first error does.
          const done = isUnclear ? await wasDone?.().catch(() => null) : null;
          if (done !== null && done !== undefined) {
            return done;
          }
          throw triedOften(error, count);
        }
      }
    }
  }

  async #acquire(gate: Gate, call: Call): Promise<Slot> {
    const signals = this.#signals(call);
    const ended = endedBy(signals, call.operation, this.#options.side, this.#options.host);
    if (ended !== null) {
      throw ended;
    }
    if (gate.slotAtHand !== undefined) {
      return gate.slotAtHand();
    }
    const granted = this.#ofGate(() => gate.acquire(call.kind, call.bytes));
    if (signals.length === 0) {
      return granted;
    }
    return new Promise((resolve, reject) => {
      const unlisten = onAbort(signals, () => {
        reject(endedBy(signals, call.operation, this.#options.side, this.#options.host));
        // The slot may come all the same; nobody is left to use it.
        granted.then(
          (slot) => slot.release({ class: "unused" }),
          () => {},
        );
      });
      granted.then(resolve, reject).finally(unlisten);
    });
  }

  /** Sends the request, a second time with a new authorization if the first is answered with a challenge. */
  async #send(call: Call, attempt: Attempt): Promise<Answer> {
    const { transport } = this.#options;
    const known = transport.isOwn(call.url) ? await this.#authorization(call) : null;
    let authorization = known;
    let answer = await this.#sendOnce(call, attempt, authorization);
    attempt.outcome = this.#outcomeOf(answer);
    const challenge = answer.response.headers.get("www-authenticate")?.trim() || null;
    const isTaken = challenge === null && call.accept.includes(answer.response.status);
    if (isChallenge(answer.response) && !isTaken && transport.isOwn(answer.url)) {
      authorization = await this.#answerChallenge(call, challenge, known, answer.response);
      // RFC 9110, section 15.5.2: a 401 has a challenge. One without is no answer to our authorization but a fault on
      // the way (a proxy, a replica that is behind), so the same is tried once more.
      const isWorthwhile = challenge === null || (authorization !== null && authorization.header !== known?.header);
      if (isWorthwhile && call.body?.kind === "stream") {
        throw withRetry(await this.#refusal(answer, call, known));
      }
      if (isWorthwhile) {
        discard(answer.response);
        answer = await this.#sendOnce(call, attempt, authorization);
        attempt.outcome = this.#outcomeOf(answer);
      }
    }
    if (call.accept.includes(answer.response.status)) {
      this.#remember(call, answer.response, authorization);
      return answer;
    }
    throw await this.#refusal(answer, call, authorization ?? known);
  }

  /** Sends the request, and again where the registry led it to an address that refuses. */
  async #sendOnce(call: Call, attempt: Attempt, authorization: Authorization | null): Promise<Answer> {
    for (let address = 1; ; address++) {
      const answer = await this.#sendTo(call, attempt, authorization);
      if (!this.#isRefusalElsewhere(call, answer) || address === MAX_ADDRESSES) {
        return answer;
      }
      discard(answer.response);
    }
  }

  async #sendTo(call: Call, attempt: Attempt, authorization: Authorization | null): Promise<Answer> {
    const { body } = call;
    const bodyBytes = body === undefined ? 0 : body.kind === "bytes" ? body.bytes.byteLength : body.sizeBytes;
    const hasLength = call.method !== "GET" && call.method !== "HEAD" && call.method !== "DELETE";
    return this.#options.transport.send({
      operation: call.operation,
      method: call.method,
      url: call.url,
      headers: { ...call.headers, ...(hasLength ? { "content-length": String(bodyBytes) } : {}) },
      body: body === undefined ? null : body.kind === "bytes" ? body.bytes : body.stream,
      bodyBytes,
      authorization: authorization?.header ?? null,
      timeLimitMs: call.timeLimitMs ?? ANSWER_TIME_LIMIT_MS,
      cut: attempt.cut,
      attempt: attempt.count,
    });
  }

  async #authorization(call: Call): Promise<Authorization | null> {
    const { gate, now } = this.#options;
    const validForMs = call.body?.kind === "stream" ? UPLOAD_AUTHORIZATION_MS : 0;
    const known = this.#authorizations.get(keyOf(call.scopes));
    if (known === null) {
      return null;
    }
    if (known !== undefined && now() + validForMs < known.expiresAtMs) {
      return known;
    }
    const given = await this.#ofGate(() =>
      gate.authorize({ scopes: call.scopes, ...(validForMs > 0 ? { validForMs } : {}) }),
    );
    // A gate that has forgotten what the host asked for gives nothing; what still holds is better than that.
    return given ?? (known !== undefined && now() < known.expiresAtMs ? known : null);
  }

  /** Whether it was not the registry that refused, but the store it redirected to. */
  #isRefusalElsewhere(call: Call, { response, url }: Answer): boolean {
    const isFinal = call.accept.includes(response.status) || NOT_OF_ADDRESS.has(response.status);
    return call.method === "GET" && response.status >= 400 && !isFinal && !this.#options.transport.isOwn(url);
  }

  /** A store's refusal says nothing of the registry's load, but the next try should not come at once. */
  #outcomeOf({ response, url }: Answer): Outcome {
    const outcome = outcomeOf(response, this.#options.now());
    const isElsewhere = response.status >= 400 && !this.#options.transport.isOwn(url);
    return isElsewhere && outcome.class === "ok" ? { ...outcome, class: "failed" } : outcome;
  }

  async #answerChallenge(
    call: Call,
    challenge: string | null,
    refused: Authorization | null,
    response: Response,
  ): Promise<Authorization | null> {
    this.#authorizations.delete(keyOf(call.scopes));
    if (challenge === null) {
      return refused;
    }
    try {
      const request = { scopes: call.scopes, challenge, ...(refused === null ? {} : { refused: refused.header }) };
      return await this.#ofGate(() => this.#options.gate.authorize(request));
    } catch (thrown) {
      discard(response);
      throw thrown;
    }
  }

  #refusal(answer: Answer, call: Call, authorization: Authorization | null): Promise<CopyError> {
    const elsewhere = this.#isRefusalElsewhere(call, answer) ? answer.url.host : null;
    return refusalOf(answer.response, {
      side: this.#options.side,
      host: this.#options.host,
      operation: call.operation,
      about: call.about,
      otherwise: call.otherwise,
      missing: call.missing ?? "not_found",
      elsewhere,
      authorization: authorization?.header ?? null,
      url: answer.url,
      nowMs: this.#options.now(),
    });
  }

  #remember(call: Call, response: Response, authorization: Authorization | null): void {
    const isAdmitted = response.status < 400 || response.status === 404;
    if (isAdmitted && this.#options.transport.isOwn(call.url)) {
      this.#authorizations.set(keyOf(call.scopes), authorization);
    }
  }

  /** Errors of the gate come from elsewhere and do not know whose registry it is to us. */
  async #ofGate<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (thrown) {
      const detail = errorDetailOf(thrown, "wait for the registry");
      const { side, host } = this.#options;
      throw new CopyError(detail.side === "source" || detail.side === "target" ? { ...detail, side, host } : detail);
    }
  }

  #asError(thrown: unknown, call: Call): CopyError {
    const { side, host } = this.#options;
    const ended = endedBy(this.#signals(call), call.operation, side, host);
    if (ended !== null) {
      return ended;
    }
    if (thrown instanceof CopyError) {
      return thrown;
    }
    if (thrown instanceof BrokenBody) {
      const message = `${host} broke off its answer to "${call.operation}" of ${call.about}: ${thrown.message}`;
      return new CopyError({ code: "connection", side, host, operation: call.operation, retryable: true, message });
    }
    return new CopyError({ ...errorDetailOf(thrown, call.operation), host, retryable: false });
  }

  #signals(call: Call): AbortSignal[] {
    return [this.#options.signal, call.signal].filter((each) => each !== undefined);
  }
}

interface Attempt {
  /** From 1. */
  readonly count: number;
  /** Ends its requests. */
  readonly cut: Cut;
  /** Of the newest answer; null while there was none. */
  outcome: Outcome | null;
}

function outcomeAfter(error: CopyError, attempt: Attempt, nowMs: number): Outcome {
  const { status, code } = error.detail;
  if (attempt.outcome === null && code === "cancelled") {
    return { class: "unused" };
  }
  // A refused answer has said itself what it means; so has a good one, unless its body then broke off.
  if (attempt.outcome !== null && (status !== undefined || !error.detail.retryable)) {
    return attempt.outcome;
  }
  const outcome = outcomeOfError(error, nowMs);
  return attempt.outcome === null || code !== "connection" ? outcome : { ...attempt.outcome, class: "failed" };
}

/** RFC 6750, section 3.1: a token that is good but not enough is answered with 403; registries use 401 for both. */
function isChallenge(response: Response): boolean {
  if (response.status === 401) {
    return true;
  }
  return response.status === 403 && /insufficient_scope/.test(response.headers.get("www-authenticate") ?? "");
}

/**
 * A lost session stays lost, and what is missing does not come by asking: only who opens another session, or brings what is
 * missing, can try again.
 */
const OTHERS_TO_MEND: ReadonlySet<ErrorCode> = new Set(["upload_lost", "content_missing"]);

/**
 * The request may have been carried out: its answer was lost on the way, or was made up by something in between, or says
 * another digest than there can be.
 */
const UNCLEAR: ReadonlySet<ErrorCode> = new Set(["connection", "stalled", "unavailable", "digest_mismatch"]);

/** Statuses of a store that another address would not change: no such range, too many requests. */
const NOT_OF_ADDRESS: ReadonlySet<number> = new Set([416, 429]);

/** A person should know that the failure was not the first. */
function triedOften(error: CopyError, attempts: number): CopyError {
  const { message } = error.detail;
  return attempts === 1 ? error : new CopyError({ ...error.detail, message: `${message}; tried ${attempts} times` });
}

/** The token was refused but there is a new one now: the operation as a whole can be tried again. */
function withRetry(error: CopyError): CopyError {
  return new CopyError({ ...error.detail, retryable: true });
}

function keyOf(scopes: readonly string[]): string {
  return scopes.join(" ");
}

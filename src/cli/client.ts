/** Talks to the service's API, embedded or elsewhere. It shows nothing and decides nothing about exit statuses. */
import { setMaxListeners } from "node:events";
import { ENDED_STATES, type CopyEvent, type CopyView, type TagView } from "../job/contract.ts";
import type { GroupView } from "../job/group/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import { EventReader } from "./sse.ts";

/** RFC 9457 problem details, as the service answers them. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  errors?: { field: string; message: string }[];
  error?: ErrorDetail;
}

/** The service refused or could not be reached. `problem.status` is 0 when there was no answer at all. */
export class ServiceError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.name = "ServiceError";
    this.problem = problem;
  }
}

export interface ServiceAddress {
  url: string;
  token: string | null;
  /** Whether the one whose token it is still listens there; missing: who gave the token has said where to send it. */
  isThere?: () => Promise<boolean>;
}

/** What the API takes, as it takes it. */
export interface CopyBody {
  source: string;
  target: string;
  [choice: string]: unknown;
}

export interface GroupBody {
  source: string;
  targets: string[];
  [choice: string]: unknown;
}

interface AskOptions {
  method?: string;
  body?: string;
  headers?: Record<string, string>;
  signal: AbortSignal;
}

/** A pause between attempts to reach the service again, doubled each time. */
const RECONNECT_FIRST_MS = 200;
const RECONNECT_LIMIT_MS = 5_000;

/** So many attempts in a row without any answer end the command: about half a minute. */
const ATTEMPTS_WITHOUT_ANSWER = 10;

/** After so many streams that brought nothing, something on the way holds them back: ask instead. */
const EMPTY_STREAMS = 3;

/** After so many questions in their place a stream is tried once more: what held them back may be over. */
const QUESTIONS_PER_STREAM = 3;

/** Seconds that one question for the copy's end waits; below what proxies allow a request. */
const WAIT_SECONDS = 20;

/** The API's largest page. */
const TAGS_PER_PAGE = 1_000;

/** Has Node load its HTTP client, which takes it some 30 ms, while the service is still starting. */
export function warmUp(): void {
  void new Headers();
}

export class ServiceClient {
  readonly #address: ServiceAddress;

  constructor(address: ServiceAddress) {
    this.#address = address;
  }

  /** Asks for a copy. @throws ServiceError */
  async create(copy: CopyBody, signal: AbortSignal): Promise<CopyView> {
    return answerOf(await this.#create(copy, signal), isCopyView);
  }

  /** Asks for copies of one source to several targets. @throws ServiceError */
  async createGroup(copies: GroupBody, signal: AbortSignal): Promise<GroupView> {
    return answerOf(await this.#create(copies, signal), isGroupView);
  }

  /** A group, once all its copies have ended or the time is over. As patient as {@link follow}. @throws ServiceError */
  async group(id: string, waitSeconds: number, signal: AbortSignal): Promise<GroupView> {
    for (let failures = 1; ; failures += 1) {
      try {
        const response = await this.#ask(`/v1/copies/${encodeURIComponent(id)}?wait=${waitSeconds}`, { signal });
        return await answerOf(response, isGroupView);
      } catch (error) {
        await pauseAfter(error, failures, signal);
      }
    }
  }

  async view(id: string, waitSeconds: number, signal: AbortSignal): Promise<CopyView> {
    const response = await this.#ask(`/v1/copies/${encodeURIComponent(id)}?wait=${waitSeconds}`, { signal });
    return answerOf(response, isCopyView);
  }

  /** Every name of a copy and what became of it, page by page. @throws ServiceError */
  async tags(id: string, signal: AbortSignal): Promise<TagView[]> {
    const tags: TagView[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const query: string = `limit=${TAGS_PER_PAGE}${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
      const response = await this.#ask(`/v1/copies/${encodeURIComponent(id)}/tags?${query}`, { signal });
      const page: { tags: TagView[]; next: string | null } = await answerOf(response, isTagPage);
      tags.push(...page.tags);
      cursor = page.next;
    }
    return tags;
  }

  /** Every repository that a registry lists, page by page, as far as one may copy from it. @throws ServiceError */
  async repositories(host: string, signal: AbortSignal): Promise<string[]> {
    const found: string[] = [];
    const path = `/v1/registries/${encodeURIComponent(host)}/repositories`;
    const asked = new Set<string>();
    for (let cursor: string | null = ""; cursor !== null && !asked.has(cursor);) {
      asked.add(cursor);
      const query: string = cursor === "" ? "" : `?cursor=${encodeURIComponent(cursor)}`;
      const response = await this.#ask(path + query, { signal });
      const page: { repositories: string[]; next: string | null } = await answerOf(response, isRepositoryPage);
      found.push(...page.repositories);
      cursor = page.next;
    }
    return [...new Set(found)];
  }

  async cancel(id: string, signal: AbortSignal): Promise<void> {
    await this.#ask(`/v1/copies/${encodeURIComponent(id)}`, { method: "DELETE", signal });
  }

  /** Any other question in JSON; what is answered is for the caller to check. @throws ServiceError */
  async ask(method: string, path: string, signal: AbortSignal, body?: object): Promise<unknown> {
    const sent =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await this.#ask(path, { method, signal, ...sent });
    return response.json().catch(() => null);
  }

  /** Any authenticated question, to see whether the service takes its settings. @throws ServiceError */
  async probe(signal: AbortSignal): Promise<void> {
    await this.#ask("/v1/copies?limit=1", { signal });
  }

  /**
   * Follows a copy to its end, over cut connections, and answers with it as it is then.
   * @throws ServiceError when the service says no, or cannot be reached for about half a minute.
   */
  async follow(id: string, onEvent: (event: CopyEvent) => void, signal: AbortSignal): Promise<CopyView> {
    let lastSeq = 0;
    let failures = 0;
    let emptyStreams = 0;
    let questions = 0;
    for (;;) {
      try {
        if (questions === QUESTIONS_PER_STREAM) {
          questions = 0;
          emptyStreams = EMPTY_STREAMS - 1;
        }
        const stream = emptyStreams < EMPTY_STREAMS;
        let ended: CopyView | null = null;
        let events = 0;
        if (stream) {
          for await (const event of this.#events(id, lastSeq, signal)) {
            events += 1;
            failures = 0;
            if (event.seq > 0) {
              lastSeq = event.seq;
            }
            onEvent(event);
            if (event.type === "state" && ENDED_STATES.includes(event.data.state)) {
              ended = event.data;
              break;
            }
          }
        }
        if (ended !== null) {
          return ended;
        }
        if (stream) {
          emptyStreams = events === 0 ? emptyStreams + 1 : 0;
        } else {
          questions += 1;
        }
        const view = await this.view(id, stream ? 0 : WAIT_SECONDS, signal);
        failures = 0;
        if (ENDED_STATES.includes(view.state)) {
          return view;
        }
        // Also after one that brought something: where each is cut after its first event, none of them ends. And after a
        // question: a line that holds streams back may answer from its own memory.
        await pause(RECONNECT_FIRST_MS, signal);
      } catch (error) {
        failures += 1;
        await pauseAfter(error, failures, signal);
      }
    }
  }

  #create(copies: CopyBody | GroupBody, signal: AbortSignal): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return this.#ask("/v1/copies", { method: "POST", body: JSON.stringify(copies), headers, signal });
  }

  async *#events(id: string, lastSeq: number, signal: AbortSignal): AsyncGenerator<CopyEvent> {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (lastSeq > 0) {
      headers["last-event-id"] = String(lastSeq);
    }
    const response = await this.#ask(`/v1/copies/${encodeURIComponent(id)}/events`, { headers, signal });
    if (response.body === null) {
      return;
    }
    const reader = new EventReader();
    const decoder = new TextDecoder();
    try {
      for await (const piece of response.body as AsyncIterable<Uint8Array>) {
        for (const event of reader.push(decoder.decode(piece, { stream: true }))) {
          const data: unknown = JSON.parse(event.data);
          // An event of a newer service: not for us.
          if (isCopyEvent(data)) {
            yield data;
          }
        }
      }
    } catch (error) {
      // A cut connection is the end of this stream; the caller opens the next one where it broke off.
      if (signal.aborted || error instanceof SyntaxError) {
        throw error;
      }
    }
  }

  async #ask(path: string, init: AskOptions): Promise<Response> {
    const headers: Record<string, string> = { ...init.headers };
    // Before each request: over a crash of it, somebody else may have come to listen there.
    if ((await this.#address.isThere?.()) === false) {
      throw unreachable(this.#address.url, "`drayage serve` does not run there any more");
    }
    if (this.#address.token !== null) {
      headers["authorization"] = `Bearer ${this.#address.token}`;
    }
    // Each request listens to it until it is collected as garbage: of a file with a thousand copies Node 20 would warn a thousand times.
    setMaxListeners(0, init.signal);
    let response: Response;
    try {
      response = await fetch(new URL(path.slice(1), this.#address.url), { ...init, headers, redirect: "error" });
    } catch (error) {
      if (init.signal.aborted) {
        throw error;
      }
      throw unreachable(this.#address.url, wordsOf(error));
    }
    if (response.ok) {
      return response;
    }
    const problem = await problemOf(response);
    if (response.status === 401 && this.#address.token === null) {
      const detail = `The service at ${this.#address.url} wants a token: put it into DRAYAGE_TOKEN.`;
      throw new ServiceError({ ...problem, detail });
    }
    throw new ServiceError(problem);
  }
}

function unreachable(url: string, why: string): ServiceError {
  const detail = `The service at ${url} cannot be reached: ${why}.`;
  return new ServiceError({ type: "about:blank", title: "Service not reachable", status: 0, detail });
}

/** Waits before the next attempt after so many failed ones in a row. @throws `error` when there is none. */
async function pauseAfter(error: unknown, failures: number, signal: AbortSignal): Promise<void> {
  const isPassing = error instanceof ServiceError && worthAnotherTry(error.problem.status);
  if (signal.aborted || !isPassing || failures > ATTEMPTS_WITHOUT_ANSWER) {
    throw error;
  }
  await pause(Math.min(RECONNECT_FIRST_MS * 2 ** (failures - 1), RECONNECT_LIMIT_MS), signal);
}

function worthAnotherTry(status: number): boolean {
  return status === 0 || status === 429 || status >= 500;
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text().catch(() => "");
  try {
    const body: unknown = JSON.parse(text);
    if (isProblem(body)) {
      return { ...body, status: response.status };
    }
  } catch {
    // Not ours: something between answered.
  }
  return {
    type: "about:blank",
    title: response.statusText,
    status: response.status,
    detail: `What answers at ${new URL(response.url).origin} said nothing but status ${response.status}; check that this is the address of a drayage service.`,
  };
}

async function answerOf<T>(response: Response, isIt: (body: unknown) => body is T): Promise<T> {
  const body: unknown = await response.json().catch(() => null);
  if (isIt(body)) {
    return body;
  }
  throw new ServiceError({
    type: "about:blank",
    title: "Not this service",
    status: 502,
    detail: `What answers at ${new URL(response.url).origin} is not drayage, or another version of it.`,
  });
}

function isCopyView(value: unknown): value is CopyView {
  return typeof value === "object" && value !== null && "id" in value && "state" in value && "blobs" in value;
}

function isGroupView(value: unknown): value is GroupView {
  return typeof value === "object" && value !== null && "copies" in value && Array.isArray(value.copies);
}

function isTagPage(value: unknown): value is { tags: TagView[]; next: string | null } {
  return typeof value === "object" && value !== null && "tags" in value && Array.isArray(value.tags) && "next" in value;
}

function isRepositoryPage(value: unknown): value is { repositories: string[]; next: string | null } {
  return (
    typeof value === "object" &&
    value !== null &&
    "repositories" in value &&
    Array.isArray(value.repositories) &&
    "next" in value
  );
}

function isCopyEvent(value: unknown): value is CopyEvent {
  return typeof value === "object" && value !== null && "seq" in value && "type" in value && "data" in value;
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "detail" in value && typeof value.detail === "string";
}

/** Node hides the reason of a failed fetch in `cause`. */
function wordsOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) {
    return String(cause);
  }
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  // OpenSSL's own words for an answer in plain HTTP are a line of its source.
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER") {
    return "it does not speak TLS; try http://";
  }
  if (cause.message === "unexpected redirect") {
    return "it redirects elsewhere, where the token is not sent; give the address that it redirects to";
  }
  return cause.message === "" ? code : cause.message;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}

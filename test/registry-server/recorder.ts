/** Notes every request the test registry gets, and how many were under way at once. Credentials are never kept. */
import type { IncomingMessage } from "node:http";

export interface RecordedRequest {
  /** When it arrived, in milliseconds on the clock of `performance.now()`. */
  t: number;
  /** Milliseconds until the exchange was over, -1 while it is not. */
  tookMs: number;
  listener: "registry" | "cdn";
  method: string;
  /** Path without query. */
  path: string;
  query: Record<string, string>;
  /** Status answered; 0 while there is none, or when the connection was cut without one. */
  status: number;
  /** Request headers in lower case; of `authorization` only the scheme. */
  headers: Record<string, string>;
  /** Body bytes received and sent. */
  bytesIn: number;
  bytesOut: number;
  /** Port of the client's end of the connection: tells connections apart. */
  clientPort: number;
  /** Requests under way when this one arrived, itself included. */
  concurrent: number;
  /** Type of the fault that was applied, if any. */
  fault?: string;
}

interface Waiter {
  matches: (request: RecordedRequest) => boolean;
  resolve: (request: RecordedRequest) => void;
}

export class Recorder {
  readonly requests: RecordedRequest[] = [];
  /** Most requests seen at once, and most of them that move a blob's bytes. */
  maxConcurrent = 0;
  maxConcurrentBlobs = 0;
  connections = 0;
  /** Called with each request when its exchange is over. */
  onEnd: ((request: RecordedRequest) => void) | null = null;
  #active = 0;
  #activeBlobs = 0;
  #waiters: Waiter[] = [];

  begin(request: IncomingMessage, url: URL, listener: "registry" | "cdn"): RecordedRequest {
    this.#active++;
    this.maxConcurrent = Math.max(this.maxConcurrent, this.#active);
    const record: RecordedRequest = {
      t: performance.now(),
      tookMs: -1,
      listener,
      method: request.method ?? "",
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      status: 0,
      headers: headersOf(request),
      bytesIn: 0,
      bytesOut: 0,
      clientPort: request.socket.remotePort ?? 0,
      concurrent: this.#active,
    };
    if (movesBlob(record)) {
      this.maxConcurrentBlobs = Math.max(this.maxConcurrentBlobs, ++this.#activeBlobs);
    }
    this.requests.push(record);
    const due = this.#waiters.filter((waiter) => waiter.matches(record));
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const waiter of due) {
      waiter.resolve(record);
    }
    return record;
  }

  end(record: RecordedRequest): void {
    if (record.tookMs >= 0) {
      return;
    }
    record.tookMs = performance.now() - record.t;
    this.#active--;
    if (movesBlob(record)) {
      this.#activeBlobs--;
    }
    this.onEnd?.(record);
  }

  /** Requests under way now. */
  get active(): number {
    return this.#active;
  }

  /** The first request that matches, of those seen and those to come; resolves when it arrives, not when it is answered. */
  when(matches: (request: RecordedRequest) => boolean): Promise<RecordedRequest> {
    const seen = this.requests.find(matches);
    if (seen) {
      return Promise.resolve(seen);
    }
    return new Promise((resolve) => this.#waiters.push({ matches, resolve }));
  }

  /** Forgets what is over, so that the next phase of a test counts from zero. */
  reset(): void {
    this.requests.length = 0;
    this.maxConcurrent = this.#active;
    this.maxConcurrentBlobs = this.#activeBlobs;
    this.connections = 0;
  }
}

function movesBlob(record: RecordedRequest): boolean {
  if (record.listener === "cdn") {
    return true;
  }
  if (record.method === "GET") {
    return /\/blobs\/[a-z0-9+._-]+:/.test(record.path);
  }
  return ["PUT", "PATCH"].includes(record.method) && record.path.includes("/blobs/uploads/");
}

function headersOf(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    const text = Array.isArray(value) ? value.join(", ") : (value ?? "");
    headers[name] = name === "authorization" ? (text.split(" ")[0] ?? "") : text;
  }
  return headers;
}

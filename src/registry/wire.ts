/** One HTTP request on the wire, to a registry or a token endpoint. */

/** What is handed to `fetch`; a type of its own, so that it means the same in workerd and in Node. */
export interface WireInit {
  method: string;
  headers: Record<string, string>;
  body: ReadableStream<Uint8Array> | Uint8Array | string | null;
  redirect: "manual";
  cache: "no-store";
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
  /** Length of the body: of the request's for one that sends a body, else what the answer says of its own; 0 if unsaid. */
  bytes: number;
  /** From sending until the answer's headers. */
  ms: number;
  attempt: number;
  /** How many redirects led here. */
  redirect: number;
}

export type Log = (line: RequestLine) => void;

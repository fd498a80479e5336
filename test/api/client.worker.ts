/** Asks the Worker under test as a client would: with its token, in JSON. */
import { exports } from "cloudflare:workers";
import { inject } from "vitest";

export interface Ask {
  method?: string;
  headers?: Record<string, string>;
  /** Sent as JSON, or as it is when text. */
  body?: object | string;
  /** Sent as it is, in pieces and without a length. */
  stream?: ReadableStream<Uint8Array>;
  /** Null: no `Authorization`. */
  token?: string | null;
}

export function requestFor(path: string, ask: Ask = {}): Request {
  const token = ask.token === undefined ? inject("apiToken") : ask.token;
  const body = ask.stream ?? (typeof ask.body === "object" ? JSON.stringify(ask.body) : ask.body);
  return new Request(`https://drayage.example${path}`, {
    method: ask.method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...ask.headers,
    },
    ...(body === undefined ? {} : { body }),
  });
}

export function api(path: string, ask: Ask = {}): Promise<Response> {
  return exports.default.fetch(requestFor(path, ask));
}

/** A hook at an address, and deliveries to it: everything goes through `deliver`, as it does in the service. */
import type { CheckedPushEvent, Hook, Ignored, StartResult } from "../../src/hooks/contract.ts";
import { deliver } from "../../src/hooks/deliver.ts";
import { hashOfPathPart } from "../../src/hooks/path-part.ts";
import { KeySets } from "../../src/hooks/token.ts";

export const NOW_MS = Date.parse("2026-11-24T08:00:00Z");
export const PATH_PART = "Zm9yLXRlc3RzLW9ubHktbm90LXNlY3JldA";
export const SHA = `sha256:${"5".repeat(64)}`;
export const OTHER_SHA = `sha256:${"9".repeat(64)}`;

export interface Sent {
  /** JSON, or text or bytes as they are. */
  body?: unknown;
  headers?: Record<string, string>;
  query?: string;
  method?: string;
  pathPart?: string;
  keySets?: KeySets;
}

/** A delivery of JSON, as nearly everybody sends it. */
export function json(body: unknown, headers: Record<string, string> = {}): Sent {
  return { body, headers: { "content-type": "application/json", ...headers } };
}

export interface Outcome {
  status: number;
  headers: Headers;
  answer: unknown;
  /** What reached whoever starts copies; null: nothing was asked of them. */
  pushes: CheckedPushEvent[] | null;
  ignored: Ignored[];
}

/** Takes on every push. */
function startAll(events: readonly CheckedPushEvent[]): StartResult {
  const started = events.map(({ repository, tag }, index) => ({
    copy: `cp_${index}`,
    source: `${repository}:${tag ?? ""}`,
    target: "target",
  }));
  return { started, joined: [], ignored: [] };
}

export async function send(settings: Partial<Hook>, sent: Sent): Promise<Outcome> {
  const hook: Hook = { name: "hook", sender: "auto", pathHash: await hashOfPathPart(PATH_PART), ...settings };
  let pushes: CheckedPushEvent[] | null = null;
  const answer = await deliver(hook, sent.pathPart ?? PATH_PART, requestOf(sent), {
    start: (events) => {
      pushes = [...events];
      return Promise.resolve(startAll(events));
    },
    keySets: sent.keySets ?? new KeySets(() => Promise.reject(new Error("no keys are needed here"))),
    nowMs: NOW_MS,
  });
  const text = await answer.text();
  const read: unknown = text === "" ? null : JSON.parse(text);
  return { status: answer.status, headers: answer.headers, answer: read, pushes, ignored: ignoredIn(read) };
}

export function requestOf({ body, headers = {}, query = "", method = "POST" }: Sent): Request {
  const raw = typeof body === "string" || body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body);
  return new Request(`https://drayage.example.com/v1/hooks/hook/${PATH_PART}${query}`, {
    method,
    headers,
    ...(body === undefined || method === "GET" ? {} : { body: raw }),
  });
}

function ignoredIn(answer: unknown): Ignored[] {
  return typeof answer === "object" && answer !== null && "ignored" in answer && Array.isArray(answer.ignored)
    ? answer.ignored
    : [];
}

/** HMAC of a text, hex. */
export async function hmacHex(hash: "SHA-1" | "SHA-256", secret: string, text: string): Promise<string> {
  return Buffer.from(await hmac(hash, Buffer.from(secret), text)).toString("hex");
}

export async function hmac(hash: "SHA-1" | "SHA-256", secret: Uint8Array, text: string): Promise<ArrayBuffer> {
  const key = await crypto.subtle.importKey("raw", Uint8Array.from(secret), { name: "HMAC", hash }, false, ["sign"]);
  return crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text));
}

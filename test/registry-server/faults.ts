/** The misbehaviour of the test registry: which request gets which fault. How a fault shows on the wire is `exchange.ts`. */
import type { IncomingMessage } from "node:http";

export type FaultAction =
  /** Answers instead of the registry. */
  | { type: "status"; status: number; code?: string; headers?: Record<string, string>; body?: string }
  /** Does what was asked and says that it failed. */
  | { type: "late-error"; status: number; headers?: Record<string, string> }
  /** Does what was asked and cuts the connection (RST) in place of an answer. */
  | { type: "late-reset" }
  /** Answers 200 with another body. */
  | { type: "wrong-body"; body: string; contentType?: string }
  /** Cuts the connection (RST) after so many body bytes of the answer; 0: instead of an answer. */
  | { type: "reset"; afterBytes: number }
  /** Cuts the connection (RST) once so many bytes of the request's body were taken in; they stay taken in. */
  | { type: "reset-request"; afterBytes: number }
  /** Ends the connection in good order (FIN) after so many body bytes of the answer. */
  | { type: "truncate"; afterBytes: number }
  /** Flips the bits of one byte of the answer's body. */
  | { type: "corrupt"; atByte: number }
  /** Takes the request and never answers; cut after `ms`, or when the registry closes. */
  | { type: "hang"; ms?: number }
  /** Sends so many body bytes, then nothing, with the connection open. */
  | { type: "stall"; afterBytes: number }
  | { type: "slow"; bytesPerSecond: number }
  /** Reads the request's body no faster than this. */
  | { type: "slow-request"; bytesPerSecond: number }
  /** Waits before it handles the request. */
  | { type: "delay"; ms: number }
  /** Handles the request only once `until` resolves: for tests that decide the moment themselves. */
  | { type: "hold"; until: Promise<unknown> }
  /** Sends the client to the same path, with something more in its query, at this host or another. */
  | { type: "redirect"; status: number; host?: string }
  /** Changes the answer's Location, to none if need be. */
  | { type: "location"; to: (location: string) => string | null }
  /** Answers a Range that begins so many bytes later; `told`: and says so. */
  | { type: "shift-range"; byBytes: number; told: boolean }
  /** Changes the answer's headers. */
  | { type: "headers"; set?: Record<string, string>; drop?: string[] }
  /** Says a Content-Length that is off by so much; the body stays, and the connection ends after it. */
  | { type: "content-length"; off: number }
  /** Sends the body chunked, without Content-Length. */
  | { type: "chunked" }
  /** Ignores a Range header: 200 with the whole blob. */
  | { type: "no-ranges" }
  /** Says the digest of something else. */
  | { type: "wrong-digest" }
  /** Forgets the upload session named in the path, then handles the request. */
  | { type: "lose-upload" };

export interface FaultRule {
  /** Every part that is given must hold; `path` is searched in path and query. */
  match?: { method?: string | string[]; path?: RegExp | string; header?: Record<string, RegExp> };
  /** Lets so many matching requests pass first. */
  skip?: number;
  /** Strikes so often at most; without it, always. */
  times?: number;
  /** Counts `skip` and `times` for each method and path on its own. */
  perPath?: boolean;
  action: FaultAction;
}

/** The rules in force and how often each has struck. The first that matches and is not used up strikes, and no other. */
export class FaultBook {
  #rules: { rule: FaultRule; counts: Map<string, { seen: number; struck: number }> }[] = [];

  constructor(rules: readonly FaultRule[] = []) {
    this.add(...rules);
  }

  add(...rules: FaultRule[]): void {
    for (const rule of rules) {
      this.#rules.push({ rule, counts: new Map() });
    }
  }

  clear(): void {
    this.#rules = [];
  }

  pick(request: IncomingMessage): FaultAction | null {
    for (const { rule, counts } of this.#rules) {
      if (!matches(rule, request)) {
        continue;
      }
      const key = rule.perPath ? `${request.method} ${request.url?.split("?")[0]}` : "";
      const count = counts.get(key) ?? { seen: 0, struck: 0 };
      counts.set(key, count);
      count.seen++;
      if (count.seen <= (rule.skip ?? 0) || count.struck >= (rule.times ?? Infinity)) {
        continue;
      }
      count.struck++;
      return rule.action;
    }
    return null;
  }
}

function matches({ match = {} }: FaultRule, request: IncomingMessage): boolean {
  const { method, path, header = {} } = match;
  if (method !== undefined && ![method].flat().includes(request.method ?? "")) {
    return false;
  }
  if (path !== undefined && (request.url ?? "").search(path) < 0) {
    return false;
  }
  return Object.entries(header).every(([name, pattern]) => pattern.test([request.headers[name]].flat().join(", ")));
}

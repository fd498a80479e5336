/** Limits the test registry can impose: requests at once, and a quota over a window with its `ratelimit-*` headers. */
import { RegistryError } from "./reply.ts";

export interface LimitOptions {
  /** More requests at once than this get 429. */
  concurrent?: number;
  /** Requests per second, with a burst of as many; beyond it 429. */
  perSecond?: number;
  /** Counted on manifest GETs, as Docker Hub does; told on GET and HEAD. */
  quota?: { limit: number; windowSeconds: number };
  /** Retry-After of a 429, seconds or a date; without it, none is sent. */
  retryAfter?: string;
}

export class Limits {
  readonly #options: LimitOptions;
  readonly #now: () => number;
  #used = 0;
  #windowEndsMs = 0;
  #allowance: number;
  #allowanceAtMs: number;
  /** Requests refused so far. */
  refused = 0;

  constructor(options: LimitOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
    this.#allowance = options.perSecond ?? 0;
    this.#allowanceAtMs = now();
  }

  /** Counts a request; gives headers for its answer, or throws 429. `active` are the requests under way, this one included. */
  admit(method: string, isManifest: boolean, active: number): Record<string, string> {
    const { concurrent, perSecond, quota } = this.#options;
    if (concurrent !== undefined && active > concurrent) {
      this.#refuse("too many requests at once", {});
    }
    const now = this.#now();
    if (perSecond !== undefined) {
      const earned = ((now - this.#allowanceAtMs) / 1000) * perSecond;
      this.#allowance = Math.min(perSecond, this.#allowance + earned);
      this.#allowanceAtMs = now;
      if (this.#allowance < 1) {
        this.#refuse("too many requests per second", {});
      }
      this.#allowance--;
    }
    if (!quota || !isManifest || !["GET", "HEAD"].includes(method)) {
      return {};
    }
    if (now >= this.#windowEndsMs) {
      this.#windowEndsMs = now + quota.windowSeconds * 1000;
      this.#used = 0;
    }
    const over = method === "GET" && ++this.#used > quota.limit;
    const headers = {
      "ratelimit-limit": `${quota.limit};w=${quota.windowSeconds}`,
      "ratelimit-remaining": `${Math.max(0, quota.limit - this.#used)};w=${quota.windowSeconds}`,
    };
    if (over) {
      this.#refuse("the quota is used up", headers);
    }
    return headers;
  }

  #refuse(why: string, headers: Record<string, string>): never {
    this.refused++;
    const { retryAfter } = this.#options;
    throw new RegistryError(429, "TOOMANYREQUESTS", why, {
      ...headers,
      ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }),
    });
  }
}

/**
 * What the registry client asks of whoever grants request slots at a host. The client does not know who that is:
 * in a copy it is the host's RegistryHost, in a test a plain object.
 */

/** Kinds of request in the order of their precedence; `blob` is the only one that moves a body of any size. */
export type RequestKind = "head" | "manifest" | "query" | "blob";

/** What became of a request, as far as the host's limits and backoff care. */
export interface Outcome {
  class: OutcomeClass;
  /** From `Retry-After`: how long the host wants to be left alone, in milliseconds from now. */
  retryAfterMs?: number;
  /** From `RateLimit-Limit` and `RateLimit-Remaining`. */
  quota?: Quota;
}

export type OutcomeClass =
  /** The host did what was asked, or refused it for a reason that has nothing to do with load (404, 401, 403 …). */
  | "ok"
  /** 429: too many requests, or too many at once. */
  | "throttled"
  /** The connection was refused or closed before an answer. */
  | "refused"
  /** 408, 5xx, or a body that broke off. */
  | "failed"
  /** The slot was not used. */
  | "unused";

export interface Quota {
  limit: number;
  remaining: number;
  windowSeconds?: number;
}

export interface Slot {
  /** Gives the slot back. Safe to call more than once: the first outcome counts. */
  release(outcome: Outcome): void;
}

export interface AuthorizationRequest {
  /** Scopes as in the token protocol: `repository:library/alpine:pull`. */
  scopes: string[];
  /** The `WWW-Authenticate` header of a 401, verbatim. Without it only what is known already is used. */
  challenge?: string;
  /** The `Authorization` value the registry just refused for these scopes: not to be answered again. */
  refused?: string;
  /** It must be good for that long, if the token endpoint gives any that long: an upload starts now and is checked later. */
  validForMs?: number;
}

export interface Authorization {
  /** Value of the `Authorization` header. */
  header: string;
  /** Milliseconds since the epoch after which it must not be used. */
  expiresAtMs: number;
}

export interface Gate {
  /**
   * Waits for a slot for one request.
   * @throws CopyError when the host is paused for longer than anyone should wait.
   */
  acquire(kind: RequestKind, bytes: number): Promise<Slot>;
  /** The slot of a gate that has one already, for all requests at once; missing: each is to be waited for. */
  slotAtHand?(): Slot;
  /** The authorization for the scopes, from memory or from the token endpoint; null: send none. */
  authorize(request: AuthorizationRequest): Promise<Authorization | null>;
}

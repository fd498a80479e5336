/**
 * The authorizations a lane was given by one host, kept as long as they hold: each transfer has clients of its own, which
 * would all ask for the same.
 */
import type { Authorization, AuthorizationRequest } from "../registry/gate.ts";

export type Authorize = (request: AuthorizationRequest) => Promise<Authorization | null>;

export class Authorizations {
  readonly #ask: Authorize;
  readonly #now: () => number;
  /** By scopes. Null: the host has not asked for any yet. */
  readonly #known = new Map<string, Authorization | null>();

  constructor(ask: Authorize, now: () => number) {
    this.#ask = ask;
    this.#now = now;
  }

  /** From memory, or from the host: after a challenge, and when what is known does not hold for long enough. */
  readonly authorize: Authorize = async (request) => {
    const { scopes, challenge, validForMs = 0 } = request;
    const key = scopes.join(" ");
    const known = this.#known.get(key);
    const holds = known === null || (known !== undefined && this.#now() + validForMs < known.expiresAtMs);
    if (challenge === undefined && known !== undefined && holds) {
      return known;
    }
    const given = await this.#ask(request);
    this.#known.set(key, given);
    return given;
  };
}

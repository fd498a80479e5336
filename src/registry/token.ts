/**
 * Authorizations for one registry host: remembers how the host wants to be convinced, asks its token endpoint once per
 * set of scopes and lifetime however many ask, and keeps secrets from going anywhere but there.
 */
import { shownHost } from "./address.ts";
import { parseChallenges, type Challenge } from "./challenge.ts";
import type { ConnectionBudget } from "./connection-budget.ts";
import type { HostSettings } from "./contract.ts";
import type { Credential, CredentialLookup } from "./credentials.ts";
import { basicHeader, type EndpointOptions } from "./endpoint.ts";
import { CopyError, type ErrorCode, type ErrorDetail } from "./errors.ts";
import type { Authorization, AuthorizationRequest } from "./gate.ts";
import { reachProblem, type Refusal } from "./reach.ts";
import { coversScopes, mergeScopes, repositoryOf, splitScopes } from "./scopes.ts";
import { askForToken } from "./token-endpoint.ts";
import { createWire, type Fetch, type Log } from "./wire.ts";

/** A token is not used in its last seconds: clocks differ, and a request takes its time to be checked. */
const EXPIRY_MARGIN_MS = 10_000;

/**
 * What was refused is not sent for the same scopes again for so long: whoever was told of it may have seen to it by then.
 * For others it is sent all the same: a registry that asks for Basic sees one value for all its repositories.
 */
const REFUSAL_LIFE_MS = 60_000;

/** Refused values and tokens are few; what is older than so many others is forgotten. */
const MAX_REMEMBERED = 200;

/** Of the schemes that a host asks for and nobody here speaks, for the error. */
const MAX_SCHEMES_CHARACTERS = 100;

export interface TokenSourceOptions {
  settings: HostSettings;
  /** For errors; a client that knows better puts its own side there. */
  side: ErrorDetail["side"];
  credentials: CredentialLookup;
  fetch: Fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Log;
  budget?: ConnectionBudget;
  /** What must not be called, besides where the registry must not lead (reach.ts). */
  refusalOf: Refusal;
}

interface Kept extends Authorization {
  scopes: string[];
  gainedAtMs: number;
  /** Credentials may differ from one repository to the next. */
  repository: string | null;
}

interface BearerRealm {
  realm: URL;
  service: string | undefined;
}

export class TokenSource {
  readonly #options: TokenSourceOptions;
  readonly #endpoint: EndpointOptions;
  readonly #registry: URL;
  /** What the host last asked for; null until it has asked. */
  #wanted: Challenge | null = null;
  /** Scopes the host named itself for what was asked of it, by the asked ones: its names may differ from ours. */
  readonly #offered = new Map<string, string[]>();
  readonly #kept = new Map<string, Kept>();
  readonly #underWay = new Map<string, Promise<Kept>>();
  /** By scopes and value: until when it is not sent, milliseconds since the epoch. */
  readonly #refusedUntilMs = new Map<string, number>();

  constructor(options: TokenSourceOptions) {
    const { settings, side } = options;
    this.#options = options;
    this.#registry = new URL(`${settings.tls === "disabled" ? "http" : "https"}://${settings.hostname}/`);
    const wire = createWire({ ...options, host: settings.host });
    this.#endpoint = { wire, now: options.now, side, host: settings.host };
  }

  /**
   * The authorization for the scopes, from memory or from the token endpoint; null: send none (nothing was demanded yet,
   * or there is nothing else to offer than what was refused).
   * @throws CopyError `unauthorized` when the token endpoint refuses (never to be retried), `denied` for a realm that
   * must not be asked, `unsupported` for a scheme nobody here speaks; retryable ones when the endpoint is overloaded.
   */
  async authorize(request: AuthorizationRequest): Promise<Authorization | null> {
    const scopes = mergeScopes(request.scopes);
    if (request.refused !== undefined) {
      this.#refuse(scopes, request.refused);
    }
    if (request.challenge !== undefined) {
      this.#learn(request.challenge, scopes);
    }
    const repository = this.#ownName(repositoryOf(request.scopes));
    const validForMs = request.validForMs ?? 0;
    const { credentials, settings } = this.#options;
    const prove = (each: Credential | null) => this.#prove(each, scopes, repository, validForMs);
    const credential = await credentials(settings.host, repository);
    if (credential?.expiresAtMs === undefined || this.#wanted === null) {
      return prove(credential);
    }
    const first = await prove(credential).catch(unlessRefusal);
    if (first !== null && !(first instanceof CopyError)) {
      return first;
    }
    // It was given for a while and is refused within that while: there may be another. Asked for once, or it would not end.
    const other = await credentials(settings.host, repository, credential);
    if (other !== credential) {
      return prove(other);
    }
    if (first !== null) {
      throw first;
    }
    return null;
  }

  /** The repository as references have it: the wire has the path prefix of the settings before it. */
  #ownName(repository: string | null): string | null {
    const prefix = `${this.#options.settings.pathPrefix}/`;
    return prefix !== "/" && repository?.startsWith(prefix) ? repository.slice(prefix.length) : repository;
  }

  /** What the host wants to see, made of the credential; null: nothing is wanted, or nothing that was not refused. */
  async #prove(
    credential: Credential | null,
    scopes: string[],
    repository: string | null,
    validForMs: number,
  ): Promise<Authorization | null> {
    const expiresAtMs = credential?.expiresAtMs;
    if (credential?.kind === "bearer") {
      return this.#unlessRefused(scopes, `Bearer ${credential.token}`, expiresAtMs);
    }
    if (this.#wanted === null) {
      return null;
    }
    if (this.#wanted.scheme === "basic") {
      if (credential === null) {
        return null;
      }
      const password = credential.kind === "basic" ? credential.password : credential.token;
      return this.#unlessRefused(scopes, basicHeader(credential.username, password), expiresAtMs);
    }
    const kept = await this.#bearer(this.#realm(this.#wanted), scopes, repository, validForMs, credential);
    return this.#isRefused(scopes, kept.header) ? null : { header: kept.header, expiresAtMs: kept.expiresAtMs };
  }

  #bearer(
    { realm, service }: BearerRealm,
    asked: string[],
    repository: string | null,
    validForMs: number,
    credential: Credential | null,
  ): Promise<Kept> {
    const key = asked.join(" ");
    const scopes = mergeScopes(asked, this.#offered.get(key) ?? []);
    const kept = this.#find(scopes, repository, validForMs);
    if (kept) {
      return Promise.resolve(kept);
    }
    const underWay = this.#underWay.get(key);
    if (underWay) {
      return underWay;
    }
    const gainedAtMs = this.#options.now();
    const flight = askForToken(this.#endpoint, { realm, service, scopes, credential })
      .then(({ token, lifetimeMs }) => {
        const marginMs = Math.min(EXPIRY_MARGIN_MS, lifetimeMs / 2);
        const expiresAtMs = gainedAtMs + lifetimeMs - marginMs;
        const gained: Kept = { header: `Bearer ${token}`, expiresAtMs, scopes, gainedAtMs, repository };
        remember(this.#kept, key, gained);
        return gained;
      })
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, flight);
    return flight;
  }

  /** A token that is good for the scopes and, where the endpoint gives such, for the time wanted. */
  #find(scopes: readonly string[], repository: string | null, validForMs: number): Kept | null {
    const nowMs = this.#options.now();
    for (const [key, kept] of this.#kept) {
      if (nowMs >= kept.expiresAtMs) {
        this.#kept.delete(key);
        continue;
      }
      // A token in its first half is as good as a new one; asking again would only spin on endpoints with short lives.
      const isYoung = nowMs - kept.gainedAtMs < kept.expiresAtMs - nowMs;
      const lasts = kept.expiresAtMs - nowMs >= validForMs || isYoung;
      if (lasts && kept.repository === repository && coversScopes(kept.scopes, scopes)) {
        return kept;
      }
    }
    return null;
  }

  #refuse(scopes: readonly string[], header: string): void {
    remember(this.#refusedUntilMs, refusalKey(scopes, header), this.#options.now() + REFUSAL_LIFE_MS);
    for (const [key, kept] of this.#kept) {
      if (kept.header === header) {
        this.#kept.delete(key);
      }
    }
  }

  #isRefused(scopes: readonly string[], header: string): boolean {
    return (this.#refusedUntilMs.get(refusalKey(scopes, header)) ?? 0) > this.#options.now();
  }

  #unlessRefused(scopes: readonly string[], header: string, untilMs: number | undefined): Authorization | null {
    const expiresAtMs = untilMs === undefined ? Number.MAX_SAFE_INTEGER : untilMs - EXPIRY_MARGIN_MS;
    return this.#isRefused(scopes, header) ? null : { header, expiresAtMs };
  }

  #learn(header: string, asked: readonly string[]): void {
    const challenges = parseChallenges(header);
    const bearer = challenges.find(({ scheme, params }) => scheme === "bearer" && params.has("realm"));
    const wanted = bearer ?? challenges.find(({ scheme }) => scheme === "basic");
    if (!wanted) {
      const schemes = challenges
        .map(({ scheme }) => scheme)
        .join(", ")
        .slice(0, MAX_SCHEMES_CHARACTERS);
      throw this.#error(
        "unsupported",
        `asks for authentication by ${schemes || "nothing that can be read"}; only Bearer and Basic are spoken here`,
      );
    }
    this.#wanted = wanted;
    const offered = splitScopes(wanted.params.get("scope"));
    if (offered.length > 0) {
      remember(this.#offered, asked.join(" "), offered);
    }
  }

  #realm(challenge: Challenge): BearerRealm {
    const text = challenge.params.get("realm") ?? "";
    if (!URL.canParse(text, this.#registry.href)) {
      throw this.#error("unsupported", "names a token realm that is no address");
    }
    const realm = new URL(text, this.#registry);
    realm.hash = "";
    const problem = reachProblem(realm, this.#registry) ?? this.#options.refusalOf(realm);
    if (problem !== null) {
      throw this.#error("denied", `names the token realm ${shownHost(realm)}, which ${problem}`);
    }
    return { realm, service: challenge.params.get("service") };
  }

  #error(code: ErrorCode, problem: string): CopyError {
    const { side, settings } = this.#options;
    const message = `${settings.host} ${problem}`;
    return new CopyError({ code, side, host: settings.host, operation: "authorize", retryable: false, message });
  }
}

/** A token endpoint's 401, to be looked into; everything else is thrown again. */
function unlessRefusal(thrown: unknown): CopyError {
  if (thrown instanceof CopyError && thrown.detail.status === 401) {
    return thrown;
  }
  throw thrown;
}

function refusalKey(scopes: readonly string[], header: string): string {
  return `${scopes.join(" ")} ${header}`;
}

/** Puts an entry last, and lets go of the oldest where there are too many. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_REMEMBERED) {
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  }
}

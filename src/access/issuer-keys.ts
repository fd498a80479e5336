/**
 * The public keys of one issuer of tokens, fetched from it and kept. The only requests that somebody without a proof can
 * cause: they go to configured issuers alone, follow no redirect, and are few, bounded and short.
 */
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from "jose";
import * as z from "zod";
import { readBounded } from "../registry/body.ts";
import type { Refusal } from "../registry/reach.ts";
import { USER_AGENT } from "../registry/user-agent.ts";

/** Sets of keys and discovery documents are a few kilobytes. */
const MAX_ANSWER_BYTES = 256 * 1024;
/** Whoever waits at the door should hear within a few seconds. */
const TIME_LIMIT_MS = 5_000;
/** An issuer that did not answer is left alone for so long, however many tokens in its name arrive. */
const PAUSE_AFTER_FAILURE_MS = 5_000;
/** Keys are looked up again after so long; a token with an unknown key makes that sooner, every 30 s at most. */
const KEYS_LIFE_MS = 10 * 60 * 1000;
const UNKNOWN_KEY_PAUSE_MS = 30_000;
/** The address of the keys hardly ever changes. */
const DISCOVERY_LIFE_MS = 60 * 60 * 1000;

const Discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });

/** The issuer's keys cannot be had now: the token may be a good one. */
export class IssuerUnavailable extends Error {
  /** @param problem For the operator's log; never for who asks. */
  constructor(problem: string) {
    super(problem);
    this.name = "IssuerUnavailable";
  }
}

export interface IssuerAddress {
  issuer: string;
  /** Null: its discovery document says where. */
  jwksUri: string | null;
}

/** What keys are fetched with; the Worker's own `fetch` and clock outside tests. */
export interface KeyFetcher {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  now: () => number;
  /** Addresses that must not be called, whoever has named them: the settings, or a discovery document. */
  refusalOf: Refusal;
}

export class IssuerKeys {
  readonly #address: IssuerAddress;
  readonly #fetcher: KeyFetcher;
  #set: { find: JWTVerifyGetKey; atMs: number } | null = null;
  #failure: { error: IssuerUnavailable; atMs: number } | null = null;

  constructor(address: IssuerAddress, fetcher: KeyFetcher) {
    this.#address = address;
    this.#fetcher = fetcher;
  }

  /**
   * The key that signed a token, as `jose` asks for it.
   * @throws IssuerUnavailable when the keys cannot be had; JOSEError when the issuer has no such key.
   */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const set = await this.#current();
    try {
      return await set(header, token);
    } catch (thrown) {
      throw isFetchFailure(thrown) ? this.#failed(`${this.#address.issuer}: ${thrown.message}`) : thrown;
    }
  };

  // Only what has arrived is kept: a promise of one request must not be awaited by another in Workers.
  async #current(): Promise<JWTVerifyGetKey> {
    const now = this.#fetcher.now();
    if (this.#set !== null && (this.#address.jwksUri !== null || now - this.#set.atMs < DISCOVERY_LIFE_MS)) {
      return this.#set.find;
    }
    const url = this.#address.jwksUri === null ? await this.#discover() : new URL(this.#address.jwksUri);
    const find = createRemoteJWKSet(url, {
      timeoutDuration: TIME_LIMIT_MS,
      cooldownDuration: UNKNOWN_KEY_PAUSE_MS,
      cacheMaxAge: KEYS_LIFE_MS,
      headers: { "user-agent": USER_AGENT },
      [customFetch]: (address: string, { signal }: { signal: AbortSignal }) => this.#get(address, signal),
    });
    this.#set = { find, atMs: now };
    return find;
  }

  async #discover(): Promise<URL> {
    const { issuer } = this.#address;
    const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const answer = await this.#get(url, AbortSignal.timeout(TIME_LIMIT_MS));
    const read = Discovery.safeParse(await answer.json().catch(() => null));
    if (!read.success || read.data.issuer !== issuer) {
      throw this.#failed(`${url} is not the discovery document of ${issuer}`);
    }
    const keys = new URL(read.data.jwks_uri);
    if (keys.origin !== new URL(issuer).origin) {
      throw this.#failed(`${issuer} has its keys at another host; set jwks_uri = "${keys.origin}${keys.pathname}"`);
    }
    return keys;
  }

  async #get(url: string, signal: AbortSignal): Promise<Response> {
    const refusal = this.#fetcher.refusalOf(new URL(url));
    if (refusal !== null) {
      throw this.#failed(`${url} is not called: it ${refusal}`);
    }
    const now = this.#fetcher.now();
    if (this.#failure !== null && now - this.#failure.atMs < PAUSE_AFTER_FAILURE_MS) {
      throw this.#failure.error;
    }
    try {
      const headers = { accept: "application/json", "user-agent": USER_AGENT };
      const answer = await this.#fetcher.fetch(url, { headers, signal, redirect: "manual" });
      if (answer.status !== 200) {
        await answer.body?.cancel();
        throw new Error(`answered ${answer.status}`);
      }
      const body = await readBounded(answer, MAX_ANSWER_BYTES);
      if (body.kind === "cut") {
        throw new Error(`answered with more than ${MAX_ANSWER_BYTES} bytes`);
      }
      return new Response(body.bytes);
    } catch (thrown) {
      throw this.#failed(`${url}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }

  #failed(problem: string): IssuerUnavailable {
    const error = new IssuerUnavailable(problem);
    this.#failure = { error, atMs: this.#fetcher.now() };
    return error;
  }
}

/** What `jose` throws when the set itself is at fault, as against the token. */
function isFetchFailure(thrown: unknown): thrown is Error {
  return (
    thrown instanceof errors.JWKSTimeout ||
    thrown instanceof errors.JWKSInvalid ||
    (thrown instanceof errors.JOSEError && thrown.constructor === errors.JOSEError)
  );
}

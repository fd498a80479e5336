/**
 * Checks the JSON Web Token of a delivery, as Google's Pub/Sub and other identity providers sign it, against the keys that
 * its issuer publishes. The protocol is `jose`'s; how keys are fetched is an argument.
 */
import { createRemoteJWKSet, customFetch, errors, jwtVerify, type JWTVerifyGetKey } from "jose";
import { reliable } from "../access/claims.ts";
import { discard, readBounded } from "../registry/body.ts";
import type { TokenCheck } from "./contract.ts";

/** Clocks of issuers and of this service differ. */
const CLOCK_TOLERANCE_SECONDS = 30;

/** Senders give up soon, and an unanswered request for keys must not hold a delivery back. */
const KEYS_TIMEOUT_MS = 2000;

/** Sets of keys are a few kilobytes. Where they are is said by whoever wrote the rule. */
const MAX_KEYS_BYTES = 256 * 1024;

/** Signatures only: with a symmetric algorithm whoever reads the public key could sign. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/** As many issuers as anyone configures; beyond it the sets are forgotten and fetched again. */
const MAX_KEY_SETS = 100;

export type FetchKeys = (url: string, init: RequestInit) => Promise<Response>;

/** What a token proves: `valid`; `refused`, with why; `unavailable` while the issuer's keys cannot be had. */
export type TokenVerdict =
  | { kind: "valid" }
  | { kind: "refused"; reason: string }
  | { kind: "unavailable"; reason: string };

/** The key sets of all issuers, each fetched once and again when a token names a key that it does not have. */
export class KeySets {
  readonly #fetch: FetchKeys;
  readonly #sets = new Map<string, JWTVerifyGetKey>();

  constructor(fetchKeys: FetchKeys) {
    this.#fetch = fetchKeys;
  }

  at(url: string): JWTVerifyGetKey {
    const known = this.#sets.get(url);
    if (known !== undefined) {
      return known;
    }
    const keys = createRemoteJWKSet(new URL(url), {
      timeoutDuration: KEYS_TIMEOUT_MS,
      [customFetch]: async (address: string, init: RequestInit) => bounded(await this.#fetch(address, init)),
    });
    if (this.#sets.size >= MAX_KEY_SETS) {
      this.#sets.clear();
    }
    this.#sets.set(url, keys);
    return keys;
  }
}

async function bounded(answer: Response): Promise<Response> {
  if (answer.status !== 200) {
    discard(answer);
    return answer;
  }
  const body = await readBounded(answer, MAX_KEYS_BYTES);
  if (body.kind === "cut") {
    throw new Error(`more than ${MAX_KEYS_BYTES} bytes of keys`);
  }
  return new Response(body.bytes);
}

/** Signature, issuer, audience, times and further claims of the token in `Authorization: Bearer`. */
export async function checkToken(
  authorization: string | null,
  check: TokenCheck,
  keySets: KeySets,
  nowMs: number,
): Promise<TokenVerdict> {
  const token = /^bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  if (token === undefined) {
    return { kind: "refused", reason: "it has no Authorization: Bearer with a token" };
  }
  try {
    const { payload } = await jwtVerify(token, withUnavailability(keySets.at(check.jwksUrl)), {
      issuer: [...check.issuers],
      audience: check.audience,
      algorithms: ALGORITHMS,
      requiredClaims: ["exp"],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(nowMs),
    });
    const wanted = Object.entries(check.claims ?? {});
    const [wrong] = wanted.find(([name, value]) => payload[name] !== value) ?? [];
    const unreliable = wanted.some(([name]) => !Object.hasOwn(reliable(payload), name)) ? "email_verified" : undefined;
    const refused = wrong ?? unreliable;
    return refused === undefined
      ? { kind: "valid" }
      : { kind: "refused", reason: `the claim "${refused}" of its token is not the configured one` };
  } catch (thrown) {
    if (thrown instanceof KeysUnavailable) {
      return { kind: "unavailable", reason: "the keys of its token's issuer cannot be had now" };
    }
    return { kind: "refused", reason: `its token is not valid: ${wordsOf(thrown)}` };
  }
}

class KeysUnavailable extends Error {}

/** Tells a token whose key is unknown from keys that could not be fetched: only the latter is worth another try. */
function withUnavailability(keys: JWTVerifyGetKey): JWTVerifyGetKey {
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (thrown) {
      const isTokensFault =
        thrown instanceof errors.JWKSNoMatchingKey ||
        thrown instanceof errors.JWKSMultipleMatchingKeys ||
        thrown instanceof errors.JOSENotSupported;
      throw isTokensFault ? thrown : new KeysUnavailable("no keys", { cause: thrown });
    }
  };
}

/** Named by kind: messages of the library may repeat what the token says. */
function wordsOf(thrown: unknown): string {
  if (thrown instanceof errors.JWTExpired) {
    return "it has expired";
  }
  if (thrown instanceof errors.JWTClaimValidationFailed) {
    return `the claim "${thrown.claim}" is not the configured one`;
  }
  return thrown instanceof errors.JWKSNoMatchingKey || thrown instanceof errors.JWSSignatureVerificationFailed
    ? "no key of its issuer has signed it"
    : "it is not a signed token";
}

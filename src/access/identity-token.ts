/**
 * Who a token of an issuer says its bearer is: JWTs of GitHub Actions, GitLab and the like (OpenID Connect), and of
 * Cloudflare Access. `jose` checks signatures and times; the settings say which issuer admits whom.
 */
import { decodeJwt, errors, jwtVerify, type JWTPayload } from "jose";
import { reliable, ruleFor } from "./claims.ts";
import type { IssuerSettings, Principal } from "./contract.ts";
import { IssuerUnavailable, type IssuerKeys } from "./issuer-keys.ts";

/** Signatures with a private key only: with HS*, whoever knows the public key could sign; `none` is no signature. */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** Clocks of issuers and of Cloudflare differ by less. */
const CLOCK_TOLERANCE_SECONDS = 30;

/** Compact JWS (RFC 7515 section 3.1): three parts in base64url. */
const JWT = /^[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*$/;

/** OpenID Connect Core section 2 has at most 255 characters in `sub`; longer ones would only fill rows. */
const MAX_SUBJECT_CHARACTERS = 255;

export type Verdict =
  | { kind: "admitted"; principal: Principal }
  /** Not a token of a configured issuer, or not a valid one. `reason` is set for genuine tokens only, for their bearer. */
  | { kind: "invalid"; reason: string | null }
  /** Genuine and in time, but no rule admits it. */
  | { kind: "not-admitted" }
  /** Whether it is valid cannot be said now. `problem` is for the log. */
  | { kind: "unavailable"; problem: string };

/** Whether a text has the form of a JWT. */
export function isJwt(text: string): boolean {
  return JWT.test(text);
}

/**
 * Judges a token.
 * @param issuers Those whose tokens may come this way.
 * @param keysOf The keys of one of them.
 */
export async function judgeToken(
  token: string,
  issuers: readonly IssuerSettings[],
  keysOf: (issuer: IssuerSettings) => IssuerKeys,
  nowMs: number,
): Promise<Verdict> {
  const settings = issuers.find(({ issuer }) => issuer === claimedIssuer(token));
  if (settings === undefined) {
    return { kind: "invalid", reason: null };
  }
  let claims: JWTPayload;
  try {
    const verified = await jwtVerify(token, keysOf(settings).find, {
      issuer: settings.issuer,
      audience: [...settings.audiences],
      algorithms: ALGORITHMS,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(nowMs),
      requiredClaims: ["exp", "iat"],
    });
    claims = verified.payload;
  } catch (thrown) {
    if (thrown instanceof IssuerUnavailable) {
      return { kind: "unavailable", problem: thrown.message };
    }
    if (thrown instanceof errors.JOSEError) {
      return { kind: "invalid", reason: reasonOf(thrown) };
    }
    throw thrown;
  }
  if ((claims.iat ?? Infinity) > nowMs / 1000 + CLOCK_TOLERANCE_SECONDS) {
    return { kind: "invalid", reason: "it was issued in the future" };
  }
  const subject = subjectOf(settings, claims);
  if (subject === null) {
    return { kind: "invalid", reason: "it does not say whom it is for (sub)" };
  }
  // Access has verified whoever it lets through, and does not say so.
  const rule = ruleFor(settings.rules, settings.kind === "access" ? claims : reliable(claims));
  if (rule === null) {
    return { kind: "not-admitted" };
  }
  const place = settings.kind === "oidc" ? `oidc:${settings.issuer}` : "access";
  const principal: Principal = {
    id: `${place}:${subject}`,
    name: subject,
    kind: settings.kind,
    scopes: rule.scopes,
    limits: rule.limits,
    // A subject costs nothing (a branch each), so a limit on each would be none: it holds for all that the rule admits.
    budget: `${place}:rule ${rule.name}`,
    expiresAtMs: null,
  };
  return { kind: "admitted", principal };
}

/** Not checked yet: only says whose keys to check it with. */
function claimedIssuer(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

/** Cloudflare Access names people by `email`, and service tokens by `common_name` with an empty `sub`. */
function subjectOf({ kind }: IssuerSettings, claims: JWTPayload): string | null {
  const names = kind === "access" ? ["email", "common_name", "sub"] : ["sub"];
  const subject = names.map((name) => claims[name]).find((value) => typeof value === "string" && value !== "");
  return typeof subject === "string" && subject.length <= MAX_SUBJECT_CHARACTERS ? subject : null;
}

/** `jose` looks at claims after the signature, so these are the bearer's own, and no secret. */
function reasonOf(error: errors.JOSEError): string | null {
  if (error instanceof errors.JWTExpired) {
    return "it has expired";
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    const words: Readonly<Record<string, string>> = {
      aud: "it is meant for another audience",
      nbf: "it is not valid yet",
      exp: "it does not say when it expires",
      iat: "it does not say when it was issued",
    };
    return words[error.claim] ?? null;
  }
  return null;
}

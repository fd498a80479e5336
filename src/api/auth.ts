/**
 * Who asks: the operator by one of the tokens whose SHA-256 is configured, somebody with an API key, a job of a CI system
 * by the token of its issuer, or somebody whom Cloudflare Access has let through. The service keeps hashes only, and whoever
 * is none of these learns nothing but that, at the same cost for every key that there never was or is no more.
 */
import { ROOT, type IssuerSettings, type Principal } from "../access/contract.ts";
import { judgeToken, isJwt } from "../access/identity-token.ts";
import { IssuerKeys } from "../access/issuer-keys.ts";
import { isKeyText } from "../access/key-text.ts";
import { issuerSettings, reachRefusal, tokenHashes } from "../config.ts";
import type { Env } from "../env.ts";
import { INDEX_NAME } from "../ledger/contract.ts";
import { writeLine } from "../log.ts";
import { errorDetailOf } from "../registry/errors.ts";
import { Problem } from "./problem.ts";

/** Tokens of GitLab with many claims reach 4 KB; a longer header can only be a mistake. */
const MAX_HEADER_CHARACTERS = 16 * 1024;

const CHALLENGE = 'Bearer realm="drayage"';

/** Set by Cloudflare Access on every request that it lets through. */
const ACCESS_HEADER = "cf-access-jwt-assertion";

/** Seconds after which an issuer that did not answer is worth another question. */
const ISSUER_RETRY_SECONDS = "5";

/** Keys of issuers outlive requests; a changed setting makes a new entry, and an isolate sees few of those. */
const keysByAddress = new Map<string, IssuerKeys>();

/**
 * Lets the request pass or throws.
 * @throws Problem 401 without a valid token, 403 for a genuine token of an issuer that no rule admits, 503 while nothing is
 * configured that could let anybody in (an open service would copy for anyone) or while an issuer's keys cannot be had.
 */
export async function authenticate(request: Request, env: Env): Promise<Principal> {
  const token = bearerOf(request);
  const assertion = request.headers.get(ACCESS_HEADER);
  if (token !== null) {
    return bearer(token, env);
  }
  if (assertion !== null && assertion.length <= MAX_HEADER_CHARACTERS && issuersOf(env, "access").length > 0) {
    refuseForeignOrigin(request);
    return identified(assertion, issuersOf(env, "access"), env);
  }
  throw isSetUp(env) ? unauthorized("Send the header Authorization: Bearer TOKEN.", CHALLENGE) : notSetUp();
}

async function bearer(token: string, env: Env): Promise<Principal> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  // No early end: the time taken must not tell which of the tokens came close.
  if (tokenHashes(env).filter((known) => crypto.subtle.timingSafeEqual(known, hash)).length > 0) {
    return ROOT;
  }
  if (isKeyText(token)) {
    const principal = await env.INDEX.getByName(INDEX_NAME).principalByHash(hexOf(hash));
    if (principal !== null) {
      return principal;
    }
  }
  if (!isSetUp(env)) {
    throw notSetUp();
  }
  if (isJwt(token)) {
    return identified(token, issuersOf(env, "oidc"), env);
  }
  throw unknownToken();
}

async function identified(token: string, issuers: readonly IssuerSettings[], env: Env): Promise<Principal> {
  const verdict = await judgeToken(token, issuers, (issuer) => keysOf(issuer, env), Date.now());
  switch (verdict.kind) {
    case "admitted":
      return verdict.principal;
    case "not-admitted":
      throw new Problem("forbidden", "This token is genuine, but no rule of this service admits what it says.");
    case "unavailable":
      writeLine({ msg: "issuer unavailable", problem: verdict.problem }, "error");
      throw new Problem("unavailable", "The keys of the token's issuer cannot be had at the moment; try again.", {
        headers: { "retry-after": ISSUER_RETRY_SECONDS },
      });
    case "invalid":
      throw verdict.reason === null
        ? unknownToken()
        : unauthorized(`This token is not taken: ${verdict.reason}.`, `${CHALLENGE}, error="invalid_token"`);
    default:
      return verdict satisfies never;
  }
}

/**
 * The issuers of a kind. Wrong settings are no business of somebody who has not been let in: the log says what is wrong, and
 * every request of the operator that reads settings.
 */
function issuersOf(env: Env, kind: IssuerSettings["kind"]): IssuerSettings[] {
  try {
    return issuerSettings(env).filter((issuer) => issuer.kind === kind);
  } catch (thrown) {
    writeLine({ msg: "settings are wrong", problem: errorDetailOf(thrown).message }, "error");
    throw new Problem("configuration", "The service's settings OIDC or ACCESS are wrong; its operator's log says how.");
  }
}

function isSetUp(env: Env): boolean {
  return tokenHashes(env).length > 0 || issuersOf(env, "oidc").length > 0 || issuersOf(env, "access").length > 0;
}

function keysOf({ issuer, jwksUri }: IssuerSettings, env: Env): IssuerKeys {
  const address = JSON.stringify([issuer, jwksUri]);
  let keys = keysByAddress.get(address);
  if (keys === undefined) {
    keys = new IssuerKeys(
      { issuer, jwksUri },
      { fetch: (url, init) => fetch(url, init), now: Date.now, refusalOf: (url) => reachRefusal(env, url) },
    );
    keysByAddress.set(address, keys);
  }
  return keys;
}

function bearerOf(request: Request): string | null {
  const header = request.headers.get("authorization");
  if (header === null || header.length > MAX_HEADER_CHARACTERS) {
    return null;
  }
  return /^bearer +([^\s]+) *$/i.exec(header)?.[1] ?? null;
}

/** Access knows people by a cookie, which a browser sends along with whatever another site makes it ask for. */
function refuseForeignOrigin(request: Request): void {
  const origin = request.headers.get("origin");
  if (request.method !== "GET" && origin !== null && origin !== new URL(request.url).origin) {
    throw new Problem("forbidden", "This request comes from a page of another site.");
  }
}

function unknownToken(): Problem {
  return unauthorized(
    "This token is not known here, or is no longer good; ask whoever runs the service for a key.",
    `${CHALLENGE}, error="invalid_token"`,
  );
}

function unauthorized(message: string, challenge: string): Problem {
  return new Problem("unauthorized", message, { headers: { "www-authenticate": challenge } });
}

function notSetUp(): Problem {
  return new Problem(
    "not-set-up",
    "No API token is configured, so every request is refused. Run `drayage token`, put the sha256:… line it prints " +
      'into wrangler.toml under [vars] as TOKENS = ["sha256:…"] (or into .dev.vars for `wrangler dev`), and start or ' +
      "deploy the service again.",
  );
}

function hexOf(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * One request to a token endpoint (distribution's token specification; OAuth2 for refresh tokens). What is asked for and
 * when stands in token.ts. Secrets go to the realm the registry declared and nowhere else, never into a message.
 */
import { isRetried } from "./answer.ts";
import { BrokenBody, discard, readBounded } from "./body.ts";
import type { Credential } from "./credentials.ts";
import { CopyError, type ErrorCode, type ErrorDetail } from "./errors.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { redact, wordsOf } from "./words.ts";
import type { Wire } from "./wire.ts";

/** A name for ourselves; OAuth2 endpoints demand one. */
const CLIENT_ID = "drayage";

const TOKEN_TIME_LIMIT_MS = 30_000;

/** Tokens with long lists of grants reach tens of kilobytes. */
const MAX_TOKEN_BODY_BYTES = 256 * 1024;

/** Token specification: what a token without `expires_in` lives. */
const DEFAULT_LIFETIME_MS = 60_000;

export interface TokenQuestion {
  realm: URL;
  service: string | undefined;
  scopes: readonly string[];
  credential: Credential | null;
}

export interface GrantedToken {
  token: string;
  lifetimeMs: number;
}

export interface TokenEndpointOptions {
  wire: Wire;
  now: () => number;
  side: ErrorDetail["side"];
  host: string;
}

const OPERATION = "authorize";

/**
 * Asks for a token: GET with Basic credentials or none; POST for a refresh token, falling back to GET where the endpoint
 * does not speak OAuth2.
 * @throws CopyError `unauthorized` for a refusal, not retryable; `rate_limited`, `unavailable`, `connection` otherwise.
 */
export async function askForToken(options: TokenEndpointOptions, question: TokenQuestion): Promise<GrantedToken> {
  const { credential } = question;
  let response = credential?.kind === "identity" ? await post(options, question, credential.token) : null;
  if (response?.status === 404 || response?.status === 405) {
    discard(response);
    response = null;
  }
  response ??= await get(options, question);
  const secrets = secretsOf(credential);
  if (response.status !== 200) {
    throw await refusal(options, question.realm, response, secrets);
  }
  return readToken(options, question.realm, await readText(options, question.realm, response));
}

/** Value of the `Authorization` header for a name and a password. */
export function basicHeader(username: string, password: string): string {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}

function get(options: TokenEndpointOptions, question: TokenQuestion): Promise<Response> {
  const url = new URL(question.realm);
  if (question.service !== undefined) {
    url.searchParams.set("service", question.service);
  }
  for (const scope of question.scopes) {
    url.searchParams.append("scope", scope);
  }
  url.searchParams.set("client_id", CLIENT_ID);
  const headers: Record<string, string> = { accept: "application/json" };
  const { credential } = question;
  if (credential?.kind === "basic") {
    url.searchParams.set("account", credential.username);
    headers["authorization"] = basicHeader(credential.username, credential.password);
  } else if (credential?.kind === "identity") {
    headers["authorization"] = basicHeader(credential.username, credential.token);
  }
  return send(options, "GET", url, headers, null);
}

function post(options: TokenEndpointOptions, question: TokenQuestion, refreshToken: string): Promise<Response> {
  const form = new URLSearchParams({ grant_type: "refresh_token", client_id: CLIENT_ID, refresh_token: refreshToken });
  if (question.service !== undefined) {
    form.set("service", question.service);
  }
  if (question.scopes.length > 0) {
    form.set("scope", question.scopes.join(" "));
  }
  const headers = { accept: "application/json", "content-type": "application/x-www-form-urlencoded" };
  return send(options, "POST", question.realm, headers, form.toString());
}

function send(
  { wire }: TokenEndpointOptions,
  method: string,
  url: URL,
  headers: Record<string, string>,
  body: string | null,
): Promise<Response> {
  return wire({
    operation: OPERATION,
    method,
    url,
    headers,
    body,
    bodyBytes: body?.length ?? 0,
    timeLimitMs: TOKEN_TIME_LIMIT_MS,
    signals: [],
    attempt: 1,
    redirect: 0,
  });
}

async function readText(options: TokenEndpointOptions, realm: URL, response: Response): Promise<string> {
  try {
    return new TextDecoder().decode((await readBounded(response, MAX_TOKEN_BODY_BYTES)).bytes);
  } catch (thrown) {
    const reason = thrown instanceof BrokenBody ? thrown.message : "the connection was lost";
    throw error(options, "connection", true, `the token endpoint ${realm.host} broke off its answer: ${reason}`);
  }
}

function readToken(options: TokenEndpointOptions, realm: URL, text: string): GrantedToken {
  const answer = parseJson(text);
  const token = [answer["token"], answer["access_token"]].find((each) => typeof each === "string" && each !== "");
  // A line break or the like in a header value would make every request fail in a way nobody understands.
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    throw error(options, "unauthorized", false, `the token endpoint ${realm.host} answered 200 without a usable token`);
  }
  const seconds = Number(answer["expires_in"]);
  return { token, lifetimeMs: seconds > 0 && Number.isFinite(seconds) ? seconds * 1000 : DEFAULT_LIFETIME_MS };
}

async function refusal(
  options: TokenEndpointOptions,
  realm: URL,
  response: Response,
  secrets: readonly string[],
): Promise<CopyError> {
  const { status } = response;
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), options.now());
  const text = await readText(options, realm, response).catch(() => "");
  const words = wordsOf(redact(text, secrets)).text;
  const said = words === "" ? "" : `: ${words}`;
  const code: ErrorCode = status === 429 ? "rate_limited" : isRetried(status) ? "unavailable" : "unauthorized";
  const advice =
    status === 401 || status === 403
      ? secrets.length === 0
        ? ` (no credentials for ${options.host} are known)`
        : ` (check the credentials for ${options.host})`
      : "";
  const problem = `the token endpoint ${realm.host} answered ${status}${said}${advice}`;
  const { detail } = error(options, code, isRetried(status), problem);
  return new CopyError({
    ...detail,
    status,
    ...(retryAfterMs === null ? {} : { retryAt: options.now() + retryAfterMs }),
  });
}

function error({ side, host }: TokenEndpointOptions, code: ErrorCode, retryable: boolean, problem: string): CopyError {
  return new CopyError({ code, side, host, operation: OPERATION, retryable, message: `${host}: ${problem}` });
}

function secretsOf(credential: Credential | null): string[] {
  if (credential === null) {
    return [];
  }
  if (credential.kind !== "basic") {
    return [credential.token];
  }
  const { username, password } = credential;
  return [password, basicHeader(username, password).slice("Basic ".length)];
}

function parseJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

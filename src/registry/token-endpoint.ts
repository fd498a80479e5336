/**
 * One request to a token endpoint (distribution's token specification; OAuth2 for refresh tokens). What is asked for and
 * when stands in token.ts. Secrets go to the realm the registry declared and nowhere else, never into a message.
 */
import { discard } from "./body.ts";
import type { Credential } from "./credentials.ts";
import {
  basicHeader,
  endpointError,
  refusedBy,
  sendTo,
  textOf,
  type EndpointOptions,
  type EndpointWords,
} from "./endpoint.ts";

/** A name for ourselves; OAuth2 endpoints demand one. */
const CLIENT_ID = "drayage";

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

/**
 * Asks for a token: GET with Basic credentials or none; POST for a refresh token, falling back to GET where the endpoint
 * does not speak OAuth2.
 * @throws CopyError `unauthorized` for a refusal, not retryable; `rate_limited`, `unavailable`, `connection` otherwise.
 */
export async function askForToken(options: EndpointOptions, question: TokenQuestion): Promise<GrantedToken> {
  const { credential } = question;
  let response = credential?.kind === "identity" ? await post(options, question, credential.token) : null;
  if (response?.status === 404 || response?.status === 405) {
    discard(response);
    response = null;
  }
  response ??= await get(options, question);
  const words = wordsFor(options, question);
  if (response.status !== 200) {
    throw await refusedBy(options, words, response);
  }
  return readToken(options, words.endpoint, await textOf(options, words.endpoint, response));
}

function get(options: EndpointOptions, question: TokenQuestion): Promise<Response> {
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
  return sendTo(options, { method: "GET", url, headers, body: null });
}

function post(options: EndpointOptions, question: TokenQuestion, refreshToken: string): Promise<Response> {
  const form = new URLSearchParams({ grant_type: "refresh_token", client_id: CLIENT_ID, refresh_token: refreshToken });
  if (question.service !== undefined) {
    form.set("service", question.service);
  }
  if (question.scopes.length > 0) {
    form.set("scope", question.scopes.join(" "));
  }
  const headers = { accept: "application/json", "content-type": "application/x-www-form-urlencoded" };
  return sendTo(options, { method: "POST", url: question.realm, headers, body: form.toString() });
}

function readToken(options: EndpointOptions, endpoint: string, text: string): GrantedToken {
  const answer = parseJson(text);
  const token = [answer["token"], answer["access_token"]].find((each) => typeof each === "string" && each !== "");
  // A line break or the like in a header value would make every request fail in a way nobody understands.
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    throw endpointError(options, "unauthorized", false, `${endpoint} answered 200 without a usable token`);
  }
  const seconds = Number(answer["expires_in"]);
  return { token, lifetimeMs: seconds > 0 && Number.isFinite(seconds) ? seconds * 1000 : DEFAULT_LIFETIME_MS };
}

function wordsFor({ host }: EndpointOptions, { realm, credential }: TokenQuestion): EndpointWords {
  const advice = credential === null ? `no credentials for ${host} are known` : `check the credentials for ${host}`;
  return { endpoint: `the token endpoint ${realm.host}`, advice, secrets: secretsOf(credential) };
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

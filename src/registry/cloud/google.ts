/**
 * Google Artifact Registry and Container Registry: an OAuth2 access token is the password of the user `oauth2accesstoken`.
 * It comes of a service account's key (RFC 7523: a signed JWT for a token), or of workload identity federation (RFC 8693:
 * a token of another issuer for one of Google's, and with that one of a service account, where it is to act as one).
 */
import * as z from "zod";
import type { GoogleCredential } from "../../config/registry-credentials.ts";
import { endpointError, type EndpointOptions } from "../endpoint.ts";
import { askForJson, FORM, type ObtainedCredential } from "./ask.ts";
import { identityToken, signJwt } from "./identity.ts";

const TOKEN_URI = "https://oauth2.googleapis.com/token";
const STS_URL = "https://sts.googleapis.com/v1/token";
/** What the account may do is bounded by its roles, not by scopes; registries have none of their own. */
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";

/** The longest that Google allows for the assertion, and what its tokens live. */
const LIFE_SECONDS = 3600;

const Token = z.object({ access_token: z.string().min(1), expires_in: z.number().positive().optional() });

const Impersonated = z.object({ accessToken: z.string().min(1), expireTime: z.iso.datetime({ offset: true }) });

/** @throws CopyError as the cloud's questions do. */
export async function obtainGoogle(options: EndpointOptions, entry: GoogleCredential): Promise<ObtainedCredential> {
  const { service_account: account, impersonate } = entry;
  const token = account === undefined ? await federated(options, entry) : await ofAccount(options, account);
  return passwordOf(impersonate === undefined ? token : await actingAs(options, token, impersonate));
}

interface AccessToken {
  token: string;
  expiresAtMs: number;
}

async function ofAccount(
  options: EndpointOptions,
  account: NonNullable<GoogleCredential["service_account"]>,
): Promise<AccessToken> {
  const { client_email: email, private_key: key, private_key_id: keyId, token_uri: uri = TOKEN_URI } = account;
  const claims = { iss: email, scope: SCOPE, aud: uri };
  const assertion = await signJwt(options, {
    claims,
    key,
    lifeSeconds: LIFE_SECONDS,
    ...(keyId === undefined ? {} : { keyId }),
  });
  const form = new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion });
  return tokenFrom(options, "Google's token endpoint", uri, form, [assertion]);
}

async function federated(options: EndpointOptions, entry: GoogleCredential): Promise<AccessToken> {
  const { audience, identity } = entry;
  if (audience === undefined || identity === undefined) {
    throw endpointError(options, "configuration", false, "its REGISTRY_CREDENTIALS has neither key nor identity");
  }
  const subject = await identityToken(options, identity);
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    audience,
    scope: SCOPE,
    requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
    subject_token: subject,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
  });
  return tokenFrom(options, "Google's STS", STS_URL, form, [subject]);
}

async function tokenFrom(
  options: EndpointOptions,
  who: string,
  address: string,
  form: URLSearchParams,
  secrets: string[],
): Promise<AccessToken> {
  const url = new URL(address);
  const question = { who, method: "POST" as const, url, headers: FORM, body: form.toString(), secrets };
  const { access_token: token, expires_in: seconds = LIFE_SECONDS } = await askForJson(options, question, Token);
  return { token, expiresAtMs: options.now() + seconds * 1000 };
}

async function actingAs(options: EndpointOptions, own: AccessToken, account: string): Promise<AccessToken> {
  const path = `/v1/projects/-/serviceAccounts/${encodeURIComponent(account)}:generateAccessToken`;
  const question = {
    who: "Google's IAM",
    method: "POST" as const,
    url: new URL(path, "https://iamcredentials.googleapis.com"),
    headers: { "content-type": "application/json", authorization: `Bearer ${own.token}` },
    body: JSON.stringify({ scope: [SCOPE], lifetime: `${LIFE_SECONDS}s` }),
    secrets: [own.token],
  };
  const { accessToken, expireTime } = await askForJson(options, question, Impersonated);
  return { token: accessToken, expiresAtMs: Date.parse(expireTime) };
}

function passwordOf({ token, expiresAtMs }: AccessToken): ObtainedCredential {
  return { kind: "basic", username: "oauth2accesstoken", password: token, expiresAtMs };
}

/**
 * Azure Container Registry for a service principal: Entra ID gives a token for its secret (or for another issuer's token),
 * the registry exchanges that for a refresh token of its own, and its token endpoint takes the refresh token like any
 * registry's (token-endpoint.ts). Admin users and repository tokens of the registry are plain user names and passwords.
 */
import { decodeJwt } from "jose";
import * as z from "zod";
import type { AcrCredential } from "../../config/registry-credentials.ts";
import type { EndpointOptions } from "../endpoint.ts";
import { askForJson, FORM, type ObtainedCredential } from "./ask.ts";
import { identityToken } from "./identity.ts";

/** The name that stands beside a token where a user's would. */
const TOKEN_USER = "00000000-0000-0000-0000-000000000000";

/** What the registry itself is called to Entra ID, in every cloud. */
const SCOPE = "https://containerregistry.azure.net/.default";

/** What a refresh token is good for where it does not say. */
const REFRESH_LIFE_MS = 3 * 60 * 60_000;

/** Registries of Azure's separate clouds have the Entra ID of that cloud. */
const LOGIN_HOSTS: readonly (readonly [ending: string, host: string])[] = [
  [".azurecr.cn", "login.partner.microsoftonline.cn"],
  [".azurecr.us", "login.microsoftonline.us"],
];

const EntraToken = z.object({ access_token: z.string().min(1) });
const Exchanged = z.object({ refresh_token: z.string().min(1) });

/** @throws CopyError as the cloud's questions do. */
export async function obtainAcr(options: EndpointOptions, entry: AcrCredential): Promise<ObtainedCredential> {
  const accessToken = await entraToken(options, entry);
  const form = new URLSearchParams({
    grant_type: "access_token",
    service: options.host,
    tenant: entry.tenant_id,
    access_token: accessToken,
  });
  const question = {
    who: "the registry's exchange of tokens",
    method: "POST" as const,
    url: new URL(`https://${options.host}/oauth2/exchange`),
    headers: FORM,
    body: form.toString(),
    secrets: [accessToken],
  };
  const { refresh_token: token } = await askForJson(options, question, Exchanged);
  const expiresAtMs = expiryOf(token) ?? options.now() + REFRESH_LIFE_MS;
  return { kind: "identity", token, username: TOKEN_USER, expiresAtMs };
}

async function entraToken(options: EndpointOptions, entry: AcrCredential): Promise<string> {
  const { tenant_id: tenant, client_id: client, client_secret: secret, identity } = entry;
  const assertion = identity === undefined ? null : await identityToken(options, identity);
  const proof: Record<string, string> =
    assertion === null
      ? { client_secret: secret ?? "" }
      : {
          client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
          client_assertion: assertion,
        };
  const form = new URLSearchParams({ grant_type: "client_credentials", client_id: client, scope: SCOPE, ...proof });
  const login = LOGIN_HOSTS.find(([ending]) => options.host.endsWith(ending))?.[1] ?? "login.microsoftonline.com";
  const question = {
    who: "Entra ID",
    method: "POST" as const,
    url: new URL(`https://${login}/${tenant}/oauth2/v2.0/token`),
    headers: FORM,
    body: form.toString(),
    secrets: Object.values(proof),
  };
  return (await askForJson(options, question, EntraToken)).access_token;
}

/** The registry's own refresh tokens are JWTs; whether they are good is for the registry to say. */
function expiryOf(token: string): number | null {
  try {
    const { exp } = decodeJwt(token);
    return exp === undefined ? null : exp * 1000;
  } catch {
    return null;
  }
}

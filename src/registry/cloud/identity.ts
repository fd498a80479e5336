/**
 * An OpenID Connect token that a cloud trusts in place of a key of its own (workload identity): given as it is, fetched
 * from an issuer, or signed here with a key whose public half the cloud knows.
 */
import { importPKCS8, SignJWT } from "jose";
import type { IdentityToken } from "../../config/registry-credentials.ts";
import { endpointError, type EndpointOptions } from "../endpoint.ts";
import { askForText } from "./ask.ts";

/** It is exchanged at once. */
const LIFE_SECONDS = 5 * 60;

const ALGORITHM = "RS256";

/** @throws CopyError when the issuer refuses, `configuration` for a key that cannot be read. */
export async function identityToken(options: EndpointOptions, identity: IdentityToken): Promise<string> {
  if ("token" in identity) {
    return identity.token;
  }
  if ("url" in identity) {
    return fetchedToken(options, identity);
  }
  const { issuer, subject, audience, private_key: key, key_id: keyId } = identity;
  const claims = { iss: issuer, sub: subject, aud: audience, jti: crypto.randomUUID() };
  return signJwt(options, { claims, key, lifeSeconds: LIFE_SECONDS, ...(keyId === undefined ? {} : { keyId }) });
}

/** A JWT signed with RS256. @throws CopyError `configuration` for a key that cannot be read. */
export async function signJwt(
  options: EndpointOptions,
  jwt: { claims: Record<string, string>; key: string; keyId?: string; lifeSeconds: number },
): Promise<string> {
  const nowSeconds = Math.floor(options.now() / 1000);
  try {
    return await new SignJWT(jwt.claims)
      .setProtectedHeader({ alg: ALGORITHM, typ: "JWT", ...(jwt.keyId === undefined ? {} : { kid: jwt.keyId }) })
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + jwt.lifeSeconds)
      .sign(await importPKCS8(jwt.key, ALGORITHM));
  } catch {
    // The library's words could quote the key.
    const problem = "private_key in its REGISTRY_CREDENTIALS is not an RSA key in PKCS #8";
    throw endpointError(options, "configuration", false, problem);
  }
}

async function fetchedToken(
  options: EndpointOptions,
  { url, headers = {}, field }: Extract<IdentityToken, { url: string }>,
): Promise<string> {
  const secrets = Object.values(headers);
  const question = { who: "the identity's issuer", method: "GET" as const, url: new URL(url), headers, body: null };
  const text = await askForText(options, { ...question, secrets });
  const token = (field === undefined ? text : textAt(text, field)).trim();
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
    const problem = `${new URL(url).host} answered without a token${field === undefined ? "" : ` in its field ${field}`}`;
    throw endpointError(options, "unauthorized", false, problem);
  }
  return token;
}

function textAt(json: string, field: string): string {
  try {
    const value: unknown = JSON.parse(json);
    const found = typeof value === "object" && value !== null ? Object.entries(value) : [];
    const token: unknown = found.find(([name]) => name === field)?.[1];
    return typeof token === "string" ? token : "";
  } catch {
    return "";
  }
}

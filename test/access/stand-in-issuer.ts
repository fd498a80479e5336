/** An issuer of tokens with keys of its own: signs what it is told to, and answers for its addresses as a fetch would. */
import { SignJWT, exportJWK, exportSPKI, generateKeyPair, type CryptoKey, type JWK } from "jose";

/** What a token says; undefined leaves out what it would say by itself. */
export type Claims = Readonly<Record<string, unknown>>;

interface SigningKey {
  kid: string;
  alg: string;
  privateKey: CryptoKey;
  publicKey: CryptoKey;
  jwk: JWK;
}

export class StandInIssuer {
  readonly issuer: string;
  /** Addresses that were asked for, in order. */
  readonly asked: string[] = [];
  /** In place of an answer: a status, or what the fetch is to do. */
  trouble: ((url: string) => Response | Promise<Response> | null) | null = null;
  discovery: Record<string, unknown>;
  readonly keysUrl: string;
  readonly #keys: SigningKey[] = [];

  constructor(issuer: string, keysUrl = `${issuer}/keys`) {
    this.issuer = issuer;
    this.keysUrl = keysUrl;
    this.discovery = { issuer, jwks_uri: keysUrl, id_token_signing_alg_values_supported: ["RS256"] };
  }

  async addKey(kid: string, alg = "ES256"): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    this.#keys.push({
      kid,
      alg,
      privateKey,
      publicKey,
      jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" },
    });
  }

  /** Forgets its keys, as after a rotation. */
  dropKeys(): void {
    this.#keys.length = 0;
  }

  readonly fetch = async (url: string): Promise<Response> => {
    this.asked.push(url);
    const troubled = await this.trouble?.(url);
    if (troubled) {
      return troubled;
    }
    if (url === `${this.issuer}/.well-known/openid-configuration`) {
      return Response.json(this.discovery);
    }
    if (url === this.keysUrl) {
      return Response.json({ keys: this.#keys.map(({ jwk }) => jwk) });
    }
    return new Response("not here", { status: 404 });
  };

  /** A good token for the audience `drayage`, issued at `nowMs` for five minutes, with `claims` put over that. */
  async token(claims: Claims, nowMs: number, kid?: string): Promise<string> {
    const key = this.#keys.find((each) => kid === undefined || each.kid === kid);
    if (key === undefined) {
      throw new Error("no such key");
    }
    const seconds = Math.floor(nowMs / 1000);
    const all = { iss: this.issuer, aud: "drayage", sub: "somebody", iat: seconds, exp: seconds + 300, ...claims };
    const present = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    return new SignJWT(present).setProtectedHeader({ alg: key.alg, kid: key.kid, typ: "JWT" }).sign(key.privateKey);
  }

  /** The attack on whoever takes HS256: signs with the public key, which everybody has, as if it were a secret. */
  async tokenByPublicKey(claims: Claims, nowMs: number): Promise<string> {
    const [key] = this.#keys;
    if (key === undefined) {
      throw new Error("no key");
    }
    const seconds = Math.floor(nowMs / 1000);
    const secret = new TextEncoder().encode(await exportSPKI(key.publicKey));
    return new SignJWT({ iss: this.issuer, aud: "drayage", sub: "x", iat: seconds, exp: seconds + 300, ...claims })
      .setProtectedHeader({ alg: "HS256", kid: key.kid })
      .sign(secret);
  }
}

/** A token that says it needs no signature. */
export function unsigned(claims: Claims): string {
  const part = (value: object) =>
    btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${part({ alg: "none", typ: "JWT" })}.${part(claims)}.`;
}

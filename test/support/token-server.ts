/**
 * A token server for Debian's registry: RS256 JWTs whose header carries the certificate (`x5c`) that the registry
 * trusts. GET with Basic and POST with the OAuth2 form, as distribution's token documents say.
 */
import { execFileSync } from "node:child_process";
import { createPrivateKey, randomUUID, sign, X509Certificate, type KeyObject } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listen, shut } from "./loopback.ts";

export interface TokenServerOptions {
  user?: string;
  password?: string;
  /** Hands out tokens for reading to those who name no user. */
  anonymousPull?: boolean;
  /** Life of a token. Distribution allows 60 s of leeway beyond it. Default 300. */
  lifeSeconds?: number;
  /** Whether the answer says `expires_in`. Default true. */
  tellsLife?: boolean;
}

export interface TokenRequest {
  method: string;
  user: string | null;
  scopes: string[];
  status: number;
}

export interface TokenServer extends AsyncDisposable {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** The certificate, for the registry's `rootcertbundle`. */
  readonly certificatePath: string;
  readonly requests: TokenRequest[];
  close(): Promise<void>;
}

interface Access {
  type: string;
  name: string;
  actions: string[];
}

const SERVICE = "test-registry";
const ISSUER = "test-issuer";
/** The registry's clock may be behind ours. */
const CLOCK_SKEW_SECONDS = 10;
const REFRESH_TOKEN = "refresh-token-of-the-test";

export async function startTokenServer(options: TokenServerOptions = {}): Promise<TokenServer> {
  const folder = await mkdtemp(join(tmpdir(), "token-server-"));
  const [keyPath, certificatePath] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${ISSUER}`].concat([
      "-keyout",
      keyPath,
      "-out",
      certificatePath,
    ]),
    { stdio: "ignore" },
  );
  const key = createPrivateKey(await readFile(keyPath));
  const x5c = new X509Certificate(await readFile(certificatePath)).raw.toString("base64");
  const requests: TokenRequest[] = [];

  async function answer(request: IncomingMessage): Promise<{ status: number; body: object }> {
    const url = new URL(request.url ?? "/", "http://token.invalid");
    const form = request.method === "POST" ? new URLSearchParams(await textOf(request)) : url.searchParams;
    const user = userOf(request, form, options);
    const scopes = form.getAll("scope").flatMap((scope) => scope.split(" ").filter(Boolean));
    const record = { method: request.method ?? "", user: user?.split(":")[0] ?? null, scopes, status: 200 };
    requests.push(record);
    const expected = options.user === undefined ? null : `${options.user}:${options.password ?? ""}`;
    if (expected !== null && user !== expected && (user !== null || !options.anonymousPull)) {
      record.status = 401;
      return { status: 401, body: { errors: [{ code: "UNAUTHORIZED", message: "wrong user or password" }] } };
    }
    const readOnly = expected !== null && user === null;
    const access = scopes.map((scope) => accessOf(scope, readOnly));
    const nowSeconds = Math.floor(Date.now() / 1000);
    const lifeSeconds = options.lifeSeconds ?? 300;
    const claims = {
      iss: ISSUER,
      sub: record.user ?? "",
      aud: form.get("service") ?? SERVICE,
      exp: nowSeconds + lifeSeconds,
      nbf: nowSeconds - CLOCK_SKEW_SECONDS,
      iat: nowSeconds,
      jti: randomUUID(),
      access,
    };
    const token = jwt({ typ: "JWT", alg: "RS256", x5c: [x5c] }, claims, key);
    const offline = form.get("access_type") === "offline" || form.get("offline_token") === "true";
    const body = {
      token,
      access_token: token,
      ...(options.tellsLife === false
        ? {}
        : { expires_in: lifeSeconds, issued_at: new Date(nowSeconds * 1000).toISOString() }),
      ...(offline ? { refresh_token: REFRESH_TOKEN } : {}),
    };
    return { status: 200, body };
  }

  const server = createServer((request, response) => {
    answer(request).then(
      ({ status, body }) =>
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body)),
      () => response.destroy(),
    );
  });
  const port = await listen(server);
  const close = async (): Promise<void> => {
    await shut(server);
    await rm(folder, { recursive: true, force: true });
  };
  return {
    realm: `http://127.0.0.1:${port}/token`,
    service: SERVICE,
    issuer: ISSUER,
    certificatePath,
    requests,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** `user:password` as it was given, in whichever of the three ways; null: none was. */
function userOf(request: IncomingMessage, form: URLSearchParams, options: TokenServerOptions): string | null {
  const basic = /^Basic (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (basic !== undefined) {
    return Buffer.from(basic, "base64").toString();
  }
  const name = form.get("username");
  if (name !== null) {
    return `${name}:${form.get("password") ?? ""}`;
  }
  if (form.get("refresh_token") === REFRESH_TOKEN) {
    return `${options.user ?? ""}:${options.password ?? ""}`;
  }
  return null;
}

function accessOf(scope: string, readOnly: boolean): Access {
  const [first, last] = [scope.indexOf(":"), scope.lastIndexOf(":")];
  const actions = scope.slice(last + 1).split(",");
  return {
    type: scope.slice(0, first),
    name: scope.slice(first + 1, last),
    actions: readOnly ? actions.filter((action) => action === "pull") : actions,
  };
}

function jwt(header: object, claims: object, key: KeyObject): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const data of request) {
    text += String(data);
  }
  return text;
}

import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { IssuerSettings } from "../../src/access/contract.ts";
import { isJwt, judgeToken, type Verdict } from "../../src/access/identity-token.ts";
import { IssuerKeys } from "../../src/access/issuer-keys.ts";
import { reachRefusal } from "../../src/config.ts";
import { StandInIssuer, unsigned, type Claims } from "./stand-in-issuer.ts";

const NOW_MS = Date.now();
const NOW = Math.floor(NOW_MS / 1000);

const SCOPES = { sources: ["ghcr.io/acme/**"], targets: ["quay.io/acme/**"], actions: ["copy" as const] };

const github = new StandInIssuer("https://token.actions.example");
const stranger = new StandInIssuer("https://token.actions.example");

const settings: IssuerSettings = {
  kind: "oidc",
  issuer: github.issuer,
  audiences: ["drayage", "https://drayage.example"],
  jwksUri: null,
  rules: [{ name: "app", claims: { repository: ["acme/app"] }, scopes: SCOPES, limits: { copiesAtOnce: 2 } }],
};

let keys: IssuerKeys;

beforeAll(async () => {
  await github.addKey("1", "RS256");
  await github.addKey("2", "ES256");
  await stranger.addKey("1", "RS256");
});

beforeEach(() => {
  keys = keysAt(() => NOW_MS);
});

function keysAt(now: () => number, issuer = github): IssuerKeys {
  issuer.asked.length = 0;
  issuer.trouble = null;
  return new IssuerKeys({ issuer: issuer.issuer, jwksUri: null }, { fetch: issuer.fetch, now, refusalOf: () => null });
}

function judge(token: string, nowMs = NOW_MS, issuers = [settings]): Promise<Verdict> {
  return judgeToken(token, issuers, () => keys, nowMs);
}

const good = { repository: "acme/app", sub: "repo:acme/app:ref:refs/heads/main" };

test.each(["1", "2"])("a token signed with key %s is admitted as its rule says", async (kid) => {
  expect(await judge(await github.token(good, NOW_MS, kid))).toEqual({
    kind: "admitted",
    principal: {
      id: "oidc:https://token.actions.example:repo:acme/app:ref:refs/heads/main",
      name: "repo:acme/app:ref:refs/heads/main",
      kind: "oidc",
      scopes: SCOPES,
      limits: { copiesAtOnce: 2 },
      budget: "oidc:https://token.actions.example:rule app",
      expiresAtMs: null,
    },
  });
});

test.each([
  ["the second of its audiences", { aud: "https://drayage.example" }],
  ["one audience of several", { aud: ["other", "drayage"] }],
  ["a clock that is 20 s behind", { iat: NOW + 20, nbf: NOW + 20 }],
  ["an end 20 s ago", { exp: NOW - 20 }],
])("%s is taken", async (_, claims) => {
  expect((await judge(await github.token({ ...good, ...claims }, NOW_MS))).kind).toBe("admitted");
});

describe("of a genuine token its bearer is told what is wrong with it", () => {
  test.each<[string, Record<string, unknown>, string | null]>([
    ["another audience", { aud: "sigstore" }, "it is meant for another audience"],
    ["no audience", { aud: undefined }, "it is meant for another audience"],
    ["expired", { exp: NOW - 31 }, "it has expired"],
    ["no end", { exp: undefined }, "it does not say when it expires"],
    ["not yet valid", { nbf: NOW + 60 }, "it is not valid yet"],
    ["issued in the future", { iat: NOW + 60 }, "it was issued in the future"],
    ["no time of issue", { iat: undefined }, "it does not say when it was issued"],
    ["for nobody", { sub: undefined }, "it does not say whom it is for (sub)"],
    ["for an empty name", { sub: "" }, "it does not say whom it is for (sub)"],
  ])("%s", async (_, claims, reason) => {
    expect(await judge(await github.token({ ...good, ...claims }, NOW_MS))).toEqual({ kind: "invalid", reason });
  });

  test("genuine, but of nobody whom a rule admits", async () => {
    const token = await github.token({ ...good, repository: "acme/app-evil" }, NOW_MS);
    expect(await judge(token)).toEqual({ kind: "not-admitted" });
  });
});

describe("an address of mail", () => {
  const rules = [{ name: "ops", claims: { email: ["ops@acme.example"] }, scopes: SCOPES, limits: {} }];
  const mail = { sub: "1", email: "ops@acme.example" };

  test.each([true, "true"])("counts when its issuer says that it has been verified: %j", async (verified) => {
    const token = await github.token({ ...mail, email_verified: verified }, NOW_MS);
    expect((await judge(token, NOW_MS, [{ ...settings, rules }])).kind).toBe("admitted");
  });

  test.each([false, "false", undefined, 1])("anybody may have given it otherwise: %j", async (verified) => {
    const token = await github.token({ ...mail, email_verified: verified }, NOW_MS);
    expect(await judge(token, NOW_MS, [{ ...settings, rules }])).toEqual({ kind: "not-admitted" });
  });

  test("is verified where Cloudflare Access tells it", async () => {
    const access: IssuerSettings = { ...settings, kind: "access", rules };
    expect((await judge(await github.token(mail, NOW_MS), NOW_MS, [access])).kind).toBe("admitted");
  });
});

describe("of a token that is not genuine nobody is told anything", () => {
  const claims = { iss: github.issuer, aud: "drayage", iat: NOW, exp: NOW + 300, ...good };
  test.each<[string, () => string | Promise<string>]>([
    ["no signature", () => unsigned(claims)],
    ["HS256 with the public key as secret", () => github.tokenByPublicKey(good, NOW_MS)],
    ["the key of another under the same name", () => stranger.token(good, NOW_MS)],
    ["an issuer that is not configured", () => github.token({ ...good, iss: "https://evil.example" }, NOW_MS)],
    ["an issuer that begins alike", () => github.token({ ...good, iss: `${github.issuer}.evil.example` }, NOW_MS)],
    ["no issuer", () => github.token({ ...good, iss: undefined }, NOW_MS)],
    ["claims changed afterwards", async () => changed(await github.token(good, NOW_MS), { ...claims, sub: "y" })],
    ["parts that are no JSON", () => "abc.def.ghi"],
  ])("%s", async (_, token) => {
    expect(await judge(await token())).toEqual({ kind: "invalid", reason: null });
  });

  test("an issuer that is not configured is never asked for its keys", async () => {
    await judge(await github.token({ ...good, iss: "https://evil.example" }, NOW_MS));
    expect(github.asked).toEqual([]);
  });

  test("an expired token with a wrong signature is not told apart from any other wrong signature", async () => {
    const token = await stranger.token({ ...good, exp: NOW - 3600 }, NOW_MS);
    expect(await judge(token)).toEqual({ kind: "invalid", reason: null });
  });
});

describe("the issuer's keys", () => {
  test("are found by discovery, fetched once and kept", async () => {
    for (let count = 0; count < 3; count += 1) {
      expect((await judge(await github.token(good, NOW_MS))).kind).toBe("admitted");
    }
    expect(github.asked).toEqual([`${github.issuer}/.well-known/openid-configuration`, `${github.issuer}/keys`]);
  });

  test("are fetched from where the settings say, without discovery", async () => {
    const other = new StandInIssuer(github.issuer, "https://keys.example/set");
    await other.addKey("1");
    keys = new IssuerKeys(
      { issuer: other.issuer, jwksUri: other.keysUrl },
      { fetch: other.fetch, now: () => NOW_MS, refusalOf: () => null },
    );
    expect((await judge(await other.token(good, NOW_MS))).kind).toBe("admitted");
    expect(other.asked).toEqual(["https://keys.example/set"]);
  });

  test.each([
    ["http://keys.example/set", "is plain HTTP"],
    ["https://127.0.0.1/set", "is this machine itself"],
    ["https://10.0.0.7/set", "is not called: it "],
    ["https://metadata.google.internal/set", "is not called: it "],
  ])("at %s are not fetched by a deployed service", async (jwksUri, problem) => {
    const other = new StandInIssuer(github.issuer, jwksUri);
    await other.addKey("1");
    const refusalOf = (url: URL): string | null => reachRefusal({}, url);
    const fetcher = { fetch: other.fetch, now: () => NOW_MS, refusalOf };
    keys = new IssuerKeys({ issuer: other.issuer, jwksUri }, fetcher);
    const verdict = await judge(await other.token(good, NOW_MS));
    expect(verdict).toMatchObject({ kind: "unavailable", problem: expect.stringContaining(problem) });
    expect(other.asked).toEqual([]);
  });

  test("unknown ones are refused, and looked for no more than the pause allows", async () => {
    const rotated = new StandInIssuer("https://rotated.example");
    await rotated.addKey("old");
    keys = keysAt(() => NOW_MS, rotated);
    const issuers = [{ ...settings, issuer: rotated.issuer }];
    expect((await judge(await rotated.token(good, NOW_MS), NOW_MS, issuers)).kind).toBe("admitted");
    const unknown = new StandInIssuer(rotated.issuer);
    await unknown.addKey("new");
    for (let count = 0; count < 20; count += 1) {
      expect(await judge(await unknown.token(good, NOW_MS), NOW_MS, issuers)).toEqual({
        kind: "invalid",
        reason: null,
      });
    }
    expect(rotated.asked.filter((url) => url === rotated.keysUrl)).toHaveLength(1);
  });

  test.each<[string, (url: string) => Response | Promise<Response> | null]>([
    ["no connection", () => Promise.reject(new TypeError("refused"))],
    ["an error", () => new Response("down", { status: 500 })],
    ["a redirect", () => new Response(null, { status: 302, headers: { location: "http://169.254.169.254/" } })],
    ["no JSON", () => new Response("<html>")],
    ["endless JSON", () => new Response(`{"keys": [${" ".repeat(300 * 1024)}]}`)],
    ["keys that are none", (url) => (url.endsWith("/keys") ? Response.json({ keys: "none" }) : null)],
    ["another issuer's document", () => Response.json({ issuer: "https://evil.example", jwks_uri: github.keysUrl })],
    [
      "keys at a host that is not configured",
      () => Response.json({ issuer: github.issuer, jwks_uri: "https://169.254.169.254/keys" }),
    ],
    [
      "keys without TLS",
      () => Response.json({ issuer: github.issuer, jwks_uri: github.keysUrl.replace("https:", "http:") }),
    ],
  ])(
    "cannot be had, %s: nothing is said of the token, and the issuer is left alone for a while",
    async (_, trouble) => {
      let now = NOW_MS;
      keys = keysAt(() => now);
      github.trouble = trouble;
      const token = await github.token(good, NOW_MS);
      expect((await judge(token)).kind).toBe("unavailable");
      const asked = github.asked.length;
      for (let count = 0; count < 20; count += 1) {
        expect((await judge(token)).kind).toBe("unavailable");
      }
      expect(github.asked).toHaveLength(asked);
      expect(github.asked.every((url) => url.startsWith(`${github.issuer}/`))).toBe(true);
      github.trouble = null;
      now += 6_000;
      expect((await judge(token)).kind).toBe("admitted");
    },
  );
});

describe("Cloudflare Access", () => {
  const access: IssuerSettings = {
    ...settings,
    kind: "access",
    rules: [{ ...ruleOf(settings), claims: { email: ["*@acme.com"] } }],
  };

  test("names people by their address", async () => {
    const token = await github.token({ email: "ann@acme.com", sub: "uuid" }, NOW_MS);
    const verdict = await judge(token, NOW_MS, [access]);
    expect(verdict).toMatchObject({ kind: "admitted", principal: { id: "access:ann@acme.com", kind: "access" } });
  });

  test("names service tokens, whose sub is empty, by their client", async () => {
    const issuers = [{ ...access, rules: [{ ...ruleOf(settings), claims: { common_name: ["ci.access"] } }] }];
    const token = await github.token({ common_name: "ci.access", sub: "" }, NOW_MS);
    expect(await judge(token, NOW_MS, issuers)).toMatchObject({ principal: { id: "access:ci.access" } });
  });
});

test.each([
  ["a.b.c", false],
  ["aa.bb.", true],
  ["aa.bb.cc", true],
  ["aa.bb", false],
  ["aa.bb.cc.dd", false],
  ["dry_aa.bb.c c", false],
])("%j has the form of a JWT: %s", (text, is) => {
  expect(isJwt(text)).toBe(is);
});

function ruleOf({ rules }: IssuerSettings) {
  const [rule] = rules;
  if (rule === undefined) {
    throw new Error("no rule");
  }
  return rule;
}

function changed(token: string, claims: Claims): string {
  const [header = "", , signature = ""] = token.split(".");
  return [header, unsigned(claims).split(".")[1], signature].join(".");
}

/** What a delivery must prove: each sender's own signature, secrets in headers and address, tokens; with real keys. */
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import type { Hook, SenderName } from "../../src/hooks/contract.ts";
import { KeySets } from "../../src/hooks/token.ts";
import * as payloads from "./payloads.ts";
import { distribution, registryEvent } from "./payloads.ts";
import { hmac, hmacHex, NOW_MS, send, type Sent } from "./support.ts";

const SECRET = "it takes three to tango";
const NOT_IT = "it takes two to tango";

interface Signed {
  sender: SenderName;
  body: object;
  headers?: Record<string, string>;
  /** The header of the signature, made with the secret over the body. */
  sign: (secret: string, body: string) => Promise<Record<string, string>>;
}

const signed: Signed[] = [
  {
    sender: "ghcr",
    body: payloads.ghcr("package"),
    headers: payloads.ghcrHeaders,
    sign: async (secret, body) => ({ "x-hub-signature-256": `sha256=${await hmacHex("SHA-256", secret, body)}` }),
  },
  {
    sender: "gitea",
    body: payloads.gitea(),
    headers: payloads.giteaHeaders,
    sign: async (secret, body) => ({ "x-gitea-signature": await hmacHex("SHA-256", secret, body) }),
  },
  {
    sender: "jfrog",
    body: payloads.jfrog(),
    sign: async (secret, body) => ({ "x-jfrog-event-auth": await hmacHex("SHA-256", secret, body) }),
  },
  {
    sender: "nexus",
    body: payloads.nexus(),
    headers: payloads.nexusHeaders,
    sign: async (secret, body) => ({ "x-nexus-webhook-signature": await hmacHex("SHA-1", secret, body) }),
  },
  {
    sender: "generic",
    body: { image: "registry.example.com/app:1" },
    sign: async (secret, body) => ({ "x-signature": `sha256=${await hmacHex("SHA-256", secret, body)}` }),
  },
];

const hookOf = (sender: SenderName | "auto"): Partial<Hook> => ({
  sender,
  secrets: ["", "an older one", SECRET],
  registryHost: "registry.example.com",
});

describe.each(signed)("$sender, signed", ({ sender, body, headers = {}, sign }) => {
  const text = JSON.stringify(body);

  it.each<[string, () => Promise<Sent>, number]>([
    ["with the secret", async () => ({ body: text, headers: { ...headers, ...(await sign(SECRET, text)) } }), 202],
    [
      "with the older secret",
      async () => ({ body: text, headers: { ...headers, ...(await sign("an older one", text)) } }),
      202,
    ],
    ["with another secret", async () => ({ body: text, headers: { ...headers, ...(await sign(NOT_IT, text)) } }), 401],
    [
      "over another body",
      async () => ({ body: `${text} `, headers: { ...headers, ...(await sign(SECRET, text)) } }),
      401,
    ],
    ["not at all", () => Promise.resolve({ body: text, headers }), 401],
    [
      "with something that is no signature",
      async () => ({
        body: text,
        headers: {
          ...headers,
          ...Object.fromEntries(Object.keys(await sign(SECRET, text)).map((name) => [name, "sha256=zz"])),
        },
      }),
      401,
    ],
  ])("%s", async (_how, sent, status) => {
    for (const named of [sender, "auto"] as const) {
      const outcome = await send(hookOf(named), await sent());
      expect(outcome.status).toBe(status);
      expect(outcome.pushes === null).toBe(status === 401);
    }
  });
});

describe("GitHub's, Gitea's and Nexus's deliveries must be signed: the secret itself is none of their means", () => {
  it.each([
    ["ghcr", payloads.ghcr("package"), payloads.ghcrHeaders, 401],
    ["nexus", payloads.nexus(), payloads.nexusHeaders, 401],
    // Gitea can send an Authorization header of the operator's choice.
    ["gitea", payloads.gitea(), payloads.giteaHeaders, 202],
  ] as const)("%s", async (sender, body, headers, status) => {
    const outcome = await send(hookOf(sender), { body, headers: { ...headers, authorization: `Bearer ${SECRET}` } });
    expect(outcome.status).toBe(status);
  });
});

describe("a secret that is sent", () => {
  const unsigned: [SenderName, object][] = [
    ["distribution", distribution(registryEvent({ tag: "1" })).body],
    ["dockerhub", payloads.dockerHub],
    ["harbor", payloads.harbor()],
    ["quay", payloads.quay],
    ["acr", payloads.acr],
    ["ecr", payloads.ecr()],
    ["aliyun", payloads.aliyun],
    [
      "zot",
      { specversion: "1.0", id: "1", type: "zotregistry.image.updated", source: "zot", data: payloads.zotData() },
    ],
  ];
  const ways: [string, (secret: string) => Partial<Sent>][] = [
    ["Authorization, as it stands", (secret) => ({ headers: { authorization: secret } })],
    ["Authorization: Bearer", (secret) => ({ headers: { authorization: `Bearer ${secret}` } })],
    ["Authorization: Basic", (secret) => ({ headers: { authorization: `Basic ${btoa(`drayage:${secret}`)}` } })],
    ["X-Api-Key", (secret) => ({ headers: { "x-api-key": secret } })],
    ["X-Webhook-Secret", (secret) => ({ headers: { "x-webhook-secret": secret } })],
    ["?secret=", (secret) => ({ query: `?secret=${encodeURIComponent(secret)}` })],
    ["?token=", (secret) => ({ query: `?token=${encodeURIComponent(secret)}` })],
  ];

  it.each(unsigned.flatMap(([sender, body]) => ways.map(([way, with_]) => ({ sender, body, way, with_ }))))(
    "$sender by $way",
    async ({ sender, body, with_ }) => {
      const statuses = [];
      for (const secret of [SECRET, NOT_IT, ""]) {
        statuses.push((await send(hookOf(sender), { body, ...with_(secret) })).status);
      }
      expect(statuses).toEqual([202, 401, 401]);
    },
  );

  it.each([
    ["jfrog", { "x-jfrog-event-auth": SECRET }, payloads.jfrog()],
    ["gitlab", { "x-gitlab-token": SECRET }, distribution(registryEvent({ tag: "1" })).body],
  ] as const)("%s by its own header", async (sender, headers, body) => {
    expect((await send(hookOf(sender), { body, headers })).status).toBe(202);
    expect(
      (
        await send(hookOf(sender), {
          body,
          headers: Object.fromEntries(Object.keys(headers).map((name) => [name, NOT_IT])),
        })
      ).status,
    ).toBe(401);
  });
});

describe("Standard Webhooks", () => {
  const body = JSON.stringify({ image: "registry.example.com/app:1" });
  const key = Buffer.from("0123456789abcdef0123456789abcdef");

  it.each([
    ["now", 0, key, 202],
    ["four minutes ago", -240, key, 202],
    ["six minutes ago: a replay", -360, key, 401],
    ["with another key", 0, Buffer.from("another"), 401],
  ])("signed %s", async (_when, secondsAgo, signingKey, status) => {
    const timestamp = String(NOW_MS / 1000 + secondsAgo);
    const mac = Buffer.from(await hmac("SHA-256", signingKey, `msg_1.${timestamp}.${body}`)).toString("base64");
    const headers = { "webhook-id": "msg_1", "webhook-timestamp": timestamp, "webhook-signature": `v1a,xx v1,${mac}` };
    const outcome = await send({ sender: "generic", secrets: [`whsec_${key.toString("base64")}`] }, { body, headers });
    expect(outcome.status).toBe(status);
  });
});

describe("headers that the hook demands", () => {
  const headers = [
    { name: "Authorization", value: "Bearer abc" },
    { name: "X-Team", value: "blue" },
  ];

  it.each([
    ["all of them", { authorization: "Bearer abc", "x-team": "blue" }, 202],
    ["one is missing", { authorization: "Bearer abc" }, 401],
    ["one differs", { authorization: "Bearer abd", "x-team": "blue" }, 401],
    ["one is longer", { authorization: "Bearer abcd", "x-team": "blue" }, 401],
  ])("%s", async (_what, sent, status) => {
    const outcome = await send({ headers }, { body: payloads.quay, headers: sent });
    expect(outcome.status).toBe(status);
  });

  it("an empty value is never fulfilled", async () => {
    expect((await send({ headers: [{ name: "X-Team", value: "" }] }, { body: payloads.quay })).status).toBe(401);
  });
});

describe("what is refused", () => {
  it.each([
    ["a ping", payloads.ghcrHeaders, { zen: "z" }],
    ["no JSON at all", {}, "<xml/>"],
    ["nobody's JSON", {}, { hello: "world" }],
  ])("%s tells nothing else before it is proven", async (_what, headers, body) => {
    const { status, answer, headers: answered } = await send(hookOf("auto"), { body, headers });
    expect(status).toBe(401);
    expect(JSON.stringify(answer)).not.toContain(SECRET);
    expect(answer).toMatchObject({ type: "urn:drayage:problem:unauthorized" });
    expect(answered.get("www-authenticate")).toMatch(/^Bearer /);
  });
});

describe("a token by an issuer's keys", () => {
  const AUDIENCE = "https://drayage.example.com/v1/hooks";
  const EMAIL = "pubsub@p.iam.gserviceaccount.com";
  const GOOD: JWTPayload = {
    iss: "https://accounts.google.com",
    aud: AUDIENCE,
    email: EMAIL,
    email_verified: true,
    sub: "1",
  };
  const hook: Partial<Hook> = {
    sender: "google",
    token: {
      issuers: ["https://accounts.google.com", "accounts.google.com"],
      audience: AUDIENCE,
      jwksUrl: "https://www.googleapis.com/oauth2/v3/certs",
      claims: { email: EMAIL, email_verified: true },
    },
  };
  let ours: CryptoKeyPair;
  let others: CryptoKeyPair;
  let jwks: object;
  let fetched: string[];

  type CryptoKeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

  beforeAll(async () => {
    ours = await generateKeyPair("RS256");
    others = await generateKeyPair("RS256");
    jwks = { keys: [{ ...(await exportJWK(ours.publicKey)), kid: "k1", alg: "RS256", use: "sig" }] };
  });

  function keySets(answer: () => Response = () => Response.json(jwks)): KeySets {
    fetched = [];
    return new KeySets((url) => {
      fetched.push(url);
      return Promise.resolve(answer());
    });
  }

  async function token(
    claims: JWTPayload,
    options: { pair?: CryptoKeyPair; kid?: string; expiresMs?: number } = {},
  ): Promise<string> {
    const { pair = ours, kid = "k1", expiresMs = NOW_MS + 3_600_000 } = options;
    return new SignJWT(claims)
      .setProtectedHeader({ alg: "RS256", kid, typ: "JWT" })
      .setIssuedAt(Math.floor(NOW_MS / 1000))
      .setExpirationTime(Math.floor(expiresMs / 1000))
      .sign(pair.privateKey);
  }

  const sent = (bearer: string | null, sets: KeySets): Sent => ({
    body: payloads.pubSub(payloads.google()),
    keySets: sets,
    headers: bearer === null ? {} : { authorization: `Bearer ${bearer}` },
  });

  it("is believed, and the keys are fetched once", async () => {
    const sets = keySets();
    for (const iss of ["https://accounts.google.com", "accounts.google.com"]) {
      const outcome = await send(hook, sent(await token({ ...GOOD, iss }), sets));
      expect(outcome.status).toBe(202);
    }
    expect(fetched).toEqual(["https://www.googleapis.com/oauth2/v3/certs"]);
  });

  it.each<[string, () => Promise<string | null>, string]>([
    ["no token", () => Promise.resolve(null), "no Authorization: Bearer"],
    ["no JWT", () => Promise.resolve("abc.def"), "not a signed token"],
    ["another issuer", () => token({ ...GOOD, iss: "https://accounts.example.com" }), 'the claim "iss"'],
    ["another audience", () => token({ ...GOOD, aud: "https://else.example.com" }), 'the claim "aud"'],
    ["another account", () => token({ ...GOOD, email: "mallory@p.iam.gserviceaccount.com" }), 'the claim "email"'],
    ["an unverified address", () => token({ ...GOOD, email_verified: false }), 'the claim "email_verified"'],
    ["expired", () => token(GOOD, { expiresMs: NOW_MS - 60_000 }), "it has expired"],
    ["signed by someone else", () => token(GOOD, { pair: others }), "no key of its issuer"],
    ["a key that the issuer does not have", () => token(GOOD, { kid: "k2" }), "no key of its issuer"],
    ["no algorithm", () => Promise.resolve(unsecured(GOOD)), "not a signed token"],
  ])("%s is refused", async (_what, make, reason) => {
    const { status, answer, pushes } = await send(hook, sent(await make(), keySets()));
    expect(answer).toMatchObject({ detail: expect.stringContaining(reason) });
    expect(status).toBe(401);
    expect(pushes).toBeNull();
  });

  it("signed with the public key as a shared secret is refused", async () => {
    const forged = await new SignJWT(GOOD)
      .setProtectedHeader({ alg: "HS256", kid: "k1" })
      .setExpirationTime(Math.floor(NOW_MS / 1000) + 600)
      .sign(new TextEncoder().encode(JSON.stringify(jwks)));
    expect((await send(hook, sent(forged, keySets()))).status).toBe(401);
  });

  it("is asked for again while the keys cannot be had", async () => {
    const { status, headers, pushes } = await send(
      hook,
      sent(
        await token(GOOD),
        keySets(() => new Response("", { status: 500 })),
      ),
    );
    expect(status).toBe(503);
    expect(headers.get("retry-after")).toBe("5");
    expect(pushes).toBeNull();
  });

  it("costs no more than a set of keys has, however much its issuer sends", async () => {
    let sentBytes = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sentBytes += 64 * 1024;
        // Without a bound this is all read, and is no set of keys either.
        return sentBytes > 8 * 1024 * 1024 ? controller.close() : controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
    const { status } = await send(
      hook,
      sent(
        await token(GOOD),
        keySets(() => new Response(endless)),
      ),
    );
    expect(status).toBe(503);
    expect(sentBytes).toBeLessThan(1024 * 1024);
  });

  it.each([
    [true, 202],
    ["true", 202],
    [false, 401],
    [undefined, 401],
  ])("its address of mail counts only when it has been verified: %j", async (verified, status) => {
    const check = {
      issuers: ["https://accounts.google.com"],
      audience: AUDIENCE,
      jwksUrl: "https://idp.example.com/jwks",
    };
    const claims = { iss: "https://accounts.google.com", aud: AUDIENCE, email: EMAIL, email_verified: verified };
    const outcome = await send(
      { sender: "generic", token: { ...check, claims: { email: EMAIL } } },
      {
        body: { image: "registry.example.com/app:1" },
        keySets: keySets(),
        headers: { authorization: `Bearer ${await token(claims)}` },
      },
    );
    expect(outcome.status).toBe(status);
  });

  it("of any issuer is checked for any sender", async () => {
    const check = {
      issuers: ["https://idp.example.com"],
      audience: "drayage",
      jwksUrl: "https://idp.example.com/jwks",
    };
    const generic: Partial<Hook> = { sender: "generic", token: { ...check, claims: { repository: "team/app" } } };
    const deliver = async (claims: JWTPayload) =>
      (
        await send(generic, {
          body: { image: "registry.example.com/app:1" },
          keySets: keySets(),
          headers: {
            authorization: `Bearer ${await token({ iss: "https://idp.example.com", aud: "drayage", ...claims })}`,
          },
        })
      ).status;
    expect(await deliver({ repository: "team/app" })).toBe(202);
    expect(await deliver({ repository: "team/else" })).toBe(401);
    expect(await deliver({})).toBe(401);
  });

  function unsecured(claims: JWTPayload): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    return `${part({ alg: "none" })}.${part({ ...claims, exp: NOW_MS / 1000 + 600 })}.`;
  }
});

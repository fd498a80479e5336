/** The door and what lies behind it, for everybody but the operator: keys, tokens of issuers, Cloudflare Access. */
import { createExecutionContext, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { ACTIONS, type Action } from "../../src/access/contract.ts";
import { KEY_RANDOM_BYTES, keyText } from "../../src/access/key-text.ts";
import { OPERATIONS } from "../../src/api/operations.ts";
import { handleFetch } from "../../src/api/router.ts";
import type { Env } from "../../src/env.ts";
import type { CopyView } from "../../src/job/contract.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { StandInIssuer } from "../access/stand-in-issuer.ts";
import { api, requestFor, type Ask } from "./client.worker.ts";

const { source: sourceHost, target: targetHost } = inject("registries");

const IN_SCOPE = { source: `${sourceHost}/acme/app:1`, target: `${targetHost}/acme/app:1` };
const ELSEWHERE = { source: `${sourceHost}/other/app:1`, target: `${targetHost}/other/app:1` };
const SCOPES = { sources: [`${sourceHost}/acme/**`], targets: [`${targetHost}/acme/**`] };

interface MadeKey {
  id: string;
  key: string;
  state: string;
  maker: string;
  limits: object;
  scopes: { sources: string[]; targets: string[]; actions: Action[] };
  times: { expiresAt: string | null; lastUsedAt: string | null };
}

interface ProblemBody {
  type: string;
  detail: string;
  errors?: { field: string; message: string }[];
}

async function madeKey(more: object = {}, ask: Ask = {}): Promise<MadeKey> {
  const scopes = { ...SCOPES, actions: ["copy", "read", "cancel"] };
  const answer = await api("/v1/keys", { body: { name: "test", scopes, ...more }, ...ask });
  expect(answer.status).toBe(201);
  return answer.json();
}

function keyWith(actions: readonly Action[], more: object = {}): Promise<MadeKey> {
  return madeKey({ scopes: { ...SCOPES, actions }, ...more });
}

/** Everything that somebody outside could tell one answer from another by. */
async function seen(answer: Response) {
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
}

async function copied(token: string | undefined, body: object = IN_SCOPE, headers = {}): Promise<CopyView> {
  const answer = await api("/v1/copies", { body, headers, ...(token === undefined ? {} : { token }) });
  expect([200, 202]).toContain(answer.status);
  return answer.json();
}

async function idsSeenBy(token: string, query = "?limit=100"): Promise<string[]> {
  const { copies } = await (await api(`/v1/copies${query}`, { token })).json<{ copies: { id: string }[] }>();
  return copies.map(({ id }) => id);
}

const NEVER = keyText(new Uint8Array(KEY_RANDOM_BYTES).fill(7));

const guarded = OPERATIONS.flatMap(({ method, path, action }) =>
  action === "open" ? [] : [{ method, path: path.replaceAll(/\{\w+\}/g, "x"), action }],
);

describe("every operation that is not open", () => {
  let revoked = "";
  let expired = "";
  const withoutAction = new Map<Action, string>();

  beforeAll(async () => {
    const key = await madeKey();
    await api(`/v1/keys/${key.id}`, { method: "DELETE" });
    revoked = key.key;
    const short = await madeKey({ expiresAt: new Date(Date.now() + 60_000).toISOString() });
    await runInDurableObject(env.INDEX.getByName(INDEX_NAME), (_, { storage }) => {
      storage.sql.exec("UPDATE keys SET expires_at_ms = ? WHERE id = ?", Date.now(), short.id);
    });
    expired = short.key;
    for (const action of ACTIONS) {
      withoutAction.set(action, (await keyWith(ACTIONS.filter((each) => each !== action))).key);
    }
  });

  test("is one of many", () => {
    expect(guarded.length).toBeGreaterThan(9);
  });

  test.each(guarded)(
    "$method $path: 401 without a token, and the same for one that never was, a key that is no more, and one that has expired",
    async ({ method, path }) => {
      expect((await api(path, { method, token: null })).status).toBe(401);
      const [never, ...others] = await Promise.all(
        [NEVER, revoked, expired, "drayage_wrong"].map((token) => api(path, { method, token }).then(seen)),
      );
      expect(never?.status).toBe(401);
      expect(others).toEqual([never, never, never]);
    },
  );

  test.each(guarded)(
    "$method $path: 403 for a key that may do everything but $action",
    async ({ method, path, action }) => {
      const answer = await api(path, { method, token: withoutAction.get(action) ?? "" });
      expect(answer.status).toBe(403);
      expect(answer.headers.get("www-authenticate")).toContain("insufficient_scope");
      expect((await answer.json<ProblemBody>()).detail).toContain(`${action} is needed`);
    },
  );
});

describe("the open operations are those that tell nothing", () => {
  // The page holds no data, and a hook's address is a proof of its own.
  test("and no others", () => {
    const open = OPERATIONS.filter(({ action }) => action === "open").map(({ method, path }) => `${method} ${path}`);
    expect(open.filter((each) => !each.includes(" /v1/hooks/") && each !== "GET /").sort()).toEqual([
      "GET /healthz",
      "GET /openapi.json",
      "GET /v1/openapi.json",
    ]);
  });
});

describe("a key", () => {
  test("is shown once, is good at once, and is told by its prefix", async () => {
    const key = await madeKey();
    expect(key.key).toMatch(/^dry_[0-9A-Za-z]{47}$/);
    expect(key).toMatchObject({ state: "active", maker: "root", times: { expiresAt: null, lastUsedAt: null } });
    expect((await api("/v1/copies", { token: key.key })).status).toBe(200);
    const listed = await (await api("/v1/keys")).text();
    expect(listed).toContain(key.id);
    expect(listed).not.toContain(key.key);
  });

  test("is refused in the moment in which it is revoked", async () => {
    const key = await madeKey();
    expect((await api("/v1/copies", { token: key.key })).status).toBe(200);
    const revoked = await api(`/v1/keys/${key.id}`, { method: "DELETE" });
    expect(await revoked.json()).toMatchObject({ id: key.id, state: "revoked" });
    expect((await api("/v1/copies", { token: key.key })).status).toBe(401);
    expect((await api(`/v1/keys/${key.id}`, { method: "DELETE" })).status).toBe(200);
  });

  test("is refused once it has expired, as if it had never been", async () => {
    const key = await madeKey({ expiresAt: new Date(Date.now() + 60_000).toISOString() });
    expect((await api("/v1/copies", { token: key.key })).status).toBe(200);
    await runInDurableObject(env.INDEX.getByName(INDEX_NAME), (_, { storage }) => {
      storage.sql.exec("UPDATE keys SET expires_at_ms = ? WHERE id = ?", Date.now(), key.id);
    });
    const answers = await Promise.all([key.key, NEVER].map((token) => api("/v1/copies", { token }).then(seen)));
    expect(answers[0]?.status).toBe(401);
    expect(answers[0]).toEqual(answers[1]);
  });

  test.each([
    ["with its last letter wrong", (key: string) => key.slice(0, -1) + (key.endsWith("0") ? "1" : "0")],
    ["by its hash", () => "0".repeat(64)],
    ["by its id", () => "key_0000000000000000"],
  ])("%s is no key", async (_, wrong) => {
    const answer = await api("/v1/copies", { token: wrong((await madeKey()).key) });
    expect(answer.status).toBe(401);
  });

  test.each<[string, object, string]>([
    ["no name", { name: undefined }, "name"],
    ["an empty name", { name: "" }, "name"],
    ["line breaks in its name", { name: "a\nb" }, "name"],
    ["no scopes", { scopes: undefined }, "scopes"],
    ["no actions", { scopes: { ...SCOPES, actions: [] } }, "scopes.actions"],
    ["an unknown action", { scopes: { ...SCOPES, actions: ["push"] } }, "scopes.actions.0"],
    [
      "a text that is no pattern",
      { scopes: { sources: ["ghcr.io/a**"], targets: [], actions: ["read"] } },
      "scopes.sources.0",
    ],
    [
      "too many patterns",
      { scopes: { sources: Array(33).fill("**"), targets: [], actions: ["read"] } },
      "scopes.sources",
    ],
    ["a limit of nothing", { limits: { copiesAtOnce: 0 } }, "limits.copiesAtOnce"],
    ["an end beyond the years that times have", { expiresAt: "9999-12-31T23:59:59-23:59" }, "expiresAt"],
    ["an end in the past", { expiresAt: "2020-01-01T00:00:00Z" }, "expiresAt"],
    ["an end that is no time", { expiresAt: "tomorrow" }, "expiresAt"],
    ["an unknown field", { expires: 1 }, "expires"],
  ])("with %s is not made, and the field is named", async (_, more, field) => {
    const body = { name: "test", scopes: { ...SCOPES, actions: ["read"] }, ...more };
    const answer = await api("/v1/keys", { body });
    expect(answer.status).toBe(422);
    expect((await answer.json<ProblemBody>()).errors?.map((error) => error.field)).toEqual([field]);
  });

  test.each(["x", "key_", "key_0000000000000000"])("there is none with the id %s: 404", async (id) => {
    expect((await api(`/v1/keys/${id}`, { method: "DELETE" })).status).toBe(404);
  });

  test("is listed in pages", async () => {
    await madeKey();
    await madeKey();
    const first = await (await api("/v1/keys?limit=1")).json<{ keys: MadeKey[]; next: string }>();
    const second = await (await api(`/v1/keys?limit=1&cursor=${first.next}`)).json<{ keys: MadeKey[] }>();
    expect(second.keys[0]?.id).not.toBe(first.keys[0]?.id);
    expect((await api("/v1/keys?cursor=x")).status).toBe(422);
    expect((await api("/v1/keys?limit=101")).status).toBe(422);
  });
});

describe("a key made by a key", () => {
  const maker = { name: "maker", scopes: { ...SCOPES, actions: ["copy", "read", "keys"] } };

  test("has no more than its maker has", async () => {
    const { key: token } = await madeKey(maker);
    for (const [scopes, field] of [
      [{ ...SCOPES, sources: ["**"], actions: ["read"] }, "scopes.sources"],
      [{ ...SCOPES, targets: [`${targetHost}/**`], actions: ["read"] }, "scopes.targets"],
      [{ ...SCOPES, actions: ["read", "cancel"] }, "scopes.actions"],
    ] as const) {
      const answer = await api("/v1/keys", { token, body: { name: "wider", scopes } });
      expect(answer.status).toBe(403);
      expect((await answer.json<ProblemBody>()).errors?.[0]?.field).toBe(field);
    }
    const narrower = { sources: [`${sourceHost}/acme/app`], targets: SCOPES.targets, actions: ["copy"] };
    expect((await madeKey({ scopes: narrower }, { token })).scopes.sources).toEqual([`${sourceHost}/acme/app`]);
  });

  test("ends with its maker, whether by time or by being revoked", async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const parent = await madeKey({ ...maker, expiresAt });
    const child = await madeKey({ scopes: { ...SCOPES, actions: ["read"] } }, { token: parent.key });
    expect(child.times.expiresAt).toBe(expiresAt);
    const later = { name: "later", scopes: child.scopes, expiresAt: new Date(Date.now() + 7_200_000).toISOString() };
    expect((await api("/v1/keys", { token: parent.key, body: later })).status).toBe(422);
    await api(`/v1/keys/${parent.id}`, { method: "DELETE" });
    expect((await api("/v1/copies", { token: child.key })).status).toBe(401);
  });

  test("shares its maker's limits", async () => {
    const parent = await madeKey({ ...maker, limits: { copiesPerHour: 1 } });
    const child = await madeKey(
      { scopes: { ...SCOPES, actions: ["copy"] }, limits: { copiesPerHour: 100 } },
      { token: parent.key },
    );
    expect(child.limits).toEqual({ copiesPerHour: 1 });
    await copied(child.key);
    expect((await api("/v1/copies", { token: parent.key, body: IN_SCOPE })).status).toBe(429);
  });

  test("and its maker see each other's as if they were not there, beyond what they made", async () => {
    const parent = await madeKey(maker);
    const child = await madeKey({ scopes: { ...SCOPES, actions: ["read", "keys"] } }, { token: parent.key });
    const other = await madeKey(maker);
    const listed = async (token: string) =>
      (await (await api("/v1/keys", { token })).json<{ keys: MadeKey[] }>()).keys.map(({ id }) => id);
    expect(await listed(parent.key)).toEqual([child.id, parent.id]);
    expect(await listed(child.key)).toEqual([child.id]);
    const [foreign, none] = await Promise.all(
      [other.id, "key_0000000000000000"].map((id) =>
        api(`/v1/keys/${id}`, { method: "DELETE", token: parent.key }).then(seen),
      ),
    );
    expect(foreign?.status).toBe(404);
    expect(foreign).toEqual(none);
    expect((await api("/v1/keys", { token: other.key })).status).toBe(200);
  });
});

describe("copies", () => {
  test.each([
    ["source", { ...IN_SCOPE, source: ELSEWHERE.source }],
    ["target", { ...IN_SCOPE, target: ELSEWHERE.target }],
    ["source", { ...IN_SCOPE, source: `${sourceHost}/acme-evil/app:1` }],
    ["target", { ...IN_SCOPE, target: `${targetHost}/acme:1` }],
  ])("out of scope at the %s: 403 that says so, and nothing happens", async (side, body) => {
    const { key } = await madeKey();
    const before = await (await api("/v1/copies?limit=1")).text();
    const answer = await api("/v1/copies", { token: key, body });
    expect(answer.status).toBe(403);
    expect((await answer.json<ProblemBody>()).errors?.map(({ field }) => field)).toEqual([side]);
    expect(await (await api("/v1/copies?limit=1")).text()).toBe(before);
  });

  test("of others are there when both ends are in scope, and else are as none, on every address", async () => {
    const { key: token } = await madeKey();
    const own = await copied(token);
    const shared = await copied(undefined);
    const foreign = await copied(undefined, ELSEWHERE);
    const half = await copied(undefined, { ...IN_SCOPE, source: ELSEWHERE.source });
    expect(await idsSeenBy(token)).toEqual(expect.arrayContaining([own.id, shared.id]));
    expect(await idsSeenBy(token)).not.toEqual(expect.arrayContaining([foreign.id]));
    expect(await idsSeenBy(token)).not.toEqual(expect.arrayContaining([half.id]));
    const none = `cp_${"0".repeat(26)}`;
    for (const [method, rest] of [
      ["GET", ""],
      ["DELETE", ""],
      ["GET", "/events"],
    ] as const) {
      const [unknown, ...others] = await Promise.all(
        [none, foreign.id, half.id].map((id) => api(`/v1/copies/${id}${rest}`, { method, token }).then(seen)),
      );
      expect(unknown?.status).toBe(404);
      expect(others).toEqual([unknown, unknown]);
      for (const { id } of [own, shared]) {
        const answer = await api(`/v1/copies/${id}${rest}`, { method, token });
        expect([200, 202]).toContain(answer.status);
        await answer.body?.cancel();
      }
    }
  });

  test("an idempotency key finds its own principal's copy only", async () => {
    const headers = { "idempotency-key": "the same text" };
    const [one, two] = [await madeKey(), await madeKey()];
    const first = await copied(one.key, IN_SCOPE, headers);
    const second = await copied(two.key, { ...IN_SCOPE, target: `${targetHost}/acme/app:2` }, headers);
    expect(second.id).not.toBe(first.id);
    expect((await copied(one.key, IN_SCOPE, headers)).id).toBe(first.id);
    expect((await copied(undefined, IN_SCOPE, headers)).id).not.toBe(first.id);
  });

  test("beyond a limit: 429 that says when to ask again", async () => {
    const { key: token } = await madeKey({ limits: { copiesPerHour: 2 } });
    await copied(token);
    await copied(token);
    const answer = await api("/v1/copies", { token, body: IN_SCOPE });
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(3_500);
    expect(await answer.json<ProblemBody>()).toMatchObject({
      type: "urn:drayage:problem:limit-reached",
      detail: expect.stringContaining("2 copies per hour"),
    });
  });
});

test("registry hosts are shown to whom they concern", async () => {
  const { key: token } = await keyWith(["registries"]);
  await copied(undefined);
  const listed = await (await api("/v1/registries", { token })).json<{ registries: { host: string }[] }>();
  expect(listed.registries.map(({ host }) => host).sort()).toEqual([sourceHost, targetHost].sort());
  expect((await api(`/v1/registries/${sourceHost}`, { token })).status).toBe(200);
  for (const ask of [{}, { method: "DELETE" }]) {
    const path = `/v1/registries/docker.io${"method" in ask ? "/learned" : ""}`;
    expect((await api(path, { token, ...ask })).status).toBe(404);
  }
});

describe("tokens of issuers", () => {
  const issuer = new StandInIssuer("https://actions.example");
  const team = new StandInIssuer(
    "https://acme.cloudflareaccess.com",
    "https://acme.cloudflareaccess.com/cdn-cgi/access/certs",
  );
  const scopes = { ...SCOPES, actions: ["copy", "read", "keys"] };
  const OIDC = [
    {
      issuer: issuer.issuer,
      audience: "drayage",
      rules: [{ claims: { repository: "acme/*" }, scopes, limits: { copies_per_hour: 1 } }],
    },
  ];
  const ACCESS = { team: "acme", audience: "drayage", rules: [{ claims: { email: "*@acme.com" }, scopes }] };

  beforeAll(async () => {
    await issuer.addKey("1", "RS256");
    await team.addKey("1", "RS256");
  });

  afterEach(() => vi.unstubAllGlobals());

  function asked(path: string, ask: Ask, settings: Partial<Env> = {}): Promise<Response> {
    vi.stubGlobal("fetch", (url: string) => (url.startsWith(issuer.issuer) ? issuer : team).fetch(url));
    return handleFetch(requestFor(path, ask), { ...env, OIDC, ACCESS, ...settings }, createExecutionContext());
  }

  test("admit the job that a rule names, with its scopes and its limits", async () => {
    const token = await issuer.token({ repository: "acme/limited", sub: "repo:acme/limited" }, Date.now());
    const made = await asked("/v1/copies", { token, body: IN_SCOPE });
    expect(made.status).toBe(202);
    const { id } = await made.json<CopyView>();
    const entry = await env.INDEX.getByName(INDEX_NAME).find(id);
    expect(entry?.owner).toBe("oidc:https://actions.example:repo:acme/limited");
    expect((await asked("/v1/copies", { token, body: ELSEWHERE })).status).toBe(403);
    const another = await issuer.token({ repository: "acme/other", sub: "repo:acme/other" }, Date.now());
    expect((await asked("/v1/copies", { token: another, body: IN_SCOPE })).status).toBe(429);
    expect((await asked("/v1/copies/x", { token, method: "DELETE" })).status).toBe(403);
  });

  test("of others: 401 for what is not genuine, 403 for what no rule admits, 503 while the keys cannot be had", async () => {
    const expired = await issuer.token({ repository: "acme/app", exp: 1 }, Date.now());
    const answer = await asked("/v1/copies", { token: expired });
    expect([answer.status, (await answer.json<ProblemBody>()).detail]).toEqual([
      401,
      "This token is not taken: it has expired.",
    ]);
    const unknown = await asked("/v1/copies", {
      token: await issuer.token({ iss: "https://evil.example" }, Date.now()),
    });
    expect(await seen(unknown)).toEqual(await seen(await asked("/v1/copies", { token: NEVER })));
    const stranger = await issuer.token({ repository: "evil/app" }, Date.now());
    expect((await asked("/v1/copies", { token: stranger })).status).toBe(403);
    const down = new StandInIssuer("https://down.example");
    await down.addKey("1");
    const settings = { OIDC: [{ ...OIDC[0], issuer: down.issuer }] };
    const later = await asked(
      "/v1/copies",
      { token: await down.token({ repository: "acme/app" }, Date.now()) },
      settings,
    );
    expect([later.status, later.headers.get("retry-after")]).toEqual([503, "5"]);
  });

  test("come in by Access's own header, and only its own", async () => {
    const ask = async (claims: object, from = team): Promise<Ask> => ({
      token: null,
      headers: { "cf-access-jwt-assertion": await from.token({ email: "ann@acme.com", ...claims }, Date.now()) },
    });
    expect((await asked("/v1/copies", await ask({}))).status).toBe(200);
    expect((await asked("/v1/copies", await ask({ email: "eve@evil.example" }))).status).toBe(403);
    expect((await asked("/v1/copies", await ask({ aud: "other" }))).status).toBe(401);
    expect((await asked("/v1/copies", await ask({ repository: "acme/app" }, issuer))).status).toBe(401);
    expect((await asked("/v1/copies", await ask({}), { ACCESS: undefined })).status).toBe(401);
    const asBearer = await team.token({ email: "ann@acme.com" }, Date.now());
    expect((await asked("/v1/copies", { token: asBearer })).status).toBe(401);
  });

  test("that a browser sends along by itself are not taken from another site's page", async () => {
    const assertion = await team.token({ email: "ann@acme.com" }, Date.now());
    const ask = (origin: string): Ask => ({
      token: null,
      body: { name: "n", scopes: { ...SCOPES, actions: ["read"] } },
      headers: { "cf-access-jwt-assertion": assertion, origin },
    });
    expect((await asked("/v1/keys", ask("https://evil.example"))).status).toBe(403);
    expect((await asked("/v1/keys", ask("null"))).status).toBe(403);
    expect((await asked("/v1/keys", ask("https://drayage.example"))).status).toBe(201);
  });

  test("suffice for a service without any token of its own; keys are good there too", async () => {
    const { key } = await madeKey();
    const token = await issuer.token({ repository: "acme/app" }, Date.now());
    expect((await asked("/v1/copies", { token }, { TOKENS: [] })).status).toBe(200);
    expect((await asked("/v1/copies", { token: NEVER }, { TOKENS: [] })).status).toBe(401);
    expect((await asked("/v1/copies", { token: key }, { TOKENS: [], OIDC: [], ACCESS: "" })).status).toBe(200);
    expect((await asked("/v1/copies", { token: NEVER }, { TOKENS: [], OIDC: [], ACCESS: "" })).status).toBe(503);
  });

  test("with wrong settings are refused without a word of them; the operator is told", async () => {
    const settings = { OIDC: [{ ...OIDC[0], secret_name: "x" }] };
    const token = await issuer.token({ repository: "acme/app" }, Date.now());
    const answer = await asked("/v1/copies", { token }, settings);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("secret_name");
    const told = await asked("/v1/copies", { body: IN_SCOPE }, settings);
    expect((await told.json<ProblemBody>()).detail).toContain("OIDC[0].secret_name: unknown field");
  });
});

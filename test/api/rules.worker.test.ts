/** Rules and hooks by the API: what is taken, what is refused and why, whose a rule is, what a delivery starts. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, inject, test } from "vitest";
import { exports } from "cloudflare:workers";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { api, type Ask } from "./client.worker.ts";

const { source, target } = inject("registries");

const RULE = { source: `${source}/team/**`, target: `${target}/mirror/{repository}` };
const PUSH = { ...RULE, push: { sender: "generic" } };
const REPOSITORY = { source: `${source}/team/app`, target: `${target}/mirror/app` };

const GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v3/certs";
const GOOGLE_TOKEN = {
  issuers: ["https://accounts.google.com", "accounts.google.com"],
  audience: "x",
  jwksUrl: GOOGLE_KEYS,
};

interface RuleAnswer {
  name: string;
  version: number;
  owner: string;
  outcome: string;
  address: string | null;
  hook: string | null;
  rule: Record<string, unknown>;
  next: { at: string } | null;
  lastRun: { state: string } | null;
}

interface ProblemBody {
  detail: string;
  errors?: { field: string; message: string }[];
}

function put(name: string, body: object, ask: Ask = {}): Promise<Response> {
  return api(`/v1/rules/${name}`, { method: "PUT", body, ...ask });
}

async function made(name: string, body: object, ask: Ask = {}): Promise<RuleAnswer> {
  const answer = await put(name, body, ask);
  expect([200, 201], await answer.clone().text()).toContain(answer.status);
  return answer.json();
}

function deliver(address: string | null, body: object, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(new Request(address ?? "", { method: "POST", body: JSON.stringify(body), ...init }));
}

async function keyWith(actions: string[], sources = [`${source}/team/**`], targets = [`${target}/mirror/**`]) {
  const body = { name: "test", scopes: { sources, targets, actions } };
  return (await api("/v1/keys", { body })).json<{ id: string; key: string }>();
}

beforeEach(async () => {
  await runInDurableObject(env.INDEX.getByName(INDEX_NAME), (_, { storage }) => {
    storage.sql.exec("DELETE FROM rules");
  });
});

describe("PUT /v1/rules/{name}", () => {
  test("makes a rule, changes it, and counts; the same again changes nothing", async () => {
    const first = await put("one", RULE);
    expect([first.status, first.headers.get("etag")]).toEqual([201, '"1"']);
    expect(await first.json()).toMatchObject({
      name: "one",
      version: 1,
      owner: "root",
      outcome: "created",
      address: null,
    });
    expect(await made("one", RULE)).toMatchObject({ version: 1, outcome: "unchanged" });
    expect(await made("one", { ...RULE, existing: "skip" })).toMatchObject({ version: 2, outcome: "changed" });
    const seen = await (await api("/v1/rules/one")).json<RuleAnswer>();
    expect(seen).toMatchObject({ version: 2, rule: { ...RULE, existing: "skip" }, lastRun: null });
    // What is shown can be written back.
    expect(await made("one", seen.rule)).toMatchObject({ version: 2, outcome: "unchanged" });
  });

  test("shows the address once", async () => {
    const { address } = await made("one", PUSH);
    expect(address).toMatch(/^https:\/\/drayage\.example\/v1\/hooks\/one\/[\w-]{32}$/);
    expect((await made("one", { ...PUSH, deep: true })).address).toBeNull();
    expect(JSON.stringify(await (await api("/v1/rules")).json())).not.toContain(address?.slice(-32));
  });

  test("with dry_run says what would become of it, and changes nothing", async () => {
    expect(await made("one?dry_run=true", PUSH)).toMatchObject({ outcome: "created", address: null });
    expect((await api("/v1/rules/one")).status).toBe(404);
  });

  test.each<[string, Record<string, string>, number]>([
    ["its version", { "if-match": '"1"' }, 200],
    ["another version", { "if-match": '"7"' }, 412],
    ["whichever version", { "if-match": "*" }, 200],
    ["none to be there", { "if-none-match": "*" }, 412],
    ["nonsense", { "if-match": "1" }, 422],
  ])("on condition of %s", async (_, headers, status) => {
    await made("one", RULE);
    expect((await put("one", { ...RULE, deep: true }, { headers })).status).toBe(status);
  });

  test.each<[string, object, string[]]>([
    ["nothing", {}, ["source", "target"]],
    ["no pattern", { ...RULE, source: "team" }, ["source"]],
    ["a tag", { ...RULE, source: `${source}/team/app:1` }, ["source"]],
    ["a wildcard as tag", { ...RULE, source: `${source}/team/app:*` }, ["source"]],
    ["several into one", { ...RULE, target: `${target}/one` }, ["target"]],
    ["an unknown field", { ...RULE, sorce: "x" }, ["sorce"]],
    ["an expression that is none", { ...RULE, tags: { include: ["("] } }, ["tags.include.0"]],
    [
      "many things at once",
      { ...RULE, target: "x", priority: "high", schedule: { cron: 1 }, push: { sender: "nobody" } },
      ["priority", "push.sender", "schedule.cron"],
    ],
    [
      "more, once the shapes are right",
      { source: "x", target: "y", schedule: { cron: "x", time_zone: "z" } },
      ["source", "target", "schedule.cron", "schedule.time_zone"],
    ],
    [
      "a schedule over a pattern of hosts",
      { ...RULE, source: "*.example.com/team/**", schedule: { cron: "@daily" } },
      ["schedule"],
    ],
    ["a secret that there is not", { ...RULE, push: { secrets: ["nobody"] } }, ["push.secrets.0"]],
    [
      "tokens that anybody can have",
      { ...RULE, push: { token: { issuers: ["x", "accounts.google.com"], audience: "x", jwksUrl: GOOGLE_KEYS } } },
      ["push.token.claims"],
    ],
    [
      "tokens that anybody can have, and a claim that does not tell whose",
      { ...RULE, push: { token: { ...GOOGLE_TOKEN, claims: { email_verified: true, azp: "x" } } } },
      ["push.token.claims"],
    ],
    [
      "headers whose names no header can have",
      {
        ...RULE,
        push: {
          headers: [
            { name: "x y", secret: "a" },
            { name: "x-ä", secret: "a" },
            { name: "", secret: "a" },
          ],
        },
      },
      ["push.headers.0.name", "push.headers.1.name", "push.headers.2.name"],
    ],
    ["deliveries of a rule that there is not", { ...RULE, push: { with: "nobody" } }, ["push.with"]],
    [
      "deliveries of another, and how they are read",
      { ...RULE, push: { with: "other", sender: "ghcr" } },
      ["push.with"],
    ],
    [
      "keys in a private place",
      { ...RULE, push: { token: { issuers: ["x"], audience: "x", jwksUrl: "https://u@169.254.169.254/k" } } },
      ["push.token.jwksUrl"],
    ],
  ])("with %s is refused field by field", async (_, body, fields) => {
    const answer = await put("one", body);
    expect(answer.status, await answer.clone().text()).toBe(422);
    expect((await answer.json<ProblemBody>()).errors?.map(({ field }) => field)).toEqual(fields);
    expect((await api("/v1/rules/one")).status).toBe(404);
  });

  test.each([{ email: "pusher@acme.iam.gserviceaccount.com" }, { sub: "117" }])(
    "takes tokens that anybody can have from whom %j names",
    async (claims) => {
      await made("one", { ...RULE, push: { token: { ...GOOGLE_TOKEN, claims } } });
    },
  );

  test.each(["UPPER", "-x", "a b", "x".repeat(64)])("the name %j is none", async (name) => {
    const answer = await put(encodeURIComponent(name), RULE);
    expect(answer.status).toBe(422);
  });
});

describe("whose a rule is", () => {
  test("somebody else's does not exist for a key, but its name is taken", async () => {
    await made("one", RULE);
    const { key: token } = await keyWith(["copy", "rules"]);
    for (const [path, method] of [
      ["/v1/rules/one", "GET"],
      ["/v1/rules/one", "DELETE"],
      ["/v1/rules/one/run", "POST"],
      ["/v1/rules/one/runs", "GET"],
      ["/v1/rules/one/rotate", "POST"],
    ] as const) {
      expect([path, (await api(path, { method, token })).status]).toEqual([path, 404]);
    }
    expect((await put("one", RULE, { token })).status).toBe(409);
    await made("two", RULE, { token });
    const { rules } = await (await api("/v1/rules", { token })).json<{ rules: RuleAnswer[] }>();
    expect(rules.map(({ name }) => name)).toEqual(["two"]);
  });

  test.each<[string, object, string[], number, string[]]>([
    ["within its scopes", RULE, ["copy", "rules"], 201, []],
    ["beyond its sources", { ...RULE, source: `${source}/**` }, ["copy", "rules"], 403, ["source"]],
    ["beyond its targets", { ...RULE, target: `${target}/{repository}` }, ["copy", "rules"], 403, ["target"]],
    ["that copies, without the action", RULE, ["rules"], 403, [""]],
    ["with pushes, without the action", PUSH, ["copy", "rules"], 403, [""]],
    ["with pushes", PUSH, ["copy", "rules", "hooks"], 201, []],
    [
      "that prunes, without the action",
      { ...REPOSITORY, prune: {}, schedule: { cron: "@daily" } },
      ["copy", "rules"],
      403,
      [""],
    ],
  ])("a key writes a rule %s", async (_, body, actions, status, fields) => {
    const { key: token } = await keyWith(actions);
    const answer = await put("one", body, { token });
    expect(answer.status).toBe(status);
    expect(((await answer.json<ProblemBody>()).errors ?? []).map(({ field }) => field)).toEqual(fields);
  });
});

describe("deliveries", () => {
  const delivery = { image: `${source}/team/app:1` };

  test("start a copy of what was pushed, and say so; the run can be seen", async () => {
    const { address } = await made("one", PUSH);
    const answer = await deliver(address, { ...delivery, id: "1" });
    expect(answer.status).toBe(202);
    const body = await answer.json<{ outcome: string; started: { copy: string; source: string; target: string }[] }>();
    expect(body).toMatchObject({
      outcome: "started",
      started: [{ source: `${source}/team/app:1`, target: `${target}/mirror/team/app:1` }],
    });
    const copy = await (await api(`/v1/copies/${body.started[0]?.copy ?? ""}?wait=20`)).json<{ state: string }>();
    // There is no such image: the registries of these tests are empty.
    expect(copy.state).toBe("failed");
    const { runs } = await (await api("/v1/rules/one/runs")).json<{ runs: { copy: string; trigger: string }[] }>();
    expect(runs[0]).toMatchObject({ copy: body.started[0]?.copy, trigger: "push" });
  });

  test("that fit no rule start nothing, with the reason", async () => {
    const { address } = await made("one", { ...PUSH, tags: { include: ["v.*"] } });
    const answer = await deliver(address, delivery);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      outcome: "ignored",
      ignored: [{ what: `${source}/team/app:1`, reason: "rule one: the rule's tags leave it out" }],
    });
  });

  test("are taken by every rule that listens at the address; it cannot go while others listen", async () => {
    const { address } = await made("one", PUSH);
    expect(
      await made("two", { ...RULE, target: `${target}/second/{repository}`, push: { with: "one" } }),
    ).toMatchObject({
      hook: "one",
      address: null,
    });
    expect(await (await deliver(address, delivery)).json()).toMatchObject({ counts: { started: 2 } });
    expect((await api("/v1/rules/one", { method: "DELETE" })).status).toBe(409);
    expect((await put("one", RULE)).status).toBe(409);
    expect((await api("/v1/rules/two", { method: "DELETE" })).status).toBe(204);
    expect((await api("/v1/rules/one", { method: "DELETE" })).status).toBe(204);
    expect((await deliver(address, delivery)).status).toBe(404);
  });

  test("to another path, another name or a rule without address find nothing, all alike", async () => {
    const { address } = await made("one", PUSH);
    await made("two", RULE);
    const part = address?.slice(-32) ?? "";
    const answers = await Promise.all(
      [`one/${"x".repeat(32)}`, `two/${part}`, `three/${part}`, `ONE/${part}`].map((path) =>
        deliver(`https://drayage.example/v1/hooks/${path}`, delivery).then(async (answer) => [
          answer.status,
          await answer.text(),
        ]),
      ),
    );
    expect(answers[0]?.[0]).toBe(404);
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  });

  test("to the old address find nothing once there is another", async () => {
    const { address } = await made("one", PUSH);
    const rotated = await (await api("/v1/rules/one/rotate", { method: "POST" })).json<RuleAnswer>();
    expect((await deliver(address, delivery)).status).toBe(404);
    expect((await deliver(rotated.address, delivery)).status).toBe(202);
    await made("two", RULE);
    expect((await api("/v1/rules/two/rotate", { method: "POST" })).status).toBe(409);
  });

  test("may be large, and are asked for by OPTIONS", async () => {
    const { address } = await made("one", PUSH);
    const large = await deliver(address, { ...delivery, filler: "x".repeat(200_000) });
    expect([200, 202]).toContain(large.status);
    const headers = { "webhook-request-origin": "eventgrid.azure.net" };
    const asked = await exports.default.fetch(new Request(address ?? "", { method: "OPTIONS", headers }));
    expect([asked.status, asked.headers.get("webhook-allowed-origin")]).toEqual([200, "eventgrid.azure.net"]);
    expect((await exports.default.fetch(new Request(address ?? ""))).status).toBe(405);
  });

  test("of a rule that is switched off start nothing", async () => {
    const { address } = await made("one", { ...PUSH, enabled: false });
    const answer = await (await deliver(address, delivery)).json<{ ignored: { reason: string }[] }>();
    expect(answer.ignored[0]?.reason).toContain("switched off");
  });
});

describe("POST /v1/rules/{name}/run", () => {
  test.each<[string, object, object | undefined, number, string]>([
    ["its repository", REPOSITORY, undefined, 202, `${target}/mirror/app`],
    ["a repository of its pattern", RULE, { source: `${source}/team/app` }, 202, `${target}/mirror/team/app`],
    ["an image of its pattern", RULE, { source: `${source}/team/app:1` }, 202, `${target}/mirror/team/app:1`],
    ["all of its pattern", RULE, undefined, 202, `${target}/mirror/{repository}`],
    ["a pattern of hosts", { ...RULE, source: "*.example.com/team/**" }, undefined, 422, "source"],
    ["a pattern that its copies lie in", { ...RULE, target: `${source}/team/{repository}` }, undefined, 422, "target"],
    ["something else", RULE, { source: `${source}/other/app` }, 422, "source"],
    ["no reference", RULE, { source: "::" }, 422, "source"],
  ])("of %s", async (_, rule, body, status, expected) => {
    await made("one", rule);
    const answer = await api("/v1/rules/one/run", { method: "POST", ...(body === undefined ? {} : { body }) });
    expect(answer.status).toBe(status);
    const said = await answer.json<{ target?: { reference: string }; errors?: { field: string }[] }>();
    expect(said.target?.reference ?? said.errors?.[0]?.field).toBe(expected);
  });

  test("without a body, and with its type all the same; a body of another type is refused", async () => {
    await made("one", REPOSITORY);
    const headers = { "content-type": "application/json" };
    expect((await api("/v1/rules/one/run", { method: "POST", headers })).status).toBe(202);
    const other = { body: "{}", headers: { "content-type": "text/plain" } };
    expect((await api("/v1/rules/one/run", other)).status).toBe(415);
  });
});

test("rules and runs come in pages", async () => {
  await made("a", RULE);
  await made("b", { ...REPOSITORY, schedule: { cron: "30 3 * * *", time_zone: "Europe/Berlin" } });
  const first = await api("/v1/rules?limit=1");
  expect(first.headers.get("link")).toBe('</v1/rules?limit=1&cursor=a>; rel="next"');
  const second = await (await api("/v1/rules?limit=1&cursor=a")).json<{ rules: RuleAnswer[]; next: string | null }>();
  expect(second).toMatchObject({ rules: [{ name: "b" }], next: null });
  expect(second.rules[0]?.next?.at).toMatch(/T0[12]:30:00\.000Z$/);
  for (let run = 0; run < 2; run += 1) {
    await api("/v1/rules/a/run", { body: { source: `${source}/team/app:${run}` } });
  }
  const runs = await (await api("/v1/rules/a/runs?limit=1")).json<{ runs: object[]; next: string }>();
  expect(runs.runs).toHaveLength(1);
  const rest = await (await api(`/v1/rules/a/runs?limit=5&cursor=${runs.next}`)).json<{ runs: object[]; next: null }>();
  expect([rest.runs.length, rest.next]).toEqual([1, null]);
});

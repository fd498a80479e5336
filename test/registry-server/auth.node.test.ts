import { describe, expect, test } from "vitest";
import type { AuthOptions } from "./auth.ts";
import { errorCode, send } from "./client.ts";
import { startRegistry } from "./server.ts";

const USER = { name: "ann", password: "secret" };
const READER = { name: "bob", password: "word", may: [{ repository: /^open\//, actions: ["pull"] }] };
const basic = (name: string, password: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`,
});

async function field(response: Response, name: string): Promise<string> {
  return new RegExp(`"${name}":"?([^",}]+)`).exec(await response.text())?.[1] ?? "";
}

describe("Basic", () => {
  test("asks, lets in who is known, and no further than allowed", async () => {
    await using registry = await startRegistry({ auth: { type: "basic", users: [USER, READER] } });
    const asked = await send("GET", `${registry.url}/v2/`);
    expect([asked.status, asked.headers.get("www-authenticate")]).toEqual([401, 'Basic realm="test registry"']);
    expect((await send("GET", `${registry.url}/v2/`, basic("ann", "secret"))).status).toBe(200);
    expect((await send("GET", `${registry.url}/v2/`, basic("ann", "wrong"))).status).toBe(401);
    const uploads = `${registry.url}/v2/open/app/blobs/uploads/`;
    expect((await send("POST", uploads, basic("ann", "secret"))).status).toBe(202);
    const denied = await send("POST", uploads, basic("bob", "word"));
    expect([denied.status, await errorCode(denied)]).toEqual([403, "DENIED"]);
  });
});

describe("Bearer", () => {
  const read = "/v2/open/app/tags/list";
  test("a challenge names realm, service and scope; the token opens what was asked for", async () => {
    let nowMs = 1_000_000;
    const auth: AuthOptions = { type: "bearer", users: [USER], lifeSeconds: 60 };
    await using registry = await startRegistry({ auth, now: () => nowMs });
    const asked = await send("POST", `${registry.url}/v2/open/app/blobs/uploads/`);
    expect(asked.headers.get("www-authenticate")).toBe(
      `Bearer realm="${registry.url}/token",service="test-registry",scope="repository:open/app:pull,push"`,
    );
    const token = await field(
      await send("GET", `${registry.url}/token?scope=repository:open/app:pull`, basic("ann", "secret")),
      "token",
    );
    const bearer = { authorization: `Bearer ${token}` };
    expect((await send("GET", registry.url + read, bearer)).status).toBe(404);
    const beyond = await send("POST", `${registry.url}/v2/open/app/blobs/uploads/`, bearer);
    expect(beyond.headers.get("www-authenticate")).toContain('error="insufficient_scope"');
    nowMs += 60_000;
    const late = await send("GET", registry.url + read, bearer);
    expect([late.status, late.headers.get("www-authenticate")]).toEqual([
      401,
      expect.stringContaining('error="invalid_token"'),
    ]);
  });

  test("a mount needs reading at its source as well", async () => {
    await using registry = await startRegistry({ auth: { type: "bearer", users: [USER] } });
    const asked = await send("POST", `${registry.url}/v2/to/blobs/uploads/?mount=sha256:0&from=from`);
    expect(asked.headers.get("www-authenticate")).toContain('scope="repository:to:pull,push repository:from:pull"');
  });

  test("the token endpoint refuses wrong passwords, and grants less than asked with 200", async () => {
    const auth: AuthOptions = { type: "bearer", users: [USER, READER], anonymousPull: true };
    await using registry = await startRegistry({ auth });
    const url = `${registry.url}/token?scope=repository:open/app:pull,push`;
    expect((await send("GET", url, basic("ann", "wrong"))).status).toBe(401);
    for (const headers of [{}, basic("bob", "word")]) {
      const answer = await send("GET", url, headers);
      expect(answer.status).toBe(200);
      const bearer = { authorization: `Bearer ${await field(answer, "token")}` };
      expect((await send("GET", registry.url + read, bearer)).status).toBe(404);
      expect((await send("POST", `${registry.url}/v2/open/app/blobs/uploads/`, bearer)).status).toBe(401);
    }
  });

  test("OAuth2 by POST, with a refresh token", async () => {
    await using registry = await startRegistry({ auth: { type: "bearer", users: [USER] } });
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const scope = "scope=repository:a:pull";
    const password = `grant_type=password&username=ann&password=secret&access_type=offline&${scope}`;
    const refresh = await field(await send("POST", `${registry.url}/token`, form, password), "refresh_token");
    const body = `grant_type=refresh_token&refresh_token=${refresh}&${scope}`;
    const token = await field(await send("POST", `${registry.url}/token`, form, body), "access_token");
    const got = await send("GET", `${registry.url}/v2/a/tags/list`, { authorization: `Bearer ${token}` });
    expect(got.status).toBe(404);
    await using old = await startRegistry({ auth: { type: "bearer", users: [USER], methods: "get" } });
    expect((await send("POST", `${old.url}/token`, form, password)).status).toBe(405);
  });

  test("of credentials only the scheme is recorded", async () => {
    await using registry = await startRegistry({ auth: { type: "bearer", users: [USER] } });
    await send("GET", `${registry.url}/token`, basic("ann", "secret"));
    expect(registry.requests.map(({ headers }) => headers.authorization)).toEqual(["Basic"]);
  });
});

describe("limits", () => {
  test("a quota is told on every manifest answer and counts GETs", async () => {
    let nowMs = 0;
    const limits = { quota: { limit: 1, windowSeconds: 100 }, retryAfter: "7" };
    await using registry = await startRegistry({ limits, now: () => nowMs });
    const body = `{"mediaType":"x/y"}`;
    const url = `${registry.url}/v2/a/manifests/v1`;
    await send("PUT", url, { "content-type": "x/y" }, body);
    const head = await send("HEAD", url);
    expect(head.headers.get("ratelimit-remaining")).toBe("1;w=100");
    const got = await send("GET", url);
    expect([got.headers.get("ratelimit-limit"), got.headers.get("ratelimit-remaining")]).toEqual([
      "1;w=100",
      "0;w=100",
    ]);
    const over = await send("GET", url);
    expect([over.status, over.headers.get("retry-after"), await errorCode(over)]).toEqual([
      429,
      "7",
      "TOOMANYREQUESTS",
    ]);
    nowMs = 100_000;
    expect((await send("GET", url)).status).toBe(200);
  });

  test("requests per second are counted by the clock", async () => {
    let nowMs = 0;
    await using registry = await startRegistry({ limits: { perSecond: 2 }, now: () => nowMs });
    const status = async (): Promise<number> => (await send("GET", `${registry.url}/v2/a/tags/list`)).status;
    expect([await status(), await status(), await status()]).toEqual([404, 404, 429]);
    nowMs = 500;
    expect([await status(), await status()]).toEqual([404, 429]);
    expect(registry.limits.refused).toBe(2);
  });

  test("requests at once", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await using registry = await startRegistry({ limits: { concurrent: 1 } });
    registry.faults.add({ match: { path: /held/ }, action: { type: "hold", until: promise } });
    const held = send("GET", `${registry.url}/v2/held/tags/list`);
    await registry.recorder.when(({ path }) => path.includes("held"));
    expect((await send("GET", `${registry.url}/v2/a/tags/list`)).status).toBe(429);
    resolve();
    expect((await held).status).toBe(404);
    expect(registry.recorder.maxConcurrent).toBe(2);
  });
});

import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, test } from "vitest";
import { handleFetch } from "../../src/api/router.ts";
import type { Env } from "../../src/env.ts";
import { api, requestFor, type Ask } from "./client.worker.ts";

/** The same Worker with other settings. */
function apiWith(settings: Partial<Env>, path: string, ask: Ask = {}): Promise<Response> {
  return handleFetch(requestFor(path, ask), { ...env, ...settings }, createExecutionContext());
}

async function problemOf(answer: Response) {
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  return answer.json<{ type: string; status: number; detail: string; errors?: { field: string; message: string }[] }>();
}

describe("the door", () => {
  test.each([
    ["no token", null],
    ["a wrong token", "wrong"],
    ["the hash instead of the token", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],
  ])("%s: 401, on every address that is not open", async (_, token) => {
    for (const path of [
      "/v1/copies",
      "/v1/copies/cp_0",
      "/v1/copies/cp_0/events",
      "/v1/registries",
      "/v1/registries/docker.io",
    ]) {
      const answer = await api(path, { token });
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer /);
      expect((await problemOf(answer)).type).toBe("urn:drayage:problem:unauthorized");
    }
  });

  test("a body is not looked at without a token", async () => {
    expect((await api("/v1/copies", { token: null, body: "{" })).status).toBe(401);
  });

  test.each(["Bearer", "bearer", "BEARER "])("the scheme %j is read in any case", async (scheme) => {
    const answer = await api("/v1/copies", {
      token: null,
      headers: { authorization: `${scheme} ${inject("apiToken")}` },
    });
    expect(answer.status).toBe(200);
  });

  test.each(["Basic", "Token", ""])("the scheme %j is refused", async (scheme) => {
    const answer = await api("/v1/copies", {
      token: null,
      headers: { authorization: `${scheme} ${inject("apiToken")}` },
    });
    expect(answer.status).toBe(401);
  });

  test("each of several tokens opens it", async () => {
    const hashOfWrong = "sha256:8810ad581e59f2bc3928b261707a71308f7e139eb04820366dc4d5c18d980225";
    const TOKENS = [hashOfWrong, ...(Array.isArray(env.TOKENS) ? env.TOKENS : [])];
    expect((await apiWith({ TOKENS }, "/v1/copies")).status).toBe(200);
    expect((await apiWith({ TOKENS }, "/v1/copies", { token: "wrong" })).status).toBe(200);
    expect((await apiWith({ TOKENS }, "/v1/copies", { token: "other" })).status).toBe(401);
  });

  test("while no token is configured everything is refused, and how to set one is said", async () => {
    const answer = await apiWith({ TOKENS: [] }, "/v1/copies");
    expect(answer.status).toBe(503);
    expect((await problemOf(answer)).detail).toContain("drayage token");
  });

  test("wrong settings of hosts are told to those who have a token, field and fix", async () => {
    const settings = { HOSTS: { "ghcr.io": { req_concurent: 3 } } };
    const ask = { body: { source: "ghcr.io/a/b:1", target: "docker.io/c/d:1" } };
    const answer = await apiWith(settings, "/v1/copies", ask);
    expect(answer.status).toBe(500);
    expect((await problemOf(answer)).detail).toBe(
      'HOSTS."ghcr.io".req_concurent: unknown field; did you mean req_concurrent?',
    );
    expect((await apiWith(settings, "/v1/copies", { ...ask, token: null })).status).toBe(401);
  });

  test.each(["/healthz", "/openapi.json", "/v1/openapi.json"])("%s is open", async (path) => {
    const answer = await apiWith({ TOKENS: [] }, path, { token: null });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/json");
  });
});

describe("addresses and methods", () => {
  test.each([
    "/",
    "/v1",
    "/v1/nothing",
    "/v2/",
    "/v1/copies/a/b/c",
    "/v1/registries/%zz",
    "/v1/registries/a%2Fb",
    "/v1/registries/ghcr.io.",
    "/v1/registries/a_b",
    "/v1/registries/-",
    `/v1/registries/${"a".repeat(64)}.${"b.".repeat(100)}io`,
    `/v1/registries/${"a".repeat(2000)}/repositories`,
  ])("%s: 404", async (path) => {
    const answer = await api(path);
    expect(answer.status).toBe(404);
    expect((await problemOf(answer)).status).toBe(404);
  });

  test.each(["/v1/copies/%ff", "/v1/copies/%zz"])("%s: 404, and what is wrong with it", async (path) => {
    const answer = await api(path);
    expect([answer.status, (await problemOf(answer)).detail]).toEqual([404, expect.stringContaining("UTF-8")]);
  });

  test.each([
    ["PUT", "/v1/copies", "GET, HEAD, POST"],
    ["PATCH", "/v1/copies/cp_0", "DELETE, GET, HEAD"],
    ["POST", "/healthz", "GET, HEAD"],
    ["DELETE", "/v1/registries/docker.io", "GET, HEAD"],
    ["POST", "/v1/registries", "GET, HEAD"],
    ["GET", "/v1/registries/docker.io/learned", "DELETE"],
  ])("%s %s: 405 with Allow: %s", async (method, path, allow) => {
    const answer = await api(path, { method });
    expect(answer.status).toBe(405);
    expect(answer.headers.get("allow")).toBe(allow);
    expect((await problemOf(answer)).detail).toContain(allow);
  });

  test.each([
    ["POST", "/v1/copies?dry_run=true", "dry_run"],
    ["DELETE", "/v1/copies/cp_0?wait=3", "wait"],
    ["GET", "/v1/registries?limit=5", "limit"],
    ["GET", "/v1/copies?wait=3", "wait"],
    ["POST", "/v1/keys?name=x&name=y", "name"],
    ["GET", "/v1/registries?__proto__=x", "__proto__"],
  ])("%s %s: a parameter that there is not is refused, and nothing is done", async (method, path, field) => {
    const body = { source: "ghcr.io/a/b:1", target: "docker.io/c/d:1" };
    const answer = await api(path, { method, ...(method === "POST" ? { body } : {}) });
    expect(answer.status).toBe(422);
    expect((await problemOf(answer)).errors).toEqual([
      { field, message: expect.stringMatching(/^unknown query parameter; (there are |there is none here$)/) },
    ]);
  });

  test("HEAD answers as GET does, without a body", async () => {
    const answer = await api("/v1/copies", { method: "HEAD" });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe("");
  });

  test("no answer may be kept or taken for something else", async () => {
    for (const path of ["/v1/copies", "/healthz", "/nothing"]) {
      const { headers } = await api(path);
      expect([headers.get("cache-control"), headers.get("x-content-type-options")]).toEqual(["no-store", "nosniff"]);
    }
  });
});

describe("what nobody expected", () => {
  const failing = (error: Error): Partial<Env> => ({
    INDEX: new Proxy(env.INDEX, {
      get: () => () => {
        throw error;
      },
    }),
  });

  test("500 without a word of it", async () => {
    const answer = await apiWith(failing(new Error("secret at line 3")), "/v1/copies");
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("secret");
  });

  test("an object that is being moved or is overloaded: 503, try again", async () => {
    const answer = await apiWith(failing(Object.assign(new Error("moved"), { retryable: true })), "/v1/copies");
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("1");
  });
});

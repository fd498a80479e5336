/** The list of a registry's repositories through the API, with a stand-in for the registry's object. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { handleFetch } from "../../src/api/router.ts";
import type { Env } from "../../src/env.ts";
import type { CatalogPage } from "../../src/registry/catalog.ts";
import { CopyError } from "../../src/registry/errors.ts";
import { api, requestFor } from "./client.worker.ts";

const PATH = "/v1/registries/source.example/repositories";

const PAGES: Readonly<Record<string, CatalogPage>> = {
  "": { repositories: ["other/app", "secret/app"], next: "?last=secret%2Fapp&n=2" },
  "?last=secret%2Fapp&n=2": { repositories: ["team/api", "team/UPPER"], next: "?last=team%2FUPPER&n=2" },
  "?last=team%2FUPPER&n=2": { repositories: ["team/deep/web"], next: null },
};

type List = (cursor: string | null) => Promise<CatalogPage>;

const pages: List = async (cursor) => {
  const page = PAGES[cursor ?? ""];
  if (page === undefined) {
    throw new Error("no such page");
  }
  return page;
};

/** Asks while every registry answers like this. */
async function ask(
  path: string,
  { list = pages, token, settings = {} }: { list?: List; token?: string; settings?: Partial<Env> } = {},
) {
  const asked: (string | null)[] = [];
  const listRepositories: List = async (cursor) => {
    asked.push(cursor);
    return list(cursor);
  };
  const standIn = { ...env, ...settings };
  Reflect.set(standIn, "REGISTRIES", { getByName: () => ({ listRepositories }) });
  const request = requestFor(path, token === undefined ? {} : { token });
  const answer = await handleFetch(request, standIn, createExecutionContext());
  return { answer, asked };
}

async function keyFor(...sources: string[]): Promise<string> {
  const scopes = { sources, targets: ["target.example/**"], actions: ["copy"] };
  const answer = await api("/v1/keys", { body: { name: "test", scopes } });
  return (await answer.json<{ key: string }>()).key;
}

describe("a registry's repositories", () => {
  test("come in the registry's pages, without names that none can have", async () => {
    const first = await ask(PATH);
    expect(await first.answer.json()).toEqual({
      repositories: ["other/app", "secret/app"],
      next: "?last=secret%2Fapp&n=2",
    });
    const link = first.answer.headers.get("link") ?? "";
    const [, next = ""] = /^<(.*)>; rel="next"$/.exec(link) ?? [];
    const second = await ask(next);
    expect(await second.answer.json()).toMatchObject({ repositories: ["team/api"] });
    const last = await ask(`${PATH}?cursor=${encodeURIComponent("?last=team%2FUPPER&n=2")}`);
    expect(await last.answer.json()).toEqual({ repositories: ["team/deep/web"], next: null });
    expect(last.answer.headers.get("link")).toBeNull();
  });

  test.each([
    ["**", ["other/app", "secret/app"]],
    ["source.example/**", ["other/app", "secret/app"]],
  ])("are all there for a key whose sources are %s", async (pattern, repositories) => {
    const { answer } = await ask(PATH, { token: await keyFor(pattern) });
    expect(await answer.json()).toMatchObject({ repositories });
  });

  test.each([
    ["source.example/team/**", ["team/api", "team/deep/web"]],
    ["source.example/team/api", ["team/api"]],
    ["source.example/nothing/**", []],
  ])("are for a key whose sources are %s those alone, and no page tells of others", async (pattern, repositories) => {
    const { answer, asked } = await ask(PATH, { token: await keyFor("elsewhere.example/**", pattern) });
    const text = await answer.text();
    expect(JSON.parse(text)).toEqual({ repositories, next: null });
    expect(text + [...answer.headers].join()).not.toContain("secret");
    expect(asked).toHaveLength(3);
  });

  test.each([
    ["a host outside of the sources", "target.example", "source.example/**"],
    ["a host of which only tags are among the sources", "source.example", "source.example/team/api:v1"],
    ["no host", "a_b%20c", "**"],
  ])("of %s do not exist, and nothing is asked", async (_name, host, pattern) => {
    const { answer, asked } = await ask(`/v1/registries/${host}/repositories`, { token: await keyFor(pattern) });
    expect(answer.status).toBe(404);
    expect(asked).toEqual([]);
  });

  test("that the registry does not list: 502 in its words", async () => {
    const refuses: List = async () => {
      const message = "docker.io does not list its repositories for us. Name the repositories one by one.";
      throw new CopyError({ code: "unsupported", side: "source", host: "", operation: "", retryable: false, message });
    };
    const { answer } = await ask(PATH, { list: refuses });
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ detail: expect.stringContaining("Name the repositories one by one") });
  });

  test("of a host that the service may not reach are not asked for", async () => {
    const { answer, asked } = await ask(PATH, { settings: { ALLOWED_REGISTRIES: ["ghcr.io"] } });
    expect(answer.status).toBe(422);
    expect(await answer.text()).toContain("ALLOWED_REGISTRIES");
    expect(asked).toEqual([]);
  });

  test.each(["last=x", "?a b", `?${"x".repeat(3_000)}`, "x"])("has no page %s", async (cursor) => {
    const { answer, asked } = await ask(`${PATH}?cursor=${encodeURIComponent(cursor)}`);
    expect(answer.status).toBe(422);
    expect(asked).toEqual([]);
  });
});

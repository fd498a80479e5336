import { describe, expect, it } from "vitest";
import { remembered } from "../../../src/registry/cloud/remembered.ts";
import { TokenSource } from "../../../src/registry/token.ts";
import { settingsFor } from "../settings.ts";
import { clientOf, json, NotingGate, refusal, serve } from "../support.ts";

const MINUTE_MS = 60_000;

function numbered(lifeMs: number) {
  const clock = { ms: 1_000_000 };
  const asked: number[] = [];
  let failing = false;
  const ask = remembered(
    async () => {
      asked.push(clock.ms);
      await Promise.resolve();
      if (failing) {
        throw new Error("refused");
      }
      const password = `password-${asked.length}`;
      return { kind: "basic", username: "AWS", password, expiresAtMs: clock.ms + lifeMs };
    },
    () => clock.ms,
  );
  return { clock, asked, ask, fail: (does: boolean) => void (failing = does) };
}

describe("what a cloud gave", () => {
  it("is asked for once, however many want it, and kept until shortly before its end", async () => {
    const { clock, asked, ask } = numbered(12 * 60 * MINUTE_MS);
    const all = await Promise.all(Array.from({ length: 20 }, () => ask()));
    expect(new Set(all)).toHaveLength(1);
    clock.ms += 12 * 60 * MINUTE_MS - 5 * MINUTE_MS - 1;
    expect(await ask()).toBe(all[0]);
    clock.ms += 1;
    expect(await ask()).toMatchObject({ password: "password-2" });
    expect(asked).toHaveLength(2);
  });

  it("of a short life is used for most of it", async () => {
    const { clock, ask } = numbered(MINUTE_MS);
    const first = await ask();
    clock.ms += 53_000;
    expect(await ask()).toBe(first);
    clock.ms += 1_000;
    expect(await ask()).not.toBe(first);
  });

  it("is replaced once when it was refused, however many were refused with it", async () => {
    const { clock, asked, ask } = numbered(60 * MINUTE_MS);
    const first = await ask();
    clock.ms += MINUTE_MS;
    const others = await Promise.all(Array.from({ length: 5 }, () => ask(first)));
    expect(others.every(({ kind }) => kind === "basic") && new Set(others).size).toBe(1);
    expect(others[0]).not.toBe(first);
    expect(await ask(first)).toBe(others[0]);
    expect(asked).toHaveLength(2);
  });

  it("is not asked for anew when it was refused at once: there is nothing better", async () => {
    const { asked, ask } = numbered(60 * MINUTE_MS);
    const first = await ask();
    expect(await ask(first)).toBe(first);
    expect(asked).toHaveLength(1);
  });

  it("is asked for again after a failure", async () => {
    const { asked, ask, fail } = numbered(60 * MINUTE_MS);
    fail(true);
    await expect(Promise.all([ask(), ask()])).rejects.toThrow("refused");
    fail(false);
    expect(await ask()).toMatchObject({ password: "password-2" });
    expect(asked).toHaveLength(2);
  });
});

describe("a registry that refuses in mid-life what a cloud gave", () => {
  const basicOf = (password: string): string => `Basic ${btoa(`AWS:${password}`)}`;

  it("is shown a new password, once, and the request goes on", async () => {
    const { clock, asked, ask } = numbered(60 * MINUTE_MS);
    let good = "password-1";
    await using registry = await serve((seen, response) => {
      if (seen.headers.authorization === basicOf(good)) {
        json(response, 200, { tags: ["v1"] });
      } else {
        json(response, 401, {}, { "www-authenticate": 'Basic realm="ecr"' });
      }
    });
    const settings = settingsFor(registry.host);
    const tokens = new TokenSource({
      settings,
      side: "target",
      credentials: (_host, _repository, refused) => ask(refused),
      fetch,
      now: () => clock.ms,
      log: () => {},
      refusalOf: () => null,
    });
    const bench = clientOf(registry.host, { now: () => clock.ms, client: { gate: new NotingGate(tokens) } });
    const tags = () => bench.registry.listTags("app");
    expect((await tags())?.tags).toEqual(["v1"]);
    expect(registry.seen).toHaveLength(2);

    clock.ms += 10 * MINUTE_MS;
    good = "password-2";
    expect((await tags())?.tags).toEqual(["v1"]);
    expect(registry.seen).toHaveLength(4);
    expect(asked).toHaveLength(2);

    // Refused for good: asked once more, and then it is an error.
    clock.ms += 10 * MINUTE_MS;
    good = "none";
    expect(await refusal(tags())).toMatchObject({ code: "unauthorized", status: 401 });
    expect(asked).toHaveLength(3);
    expect(registry.seen).toHaveLength(6);
  });

  it("at its token endpoint is shown a new one there", async () => {
    const { clock, asked, ask } = numbered(60 * MINUTE_MS);
    let good = "password-1";
    await using endpoint = await serve((seen, response) => {
      const isGood = seen.headers.authorization === basicOf(good);
      json(response, isGood ? 200 : 401, isGood ? { token: `token-of-${good}`, expires_in: 60 } : {});
    });
    const source = new TokenSource({
      settings: settingsFor("127.0.0.1:5000"),
      side: "target",
      credentials: (_host, _repository, refused) => ask(refused),
      fetch,
      now: () => clock.ms,
      log: () => {},
      refusalOf: () => null,
    });
    const request = { scopes: ["repository:a:pull"], challenge: `Bearer realm="http://${endpoint.host}/token"` };
    expect((await source.authorize(request))?.header).toBe("Bearer token-of-password-1");
    clock.ms += 10 * MINUTE_MS;
    good = "password-2";
    expect((await source.authorize(request))?.header).toBe("Bearer token-of-password-2");
    clock.ms += 10 * MINUTE_MS;
    good = "none";
    expect(await refusal(source.authorize(request))).toMatchObject({ code: "unauthorized", status: 401 });
    expect(asked).toHaveLength(3);
  });

  it("tells how long a password may be used", async () => {
    const { clock, ask } = numbered(60 * MINUTE_MS);
    const source = new TokenSource({
      settings: settingsFor("127.0.0.1:5000", { pathPrefix: "mirrors/hub" }),
      side: "target",
      credentials: (_host, repository) => (repository === "library/alpine" ? ask() : null),
      fetch,
      now: () => clock.ms,
      log: () => {},
      refusalOf: () => null,
    });
    // The path prefix of the settings is the wire's; credentials are kept by the name that references have.
    const request = { scopes: ["repository:mirrors/hub/library/alpine:pull"], challenge: "Basic" };
    expect(await source.authorize(request)).toEqual({
      header: basicOf("password-1"),
      expiresAtMs: clock.ms + 60 * MINUTE_MS - 10_000,
    });
  });
});

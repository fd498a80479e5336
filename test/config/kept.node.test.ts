import { expect, test, vi } from "vitest";
import { clientReach, hostSettings, reachRefusal, settingsOf, type SettingsEnv } from "../../src/config.ts";
import { once, onceFor, onceNamed } from "../../src/config/kept.ts";

test("settings of environments that take turns are read once each", () => {
  let reads = 0;
  const environment = (): SettingsEnv => ({
    HOSTS: {
      get "ghcr.io"() {
        reads += 1;
        return { req_concurrent: 3 };
      },
    },
  });
  const both = [environment(), environment()];
  for (const env of [...both, ...both, ...both]) {
    expect(hostSettings(env, "ghcr.io").reqConcurrent).toBe(3);
    expect(clientReach(env, "ghcr.io")(new URL("https://ghcr.io/v2/"))).toBeNull();
  }
  expect(reads).toBe(2);
});

test("a setting that is replaced is read anew", () => {
  const env: SettingsEnv = { HOSTS: { "ghcr.io": {} } };
  const url = new URL("https://registry.example.com:5000/v2/");
  expect(reachRefusal(env, url)).toContain("which no host settings name");
  env.HOSTS = { "registry.example.com:5000": {} };
  expect(reachRefusal(env, url)).toBeNull();
  env.HOSTS = JSON.stringify({ "ghcr.io": {} });
  expect(reachRefusal(env, url)).toContain("which no host settings name");
  env.LOCAL = "true";
  expect(reachRefusal(env, url)).toBeNull();
});

test("wrong settings are complained of each time", () => {
  const env = { HOSTS: { "ghcr.io": 3 } };
  for (const ask of [settingsOf, () => hostSettings(env, "a.io"), () => reachRefusal(env, "a.io")]) {
    expect(() => ask(env)).toThrow("HOSTS");
    expect(() => ask(env)).toThrow("HOSTS");
  }
});

test("texts and objects are read once, another one anew", () => {
  const read = vi.fn<(given: unknown) => string>((given) => JSON.stringify(given));
  const kept = once(read);
  const [one, other] = [{ a: 1 }, { a: 1 }];
  expect([one, other, one, "x", one, "x", undefined, undefined].map(kept)).toEqual(
    [one, other, one, "x", one, "x", undefined, undefined].map((given) => JSON.stringify(given)),
  );
  expect(read.mock.calls).toEqual([[one], [other], ["x"], [undefined]]);
});

test("what depends on several settings is made anew when one of them is another", () => {
  const make = vi.fn<(env: { a: unknown; b: unknown }) => object>((env) => ({ ...env }));
  const kept = onceFor((env: { a: unknown; b: unknown }) => [env.a, env.b], make);
  const env = { a: "1", b: {} };
  expect(kept(env)).toBe(kept(env));
  env.b = {};
  expect(kept(env)).toBe(kept(env));
  expect(make).toHaveBeenCalledTimes(2);
});

test("names are forgotten before they become many", () => {
  const make = vi.fn<(name: string) => object>((name) => ({ name }));
  const kept = onceNamed(make, 2);
  const first = kept("a");
  kept("b");
  expect(kept("a")).toBe(first);
  kept("c");
  expect(kept("a")).toEqual(first);
  expect(make).toHaveBeenCalledTimes(4);
});

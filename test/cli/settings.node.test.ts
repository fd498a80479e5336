import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { hostSettings, issuerSettings, logLevel, queueSettings, reachRefusal } from "../../src/config.ts";
import { workerVars } from "../../src/cli/embed/embed.ts";
import { UsageError, exitStatusOf } from "../../src/cli/failure.ts";
import {
  defaultConfigFile,
  defaultStateFolder,
  readCertificates,
  readSettings,
  withPlainHttp,
} from "../../src/cli/settings.ts";

const folder = mkdtempSync(join(tmpdir(), "drayage-settings-"));
const onLine = (): void => undefined;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(content: string): string {
  const path = join(folder, "file");
  writeFileSync(path, content);
  return path;
}

describe("the configuration file", () => {
  test("gives the Worker its host settings untouched", () => {
    const path = file('[hosts."a.example"]\ntls = "disabled"\nanything = 3\n');
    expect(readSettings(path, {}).hosts).toEqual({ "a.example": { tls: "disabled", anything: 3 } });
  });

  test.each([
    ["said", 'queue_policy = "fifo"\nmax_wait_seconds = 30\n', { QUEUE_POLICY: "fifo", MAX_WAIT_SECONDS: "30" }],
    [
      "wrong, which the Worker tells",
      "queue_policy = 1\nmax_wait_seconds = true\n",
      { QUEUE_POLICY: "1", MAX_WAIT_SECONDS: "true" },
    ],
    ["not said", "", {}],
  ])("gives the Worker the queue's settings when they are %s", (_name, content, vars) => {
    const settings = readSettings(file(content), {});
    expect(workerVars({ settings, tokenHashes: ["sha256:0"], onLine })).toEqual({
      HOSTS: "{}",
      TOKENS: '["sha256:0"]',
      LOCAL: "true",
      ...vars,
    });
  });

  test("and whether anybody reads the log is said to the Worker", () => {
    const given = { settings: readSettings(file(""), {}), tokenHashes: [] };
    expect(logLevel(workerVars({ ...given, onLine }))).toBe("info");
    expect(logLevel(workerVars({ ...given, onLine: null }))).toBe("error");
  });

  test("may give a host a reserve of its quota, which reaches the Worker", () => {
    const settings = readSettings(file('max_wait_seconds = 5\n[hosts."a.example"]\nquota_reserve = 20\n'), {});
    const vars = workerVars({ settings: withPlainHttp(settings, ["b.example"]), tokenHashes: [], onLine });
    expect(hostSettings(vars, "a.example").quotaReserve).toBe(20);
    expect(hostSettings(vars, "b.example").tls).toBe("disabled");
    expect(queueSettings(vars)).toEqual({ policy: "drayage", maxWaitMs: 5_000 });
  });

  test("may say which registries may be used, which reaches the Worker", () => {
    const toml = 'allowed_registries = ["ghcr.io", "*.example.com"]\n';
    const vars = workerVars({ settings: readSettings(file(toml), {}), tokenHashes: [], onLine });
    expect(reachRefusal(vars, "registry.example.com")).toBeNull();
    expect(reachRefusal(vars, "quay.io")).toBe("is not among the registries of ALLOWED_REGISTRIES");
  });

  test("may say whose tokens serve believes, which reaches the Worker", () => {
    const toml = `[[oidc]]\nissuer = "https://gitlab.com"\naudience = "drayage"\n[[oidc.rules]]
      claims = { project_path = "acme/app" }\nscopes = { sources = ["ghcr.io/acme/**"], actions = ["read"] }`;
    const vars = workerVars({ settings: readSettings(file(toml), {}), tokenHashes: [], onLine });
    expect(issuerSettings(vars)).toMatchObject([{ issuer: "https://gitlab.com", rules: [{ name: "1" }] }]);
  });

  test("may be missing where nobody named it, and not where somebody did", () => {
    expect(readSettings(undefined, { XDG_CONFIG_HOME: join(folder, "none") })).toEqual({ hosts: {} });
    expect(() => readSettings(join(folder, "none"), {})).toThrow(/none cannot be read \(ENOENT\)/);
  });

  test.each([
    ["wrong syntax, with its line", 'a = 1\n[hosts."x"\ntls = 1\n', /line 2/],
    ["another table", "[registries]\n", /unknown setting "registries"/],
    ["hosts that are no table", "hosts = 1\n", /"hosts" must be a table/],
  ])("is refused for %s", (_name, content, words) => {
    const path = file(content);
    expect(() => readSettings(path, {})).toThrow(UsageError);
    expect(() => readSettings(path, {})).toThrow(words);
  });

  test("and the state lie where XDG says", () => {
    expect(defaultConfigFile({ XDG_CONFIG_HOME: "/c" })).toBe("/c/drayage/config.toml");
    expect(defaultConfigFile({}, "/home/u")).toBe("/home/u/.config/drayage/config.toml");
    expect(defaultStateFolder({ XDG_STATE_HOME: "/s" })).toBe("/s/drayage");
    expect(defaultStateFolder({}, "/home/u")).toBe("/home/u/.local/state/drayage");
  });
});

describe("--plain-http", () => {
  test("joins what the file says of the host", () => {
    const hosts = { "a.example:5000": { req_concurrent: 3, tls: "enabled" } };
    expect(withPlainHttp({ hosts }, ["a.example:5000", "b.example"]).hosts).toEqual({
      "a.example:5000": { req_concurrent: 3, tls: "disabled" },
      "b.example": { tls: "disabled" },
    });
  });

  test.each(["http://a.example", "a.example/app", "a b", ""])("refuses %j, which is no host", (name) => {
    expect(() => withPlainHttp({ hosts: {} }, [name])).toThrow(UsageError);
  });
});

describe("--ca", () => {
  test("takes every certificate of a file, and refuses a file without any", () => {
    const one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    expect(readCertificates(file(`# mine\n${one}\n\n${one}\n`))).toEqual([one, one]);
    expect(readCertificates(undefined)).toEqual([]);
    const key = file("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    expect(() => readCertificates(key)).toThrow(/holds no certificate/);
  });
});

test.each([
  [401, 2],
  [404, 2],
  [422, 2],
  [429, 1],
  [500, 1],
  [503, 1],
  [0, 1],
])("a service that answers %i ends the command with %i", (status, expected) => {
  expect(exitStatusOf({ type: "about:blank", title: "", detail: "", status })).toBe(expected);
});

test("a service that does not take the settings is wrong use", () => {
  const problem = { type: "urn:drayage:problem:configuration", title: "", detail: "", status: 500 };
  expect(exitStatusOf(problem)).toBe(2);
});

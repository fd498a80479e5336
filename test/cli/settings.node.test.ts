import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { UsageError, exitStatusOf } from "../../src/cli/failure.ts";
import {
  defaultConfigFile,
  defaultStateFolder,
  readCertificates,
  readHosts,
  withPlainHttp,
} from "../../src/cli/settings.ts";

const folder = mkdtempSync(join(tmpdir(), "drayage-settings-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(content: string): string {
  const path = join(folder, "file");
  writeFileSync(path, content);
  return path;
}

describe("the configuration file", () => {
  test("gives the Worker its host settings untouched", () => {
    const path = file('[hosts."a.example"]\ntls = "disabled"\nanything = 3\n');
    expect(readHosts(path, {})).toEqual({ "a.example": { tls: "disabled", anything: 3 } });
  });

  test("may be missing where nobody named it, and not where somebody did", () => {
    expect(readHosts(undefined, { XDG_CONFIG_HOME: join(folder, "none") })).toEqual({});
    expect(() => readHosts(join(folder, "none"), {})).toThrow(/none cannot be read \(ENOENT\)/);
  });

  test.each([
    ["wrong syntax, with its line", 'a = 1\n[hosts."x"\ntls = 1\n', /line 2/],
    ["another table", "[registries]\n", /unknown setting "registries"/],
    ["hosts that are no table", "hosts = 1\n", /"hosts" must be a table/],
  ])("is refused for %s", (_name, content, words) => {
    const path = file(content);
    expect(() => readHosts(path, {})).toThrow(UsageError);
    expect(() => readHosts(path, {})).toThrow(words);
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
    expect(withPlainHttp(hosts, ["a.example:5000", "b.example"])).toEqual({
      "a.example:5000": { req_concurrent: 3, tls: "disabled" },
      "b.example": { tls: "disabled" },
    });
  });

  test.each(["http://a.example", "a.example/app", "a b", ""])("refuses %j, which is no host", (name) => {
    expect(() => withPlainHttp({}, [name])).toThrow(UsageError);
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

import { describe, expect, it } from "vitest";
import { parseDockerConfig } from "../../src/registry/credentials.ts";
import { CopyError } from "../../src/registry/errors.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const basic = (username: string, password: string) => ({ kind: "basic", username, password });

function lookup(auths: unknown, host: string, repository: string | null = null): unknown {
  return parseDockerConfig(JSON.stringify({ auths }))(host, repository);
}

describe("docker's config.json", () => {
  it.each<[string, unknown, unknown]>([
    ["auth in base64", { auth: base64("me:pa:ss") }, basic("me", "pa:ss")],
    ["auth with letters beyond ASCII", { auth: base64("mé:påss") }, basic("mé", "påss")],
    ["auth padded with zero bytes", { auth: base64("me:pass\0\0") }, basic("me", "pass")],
    ["username and password", { username: "me", password: "pass" }, basic("me", "pass")],
    ["identity token", { auth: base64("me:"), identitytoken: "r1" }, { kind: "identity", token: "r1", username: "me" }],
    ["identity token alone", { identitytoken: "r1" }, { kind: "identity", token: "r1", username: "<token>" }],
    ["registry token", { auth: base64("me:x"), registrytoken: "t1" }, { kind: "bearer", token: "t1" }],
    ["an entry a helper keeps", {}, null],
  ])("reads %s", (_name, entry, expected) => {
    expect(lookup({ "ghcr.io": entry }, "ghcr.io")).toEqual(expected);
  });

  it.each([
    ["https://index.docker.io/v1/", "docker.io"],
    ["index.docker.io", "docker.io"],
    ["registry-1.docker.io", "docker.io"],
    ["https://GHCR.io", "ghcr.io"],
    ["http://localhost:5000/", "localhost:5000"],
    ["https://reg.example/v2/", "reg.example"],
    ["https://reg.example:443", "reg.example"],
    ["reg.example", "reg.example:443"],
  ])("finds the key %s for the host %s", (key, host) => {
    expect(lookup({ [key]: { auth: base64("a:b") } }, host, "x/y")).toEqual(basic("a", "b"));
  });

  it("prefers the key that says most about the repository, part by part", () => {
    const auths = {
      "quay.io": { auth: base64("host:x") },
      "quay.io/team": { auth: base64("team:x") },
      "quay.io/team/app": { auth: base64("app:x") },
    };
    expect(lookup(auths, "quay.io", "team/app/sub")).toEqual(basic("app", "x"));
    expect(lookup(auths, "quay.io", "team/other")).toEqual(basic("team", "x"));
    expect(lookup(auths, "quay.io", "teamwork/app")).toEqual(basic("host", "x"));
    expect(lookup(auths, "quay.io")).toEqual(basic("host", "x"));
    expect(lookup(auths, "ghcr.io", "team/app")).toBeNull();
    expect(lookup(auths, "quay.io:8443", "team/app")).toBeNull();
  });

  it.each<[string, string, string]>([
    ["not JSON", '{"auths": {"ghcr.io": {"auth": "hunter2', "the document is not valid JSON"],
    ["not an object", '["hunter2"]', "the document must be an object"],
    ["auths of the wrong type", '{"auths": "hunter2"}', "auths must be an object"],
    ["an entry of the wrong type", '{"auths": {"ghcr.io": "hunter2"}}', 'auths["ghcr.io"] must be an object'],
    [
      "a password of the wrong type",
      '{"auths": {"a.io": {"username": "hunter2", "password": 5}}}',
      'auths["a.io"].password must be',
    ],
    ["auth that is not base64", '{"auths": {"a.io": {"auth": "hunter2!"}}}', 'auths["a.io"].auth must be base64'],
    [
      "auth without a colon",
      `{"auths": {"a.io": {"auth": "${base64("hunter2")}"}}}`,
      'auths["a.io"].auth must be base64',
    ],
  ])("refuses %s by the name of the field, without its content", (_name, text, problem) => {
    let error: unknown;
    try {
      parseDockerConfig(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(CopyError);
    const message = error instanceof CopyError ? error.detail.message : "";
    expect(error instanceof CopyError ? error.detail.code : "").toBe("configuration");
    expect(message).toContain(problem);
    expect(message).not.toContain("hunter2");
    expect(message).not.toContain(base64("hunter2"));
  });
});

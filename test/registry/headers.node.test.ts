/** What is read from single headers and bodies of answers. */
import { describe, expect, it } from "vitest";
import { quotaOf } from "../../src/registry/answer.ts";
import { bareMediaType, isForeign, isIndex, isManifest, isSchema1 } from "../../src/registry/media-types.ts";
import { parseRetryAfter } from "../../src/registry/retry-after.ts";
import { coversScopes, mergeScopes } from "../../src/registry/scopes.ts";
import { warningTexts } from "../../src/registry/warnings.ts";
import { redact, wordsOf } from "../../src/registry/words.ts";
import { USER_AGENT } from "../../src/registry/user-agent.ts";
import manifest from "../../package.json" with { type: "json" };

const NOW_MS = Date.parse("2026-03-01T12:00:00Z");

describe("Retry-After", () => {
  it.each<[string | null, number | null]>([
    ["120", 120_000],
    ["0", 0],
    [" 1.5 ", 1500],
    ["Sun, 01 Mar 2026 12:00:30 GMT", 30_000],
    ["Sun, 01 Mar 2026 11:00:00 GMT", 0],
    ["Sunday, 01-Mar-26 12:01:00 GMT", 60_000],
    ["Sat, 13 Sep 275760 00:00:00 GMT", 999_999_999_000],
    ["-5", null],
    ["soon", null],
    ["2026", 2_026_000],
    ["", null],
    [null, null],
  ])("of %j is %s ms", (header, expected) => {
    expect(parseRetryAfter(header, NOW_MS)).toBe(expected);
  });
});

describe("RateLimit", () => {
  it("is read with its window", () => {
    const headers = new Headers({ "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600" });
    expect(quotaOf(headers)).toEqual({ limit: 100, remaining: 76, windowSeconds: 21_600 });
  });

  it("is nothing when half of it is missing", () => {
    expect(quotaOf(new Headers({ "ratelimit-limit": "100;w=21600" }))).toBeNull();
    expect(quotaOf(new Headers({ "ratelimit-limit": "unlimited", "ratelimit-remaining": "1" }))).toBeNull();
  });
});

describe("Warning", () => {
  it.each<[string | null, string[]]>([
    ['299 - "This tag is old, use another"', ["This tag is old, use another"]],
    ['299 - "one", 299 - "two \\"quoted\\""', ["one", 'two "quoted"']],
    ['110 - "Response is Stale"', []],
    ['299 proxy "not the registry"', []],
    ['299 - ""', []],
    [null, []],
  ])("%j says %j", (header, expected) => {
    expect(warningTexts(header)).toEqual(expected);
  });
});

describe("the words of an error", () => {
  it.each<[string, string, { code: string; text: string }]>([
    ["the spec's list", '{"errors":[{"code":"denied","message":"no access"}]}', { code: "DENIED", text: "no access" }],
    [
      "several, with detail",
      '{"errors":[{"code":"A","message":"one","detail":"more"},{"code":"B"}]}',
      { code: "A", text: "one (more); B" },
    ],
    [
      "a token endpoint's",
      '{"details":"incorrect username or password"}',
      { code: "", text: "incorrect username or password" },
    ],
    ["plain text", "toomanyrequests:\n slow down ", { code: "", text: "toomanyrequests: slow down" }],
    ["a page for browsers", "<html><h1>502</h1></html>", { code: "", text: "" }],
    ["broken JSON", '{"errors":', { code: "", text: '{"errors":' }],
    ["nothing", "", { code: "", text: "" }],
  ])("are read from %s", (_name, body, expected) => {
    expect(wordsOf(body)).toEqual(expected);
  });

  it("are short and without secrets", () => {
    expect(wordsOf("x".repeat(5000)).text.length).toBeLessThan(500);
    expect(redact("k=a%2Bb%2F%20c&k=a%2Bb%2F+c", ["a+b/ c"])).toBe("k=[secret]&k=[secret]");
    expect(wordsOf(`${"x".repeat(390)} ${"hunter2".repeat(9)}`, ["hunter2".repeat(9)]).text).not.toContain("hunter");
    expect(wordsOf('{"message":"hunter2\\n is wrong"}', ["hunter2\n"]).text).toBe("[secret] is wrong");
    expect(wordsOf("no https://s3.example/b?X-Amz-Signature=abc here, nor /v2/a/blobs/uploads/1?_state=abc").text).toBe(
      "no https://s3.example/b?… here, nor /v2/a/blobs/uploads/1?…",
    );
    expect(redact("user me, password hunter2 (hunter2)", ["hunter2", ""])).toBe(
      "user me, password [secret] ([secret])",
    );
  });
});

describe("scopes", () => {
  it("of one repository become one, whatever their order", () => {
    expect(mergeScopes(["repository:b:push", "repository:a:pull"], ["repository:b:pull,push"])).toEqual([
      "repository:a:pull",
      "repository:b:pull,push",
    ]);
  });

  it("cover what is part of them", () => {
    const granted = mergeScopes(["repository:a:pull,push", "repository:b:pull"]);
    expect(coversScopes(granted, ["repository:a:pull"])).toBe(true);
    expect(coversScopes(granted, ["repository:b:pull,push"])).toBe(false);
    expect(coversScopes(granted, ["repository:c:pull"])).toBe(false);
  });
});

describe("media types", () => {
  it("lose their parameters, and count for nothing when they say nothing", () => {
    expect(bareMediaType("application/vnd.OCI.image.index.v1+json; charset=utf-8")).toBe(
      "application/vnd.oci.image.index.v1+json",
    );
    expect(bareMediaType("application/json")).toBe("");
    expect(bareMediaType(null)).toBe("");
  });

  it("tell indexes, manifests, schema 1 and foreign layers apart", () => {
    expect(isIndex("application/vnd.docker.distribution.manifest.list.v2+json")).toBe(true);
    expect(isManifest("application/vnd.oci.image.manifest.v1+json")).toBe(true);
    expect(isManifest("application/vnd.oci.image.index.v1+json")).toBe(false);
    expect(isSchema1("application/vnd.docker.distribution.manifest.v1+prettyjws")).toBe(true);
    expect(isForeign("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")).toBe(true);
    expect(isForeign("application/vnd.oci.image.layer.v1.tar+gzip")).toBe(false);
  });
});

describe("the user agent", () => {
  it("names the package's version", () => {
    expect(USER_AGENT).toBe(`drayage/${manifest.version}`);
  });
});

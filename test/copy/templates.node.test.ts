import { describe, expect, it } from "vitest";
import {
  dependsOnTag,
  describeTemplateFault,
  fillTemplate,
  mayBeFrom,
  TEMPLATE_NAMES,
} from "../../src/copy/templates.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
const VALUES = {
  host: "127.0.0.1:5001",
  repository: "library/nginx",
  tag: "1.27.3",
  digest: DIGEST,
  platform: "linux/arm64/v8",
  now: Date.UTC(2026, 0, 2, 3, 4, 5),
};

describe("what a template gives", () => {
  it.each([
    ["tag", "{tag}", "1.27.3"],
    ["tag", "v{tag}-{date}", "v1.27.3-2026-01-02"],
    ["tag", "{tag}_{time}", "1.27.3_030405"],
    ["tag", "{digest}", DIGEST.replace(":", "-")],
    ["tag", "{name}-{tag}-{short}", "nginx-1.27.3-0123456789ab"],
    ["tag", "{tag}-{platform}", "1.27.3-linux-arm64-v8"],
    ["tag", "stable", "stable"],
    ["repository", "mirror/{repository}", "mirror/library/nginx"],
    ["repository", "{host}/{name}", "127.0.0.1-5001/nginx"],
  ] as const)("a %s: %s", (kind, template, expected) => {
    expect(describeTemplateFault(template, kind)).toBeNull();
    expect(fillTemplate(template, kind, VALUES, "targetTag")).toBe(expected);
  });
});

describe("templates that are refused before they are filled in", () => {
  it.each([
    ["tag", "", /is empty/],
    ["tag", "{tga}", /\{tga\}, which is not known; there are \{tag\}, \{repository\}/],
    ["tag", "{constructor}", /not known/],
    ["tag", "{{tag}}", /brace without its other/],
    ["tag", "{tag", /brace without its other/],
    ["tag", "{}", /\{\}, which is not known/],
    ["tag", "a/{tag}", /a tag cannot have in "a\/"/],
    ["repository", "Mirror/{name}", /a repository cannot have/],
    ["tag", "x".repeat(513), /at most 512/],
  ] as const)("a %s: %s", (kind, template, reason) => {
    expect(describeTemplateFault(template, kind)).toMatch(reason);
    expect(() => fillTemplate(template, kind, VALUES, "targetTag")).toThrow(reason);
  });

  it("names every name there is", () => {
    const fault = describeTemplateFault("{x}", "tag") ?? "";
    expect(TEMPLATE_NAMES.filter((name) => !fault.includes(`{${name}}`))).toEqual([]);
  });
});

describe("templates whose result is of no use", () => {
  it.each([
    ["tag", "{tag}-{digest}", { ...VALUES, tag: "x".repeat(80) }, /has 152 characters; at most 128/],
    ["tag", "-{tag}", VALUES, /not beginning with/],
    ["tag", "{repository}", VALUES, /"library\/nginx" is not valid/],
    ["repository", "a//{name}", VALUES, /a slash too many/],
    ["repository", "{name}-{tag}", { ...VALUES, tag: "V1" }, /upper case/],
    ["tag", "{tag}", { host: "a.b", repository: "c", now: 0 }, /there is none here/],
    ["tag", "{platform}", { host: "a.b", repository: "c", now: 0 }, /not a single platform/],
  ] as const)("a %s: %s", (kind, template, values, reason) => {
    expect(() => fillTemplate(template, kind, values, "targetTag")).toThrow(reason);
  });

  it("are the request's fault, and the error names the field", () => {
    try {
      fillTemplate("-{tag}", "tag", VALUES, "existing.tag");
      expect.unreachable();
    } catch (thrown) {
      expect(errorDetailOf(thrown)).toMatchObject({ code: "invalid_request", side: "request", retryable: false });
      expect(errorDetailOf(thrown).message).toMatch(/^existing\.tag "-\{tag\}" gives "-1\.27\.3": /);
    }
  });
});

describe("whether tags stay apart", () => {
  it.each([
    ["v{tag}", true],
    ["{digest}", true],
    ["{name}-{short}", true],
    ["{name}-{date}", false],
    ["stable", false],
  ])("%s: %s", (template, expected) => {
    expect(dependsOnTag(template)).toBe(expected);
  });
});

describe("whether a tag may be from a template", () => {
  it.each([
    ["{tag}-{date}", "v1-2026-01-31", true],
    ["{tag}-{date}", "v1-2026-1-31", false],
    ["{tag}-{date}-{time}", "v1.2-rc.1-2026-01-31-153000", true],
    ["{tag}-{date}-{time}", "v1.2-2026-01-31", false],
    ["old.{tag}", "old.v1", true],
    ["old.{tag}", "old-v1", false],
    ["{tag}-{short}", "v1-0123456789ab", true],
    ["{tag}-{short}", "v1-0123456789", false],
    ["{name}-{tag}", "nginx-v1", true],
    ["{name}-{tag}", "httpd-v1", false],
    ["stable-old", "stable-old", true],
    ["stable-old", "stable", false],
  ])("%s, %s: %s", (template, tag, expected) => {
    expect(mayBeFrom(template, { host: "r.example", repository: "library/nginx" })(tag)).toBe(expected);
  });

  it("is so for whatever it gives", () => {
    for (const template of ["{tag}-{date}", "{host}-{name}-{tag}-{time}", "x.{tag}_{digest}", "{tag}{short}"]) {
      const tag = fillTemplate(template, "tag", VALUES, "backup_tag");
      expect(mayBeFrom(template, VALUES)(tag), template).toBe(true);
    }
  });
});

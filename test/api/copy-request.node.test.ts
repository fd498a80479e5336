import { describe, expect, test } from "vitest";
import { CopyRequestSchema } from "../../src/api/copy-request-schema.ts";
import { copyRequestOf, fingerprintOf } from "../../src/api/copy-request.ts";
import { Problem } from "../../src/api/problem.ts";

const NOW_MS = Date.parse("2026-11-24T12:00:00Z");
const DAY_MS = 86_400_000;
const NAMES = { source: "ghcr.io/acme/app", target: "registry.example.com/mirror/app" };

function read(body: object) {
  return copyRequestOf(CopyRequestSchema.parse(body), {}, NOW_MS);
}

function errorsOf(body: object): Record<string, string> {
  try {
    read(body);
  } catch (error) {
    if (error instanceof Problem) {
      return Object.fromEntries((error.errors ?? []).map(({ field, message }) => [field, message]));
    }
    throw error;
  }
  return {};
}

describe("source and target", () => {
  test.each([
    ["a tag", "alpine:3", "r.example.com/a:3", { tag: "3" }, { tag: "3" }],
    ["a target without a tag, which is latest", "alpine:3", "r.example.com/a", { tag: "3" }, { tag: "latest" }],
    ["a repository", "alpine", "r.example.com/a", {}, {}],
  ])("%s", (_name, source, target, atSource, atTarget) => {
    const copy = read({ source, target });
    expect(copy.source).toEqual({ host: "docker.io", repository: "library/alpine", ...atSource });
    expect(copy.target).toEqual({ host: "r.example.com", repository: "a", ...atTarget });
  });

  test.each([
    ["a repository onto a tag", { ...NAMES, target: `${NAMES.target}:v1` }, { target: "ghcr.io/acme/app:latest" }],
    ["a repository onto itself", { ...NAMES, target: NAMES.source }, { target: "it is the source itself" }],
    [
      "choices among tags, where there is one",
      { ...NAMES, source: "ghcr.io/acme/app:v1", tags: {}, target_tag: "x{tag}", fail_fast: true, prune: {} },
      Object.fromEntries(["tags", "target_tag", "fail_fast", "prune"].map((field) => [field, "repository as source"])),
    ],
  ])("%s is refused", (_name, body, expected) => {
    const errors = errorsOf(body);
    expect(Object.keys(errors).toSorted()).toEqual(Object.keys(expected).toSorted());
    for (const [field, words] of Object.entries(expected)) {
      expect(errors[field]).toContain(words);
    }
  });

  test("a repository may be copied onto itself under other names", () => {
    expect(errorsOf({ ...NAMES, target: NAMES.source, target_tag: "old-{tag}" })).toEqual({});
  });
});

describe("choices", () => {
  test("all of them, as the planner has them", () => {
    const tags = {
      include: "v.*",
      exclude: [".*-rc", ".*-beta"],
      semver: ">=1.2",
      latest: 5,
      newer_than: "30d",
      immutable: "v1.*",
    };
    const rest = { deep: true, include_foreign: true, dry_run: true, fail_fast: true, priority: "background" };
    const copy = read({
      ...NAMES,
      ...rest,
      tags,
      target_tag: "mirror-{tag}",
      existing: "backup",
      backup_tag: "{tag}-{date}",
      prune: { max: 3, dry_run: false },
    });
    expect(copy).toMatchObject({
      tags: {
        include: ["v.*"],
        exclude: [".*-rc", ".*-beta"],
        semver: ">=1.2",
        latest: { count: 5, by: "semver" },
        newerThanMs: NOW_MS - 30 * DAY_MS,
        immutable: ["v1.*"],
      },
      targetTag: "mirror-{tag}",
      existing: { kind: "backup", tag: "{tag}-{date}" },
      prune: { maxTags: 3, dryRun: false },
      deep: true,
      includeForeign: true,
      dryRun: true,
      failFast: true,
      background: true,
    });
  });

  test("false and missing are the same copy, and pruning is dry and small by itself", () => {
    const plain = read(NAMES);
    expect(read({ ...NAMES, deep: false, dry_run: false, fail_fast: false, digest_tags: false })).toEqual(plain);
    expect(read({ ...NAMES, prune: {} }).prune).toEqual({ maxTags: 10, dryRun: true });
  });

  test("the backup of a single image may have a name without its tag in it", () => {
    const names = { source: "ghcr.io/acme/app:v1", target: "registry.example.com/app:v1" };
    expect(read({ ...names, existing: "backup", backup_tag: "old" }).existing).toEqual({ kind: "backup", tag: "old" });
  });

  test.each<[string, object, Record<string, string>]>([
    ["an expression", { tags: { include: ["v1", "("] } }, { "tags.include.1": "not a valid regular expression" }],
    ["a range", { tags: { semver: "newest" } }, { "tags.semver": "not a range" }],
    ["a moment", { tags: { newer_than: "lately" } }, { "tags.newer_than": "30d" }],
    ["an order without a number", { tags: { latest_by: "creation" } }, { "tags.latest_by": "needs latest" }],
    ["an unknown place", { target_tag: "{tga}" }, { target_tag: "{tga}" }],
    ["one name for all", { target_tag: "same" }, { target_tag: "have {tag} in it" }],
    ["a backup without a name", { existing: "backup" }, { backup_tag: "is missing" }],
    [
      "a backup with the name of what is overwritten",
      { source: "ghcr.io/acme/app", target: "registry.example.com/app", existing: "backup", backup_tag: "{tag}" },
      { backup_tag: "the tag that is to be overwritten" },
    ],
    ["a backup's name without a backup", { backup_tag: "{tag}-old" }, { backup_tag: 'needs "existing": "backup"' }],
    [
      "one name for all backups",
      { source: "ghcr.io/acme/app", target: "registry.example.com/app", existing: "backup", backup_tag: "old" },
      { backup_tag: "have {tag} in it" },
    ],
    ["pruning without knowing the names", { prune: {}, target_tag: "{digest}" }, { prune: "digest" }],
    ["a platform", { platforms: ["linux/amd64", "amd64"] }, { "platforms.1": "os/architecture" }],
    ["an index without platforms", { index: "rewrite" }, { index: "needs platforms" }],
    ["one image of two", { platforms: ["linux/amd64", "linux/arm64"], index: "single" }, { index: "one platform" }],
    ["a platform in the name", { target_tag: "{tag}-{platform}" }, { target_tag: "exactly one" }],
  ])("%s: named with the fix", (_name, choices, expected) => {
    const errors = errorsOf({ ...NAMES, ...choices });
    expect(Object.keys(errors).toSorted()).toEqual(Object.keys(expected).toSorted());
    for (const [field, words] of Object.entries(expected)) {
      expect(errors[field]).toContain(words);
    }
  });
});

describe("media types", () => {
  const INDEX = "application/vnd.oci.image.index.v1+json";

  test("are of a repository or of one image, in lower case", () => {
    expect(read({ ...NAMES, media_types: [INDEX.toUpperCase(), "a/b"] }).mediaTypes).toEqual([INDEX, "a/b"]);
    const names = { source: "ghcr.io/acme/app:v1", target: "registry.example.com/app:v1" };
    expect(read({ ...names, media_types: [INDEX] }).mediaTypes).toEqual([INDEX]);
    expect(read(NAMES)).not.toHaveProperty("mediaTypes");
  });

  test.each<[string, unknown, string]>([
    ["one alone", INDEX, "must be a list of media types"],
    ["none", [], "must name a media type"],
    ["a number", [7], "must be text"],
    ["a subtype alone", ["index.v1+json"], "must be a media type without parameters"],
    ["parameters", [`${INDEX}; charset=utf-8`], "must be a media type without parameters"],
    ["a wildcard", ["application/*"], "must be a media type without parameters"],
    ["far too many", Array.from({ length: 33 }, (_, at) => `a/b${at}`), "at most 32"],
  ])("%s is refused", (_name, types, words) => {
    const result = CopyRequestSchema.safeParse({ ...NAMES, media_types: types });
    expect(result.error?.issues.map(({ message }) => message)).toEqual([expect.stringContaining(words)]);
  });
});

test("a duration has one fingerprint at all times, and every choice counts", async () => {
  const body = CopyRequestSchema.parse({ ...NAMES, tags: { newer_than: "1d" } });
  const first = await fingerprintOf(copyRequestOf(body, {}, NOW_MS), body);
  expect(await fingerprintOf(copyRequestOf(body, {}, NOW_MS + 5), body)).toBe(first);
  for (const other of [{ newer_than: "2d" }, { newer_than: "1d", latest: 1 }, {}]) {
    const changed = CopyRequestSchema.parse({ ...NAMES, tags: other });
    expect(await fingerprintOf(copyRequestOf(changed, {}, NOW_MS), changed)).not.toBe(first);
  }
});

test.each([
  { existing: "overwrite" },
  { tags: {} },
  { priority: "interactive" },
  { deep: false, dry_run: false, fail_fast: false, include_foreign: false, digest_tags: false },
  { referrers: false },
])("a default has the same fingerprint said and left out: %j", async (said) => {
  expect(await fingerprintOf(read({ ...NAMES, ...said }))).toBe(await fingerprintOf(read(NAMES)));
});

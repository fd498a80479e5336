import { describe, expect, test } from "vitest";
import { formatReference, parseName } from "../../src/registry/reference.ts";
import type { RulePlan } from "../../src/sync/contract.ts";
import { type Expanded, imageCopy, onlySource, repositoryCopy } from "../../src/sync/expand.ts";

const NOW_MS = Date.parse("2026-11-24T12:00:00Z");
const DIGEST = `sha256:${"a".repeat(64)}`;

function planOf(more: Partial<RulePlan> = {}): RulePlan {
  return {
    source: "ghcr.io/acme/**",
    target: { host: "registry.example.com", repository: "mirror/{repository}" },
    choices: {},
    newerThan: null,
    priority: "normal",
    schedule: null,
    ...more,
  };
}

function shown(made: Expanded): string {
  return "ignored" in made
    ? `ignored: ${made.ignored}`
    : `${formatReference(made.request.source)} → ${formatReference(made.request.target)}`;
}

const within = (source: string, repository: string) => ({
  source,
  target: { host: "registry.example.com", repository },
});

test.each<[string, Partial<RulePlan>, string, string]>([
  ["a tag", {}, "ghcr.io/acme/app:1", "ghcr.io/acme/app:1 → registry.example.com/mirror/acme/app:1"],
  [
    "by {name}",
    within("ghcr.io/acme/**", "{name}"),
    "ghcr.io/acme/a/b:1",
    "ghcr.io/acme/a/b:1 → registry.example.com/b:1",
  ],
  [
    "of Docker Hub",
    within("docker.io/library/alpine", "{repository}"),
    "alpine:3",
    "docker.io/library/alpine:3 → registry.example.com/library/alpine:3",
  ],
  [
    "a digest alone",
    {},
    `ghcr.io/acme/app@${DIGEST}`,
    `ghcr.io/acme/app@${DIGEST} → registry.example.com/mirror/acme/app@${DIGEST}`,
  ],
  [
    "tag and digest: the tag is looked up",
    {},
    `ghcr.io/acme/app:1@${DIGEST}`,
    "ghcr.io/acme/app:1 → registry.example.com/mirror/acme/app:1",
  ],
  [
    "under another name",
    { choices: { targetTag: "from-{tag}-{date}" } },
    "ghcr.io/acme/app:1",
    "ghcr.io/acme/app:1 → registry.example.com/mirror/acme/app:from-1-2026-11-24",
  ],
  [
    "chosen by expression",
    { choices: { tags: { include: ["v.*"] } } },
    "ghcr.io/acme/app:v1",
    "ghcr.io/acme/app:v1 → registry.example.com/mirror/acme/app:v1",
  ],
  ["of another host", {}, "quay.io/acme/app:1", "ignored: it is not among the rule's source ghcr.io/acme/**"],
  [
    "of a repository that only begins alike",
    {},
    "ghcr.io/acmex/app:1",
    "ignored: it is not among the rule's source ghcr.io/acme/**",
  ],
  [
    "not chosen by expression",
    { choices: { tags: { include: ["v.*"] } } },
    "ghcr.io/acme/app:1",
    "ignored: the rule's tags leave it out",
  ],
  [
    "excluded",
    { choices: { tags: { exclude: [".*-rc"] } } },
    "ghcr.io/acme/app:1-rc",
    "ignored: the rule's tags leave it out",
  ],
  [
    "out of range",
    { choices: { tags: { semver: ">=2" } } },
    "ghcr.io/acme/app:1.0.0",
    "ignored: the rule's tags leave it out",
  ],
  [
    "a digest where tags are chosen",
    { choices: { tags: { semver: ">=2" } } },
    `ghcr.io/acme/app@${DIGEST}`,
    "ignored: it has no tag, and the rule chooses by tag",
  ],
  [
    "onto itself",
    { source: "ghcr.io/acme/**", target: { host: "ghcr.io", repository: "{repository}" } },
    "ghcr.io/acme/app:1",
    "ignored: it would be copied onto itself",
  ],
])("an image that was pushed: %s", (_, plan, source, expected) => {
  expect(shown(imageCopy(planOf(plan), parseName(source), NOW_MS))).toBe(expected);
});

test("a name at the target that no registry can have is a reason, not an accident", () => {
  const made = imageCopy(planOf(), parseName(`ghcr.io/acme/${"a".repeat(230)}:1`), NOW_MS);
  expect(shown(made)).toMatch(/^ignored: .*255/);
});

describe("what else a rule asks for", () => {
  const choices = {
    tags: { include: [".*"] },
    existing: { kind: "skip" as const },
    background: true,
    prune: { maxTags: 1, dryRun: false },
    failFast: true,
  };

  test("is asked for with each image, but for what compares tags", () => {
    expect(imageCopy(planOf({ choices }), parseName("ghcr.io/acme/app:1"), NOW_MS)).toEqual({
      request: {
        source: parseName("ghcr.io/acme/app:1"),
        target: parseName("registry.example.com/mirror/acme/app:1"),
        existing: { kind: "skip" },
        background: true,
      },
    });
  });

  test("is all asked for with a repository, and durations count from the moment", () => {
    const plan = planOf({ choices, newerThan: "1d" });
    expect(repositoryCopy(plan, parseName("ghcr.io/acme/app"), NOW_MS)).toEqual({
      request: {
        source: parseName("ghcr.io/acme/app"),
        target: parseName("registry.example.com/mirror/acme/app"),
        ...choices,
        tags: { include: [".*"], newerThanMs: NOW_MS - 86_400_000 },
      },
    });
  });
});

test("the one platform that a rule takes can be in the tag of what was pushed", () => {
  const choices = { targetTag: "{tag}-{platform}", platforms: { wanted: ["linux/arm64"], index: "single" as const } };
  const made = imageCopy(planOf({ choices }), parseName("ghcr.io/acme/app:1"), NOW_MS);
  expect(shown(made)).toContain("mirror/acme/app:1-linux-arm64");
});

test("a signature that is pushed keeps its name where the rule takes what is named after a digest, and has another for others", () => {
  const pushed = parseName(`ghcr.io/acme/app:sha256-${"a".repeat(64)}.sig`);
  const tagOf = (choices: RulePlan["choices"]) => {
    const made = imageCopy(planOf({ choices: { targetTag: "from-{tag}", ...choices } }), pushed, NOW_MS);
    return "request" in made ? made.request.target.tag : made;
  };
  expect(tagOf({ attached: { digestTags: true } })).toBe(pushed.tag);
  expect(tagOf({})).toBe(`from-${pushed.tag}`);
});

test("a copy of a repository of a pattern takes all tags without a warning; of one that is named it warns", () => {
  const tagsOf = (plan: RulePlan) => {
    const made = repositoryCopy(plan, parseName("ghcr.io/acme/app"), NOW_MS);
    return "request" in made ? made.request.tags : made;
  };
  expect(tagsOf(planOf())).toEqual({});
  expect(tagsOf(planOf({ choices: { tags: { include: ["v.*"] } } }))).toEqual({ include: ["v.*"] });
  expect(tagsOf(planOf({ newerThan: "1d" }))).toEqual({ newerThanMs: NOW_MS - 86_400_000 });
  expect(tagsOf(planOf({ source: "ghcr.io/acme/app" }))).toBeUndefined();
});

test.each([
  ["ghcr.io/acme/app", { host: "ghcr.io", repository: "acme/app" }],
  ["127.0.0.1:5000/app", { host: "127.0.0.1:5000", repository: "app" }],
  ["ghcr.io/acme/*", null],
  ["**", null],
])("%s is one repository or several", (source, expected) => {
  expect(onlySource({ source })).toEqual(expected);
});

import { expect, test } from "vitest";
import { formatPattern, inPattern } from "../../src/access/pattern.ts";
import type { RulePlan } from "../../src/sync/contract.ts";
import { describeRuleFaults } from "../../src/sync/rule-faults.ts";
import { fillTarget, readTarget, targetPattern } from "../../src/sync/target.ts";

const SCHEDULE = { cron: "0 3 * * *", timeZone: "UTC" };

function planOf(source: string, target: string, more: Partial<RulePlan> = {}): RulePlan {
  const read = readTarget(target);
  if ("fault" in read) {
    throw new Error(read.fault);
  }
  return { source, target: read, choices: {}, newerThan: null, priority: "normal", schedule: null, ...more };
}

test.each<[string, RulePlan, boolean, string[]]>([
  ["a mirror of many", planOf("ghcr.io/acme/**", "r.example/{repository}"), true, []],
  ["a repository at set times", planOf("ghcr.io/acme/app", "r.example/app", { schedule: SCHEDULE }), false, []],
  ["many into one", planOf("ghcr.io/acme/**", "r.example/app"), true, ["target"]],
  ["many at set times", planOf("ghcr.io/acme/*", "r.example/{name}", { schedule: SCHEDULE }), false, []],
  [
    "many of any host at set times",
    planOf("*.example/a/*", "r.test/{name}", { schedule: SCHEDULE }),
    false,
    ["schedule"],
  ],
  [
    "many at set times, which come to lie among them",
    planOf("r.example/**", "r.example/m/{repository}", { schedule: SCHEDULE }),
    false,
    ["target"],
  ],
  ["itself", planOf("r.example/app", "r.example/app"), false, ["target"]],
  ["itself, its port said", planOf("r.example/app", "r.example:443/app"), false, ["target"]],
  [
    "itself under other tags",
    planOf("r.example/app", "r.example/app", { choices: { targetTag: "x-{tag}" } }),
    false,
    [],
  ],
  [
    "itself under other tags, when pushed",
    planOf("r.example/app", "r.example/app", { choices: { targetTag: "x-{tag}" } }),
    true,
    ["target"],
  ],
  ["into its own source, when pushed", planOf("r.example/**", "r.example/mirror/{repository}"), true, ["target"]],
  ["beside its source", planOf("r.example/a/**", "r.example/b/{name}"), true, []],
  [
    "the newest, when pushed",
    planOf("a.example/app", "b.example/app", { choices: { tags: { latest: { count: 3, by: "semver" } } } }),
    true,
    ["tags.latest"],
  ],
  ["young ones, when pushed", planOf("a.example/app", "b.example/app", { newerThan: "3d" }), true, ["tags.newer_than"]],
  [
    "by digest, when pushed",
    planOf("a.example/app", "b.example/app", { choices: { targetTag: "{tag}-{short}" } }),
    true,
    ["target_tag"],
  ],
  [
    "pruned, when pushed",
    planOf("a.example/app", "b.example/app", { choices: { prune: { maxTags: 1, dryRun: true } } }),
    true,
    ["prune"],
  ],
  [
    "pruned at set times, and pushed",
    planOf("a.example/app", "b.example/app", { choices: { prune: { maxTags: 1, dryRun: true } }, schedule: SCHEDULE }),
    true,
    [],
  ],
])("a rule that copies %s", (_, plan, hasPush, fields) => {
  expect(describeRuleFaults(plan, hasPush, 0).map(({ field }) => field)).toEqual(fields);
});

test.each([
  ["registry.example.com/mirror/{repository}", "registry.example.com/mirror/**"],
  ["localhost:5000/{name}", "localhost:5000/*"],
  ["registry.example.com/x-{repository}", "registry.example.com/**"],
  ["registry.example.com/{repository}-x/app", "registry.example.com/**/app"],
  ["registry.example.com/{host}/{name}-{date}", "registry.example.com/*/*-*"],
  ["docker.io/app", "docker.io/library/app"],
])("the target %s lies within the pattern %s", (target, pattern) => {
  const template = planOf("ghcr.io/**", target).target;
  expect(formatPattern(targetPattern(template))).toBe(pattern);
  for (const repository of ["app", "acme/app", "a/b/c/app"]) {
    expect(inPattern(fillTarget(template, { host: "ghcr.io", repository }, 0), targetPattern(template))).toBe(true);
  }
});

test.each([
  ["", "empty"],
  ["mirror/{repository}", "registry host"],
  ["{host}/app", "registry host"],
  ["registry.example.com", "host"],
  ["registry.example.com/app:1", "target_tag"],
  ["registry.example.com/{tag}", "single image"],
  ["registry.example.com/{nothing}", "{nothing}"],
  ["registry.example.com/App", "upper case"],
  ["https://registry.example.com/app", "scheme"],
])("%j is no target", (text, words) => {
  const read = readTarget(text);
  expect("fault" in read ? read.fault : "no fault").toContain(words);
});

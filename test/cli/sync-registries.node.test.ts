/** Entries of files that mean the repositories that a registry lists: which copies they become once the list is there. */
import { describe, expect, test } from "vitest";
import type { PlannedCopy } from "../../src/cli/sync-file/contract.ts";
import { WrongFile } from "../../src/cli/sync-file/read.ts";
import { withRepositories } from "../../src/cli/sync-file/registry-copies.ts";
import { faults, read } from "./sync-reading.ts";

const LISTED = ["alpine", "team/api", "team/api-old", "team/deep/web", "other/app"];

const NOW_MS = Date.UTC(2026, 1, 3, 14, 5, 6);

/** A file's plan once every registry has answered with this list. */
function expanded(
  text: string,
  repositories: readonly string[] = LISTED,
  asAsked = (copy: PlannedCopy): PlannedCopy => copy,
) {
  const reading = read(text);
  const listings = reading.plan.registries.map((entry) => ({ entry, repositories }));
  return withRepositories(reading, listings, NOW_MS, asAsked).plan;
}

function names(text: string, repositories?: readonly string[]): string[] {
  return expanded(text, repositories).copies.map(({ body: { source, target } }) => `${source} ${target}`);
}

describe("regsync's type registry", () => {
  const entry = (keys = "", target = "b.example") =>
    `sync: [{source: "a.example:5000", target: "${target}", type: registry${keys === "" ? "" : `, ${keys}`}}]`;

  test("is a copy of every repository, under its own name", () => {
    expect(names(entry())).toEqual(LISTED.map((name) => `a.example:5000/${name} b.example/${name}`));
  });

  test.each([
    ["b.example/mirror", "b.example/mirror/team/api"],
    ["docker.io", "docker.io/team/api"],
    ["someone", "docker.io/someone/team/api"],
    ["docker.io/someone", "docker.io/someone/team/api"],
  ])("goes below %s: %s", (target, expected) => {
    expect(names(entry("", target), ["team/api"])).toEqual([`a.example:5000/team/api ${expected}`]);
  });

  test.each<[string, string, string[]]>([
    ["allowed, whole names", "repos: {allow: ['team/api', 'other/.*']}", ["team/api", "other/app"]],
    ["denied", "repos: {deny: ['team/.*']}", ["alpine", "other/app"]],
    ["allowed and not denied", "repos: {allow: ['team/.*'], deny: ['.*-old']}", ["team/api", "team/deep/web"]],
    [
      "alternatives, anchored as regsync does",
      "repos: {allow: ['team|web']}",
      ["team/api", "team/api-old", "team/deep/web"],
    ],
    ["empty lists, which say nothing", "repos: {allow: [], deny: []}", LISTED],
  ])("takes repositories: %s", (_name, keys, chosen) => {
    expect(names(entry(keys))).toEqual(chosen.map((name) => `a.example:5000/${name} b.example/${name}`));
  });

  test("has for each repository what an entry of type repository has", () => {
    const keys =
      "tags: {allow: [v.*]}, tagSets: [{deny: [x]}], mediaTypes: [a/index], digestTags: true, ratelimit: {min: 5}, " +
      "backup: '{{.Ref.Registry}}/{{.Ref.Repository}}:old-{{.Ref.Tag}}'";
    const { copies, local } = expanded(entry(keys, "b.example/m"), ["team/api"]);
    const choices = {
      source: "a.example:5000/team/api",
      target: "b.example/m/team/api",
      media_types: ["a/index"],
      digest_tags: true,
      existing: "backup",
      backup_tag: "old-{tag}",
      priority: "background",
    };
    expect(copies.map(({ body }) => body)).toEqual([
      { ...choices, tags: { include: ["v.*"] } },
      { ...choices, tags: { exclude: ["x"] } },
    ]);
    expect(copies.map(({ path }) => path)).toEqual([
      ["sync", 0],
      ["sync", 0],
    ]);
    expect(local.hosts).toEqual({ "a.example:5000": { quota_reserve: 5 } });
  });

  test("of which nothing is chosen is told", () => {
    const { copies, notes } = expanded(entry("repos: {allow: [nothing]}"));
    expect(copies).toEqual([]);
    expect(notes).toEqual([
      { path: ["sync", 0], message: "none of the 5 repositories that a.example:5000 lists is chosen" },
    ]);
  });

  test("that refuses its list is an entry that is not served, and the others are copied", () => {
    const reading = read(`
sync:
  - {source: docker.io, target: b.example, type: registry}
  - {source: a.example/x:1, target: b.example/x:1, type: image}`);
    const listings = reading.plan.registries.map((each) => ({ entry: each, refusal: "It has no list." }));
    const { copies, unserved } = withRepositories(reading, listings, NOW_MS, (copy) => copy).plan;
    expect(copies).toHaveLength(1);
    expect(unserved).toEqual([
      {
        source: "docker.io/{repository}",
        target: "b.example/{repository}",
        path: ["sync", 0],
        message: "It has no list",
      },
    ]);
  });

  test("has what the command's options say over the file's", () => {
    const plan = expanded(entry(), ["a", "b"], ({ body, ...rest }) => ({ ...rest, body: { ...body, dry_run: true } }));
    expect(plan.copies.map(({ body }) => body.dry_run)).toEqual([true, true]);
  });
});

describe("a pattern as source, in the project's own format", () => {
  const file = (copy: string, rest = "") => `version: 1\n${rest}copies: [{ ${copy} }]`;

  test.each<[string, string, string[]]>([
    ["a.example/team/**", "b.example/m/{repository}", ["team/api", "team/api-old", "team/deep/web"]],
    ["a.example/team/*", "b.example/m/{repository}", ["team/api", "team/api-old"]],
    ["a.example/**", "b.example/m/{repository}", LISTED],
  ])("%s goes to %s", (source, target, chosen) => {
    expect(names(file(`source: ${source}, target: "${target}"`))).toEqual(
      chosen.map((name) => `a.example/${name} b.example/m/${name}`),
    );
  });

  test("may have the last part of the name alone at the target", () => {
    expect(names(file('source: a.example/team/deep/*, target: "b.example/{host}/{name}"'))).toEqual([
      "a.example/team/deep/web b.example/a.example/web",
    ]);
  });

  test("has the choices and the defaults of a repository", () => {
    const text = file(
      'source: a.example/team/api, target: b.example/x }, { source: "a.example/o*/**", target: "b.example/{repository}", deep: true',
      "defaults: { tags: { latest: 3 }, fail_fast: true }\n",
    );
    expect(expanded(text).copies.at(-1)?.body).toEqual({
      source: "a.example/other/app",
      target: "b.example/other/app",
      tags: { latest: 3 },
      fail_fast: true,
      deep: true,
    });
  });

  test("with several targets asks for those of one repository together", () => {
    const { copies } = expanded(
      file('source: a.example/team/api*, targets: ["b.example/{repository}", "c.example/{name}"]'),
    );
    expect(copies.map(({ body, path }) => [body.target, path.at(-1)])).toEqual([
      ["b.example/team/api", 0],
      ["c.example/api", 1],
      ["b.example/team/api-old", 0],
      ["c.example/api-old", 1],
    ]);
    const lists = copies.map(({ alongside }) => alongside);
    expect(lists[0]).toEqual(["b.example/team/api", "c.example/api"]);
    expect(lists[1]).toBe(lists[0]);
    expect(lists[2]).not.toBe(lists[0]);
    expect(lists[3]).toBe(lists[2]);
  });

  test("tells of repositories that end up as one", () => {
    const { notes } = expanded(file('source: a.example/**, target: "b.example/{name}"'), ["x/app", "y/app"]);
    expect(notes.map(({ message }) => message)).toEqual([
      "a.example/y/app and a.example/x/app both go to b.example/app",
    ]);
  });

  test("that would remove what another copy brings is refused before anything is started", () => {
    const text = file(
      'source: a.example/team/*, target: "b.example/{name}", prune: { dry_run: false } }, { source: c.example/api, target: b.example/api',
    );
    expect(() => expanded(text)).toThrow(WrongFile);
    expect(names(text, ["team/web"])).toHaveLength(2);
  });

  test("leaves out a repository whose name would be too long, and says so", () => {
    const long = Array.from({ length: 11 }, () => "x".repeat(20)).join("/");
    const text = file('source: a.example/**, target: "b.example/with/a/long/beginning/{repository}"');
    const { copies, unserved } = expanded(text, [long, "app"]);
    expect(copies.map(({ body }) => body.source)).toEqual(["a.example/app"]);
    expect(unserved).toMatchObject([{ source: `a.example/${long}` }]);
  });

  test.each([
    [
      "no registry",
      'source: "**", target: "b.example/{repository}"',
      "copies[0].source: must begin with one registry host",
    ],
    ["a tag", 'source: "a.example/*:v1", target: "b.example/{repository}"', "copies[0].source: names a tag"],
    [
      "wildcards that are none",
      'source: a.example/a**, target: "b.example/{repository}"',
      'copies[0].source: has "**"',
    ],
    ["one name for all", "source: a.example/*, target: b.example/x", "copies[0].target: gives the repositories"],
    ["a target without a host", 'source: a.example/*, target: "{repository}"', "copies[0].target: "],
    [
      "one name for all at one of its targets",
      'source: a.example/*, targets: ["b.example/{repository}", b.example/x]',
      "copies[0].targets[1]: gives the repositories",
    ],
    [
      "a faulty choice",
      'source: a.example/*, target: "b.example/{repository}", tags: { include: "(" }',
      "copies[0].tags.include[0]: ",
    ],
  ])("with %s is refused", (_name, copy, words) => {
    expect(faults(file(copy))).toEqual([expect.stringContaining(words)]);
  });
});

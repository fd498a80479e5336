/** regsync's file: which requests it becomes, and what is said of the rest. */
import { describe, expect, test } from "vitest";
import { bodies, faults, read } from "./sync-reading.ts";

describe("regsync's file", () => {
  test.each<[string, string, unknown[]]>([
    [
      "an image, with latest where no tag is named",
      "{source: busybox, target: r.example/busybox, type: image}",
      [{ source: "docker.io/library/busybox:latest", target: "r.example/busybox:latest" }],
    ],
    [
      "a repository, whose tags may not be named",
      "{source: 'alpine:3', target: r.example/alpine, type: repository}",
      [{ source: "docker.io/library/alpine", target: "r.example/alpine" }],
    ],
    [
      "tags allowed and denied, numbers as they were written",
      "{source: alpine, target: r.example/alpine, type: repository, tags: {allow: [latest, 3, 3.10, '3\\.\\d+'], deny: [3.0]}}",
      [
        {
          source: "docker.io/library/alpine",
          target: "r.example/alpine",
          tags: { include: ["latest", "3", "3.10", "3\\.\\d+"], exclude: ["3.0"] },
        },
      ],
    ],
    [
      "ranges of versions, of which one is enough",
      "{source: alpine, target: r.example/alpine, type: repository, tags: {semverRange: ['>=3.2 <3.4', '^4']}}",
      [
        {
          source: "docker.io/library/alpine",
          target: "r.example/alpine",
          tags: { semver: ">=3.2.0 <3.4.0 || >=4.0.0 <5.0.0" },
        },
      ],
    ],
    [
      "sets of tags, a copy for each",
      "{source: alpine, target: r.example/alpine, type: repository, tagSets: [{allow: [a.*]}, {semverRange: ['>1'], deny: [b]}]}",
      [
        { source: "docker.io/library/alpine", target: "r.example/alpine", tags: { include: ["a.*"] } },
        { source: "docker.io/library/alpine", target: "r.example/alpine", tags: { semver: ">1.0.0", exclude: ["b"] } },
      ],
    ],
    [
      "a backup by tag",
      "{source: a.example/b:1, target: r.example/b:1, type: image, backup: 'backup-{{.Ref.Tag}}'}",
      [
        {
          source: "a.example/b:1",
          target: "r.example/b:1",
          existing: "backup",
          backup_tag: "backup-{tag}",
        },
      ],
    ],
    [
      "a backup by time, named as a whole",
      `{source: a.example/b, target: r.example/b, type: repository, backup: '{{.Ref.Registry}}/{{.Ref.Repository}}:{{.Ref.Tag}}-{{time.Now.Format "20060102T150405"}}'}`,
      [
        {
          source: "a.example/b",
          target: "r.example/b",
          existing: "backup",
          backup_tag: "{tag}-20260203T140506",
        },
      ],
    ],
    [
      "templates of source and target",
      `{source: '{{ env "HUB_USER" }}/app:1', target: '{{env "MIRROR"}}/{{ .Sync.Source | lower }}', type: image}`,
      [{ source: "docker.io/someone/app:1", target: "r.example/mirror/someone/app:1" }],
    ],
    [
      "whole copies, with foreign layers",
      "{source: a.example/b:1, target: r.example/b:1, type: image, forceRecursive: true, includeExternal: true}",
      [{ source: "a.example/b:1", target: "r.example/b:1", deep: true, include_foreign: true }],
    ],
  ])("asks for %s", (_name, entry, expected) => {
    expect(bodies(`version: 1\nsync:\n  - ${entry}`)).toEqual(expected);
  });

  const repository = { source: "a.example/b", target: "r.example/b" };

  test.each<[string, string, unknown[]]>([
    ["one platform", "platform: linux/arm64", [{ ...repository, platforms: ["linux/arm64"], index: "single" }]],
    [
      "several platforms, in the index as it is",
      "platforms: [linux/amd64, linux/arm/v7]",
      [{ ...repository, platforms: ["linux/amd64", "linux/arm/v7"], index: "sparse" }],
    ],
    ["an empty platform, which says nothing", "platform: ''", [repository]],
    ["referrers", "referrers: true", [{ ...repository, referrers: true }]],
    [
      "no referrers, whatever their filters",
      "{referrers: false, referrerFilters: [{artifactType: a/b}]}",
      [repository],
    ],
    [
      "referrers of one type with an annotation",
      "{referrers: true, referrerFilters: [{artifactType: a/b, annotations: {by: us, key: ''}}]}",
      [{ ...repository, referrers: { artifact_types: ["a/b"], annotations: { by: "us", key: "" } } }],
    ],
    [
      "referrers of any type with an annotation",
      "{referrers: true, referrerFilters: [{artifactType: '', annotations: {by: us}}]}",
      [{ ...repository, referrers: { annotations: { by: "us" } } }],
    ],
    [
      "referrers of several types",
      "{referrers: true, referrerFilters: [{artifactType: a/b}, {artifactType: a/c}]}",
      [{ ...repository, referrers: { artifact_types: ["a/b", "a/c"] } }],
    ],
    [
      "referrers of one type or any with an annotation, which cannot be had: all",
      "{referrers: true, referrerFilters: [{artifactType: a/b}, {annotations: {by: us}}]}",
      [{ ...repository, referrers: true }],
    ],
    ["digest tags", "digestTags: true", [{ ...repository, digest_tags: true }]],
    ["a fast check, which is how copies begin", "fastCheck: true", [repository]],
    [
      "expressions with alternatives, anchored as regsync does",
      "tags: {allow: ['3|4', '(5|6)'], deny: ['x|y']}",
      [{ ...repository, tags: { include: [".*(?:^3|4$).*", ".*(?:^(5|6)$).*"], exclude: [".*(?:^x|y$).*"] } }],
    ],
    ["tags of which nothing is said", "tags: {}", [repository]],
    [
      "sets beside tags of which nothing is said",
      "{tags: {}, tagSets: [{allow: [a]}]}",
      [{ ...repository, tags: { include: ["a"] } }],
    ],
    [
      "sets beside tags",
      "{tags: {deny: [b]}, tagSets: [{allow: [a]}]}",
      [
        { ...repository, tags: { exclude: ["b"] } },
        { ...repository, tags: { include: ["a"] } },
      ],
    ],
    ["an empty backup, which says nothing", "backup: ''", [repository]],
    [
      "a backup that names the entry as older files do",
      "backup: 'of-{{.Step.Type}}-{{.Ref.Tag}}'",
      [{ ...repository, existing: "backup", backup_tag: "of-repository-{tag}" }],
    ],
    ["media types", "mediaTypes: [a/index, a/image]", [{ ...repository, media_types: ["a/index", "a/image"] }]],
    ["an empty list of media types, which says nothing", "mediaTypes: []", [repository]],
  ])("asks for %s", (_name, keys, expected) => {
    const entry = "source: a.example/b, target: r.example/b, type: repository";
    expect(bodies(`sync: [{${entry}, ${keys.replace(/^\{(.*)\}$/, "$1")}}]`)).toEqual(expected);
  });

  test.each<[string, string, RegExp[]]>([
    ["a choice of media types: nothing", "mediaTypes: [application/vnd.oci.image.index.v1+json]", []],
    ["a key within repos that nobody knows", "repos: {allowed: [a]}", [/^allowed: is not known/]],
    [
      "a fast check beside referrers",
      "fastCheck: true, referrers: true",
      [/^fastCheck: not honoured; what is attached/],
    ],
    [
      "a fast check beside digest tags",
      "fastCheck: true, digestTags: true",
      [/^fastCheck: not honoured; what is attached/],
    ],
    ["a fast check beside a forced one", "fastCheck: true, forceRecursive: true", [/^fastCheck: .*forceRecursive/]],
    ["a fast check alone: nothing", "fastCheck: true", []],
    [
      "filters that cannot be had",
      "referrers: true, referrerFilters: [{artifactType: a/b}, {annotations: {by: us}}]",
      [/^referrerFilters: several filters/],
    ],
    ["referrers from elsewhere", "referrers: true, referrerSource: a.example/r", [/^referrerSource: not honoured/]],
    ["a schedule", "schedule: 0 1 * * *", [/^schedule: this is one run/]],
    ["a key that nobody knows", "tagz: {}", [/^tagz: is not known/]],
    ["a key within tags that nobody knows", "tags: {allowed: [a]}", [/^allowed: is not known/]],
  ])("says of %s", (_name, keys, expected) => {
    const { notes } = read(`sync: [{source: a.example/b, target: r.example/b, type: repository, ${keys}}]`).plan;
    expect(notes.map(({ message }) => message)).toEqual(expected.map((words) => expect.stringMatching(words)));
  });

  test("knows a registry by whatever name docker's own files have for it", () => {
    const names = ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"];
    const found = names.map((name) => {
      return [...read(`creds: [{registry: "${name}", user: u, pass: p}]\nsync: []`).plan.local.credentials.keys()];
    });
    expect(found).toEqual(names.map(() => ["docker.io"]));
  });

  test("has defaults that entries overrule", () => {
    const text = `
defaults: { backup: "old-{{.Ref.Tag}}", forceRecursive: true, mediaTypes: [a/index] }
sync:
  - { source: a.example/b:1, target: r.example/b:1, type: image }
  - { source: a.example/c:1, target: r.example/c:1, type: image, forceRecursive: false, backup: "x-{{.Ref.Tag}}", mediaTypes: [a/image] }`;
    expect(bodies(text)).toMatchObject([
      { deep: true, backup_tag: "old-{tag}", media_types: ["a/index"] },
      { backup_tag: "x-{tag}", media_types: ["a/image"] },
    ]);
    expect(bodies(text)[1]).not.toHaveProperty("deep");
  });

  test("says of registries how they are reached and who asks", () => {
    const { local } = read(`
creds:
  - { registry: localhost:5000, tls: disabled, reqConcurrent: 100, reqPerSec: 0.5 }
  - { registry: registry-1.docker.io, user: '{{env "HUB_USER"}}', pass: '{{file "/run/hub"}}' }
  - { registry: b.example, token: abc, hostname: c.example, pathPrefix: x/y }
defaults: { skipDockerConfig: true }
sync: []`).plan;
    expect(local.hosts).toEqual({
      "localhost:5000": { tls: "disabled", req_concurrent: 64, req_per_sec: 0.5 },
      "b.example": { hostname: "c.example", path_prefix: "x/y" },
    });
    expect([...local.credentials]).toEqual([
      ["docker.io", { kind: "basic", username: "someone", password: "from the file" }],
      ["b.example", { kind: "identity", token: "abc", username: "" }],
    ]);
    expect(local.withoutUserCredentials).toBe(true);
  });

  test("leaves the rest of a rate limit to others", () => {
    const { copies, local } = read(`
defaults: { ratelimit: { min: 60, retry: 15m } }
sync:
  - { source: alpine, target: r.example/alpine, type: image }
  - { source: busybox, target: r.example/busybox, type: image, ratelimit: { min: 100 } }`).plan;
    expect(copies.map(({ body }) => body.priority)).toEqual(["background", "background"]);
    expect(local.hosts).toEqual({ "docker.io": { quota_reserve: 100 } });
  });

  test("names every key that is not honoured once, with a line, and no key that is", () => {
    const { plan, placeOf } = read(`
version: 1
x-mine: &schedule "15 01 * * *"
creds:
  - registry: a.example
    tls: insecure
    credHelper: docker-credential-x
    mirrors: [b.example]
    oddity: 1
defaults:
  parallel: 4
  interval: 60m
  mediaTypes: [application/vnd.oci.image.index.v1+json]
sync:
  - source: a.example/b:1
    target: c.example/b:1
    type: image
    schedule: *schedule
    hooks: { pre: { type: x } }
  - source: a.example/b:2
    target: c.example/b:2
    type: image
    schedule: *schedule
`);
    expect(plan.notes.map(({ path, message }) => `${placeOf(path).line} ${message.replace(/:.*/, "")}`)).toEqual([
      "7 credHelper",
      "8 mirrors",
      "9 oddity",
      "11 parallel",
      "12 interval",
      "18 schedule",
      "19 hooks",
      "6 tls",
    ]);
  });

  test("tells how its ranges of versions differ, once, and only where there are some", () => {
    const entry = "source: a.example/b, target: c.example/b, type: repository";
    const { notes } = read(
      `sync: [{${entry}, tags: {semverRange: ['>1']}}, {${entry}, tagSets: [{semverRange: ['>2']}]}]`,
    ).plan;
    expect(notes.filter(({ message }) => message.startsWith("semverRange: "))).toHaveLength(1);
    expect(read(`sync: [{${entry}, tags: {allow: [a]}}]`).plan.notes).toEqual([]);
  });

  test("does not serve a layout on disk, and says so", () => {
    const { copies, unserved } = read(`
sync:
  - {source: 'ocidir:///tmp/x', target: 'b.example/c:1', type: image}
  - {source: 'a:1', target: r.example/a:1, type: image}`).plan;
    const message = expect.stringContaining("ocidir://) are not served");
    expect(unserved).toMatchObject([{ path: ["sync", 0], message }]);
    expect(copies).toHaveLength(1);
  });

  test.each<[string, string, string]>([
    ["another version", "version: 2\nsync: []", "1:1 version: must be 1"],
    [
      "an unknown type",
      "sync:\n  - {source: a, target: b.example/c, type: folder}",
      "2:38 sync[0].type: must be image, repository or registry",
    ],
    [
      "a faulty media type",
      "sync:\n  - source: a\n    target: b.example/c\n    type: image\n    mediaTypes: [index]",
      "sync[0].media_types[0]: must be a media type without parameters",
    ],
    [
      "a registry that is a repository",
      "sync:\n  - {source: a.example/b, target: c.example, type: registry}",
      "2:6 sync[0].source: must be a registry host",
    ],
    [
      "a place for a registry that is none",
      "sync:\n  - {source: a.example, target: 'c.example/X', type: registry}",
      "2:25 sync[0].target: must be a registry host, or one with",
    ],
    [
      "a faulty expression for repositories",
      "sync:\n  - source: a.example\n    target: c.example\n    type: registry\n    repos: {deny: ['(']}",
      "5:20 sync[0].repos.deny[0]: is not a valid regular expression",
    ],
    ["a malformed target", "sync:\n  - {source: a, target: 'b.example/C', type: image}", "2:17 sync[0].target: target"],
    [
      "a template it does not know",
      "sync:\n  - source: '{{ printf \"%s\" 1 }}'\n    target: b.example/c\n    type: image",
      "2:5 sync[0].source: has printf, which is not understood",
    ],
    [
      "a field that is not there",
      "sync:\n  - source: a\n    target: b.example/{{ .Nope }}\n    type: image",
      "3:5 sync[0].target: has .Nope, which is not known here; there are .Sync.Source",
    ],
    [
      "a backup elsewhere",
      "sync:\n  - source: a\n    target: b.example/c\n    type: image\n    backup: old.example/c:{{.Ref.Tag}}",
      "5:5 sync[0].backup: the backup",
    ],
    [
      "a backup whose name depends on the letters of a tag that is not known yet",
      "sync:\n  - source: a\n    target: b.example/c\n    type: repository\n    backup: 'old-{{ lower .Ref.Tag }}'",
      "5:5 sync[0].backup: changes the letters of a tag",
    ],
    [
      "a moment in a layout that it does not know",
      "sync:\n  - source: a\n    target: b.example/c\n    type: image\n    backup: '{{.Ref.Tag}}-{{ time.Now.Format \"2006.002\" }}'",
      "5:5 sync[0].backup: has the layout 2006.002, of which 002 is not understood here",
    ],
    [
      "a choice of tags that is an alias of nothing",
      "sync:\n  - {source: a, target: b.example/c, type: repository, tags: *tpyo}",
      "2:62 : there is no &tpyo",
    ],
    [
      "a faulty expression",
      "sync:\n  - source: a\n    target: b.example/c\n    type: repository\n    tags: {allow: ['(']}",
      "sync[0].tags.include[0]: is not a valid regular expression",
    ],
  ])("tells %s with its place", (_name, text, words) => {
    expect(faults(text)).toEqual([expect.stringContaining(words)]);
  });
});

/** Files of copies, in each tool's format: which requests they become, and what is said of the rest. */
import { describe, expect, test } from "vitest";
import type { ReadingOptions, SyncFormat } from "../../src/cli/sync-file/contract.ts";
import { readSyncFile, WrongFile, type SyncReading } from "../../src/cli/sync-file/read.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

/** 3 February 2026, 14:05:06 UTC. */
const NOW_MS = Date.UTC(2026, 1, 3, 14, 5, 6);

const OPTIONS: ReadingOptions = {
  env: { MIRROR: "r.example/mirror", HUB_USER: "someone", EMPTY: "" },
  nowMs: NOW_MS,
  readFile: (path) => {
    if (path === "/run/hub") {
      return "from the file\n";
    }
    throw new Error("no such file");
  },
};

function read(text: string, options: Partial<ReadingOptions> = {}, format?: SyncFormat): SyncReading {
  return readSyncFile(text, format, { ...OPTIONS, ...options });
}

function bodies(text: string, options: Partial<ReadingOptions> = {}): unknown[] {
  return read(text, options).plan.copies.map(({ body }) => body);
}

/** What is wrong with a file, as its user reads it. */
function faults(text: string, options: Partial<ReadingOptions> = {}, format?: SyncFormat): string[] {
  try {
    read(text, options, format);
  } catch (error) {
    if (error instanceof WrongFile) {
      return error.faults.map(({ place, field, message }) => {
        return `${place === null ? "" : `${place.line}:${place.column} `}${field}: ${message}`;
      });
    }
    throw error;
  }
  return [];
}

describe("a file is known by what is in it", () => {
  test.each<[SyncFormat, string]>([
    ["own", "version: 1\ncopies: [{source: a.example/b:1, target: c.example/d:1}]"],
    ["own", '{"version": 1, "copies": [{"source": "a.example/b:1", "target": "c.example/d:1"}]}'],
    ["regsync", "sync: [{source: a.example/b:1, target: c.example/d:1, type: image}]"],
    ["skopeo", "a.example: {images: {b: []}}"],
    ["skopeo", "a.example: {images-by-semver: {b: '>=1'}}\nc.example:"],
    ["image-syncer", "images: {a.example/b: c.example/d}"],
    ["image-syncer", "a.example/b: c.example/d\na.example/e: [c.example/f, d.example/f]"],
  ])("%s: %s", (format, text) => {
    expect(read(text, { to: "t.example" }).plan.format).toBe(format);
  });

  test.each([["[]"], ["a: 1"], [""], ["just text"], ["services: {web: {image: x}}"], ["name: value"]])(
    "%j is none",
    (text) => {
      expect(faults(text)).toEqual([expect.stringMatching(/this is no file of copies.*copies.*sync.*images/)]);
    },
  );

  test("a format that is named is taken as named", () => {
    expect(faults("sync: []", {}, "own")).toEqual(expect.arrayContaining([expect.stringContaining("copies")]));
  });
});

describe("the project's own format", () => {
  const own = (copies: string, defaults = "{}"): string => `version: 1\ndefaults: ${defaults}\ncopies:\n${copies}`;

  test("gives each copy the API's fields, as they stand", () => {
    expect(
      bodies(
        own(`
  - source: a.example/app
    target: r.example/app
    tags: { include: "v1\\\\..*", semver: ">=1", latest: 3 }
    target_tag: "m-{tag}"
    existing: backup
    backup_tag: "{tag}-{date}"
    prune: { max: 5, dry_run: false }
    priority: background`),
      ),
    ).toEqual([
      {
        source: "a.example/app",
        target: "r.example/app",
        tags: { include: ["v1\\..*"], semver: ">=1", latest: 3 },
        target_tag: "m-{tag}",
        existing: "backup",
        backup_tag: "{tag}-{date}",
        prune: { max: 5, dry_run: false },
        priority: "background",
      },
    ]);
  });

  test("has defaults, which a copy overrules, and of which images leave out what is for repositories", () => {
    expect(
      bodies(
        own(
          `
  - { source: a.example/app, target: r.example/app }
  - { source: a.example/app:1, target: r.example/app:1, existing: fail }`,
          "{ existing: skip, tags: { latest: 2 }, fail_fast: true }",
        ),
      ),
    ).toEqual([
      { source: "a.example/app", target: "r.example/app", existing: "skip", tags: { latest: 2 }, fail_fast: true },
      { source: "a.example/app:1", target: "r.example/app:1", existing: "fail" },
    ]);
  });

  test("makes a copy for each of several targets", () => {
    expect(bodies(own("  - { source: a.example/b:1, targets: [r.example/b:1, s.example/b:2] }"))).toEqual([
      { source: "a.example/b:1", target: "r.example/b:1" },
      { source: "a.example/b:1", target: "s.example/b:2" },
    ]);
  });

  test("fills in the environment in texts, and leaves expressions alone", () => {
    expect(
      bodies(
        own(`
  - source: a.example/b
    target: \${MIRROR}/b
    tags: { include: ["v\\\\d+$", "\${NOT_SET:-x.*}", "$\${MIRROR}"] }`).replace('"$${MIRROR}"', '"1$|2$"'),
      ),
    ).toEqual([{ source: "a.example/b", target: "r.example/mirror/b", tags: { include: ["v\\d+$", "x.*", "1$|2$"] } }]);
    expect(faults(own("  - { source: a.example/b:1, target: '$${MIRROR}/b:1' }"))).toEqual([
      expect.stringContaining('"${MIRROR}/b:1"'),
    ]);
  });

  test("knows YAML's anchors and merges", () => {
    const text = own(`
  - &first { source: a.example/b:1, target: r.example/b:1, existing: skip }
  - <<: *first
    target: s.example/b:1`);
    expect(bodies(text)[1]).toEqual({ source: "a.example/b:1", target: "s.example/b:1", existing: "skip" });
  });

  test.each<[string, string, string[]]>([
    ["a syntax error", "version: 1\ncopies:\n  - source: [a\n", ["4:1"]],
    ["a key given twice", "version: 1\nversion: 1\ncopies: []", ["2:1 : Map keys must be unique"]],
    [
      "another version",
      "version: 2\ncopies: [{source: a.example/b:1, target: c.example/b:1}]",
      ["1:1 version: must be 1"],
    ],
    ["no copies", "version: 1\ncopies: []", ["2:1 copies: has no copy"]],
    [
      "an unknown field",
      own("  - source: a.example/b:1\n    target: c.example/b:1\n    tgas: {}"),
      ["6:5 copies[0].tgas: is not known"],
    ],
    ["no target", own("  - source: a.example/b:1"), ["4:5 copies[0].target: is missing"]],
    [
      "two ways to say the target",
      own("  - {source: a.example/b:1, target: c.example/b, targets: [d.example/b]}"),
      ["4:50 copies[0].targets: is there beside target"],
    ],
    [
      "a value of another kind",
      own("  - source: a.example/b\n    target: c.example/b\n    tags: { latest: many }"),
      ["6:13 copies[0].tags.latest: must be a whole number"],
    ],
    [
      "a malformed reference",
      own("  - source: a.example/B:1\n    target: c.example/b:1"),
      ['4:5 copies[0].source: source "a.example/B:1": the repository "B" has upper case'],
    ],
    [
      "a faulty expression",
      own("  - source: a.example/b\n    target: c.example/b\n    tags:\n      include:\n        - ok\n        - '('"),
      ["9:11 copies[0].tags.include[1]: is not a valid regular expression"],
    ],
    [
      "tags of an image",
      own("  - {source: a.example/b:1, target: c.example/b:1, tags: {latest: 1}}"),
      ["4:52 copies[0].tags: is for a repository"],
    ],
    [
      "a target that is the source",
      own("  - {source: a.example/b:1, targets: [c.example/b:1, a.example/b:1]}"),
      ["4:54 copies[0].targets[1]: it is the source itself"],
    ],
    [
      "a variable that is not set",
      own("  - {source: a.example/b:1, target: '${NOPE}/b:1'}"),
      ["4:29 copies[0].target: has ${NOPE}, and NOPE is not set"],
    ],
    [
      "a number where text is needed",
      own("  - {source: a.example/b, target: c.example/b, tags: {semver: 1.10}}"),
      ["4:55 copies[0].tags.semver: must be text"],
    ],
  ])("tells %s with its place", (_name, text, expected) => {
    expect(faults(text)).toEqual(expected.map((words) => expect.stringContaining(words)));
  });

  test("tells everything that is wrong at once, in the order of the file", () => {
    const text = own("  - { source: A, target: c.example/b:1 }\n  - { source: a.example/b:1, target: c.example/b:! }");
    expect(faults(text)).toEqual([expect.stringMatching(/^4:/), expect.stringMatching(/^5:/)]);
  });

  test("a small text that grows without end is refused", () => {
    const levels = Array.from({ length: 9 }, (_, at) => {
      return `  - &l${at} [${Array.from({ length: 9 }, () => (at === 0 ? "x" : `*l${at - 1}`)).join(", ")}]`;
    });
    expect(faults(`version: 1\ncopies:\n${levels.join("\n")}`)).toEqual([
      expect.stringContaining("values once its aliases"),
    ]);
  });
});

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
      [{ source: "docker.io/library/alpine", target: "r.example/alpine", tags: { semver: ">=3.2 <3.4 || ^4" } }],
    ],
    [
      "sets of tags, a copy for each",
      "{source: alpine, target: r.example/alpine, type: repository, tagSets: [{allow: [a.*]}, {semverRange: ['>1'], deny: [b]}]}",
      [
        { source: "docker.io/library/alpine", target: "r.example/alpine", tags: { include: ["a.*"] } },
        { source: "docker.io/library/alpine", target: "r.example/alpine", tags: { semver: ">1", exclude: ["b"] } },
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

  test("has defaults that entries overrule", () => {
    const text = `
defaults: { backup: "old-{{.Ref.Tag}}", forceRecursive: true }
sync:
  - { source: a.example/b:1, target: r.example/b:1, type: image }
  - { source: a.example/c:1, target: r.example/c:1, type: image, forceRecursive: false, backup: "x-{{.Ref.Tag}}" }`;
    expect(bodies(text)).toMatchObject([{ deep: true, backup_tag: "old-{tag}" }, { backup_tag: "x-{tag}" }]);
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
      "15 mediaTypes",
    ]);
  });

  test.each<[string, string, RegExp]>([
    [
      "a whole registry",
      "{source: 'a.example:5000', target: b.example, type: registry}",
      /type registry is not served.*repositories/,
    ],
    [
      "a layout on disk",
      "{source: 'ocidir:///tmp/x', target: 'b.example/c:1', type: image}",
      /ocidir:\/\/\) are not served/,
    ],
  ])("does not serve %s, and says so", (_name, entry, words) => {
    const { copies, unserved } = read(
      `sync:\n  - ${entry}\n  - {source: 'a:1', target: r.example/a:1, type: image}`,
    ).plan;
    expect(unserved).toMatchObject([{ path: ["sync", 0], message: expect.stringMatching(words) }]);
    expect(copies).toHaveLength(1);
  });

  test.each<[string, string, string]>([
    ["another version", "version: 2\nsync: []", "1:1 version: must be 1"],
    [
      "an unknown type",
      "sync:\n  - {source: a, target: b.example/c, type: folder}",
      "2:38 sync[0].type: must be image, repository or registry",
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
      "a faulty expression",
      "sync:\n  - source: a\n    target: b.example/c\n    type: repository\n    tags: {allow: ['(']}",
      "sync[0].tags.include[0]: is not a valid regular expression",
    ],
  ])("tells %s with its place", (_name, text, words) => {
    expect(faults(text)).toEqual([expect.stringContaining(words)]);
  });
});

describe("the file of skopeo sync", () => {
  const FILE = `
registry.example.com:
  images:
    busybox: []
    team/redis:
      - 1.0
      - "2.0"
      - ${DIGEST}
  images-by-tag-regex:
    nginx: ^1\\.13\\.[12]-alpine$
    web: alpine
  images-by-semver:
    alpine: ">= 3.12.0"
`;

  test("goes to the last part of each name below --to", () => {
    expect(bodies(FILE, { to: "r.example/mirror/" })).toEqual([
      { source: "registry.example.com/busybox", target: "r.example/mirror/busybox" },
      { source: "registry.example.com/team/redis:1.0", target: "r.example/mirror/redis:1.0" },
      { source: "registry.example.com/team/redis:2.0", target: "r.example/mirror/redis:2.0" },
      { source: `registry.example.com/team/redis@${DIGEST}`, target: `r.example/mirror/redis@${DIGEST}` },
      {
        source: "registry.example.com/nginx",
        target: "r.example/mirror/nginx",
        tags: { include: ["^1\\.13\\.[12]-alpine$"] },
      },
      { source: "registry.example.com/web", target: "r.example/mirror/web", tags: { include: [".*(?:alpine).*"] } },
      { source: "registry.example.com/alpine", target: "r.example/mirror/alpine", tags: { semver: ">= 3.12.0" } },
    ]);
  });

  test("goes to the whole name with --scoped", () => {
    const targets = ["docker.io: {images: {busybox: ['1']}}", "127.0.0.1:5000: {images: {a/b: ['1']}}"].flatMap(
      (text) => read(text, { to: "r.example", scoped: true }).plan.copies.map(({ body }) => body.target),
    );
    expect(targets).toEqual(["r.example/docker.io/library/busybox:1", "r.example/127.0.0.1-5000/a/b:1"]);
  });

  test("says when two sources end up under one name", () => {
    const text = "a.example: {images: {x/redis: ['1']}}\nb.example: {images: {redis: ['1']}}";
    expect(read(text, { to: "r.example" }).plan.notes).toMatchObject([
      { message: "b.example/redis:1 and a.example/x/redis:1 both go to r.example/redis:1" },
    ]);
    expect(read(text, { to: "r.example", scoped: true }).plan.notes).toEqual([]);
  });

  test("brings credentials, and says what of TLS is not honoured", () => {
    const { local, notes } = read(
      `
a.example:
  credentials: { username: john, password: 12345 }
  tls-verify: false
  cert-dir: /home/john/certs
  images: { x: [] }
127.0.0.1:5000:
  tls-verify: false
  images: { x: [] }`,
      { to: "r.example", scoped: true },
    ).plan;
    expect([...local.credentials]).toEqual([["a.example", { kind: "basic", username: "john", password: "12345" }]]);
    expect(notes.map(({ path, message }) => [path[0], message.replace(/:? .*/, "")])).toEqual([
      ["a.example", "credentials"],
      ["a.example", "tls-verify"],
      ["a.example", "cert-dir"],
    ]);
  });

  test.each<[string, string, Partial<ReadingOptions>, string]>([
    ["no target", "a.example: {images: {x: []}}", {}, "give one with --to HOST[/PREFIX]"],
    [
      "an unknown key",
      "a.example:\n  images: {x: []}\n  imgaes: {}",
      { to: "r.example" },
      '3:3 "a.example".imgaes: is not known',
    ],
    [
      "what is neither tag nor digest",
      "a.example:\n  images:\n    x:\n      - ok\n      - 'a b'",
      { to: "r.example" },
      '5:9 "a.example".images.x[1]: "a b" is neither',
    ],
    [
      "a repository with a tag",
      "a.example:\n  images:\n    x:1: []",
      { to: "r.example" },
      '3:5 "a.example".images."x:1": names a single image',
    ],
  ])("tells %s with its place", (_name, text, options, words) => {
    expect(faults(text, options)).toEqual([expect.stringContaining(words)]);
  });
});

describe("image-syncer's file", () => {
  test.each<[string, string, unknown[]]>([
    ["all tags", "a.example/x: b.example/y", [{ source: "a.example/x", target: "b.example/y" }]],
    ["one tag, kept", "a.example/x:1: b.example/y", [{ source: "a.example/x:1", target: "b.example/y:1" }]],
    ["one tag, renamed", "a.example/x:1: b.example/y:2", [{ source: "a.example/x:1", target: "b.example/y:2" }]],
    [
      "several tags",
      "a.example/x:1,2: b.example/y",
      [
        { source: "a.example/x:1", target: "b.example/y:1" },
        { source: "a.example/x:2", target: "b.example/y:2" },
      ],
    ],
    [
      "several tags, renamed",
      "a.example/x:1,2: b.example/y:3,4",
      [
        { source: "a.example/x:1", target: "b.example/y:3" },
        { source: "a.example/x:2", target: "b.example/y:4" },
      ],
    ],
    [
      "an expression",
      "a.example/x:/^v1/: b.example/y",
      [{ source: "a.example/x", target: "b.example/y", tags: { include: [".*(?:^v1).*"] } }],
    ],
    [
      "a digest",
      `a.example/x@${DIGEST}: b.example/y`,
      [{ source: `a.example/x@${DIGEST}`, target: `b.example/y@${DIGEST}` }],
    ],
    [
      "several targets",
      "a.example/x:1: [b.example/y, c.example/y]",
      [
        { source: "a.example/x:1", target: "b.example/y:1" },
        { source: "a.example/x:1", target: "c.example/y:1" },
      ],
    ],
    ["no target", "a.example/t/x:1: ''", [{ source: "a.example/t/x:1", target: "d.example/n/x:1" }]],
  ])("asks for %s", (_name, rule, expected) => {
    expect(bodies(rule, { to: "d.example/n" })).toEqual(expected);
  });

  test("has authentication beside its images, from the environment too", () => {
    const { local } = read(`
auth:
  docker.io: { username: $HUB_USER, password: "\${HUB_USER}" }
  a.example/team: { username: u, password: p, insecure: true }
images: { a.example/team/x: b.example/y }`).plan;
    expect([...local.credentials]).toEqual([
      ["docker.io", { kind: "basic", username: "someone", password: "someone" }],
      ["a.example/team", { kind: "basic", username: "u", password: "p" }],
    ]);
    expect(local.hosts).toEqual({ "a.example": { tls: "disabled" } });
  });

  test.each<[string, string, string]>([
    ["no target at all", "a.example/x: ''", "has no target"],
    ["one name for all tags", "a.example/x: b.example/y:1", "names one tag at the target for all tags"],
    ["another number of tags", "a.example/x:1,2: b.example/y:3", "has 2 tags at the source and 1 at the target"],
  ])("tells %s with its place", (_name, rule, words) => {
    expect(faults(rule)).toEqual([expect.stringMatching(new RegExp(`^1:1 .*${words}`))]);
  });
});

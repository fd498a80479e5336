/** Files of copies: which format they are in, and the project's own: which requests they become, and what is wrong with them. */
import { describe, expect, test } from "vitest";
import type { SyncFormat } from "../../src/cli/sync-file/contract.ts";
import { bodies, faults, read } from "./sync-reading.ts";

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
      "several documents",
      `${own("  - {source: a.example/b:1, target: c.example/b:1}")}\n---\n{}`,
      [":1 : a second document"],
    ],
    ["an alias of nothing", "version: 1\ncopies: *list", ["2:9 : there is no &list before this *list"]],
    [
      "an alias of the list that it is in",
      "version: 1\ncopies: &list [*list]",
      ["2:16 : this alias stands for what it is in"],
    ],
    [
      "an alias of the object that it is in",
      own("  - &copy { source: a.example/b:1, target: c.example/b:1, tags: *copy }"),
      [" : this alias stands for what it is in"],
    ],
    ["a merge of something without keys", own("  - { <<: [[]], source: a.example/b:1 }"), ["4:7 : << needs an object"]],
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
      "a copy that would remove what another brings",
      own(
        "  - {source: a.example/b, target: c.example/d, prune: {dry_run: false}}\n  - {source: a.example/e:1, target: c.example/d:1}",
      ),
      ["4:48 copies[0].prune: would remove what copies[1] brings to c.example/d"],
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

  test("removing in a dry way stands in nobody's way, nor does removing elsewhere", () => {
    expect(
      faults(
        own(`
  - { source: a.example/b, target: c.example/d, prune: {} }
  - { source: a.example/e:1, target: c.example/d:1 }
  - { source: a.example/b, target: c.example/f, prune: { dry_run: false } }`),
      ),
    ).toEqual([]);
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

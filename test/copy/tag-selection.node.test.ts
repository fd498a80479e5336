import { describe, expect, it } from "vitest";
import type { TagSelection } from "../../src/copy/request.ts";
import { immutableTags, selectTags, type CreationLookup } from "../../src/copy/tag-selection.ts";

const HEX = "0123456789abcdef".repeat(4);
const DAY_MS = 86_400_000;

const neverAsked: CreationLookup = () => {
  throw new Error("no question about creation is needed");
};

/** Answers from a table, and notes what it was asked. */
function createdAt(table: Record<string, number>): { lookup: CreationLookup; asked: string[][] } {
  const asked: string[][] = [];
  return {
    asked,
    lookup: async (tags) => {
      asked.push([...tags]);
      return new Map(
        tags.flatMap((tag) => {
          const atMs = table[tag];
          return atMs === undefined ? [] : [[tag, atMs] as const];
        }),
      );
    },
  };
}

const LISTED = ["1.2.0", "latest", "v1.10.0", "1.9.3", "2.0.0-rc.1", "1.9", "main", "1.10.0-alpine", "3", "1.2.0"];

describe("conditions on the name", () => {
  const table: [string, TagSelection, string[]][] = [
    ["nothing asked: all, each once", {}, LISTED.slice(0, -1)],
    ["an expression matches the whole tag", { include: ["1\\.9", "ma.n"] }, ["1.9", "main"]],
    ["alternatives are anchored as one", { include: ["lat|latest"] }, ["latest"]],
    [
      "exclude goes above include",
      { include: [".*"], exclude: [".*-.*", "[a-z]+", "\\d"] },
      ["1.2.0", "v1.10.0", "1.9.3", "1.9"],
    ],
    ["an empty list is no condition", { include: [], exclude: [] }, LISTED.slice(0, -1)],
    ["a range, with and without v", { semver: ">=1.9 <2" }, ["v1.10.0", "1.9.3", "1.9"]],
    ["a range with commas", { semver: ">=1.9, <2" }, ["v1.10.0", "1.9.3", "1.9"]],
    ["a prerelease only where the range names one", { semver: ">=2.0.0-rc.0" }, ["2.0.0-rc.1"]],
    ["any version", { semver: "*" }, ["1.2.0", "v1.10.0", "1.9.3", "1.9"]],
    ["two ranges", { semver: "~1.2 || ^1.10" }, ["1.2.0", "v1.10.0"]],
    ["the newest versions, in the order of the listing", { latest: { count: 2, by: "semver" } }, ["v1.10.0", "1.9.3"]],
    [
      "the newest variants, where there are only variants",
      { include: [".*-.*"], latest: { count: 1, by: "semver" } },
      ["2.0.0-rc.1"],
    ],
    [
      "fewer than asked for",
      { include: ["1\\..*"], exclude: [".*-.*"], latest: { count: 9, by: "semver" } },
      ["1.2.0", "1.9.3", "1.9"],
    ],
  ];
  it.each(table)("%s", async (_name, selection, expected) => {
    expect(await selectTags(LISTED, selection, neverAsked)).toEqual({ tags: expected, undated: [] });
  });
});

describe("conditions on the creation", () => {
  const now = 100 * DAY_MS;

  it("asks only for what the names leave, once", async () => {
    const { lookup, asked } = createdAt({ a1: now - DAY_MS, a2: now - 40 * DAY_MS, a3: now - 2 * DAY_MS });
    const selection: TagSelection = { include: ["a\\d"], newerThanMs: now - 30 * DAY_MS };
    expect(await selectTags(["b1", "a2", "a3", "a1"], selection, lookup)).toEqual({ tags: ["a3", "a1"], undated: [] });
    expect(asked).toEqual([["a2", "a3", "a1"]]);
  });

  it("takes the newest by creation, and says which tags nobody can date", async () => {
    const { lookup } = createdAt({ a: 3, b: 5, c: 4 });
    const selection: TagSelection = { latest: { count: 2, by: "creation" } };
    expect(await selectTags(["a", "chart", "b", "c"], selection, lookup)).toEqual({
      tags: ["b", "c"],
      undated: ["chart"],
    });
  });

  it("does not count signatures among the newest", async () => {
    const { lookup, asked } = createdAt({ a: 1 });
    const selection: TagSelection = { latest: { count: 1, by: "creation" } };
    expect((await selectTags([`sha256-${HEX}.sig`, `sha256-${HEX}`, "a"], selection, lookup)).tags).toEqual(["a"]);
    expect(asked).toEqual([["a"]]);
  });

  it("goes down the versions only as far as needed", async () => {
    const listed = Array.from({ length: 10_000 }, (_, index) => `1.0.${index}`);
    const { lookup, asked } = createdAt({ "1.0.9999": 0, "1.0.9998": 7, "1.0.9997": 8 });
    const selection: TagSelection = { latest: { count: 2, by: "semver" }, newerThanMs: 5 };
    expect((await selectTags(listed, selection, lookup)).tags).toEqual(["1.0.9997", "1.0.9998"]);
    expect(asked.map((tags) => tags.length)).toEqual([16]);
  });

  it("asks nothing when the names leave nothing", async () => {
    expect(await selectTags(["a"], { include: ["b"], newerThanMs: 1 }, neverAsked)).toEqual({ tags: [], undated: [] });
  });
});

describe("ten thousand tags", () => {
  it("are chosen in well under a second, whatever the expression", async () => {
    const listed = Array.from({ length: 10_000 }, (_, index) => `${"a".repeat(120)}${index}`);
    const startedAt = performance.now();
    const selection: TagSelection = { include: ["(a+)+b", "(.*)*(.*)*5"], exclude: ["(a|aa)+c"] };
    expect((await selectTags(listed, selection, neverAsked)).tags).toHaveLength(1000);
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });
});

describe("tags that never change", () => {
  it("are those an expression matches, and none without one", () => {
    const isImmutable = immutableTags({ immutable: ["v\\d+\\.\\d+\\.\\d+"] });
    expect(["v1.2.3", "v1.2", "latest"].filter(isImmutable)).toEqual(["v1.2.3"]);
    expect(immutableTags(undefined)("v1.2.3")).toBe(false);
  });
});

import { describe, expect, it } from "vitest";
import { digestTagGroups, isDigestTag } from "../../src/copy/digest-tags.ts";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";

const hex = (letter: string): string => letter.repeat(64);

describe("tags named after a digest", () => {
  it("are found by what they are attached to, each once, whatever their ending", () => {
    const listed = [
      "v1",
      `sha256-${hex("a")}.sig`,
      `sha256-${hex("b")}.att`,
      `sha256-${hex("a")}.sbom`,
      `sha256-${hex("a")}.something-else`,
      `sha256-${hex("c")}.sig`,
      `sha256-${hex("a")}`,
      `sha256-${hex("a")}ff.sig`,
      `sha256-${hex("a")}.sig`,
    ];
    expect([...digestTagGroups(listed)]).toEqual([
      [`sha256-${hex("a")}`, [listed[1], listed[3], listed[4]]],
      [`sha256-${hex("b")}`, [listed[2]]],
      [`sha256-${hex("c")}`, [listed[5]]],
    ]);
  });

  it("are found where ten thousand are attached to one digest", () => {
    const listed = Array.from({ length: 10_000 }, (_, index) => `sha256-${hex("a")}.${index}`);
    expect([...digestTagGroups(listed)]).toEqual([[`sha256-${hex("a")}`, listed]]);
  });

  it.each([
    [`sha256-${hex("a")}`, true],
    [`sha256-${hex("a")}.sig`, true],
    [`sha512-${hex("a")}.sig`, true],
    ["sha256-abc", false],
    [`v1-sha256-${hex("a")}`, false],
    [hex("a"), false],
  ])("%s: %s", (tag, expected) => {
    expect(isDigestTag(tag)).toBe(expected);
  });
});

describe("the fallback tag of a digest", () => {
  it.each([
    [`sha256:${hex("a")}`, `sha256-${hex("a")}`],
    [`sha512:${hex("a")}${hex("b")}`, `sha512-${hex("a")}`],
    [`${"x".repeat(40)}:abc`, `${"x".repeat(32)}-abc`],
    ["multihash+base58:Qm=d/E", "multihash-base58-Qm-d-E"],
  ])("%s: %s", (digest, expected) => {
    expect(fallbackTagOf(digest)).toBe(expected);
  });
});

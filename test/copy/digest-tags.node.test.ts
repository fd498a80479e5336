import { describe, expect, it } from "vitest";
import { digestTagsOf, isDigestTag } from "../../src/copy/digest-tags.ts";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";

const hex = (letter: string): string => letter.repeat(64);

describe("tags named after a digest", () => {
  it("are found for an image and its index's children, whatever their ending", () => {
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
    expect(digestTagsOf(listed, [`sha256:${hex("a")}`, `sha256:${hex("b")}`])).toEqual([
      { tag: listed[1], digest: `sha256:${hex("a")}`, suffix: ".sig" },
      { tag: listed[2], digest: `sha256:${hex("b")}`, suffix: ".att" },
      { tag: listed[3], digest: `sha256:${hex("a")}`, suffix: ".sbom" },
      { tag: listed[4], digest: `sha256:${hex("a")}`, suffix: ".something-else" },
    ]);
  });

  it("are found among ten thousand tags and a thousand digests at once", () => {
    const digests = Array.from({ length: 1000 }, (_, index) => `sha256:${index.toString(16).padStart(64, "0")}`);
    const listed = Array.from({ length: 10_000 }, (_, index) => `sha256-${index.toString(16).padStart(64, "0")}.sig`);
    expect(digestTagsOf(listed, digests)).toHaveLength(1000);
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

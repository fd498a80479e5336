import { describe, expect, it } from "vitest";
import { indexEntries } from "../../src/copy/index-entries.ts";
import { distanceOf, formatPlatform, parsePlatform } from "../../src/copy/platform.ts";
import { availableIn, chooseImage, choosePlatforms, platformMissing } from "../../src/copy/platforms.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/registry/media-types.ts";

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;

interface Written {
  at: string;
  platform?: string;
  osVersion?: string;
  of?: string;
  mediaType?: string;
}

/** An index as its bytes; `at` is the letter of the digest, `of` that of the image it attests. */
function index(...entries: Written[]) {
  const manifests = entries.map(({ at, platform, osVersion, of, mediaType = OCI_MANIFEST }) => {
    const [os, architecture, variant] = (platform ?? "").split("/");
    return {
      mediaType,
      digest: digest(at),
      size: 10,
      ...(platform === undefined ? {} : { platform: { os, architecture, variant, "os.version": osVersion } }),
      ...(of !== undefined && {
        annotations: {
          "vnd.docker.reference.type": "attestation-manifest",
          "vnd.docker.reference.digest": digest(of),
        },
      }),
    };
  });
  return indexEntries(new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, manifests })));
}

const letters = (entries: readonly { digest: string }[]): string =>
  entries.map((entry) => entry.digest.charAt("sha256:".length)).join("");

describe("platforms as they are written", () => {
  it.each([
    ["linux/amd64", "linux/amd64"],
    ["Linux/x86_64", "linux/amd64"],
    ["linux/x86-64/v1", "linux/amd64"],
    ["linux/amd64/v3", "linux/amd64/v3"],
    ["linux/aarch64", "linux/arm64"],
    ["linux/arm64/v8", "linux/arm64"],
    ["linux/arm64/8.0", "linux/arm64"],
    ["linux/arm64/v9", "linux/arm64/v9"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/arm/7", "linux/arm/v7"],
    ["linux/arm/v6", "linux/arm/v6"],
    ["linux/armhf", "linux/arm/v7"],
    ["linux/armel", "linux/arm/v6"],
    ["linux/i386", "linux/386"],
    ["macos/arm64", "darwin/arm64"],
    ["windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"],
    ["linux/riscv64", "linux/riscv64"],
  ])("%s is %s", (text, expected) => {
    const platform = parsePlatform(text);
    expect(platform && formatPlatform(platform)).toBe(expected);
  });

  it.each(["", "linux", "amd64", "linux/", "/amd64", "linux/arm/v7/x", "linux amd64", "*", "linux/*"])(
    "%s is refused",
    (text) => {
      expect(parsePlatform(text)).toBeNull();
    },
  );
});

describe("what runs where", () => {
  it.each<[has: string, wants: string, distance: number | null]>([
    ["linux/amd64", "linux/amd64", 0],
    ["linux/amd64", "linux/amd64/v3", 2],
    ["linux/amd64/v3", "linux/amd64", null],
    ["linux/arm64/v8", "linux/arm64", 0],
    ["linux/arm64", "linux/arm64/v9", 1],
    ["linux/arm/v6", "linux/arm/v7", 1],
    ["linux/arm/v5", "linux/arm", 2],
    ["linux/arm/v8", "linux/arm/v7", null],
    ["linux/arm/v7", "linux/arm64", null],
    ["linux/386", "linux/amd64", null],
    ["windows(10.0.17763.1999)/amd64", "windows(10.0.17763)/amd64", 0],
    ["windows(10.0.177631)/amd64", "windows(10.0.17763)/amd64", null],
    ["windows/amd64", "windows(10.0.17763)/amd64", null],
    ["windows(10.0.17763)/amd64", "windows/amd64", 0],
    ["linux/riscv64/rva23u64", "linux/riscv64", null],
  ])("%s where %s is wanted: %s", (has, wants, distance) => {
    const [image, wanted] = [parsePlatform(has), parsePlatform(wants)];
    expect(image && wanted && distanceOf(image, wanted)).toBe(distance);
  });
});

describe("choosing from an index", () => {
  const entries = index(
    { at: "a", platform: "linux/amd64" },
    { at: "b", platform: "linux/arm64/v8" },
    { at: "c", platform: "linux/arm/v6" },
    { at: "d", platform: "linux/arm/v7" },
    { at: "1", platform: "unknown/unknown", of: "a" },
    { at: "2", platform: "unknown/unknown", of: "b" },
    { at: "e" },
  );

  it.each<[wanted: string[], chosen: string, missing: string[]]>([
    [["linux/amd64"], "a1", []],
    [["linux/aarch64"], "b2", []],
    [["linux/arm64", "linux/amd64"], "ab12", []],
    [["linux/arm/v7"], "d", []],
    [["linux/arm/v6"], "c", []],
    [["linux/arm"], "d", []],
    [["linux/arm/v5", "linux/amd64"], "a1", ["linux/arm/v5"]],
    [["linux/s390x"], "", ["linux/s390x"]],
    [["unknown/unknown"], "", ["unknown/unknown"]],
    [["linux/amd64", "linux/x86_64"], "a1", []],
  ])("%j gives %s", (wanted, chosen, missing) => {
    const choice = choosePlatforms(entries, wanted);
    expect([letters(choice.chosen), choice.missing]).toEqual([chosen, missing]);
  });

  it("falls back to an older variant where the wanted one is missing", () => {
    const only = index({ at: "5", platform: "linux/arm/v5" }, { at: "6", platform: "linux/arm/v6" });
    expect(letters(choosePlatforms(only, ["linux/arm/v7"]).chosen)).toBe("6");
  });

  it("takes all images of one platform, and the first where only one is wanted", () => {
    const builds = index(
      { at: "a", platform: "windows/amd64", osVersion: "10.0.17763.1" },
      { at: "b", platform: "windows/amd64", osVersion: "10.0.20348.2" },
      { at: "b", platform: "windows/amd64", osVersion: "10.0.20348.2" },
    );
    expect(letters(choosePlatforms(builds, ["windows/amd64"]).chosen)).toBe("abb");
    expect(letters(choosePlatforms(builds, ["windows(10.0.20348)/amd64"]).chosen)).toBe("bb");
    expect(chooseImage(builds, "windows/amd64")?.digest).toBe(digest("a"));
    expect(chooseImage(builds, "linux/amd64")).toBeNull();
  });

  it("takes an index within the index whole, and then misses nothing", () => {
    const nested = index({ at: "a", platform: "linux/riscv64" }, { at: "f", mediaType: OCI_INDEX });
    const choice = choosePlatforms(nested, ["linux/amd64"]);
    expect([letters(choice.chosen), choice.missing, choice.available]).toEqual(["f", [], ["linux/riscv64"]]);
  });

  it("does not let attestations of others along", () => {
    const odd = index({ at: "a", platform: "linux/amd64" }, { at: "1", of: "9" }, { at: "2", of: "a" });
    expect(letters(choosePlatforms(odd, ["linux/amd64"]).chosen)).toBe("a2");
  });

  it("is everything where no entry names a platform, and nothing of it is one image", () => {
    for (const none of [index(), index({ at: "a" }, { at: "b" })]) {
      expect(choosePlatforms(none, ["linux/amd64"])).toEqual({ chosen: none, missing: [], available: [] });
      expect(chooseImage(none, "linux/amd64")).toBeNull();
    }
    const one = index({ at: "a" }, { at: "b", platform: "linux/arm64" });
    expect(choosePlatforms(one, ["linux/amd64"]).missing).toEqual(["linux/amd64"]);
  });

  it("is a fault of the source when a platform is missing, and names the ones there are", () => {
    expect(availableIn(entries)).toEqual(["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7"]);
    const { detail } = platformMissing("r.example", "a/b:v1", ["linux/s390x"], availableIn(entries));
    expect(detail).toMatchObject({ code: "not_found", side: "source", retryable: false });
    expect(detail.message).toBe(
      "r.example/a/b:v1 has no image for linux/s390x; there are linux/amd64, linux/arm64, linux/arm/v6, linux/arm/v7.",
    );
    expect(platformMissing("r.example", "a", ["linux/s390x"], []).detail.message).toMatch(/names no platforms/);
  });
});

it("bytes that are no index have no entries, and what is no descriptor is passed over", () => {
  const read = (text: string) => indexEntries(new TextEncoder().encode(text));
  expect(read("nonsense")).toEqual([]);
  expect(read('{"config":{}}')).toEqual([]);
  expect(read(`{"manifests":[null,{"digest":"x"},{"digest":"${digest("a")}","size":1}]}`)).toEqual([
    { at: 2, digest: digest("a"), sizeBytes: 1, mediaType: "", annotations: {} },
  ]);
});

/**
 * Tags as semantic versions, and ranges of them as npm has them. Pure.
 *
 * A tag is a version when it has two or three numbers, with or without a `v` before them: `1.27`, `v1.27.3`,
 * `1.27.3-rc.1`. A lone number is none: it is as often a date or the number of a build.
 */
import semver from "semver";
import type { Range, SemVer } from "semver";

/** Long enough for any range that a person writes. */
const MAX_RANGE_CHARACTERS = 512;

const TWO_NUMBERS = /^(v?(?:0|[1-9]\d{0,15})\.(?:0|[1-9]\d{0,15}))(-.*)?$/;

/** Null: the tag is no version. */
export function versionOf(tag: string): SemVer | null {
  const short = TWO_NUMBERS.exec(tag);
  return semver.parse(short === null ? tag : `${short[1] ?? ""}.0${short[2] ?? ""}`);
}

/** What is wrong with a range, as the end of a sentence that begins with it; null: nothing. */
export function describeRangeFault(text: string): string | null {
  if (text.trim() === "") {
    return "is empty; expected a range such as >=1.2 <3";
  }
  if (text.length > MAX_RANGE_CHARACTERS) {
    return `has ${text.length} characters; at most ${MAX_RANGE_CHARACTERS} are allowed`;
  }
  if (readRange(text) !== null) {
    return null;
  }
  return text.includes("!=")
    ? "is not a range of semantic versions: there is no !=; leave single tags out with an expression in exclude"
    : "is not a range of semantic versions; expected one such as >=1.2 <3, ^1.4 or 1.x || 2.x";
}

/**
 * Which tags are in a range. A prerelease (`2.0.0-rc.1`) is in it only where the range names a prerelease of the same
 * version.
 * @throws when the range is faulty: check with {@link describeRangeFault} first.
 */
export function rangeMatcherOf(text: string): (tag: string) => boolean {
  const range = readRange(text);
  if (range === null) {
    throw new TypeError(`${JSON.stringify(text)} ${describeRangeFault(text) ?? ""}`);
  }
  return (tag) => {
    const version = versionOf(tag);
    return version !== null && range.test(version);
  };
}

/**
 * The versions among the tags, newest first. Prereleases, and with them variants such as `1.27.3-alpine`, count only where
 * there is nothing else. Of two names for one version the longer comes first: `1.27.0` before `1.27`.
 */
export function newestFirst(tags: readonly string[]): string[] {
  const versions = tags.flatMap((tag) => {
    const version = versionOf(tag);
    return version === null ? [] : [{ tag, version }];
  });
  const releases = versions.filter(({ version }) => version.prerelease.length === 0);
  const considered = releases.length > 0 ? releases : versions;
  considered.sort(
    (a, b) => semver.rcompare(a.version, b.version) || b.tag.length - a.tag.length || (a.tag < b.tag ? -1 : 1),
  );
  return considered.map(({ tag }) => tag);
}

/** Go's libraries, and so skopeo's files, put a comma between conditions. */
function readRange(text: string): Range | null {
  try {
    return new semver.Range(text.replaceAll(",", " "));
  } catch {
    return null;
  }
}

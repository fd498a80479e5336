import { describe, expect, it } from "vitest";
import { MOMENT_FORMS, parseDuration, parseMoment } from "../../src/copy/moment.ts";
import { describeExpressionFault, matcherOf } from "../../src/copy/tag-expression.ts";
import { describeRangeFault, newestFirst, rangeMatcherOf, versionOf } from "../../src/copy/versions.ts";

describe("expressions", () => {
  it.each(["v\\d+", "[a-z]+-(alpine|slim)", "(?i)RC.*", "(a+)+", "^v1$", "\\d{4}"])("%s is taken", (expression) => {
    expect(describeExpressionFault(expression)).toBeNull();
  });

  it.each([
    ["", /is empty/],
    ["(", /not a valid regular expression: missing closing/],
    ["*", /missing argument to repetition/],
    ["v(?!1).*", /look-around and back-references are not supported/],
    ["(a)\\1", /look-around and back-references are not supported/],
    ["((a{1,30}){1,30}){1,30}", /repeat/],
    ["a".repeat(513), /513 characters; at most 512/],
  ])("%s is refused with a reason", (expression, reason) => {
    expect(describeExpressionFault(expression)).toMatch(reason);
  });

  it("know the whole tag only", () => {
    expect(["1", "11", "x1", "1\n"].filter(matcherOf(["1"]))).toEqual(["1"]);
    expect(matcherOf([])("1")).toBe(false);
  });
});

describe("versions", () => {
  it.each([
    ["1.2.3", "1.2.3"],
    ["v1.2.3", "1.2.3"],
    ["16.1", "16.1.0"],
    ["v16.1-alpine", "16.1.0-alpine"],
    ["1.2.3-rc.1", "1.2.3-rc.1"],
    ["3", undefined],
    ["20260101", undefined],
    ["22.04", undefined],
    ["latest", undefined],
    ["1.2.3.4", undefined],
    ["", undefined],
  ])("%s is read as %s", (tag, version) => {
    expect(versionOf(tag)?.version).toBe(version);
  });

  it("are put newest first, whatever they were written like", () => {
    expect(newestFirst(["1.2", "1.10.0", "v1.9.0", "2.0.0-rc.1", "1.2.0", "x"])).toEqual([
      "1.10.0",
      "v1.9.0",
      "1.2.0",
      "1.2",
    ]);
  });

  it.each([
    ["", /is empty/],
    ["newest", /not a range/],
    [">=1 !=1.3", /there is no !=/],
    [`>=1 ${" ".repeat(600)}`, /at most 512/],
  ])("the range %s is refused with a reason", (range, reason) => {
    expect(describeRangeFault(range)).toMatch(reason);
    if (range.length < 500 && range !== "") {
      expect(() => rangeMatcherOf(range)).toThrow(TypeError);
    }
  });
});

describe("moments", () => {
  const now = Date.UTC(2026, 0, 31, 12);

  it.each([
    ["30d", now - 30 * 86_400_000],
    ["1w", now - 7 * 86_400_000],
    ["1h30m", now - 5_400_000],
    ["0s", now],
    ["2026-01-31", Date.UTC(2026, 0, 31)],
    ["2026-01-31T12:00:00Z", now],
    ["2026-01-31T14:00:00.000+02:00", now],
  ])("%s is understood", (text, expected) => {
    expect(parseMoment(text, now)).toBe(expected);
  });

  it.each(["", "30", "d30", "1y", "-3d", "2026-02-30", "2026-13-01", "2026-01-31T25:00:00Z", "31.01.2026", "1e3s"])(
    "%s is not",
    (text) => {
      expect(parseMoment(text, now)).toBeNull();
    },
  );

  it("names every unit it reads", () => {
    for (const unit of ["s", "m", "h", "d", "w"]) {
      expect(parseDuration(`1${unit}`)).toBeGreaterThan(0);
      expect(MOMENT_FORMS).toMatch(new RegExp(`\\b${unit}\\b`));
    }
  });
});

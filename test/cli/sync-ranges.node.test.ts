/** regsync's ranges of versions: which tags are in them here. */
import { expect, test } from "vitest";
import { rangeOf } from "../../src/cli/sync-file/regsync-ranges.ts";
import { describeRangeFault, rangeMatcherOf } from "../../src/copy/versions.ts";

test.each<[string, string[], string[]]>([
  [">1.2", ["1.2.1", "1.3"], ["1.2", "1.2.0", "1.1.9"]],
  [">=v1.2", ["1.2", "v1.2.1", "2.0"], ["1.1.9"]],
  ["<=1.2", ["1.2", "1.2.0", "1.1"], ["1.2.1", "1.3"]],
  ["<2", ["1.9.9"], ["2.0", "2.0.1"]],
  ["1.2", ["1.2", "1.2.0"], ["1.2.1"]],
  ["=3", ["3.0"], ["3.1", "3.0.1"]],
  ["~1", ["1.0", "1.0.9"], ["1.1", "0.9"]],
  ["~1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3"]],
  ["^1.2", ["1.2", "1.9"], ["1.1", "2.0"]],
  ["^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0"]],
  ["^0.0.3", ["0.0.3"], ["0.0.4"]],
  ["^0", ["0.0.0"], ["0.0.1", "0.1"]],
  [" >=3.2   <3.4 ", ["3.2", "3.3.9"], ["3.4", "3.1"]],
  [">=1.2.3-rc.1", ["1.2.3-rc.2", "1.2.3"], ["1.2.3-alpha"]],
])("in %j are %j, and %j are not", (range, inside, outside) => {
  const isIn = rangeMatcherOf(rangeOf(range));
  expect(inside.filter((tag) => !isIn(tag))).toEqual([]);
  expect(outside.filter(isIn)).toEqual([]);
});

test.each(["1.2.3.4", ">= 1.2", "latest", ""])("%j stays as it is", (range) => {
  expect(rangeOf(range)).toBe(range);
});

test("a range that regsync refuses is judged as the API's", () => {
  expect(describeRangeFault(rangeOf("1.2.3.4"))).toContain("is not a range");
  expect(describeRangeFault(rangeOf("latest"))).toContain("is not a range");
});

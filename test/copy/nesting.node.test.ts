/** Documents that are nested deeper than any manifest. */
import { expect, test } from "vitest";
import { isNestedTooDeeply, MAX_NESTING } from "../../src/copy/nesting.ts";

const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);

test.each([
  ["as deep as allowed", nested(MAX_NESTING), false],
  ["one deeper", nested(MAX_NESTING + 1), true],
  ["a million deep", nested(1_000_000), true],
  ["many beside each other", `[${Array.from({ length: 500 }, () => "{}").join(",")}]`, false],
  ["brackets in a text", JSON.stringify({ note: "[".repeat(500) }), false],
  ["brackets after an escaped quote", JSON.stringify({ note: `"${"{".repeat(500)}` }), false],
])("%s", (_, text, answer) => {
  expect(isNestedTooDeeply(new TextEncoder().encode(text))).toBe(answer);
});

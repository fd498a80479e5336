import { expect, test } from "vitest";
import { plausibleOffset } from "../../src/lane/offset.ts";

const KNOWN = { storedBytes: 100, sentBytes: 300 };

test.each([
  { what: "what lies between what is stored and what was sent", told: 200, taken: 200 },
  { what: "no more than was stored before", told: 100, taken: 100 },
  { what: "all that was sent", told: 300, taken: 300 },
  { what: "less than was stored before", told: 99, taken: null },
  { what: "more than was sent", told: 301, taken: null },
  { what: "a number that is none", told: Number.NaN, taken: null },
  { what: "a fraction", told: 150.5, taken: null },
])("a registry that tells $what", ({ told, taken }) => {
  expect(plausibleOffset(told, KNOWN)).toBe(taken);
});

test("nothing stored is no offset to go on from", () => {
  expect(plausibleOffset(0, { storedBytes: 0, sentBytes: 300 })).toBeNull();
});

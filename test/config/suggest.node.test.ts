import { expect, test } from "vitest";
import { nearest } from "../../src/config/suggest.ts";

test.each([
  ["reqConcurent", "req_concurrent"],
  ["tsl", "tls"],
  ["xx", null],
  ["mirrorsmirrors", null],
])("%s is most likely %s", (name, expected) => {
  expect(nearest(name, ["req_concurrent", "tls", "mirrors"])).toBe(expected);
});

test("a name as long as a request can be is no work", () => {
  const known = Array.from({ length: 200 }, (_, index) => `candidate_${index}`);
  expect(nearest("x".repeat(2_000_000), known)).toBeNull();
});

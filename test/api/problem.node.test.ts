import { expect, test } from "vitest";
import { invalidFields, Problem, problemAnswer } from "../../src/api/problem.ts";
import { CopyError, type ErrorCode } from "../../src/registry/errors.ts";

const NOW_MS = 1_000_000;

function copyError(code: ErrorCode, retryAt?: number): CopyError {
  return new CopyError({
    code,
    side: "source",
    host: "ghcr.io",
    operation: "list tags",
    retryable: true,
    message: `words for ${code}`,
    ...(retryAt === undefined ? {} : { retryAt }),
  });
}

test.each<[ErrorCode, number]>([
  ["invalid_request", 422],
  ["configuration", 500],
  ["not_found", 502],
  ["denied", 502],
  ["unavailable", 503],
  ["cancelled", 409],
])("an error %s is answered with %i, in its own words", async (code, status) => {
  const answer = problemAnswer(copyError(code), NOW_MS);
  expect(answer.status).toBe(status);
  expect(await answer.json()).toMatchObject({ status, detail: `words for ${code}` });
});

test("an error that came through RPC or storage, as plain data, is answered as the error itself", async () => {
  const { detail } = copyError("rate_limited");
  const carried = problemAnswer(Object.assign(new Error("remote"), { detail }), NOW_MS);
  expect(carried.status).toBe(503);
  expect(await carried.json()).toMatchObject({ detail: "words for rate_limited" });
});

test.each([
  [NOW_MS + 1, "1"],
  [NOW_MS + 1000, "1"],
  [NOW_MS + 1001, "2"],
  [NOW_MS - 1, null],
  [undefined, null],
])("retryAt %s becomes Retry-After: %s", (retryAt, seconds) => {
  expect(problemAnswer(copyError("rate_limited", retryAt), NOW_MS).headers.get("retry-after")).toBe(seconds);
});

test("names every wrong field, the whole body as body", async () => {
  const errors = [
    { field: "source", message: "is missing" },
    { field: "", message: "must be an object" },
  ];
  const answer = problemAnswer(invalidFields(errors), NOW_MS);
  expect(await answer.json()).toEqual({
    type: "urn:drayage:problem:invalid-request",
    title: "The request has fields that cannot be accepted",
    status: 422,
    detail: "source: is missing\nbody: must be an object",
    errors,
  });
});

test("keeps the headers of a problem, and leaves out an empty list of errors", async () => {
  const answer = problemAnswer(
    new Problem("unauthorized", "Who?", { headers: { "www-authenticate": "Bearer" } }),
    NOW_MS,
  );
  expect(answer.headers.get("www-authenticate")).toBe("Bearer");
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(await answer.json()).not.toHaveProperty("errors");
});

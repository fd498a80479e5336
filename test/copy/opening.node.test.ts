import { describe, expect, test } from "vitest";
import { checkTargetDigest, sourceMissing, sourceName, targetName } from "../../src/copy/opening.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";

const A = `sha256:${"a".repeat(64)}`;
const B = `sha256:${"b".repeat(64)}`;

function request(source: { tag?: string; digest?: string }, target: { tag?: string; digest?: string }) {
  return {
    source: { host: "src.example", repository: "team/app", ...source },
    target: { host: "dst.example", repository: "mirror/app", ...target },
  };
}

describe("names at both ends", () => {
  test.each([
    ["tag to tag", { tag: "v1" }, { tag: "v2" }, "v1", "v2"],
    ["the source's digest before its tag", { tag: "v1", digest: A }, { tag: "v2" }, A, "v2"],
    ["the target's tag before its digest", { tag: "v1" }, { tag: "v2", digest: A }, "v1", "v2"],
    ["digest to digest", { digest: A }, { digest: A }, A, A],
    ["a digest to a bare repository", { digest: A }, {}, A, A],
    ["a tag to a bare repository: only the source can tell", { tag: "v1" }, {}, "v1", null],
  ])("%s", (_name, source, target, atSource, atTarget) => {
    expect(sourceName(request(source, target))).toBe(atSource);
    expect(targetName(request(source, target))).toBe(atTarget);
  });
});

test("a target with another digest than the source is refused before anything moves", () => {
  const wanted = request({ tag: "v1" }, { tag: "v1", digest: B });
  expect(() => checkTargetDigest(wanted, B)).not.toThrow();
  expect(() => checkTargetDigest(request({ tag: "v1" }, { tag: "v1" }), A)).not.toThrow();
  try {
    checkTargetDigest(wanted, A);
    expect.unreachable();
  } catch (error) {
    const detail = errorDetailOf(error);
    expect(detail).toMatchObject({ code: "invalid_request", side: "request" });
    expect(detail.message).toContain(A);
    expect(detail.message).toContain(B);
  }
});

test("a source that does not exist is named as it was asked for", () => {
  const { detail } = sourceMissing(request({ tag: "v1" }, { tag: "v1" }));
  expect(detail).toMatchObject({ code: "not_found", side: "source", host: "src.example", status: 404 });
  expect(detail.message).toContain("src.example/team/app:v1");
});

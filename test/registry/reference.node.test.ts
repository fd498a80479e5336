import { describe, expect, it } from "vitest";
import { CopyError } from "../../src/registry/errors.ts";
import { formatReference, isTag, parseName, parseReference, withDefaultTag } from "../../src/registry/reference.ts";

const SHA = `sha256:${"a".repeat(64)}`;

describe("parseReference", () => {
  it.each([
    ["alpine", "docker.io/library/alpine:latest"],
    ["alpine:3.20", "docker.io/library/alpine:3.20"],
    ["bitnami/redis", "docker.io/bitnami/redis:latest"],
    ["docker.io/alpine", "docker.io/library/alpine:latest"],
    ["index.docker.io/library/alpine", "docker.io/library/alpine:latest"],
    ["registry-1.docker.io/a/b:1", "docker.io/a/b:1"],
    ["Registry-1.Docker.IO/a/b:1", "docker.io/a/b:1"],
    ["GHCR.io/a/b", "ghcr.io/a/b:latest"],
    ["localhost/app", "localhost/app:latest"],
    ["localhost:5000/app:v1", "localhost:5000/app:v1"],
    ["127.0.0.1:5001/a/b/c/d", "127.0.0.1:5001/a/b/c/d:latest"],
    ["[::1]:5000/app:v1", "[::1]:5000/app:v1"],
    ["[FD00::a]/app", "[fd00::a]/app:latest"],
    ["registry:5000/app", "registry:5000/app:latest"],
    ["ghcr.io:443/a/b", "ghcr.io/a/b:latest"],
    ["GHCR.io:0443/a/b", "ghcr.io/a/b:latest"],
    ["registry.example.com:05000/a", "registry.example.com:5000/a:latest"],
    ["index.docker.io:443/alpine", "docker.io/library/alpine:latest"],
    ["localhost:80/app", "localhost/app:latest"],
    ["127.0.0.1:80/app", "127.0.0.1/app:latest"],
    ["0x7f.1:80/app", "0x7f.1/app:latest"],
    ["[::1]:80/app", "[::1]/app:latest"],
    ["[fd00::a]:443/app", "[fd00::a]/app:latest"],
    ["ghcr.io:80/a/b", "ghcr.io:80/a/b:latest"],
    ["registry:443/app", "registry:443/app:latest"],
    ["localhost:443/app", "localhost:443/app:latest"],
    [`ghcr.io/a/b@${SHA}`, `ghcr.io/a/b@${SHA}`],
    [`ghcr.io/a/b:1.0@${SHA}`, `ghcr.io/a/b:1.0@${SHA}`],
    [`alpine@sha512:${"0".repeat(128)}`, `docker.io/library/alpine@sha512:${"0".repeat(128)}`],
    ["quay.io/x/y@blake2+b64u:AbC_-=", "quay.io/x/y@blake2+b64u:AbC_-="],
    ["ghcr.io/a__b/c--d/e.f_g:_x", "ghcr.io/a__b/c--d/e.f_g:_x"],
    [`ghcr.io/a:${"t".repeat(128)}`, `ghcr.io/a:${"t".repeat(128)}`],
  ])("reads %s as %s, and its full form as itself", (text, full) => {
    const reference = parseReference(text);
    expect(formatReference(reference)).toBe(full);
    expect(parseReference(full)).toEqual(reference);
  });

  it.each([
    ["", "empty"],
    ["https://ghcr.io/a/b", 'no scheme; leave out "https://"'],
    ["docker://alpine", 'leave out "docker://"'],
    ["oci://ghcr.io/a", 'leave out "oci://"'],
    [" alpine", "white space or a control character at position 1"],
    ["alpine latest", "position 7"],
    ["al\u0000pine", "position 3"],
    ["/alpine", 'begins with "/"'],
    ["ghcr.io/", "repository after the host"],
    ["[::1]:5000", "repository after the host is missing"],
    ["ghcr.io//a", "empty part (a slash too many)"],
    ["ghcr.io/a/", "empty part"],
    ["ghcr.io/Owner/app", 'lower case: "owner/app"'],
    ["Owner/app:1", 'lower case: "owner/app"'],
    ["ghcr.io/a..b", 'the part "a..b"'],
    ["ghcr.io/-a", 'the part "-a"'],
    ["ghcr.io/a___b", 'the part "a___b"'],
    ["ghcr.io/a/../b", 'the part ".."'],
    ["alpine:", 'tag after ":" is empty'],
    ["alpine:.x", 'the tag ".x"'],
    ["alpine:a:b", 'the tag "a:b"'],
    [`alpine:${"t".repeat(129)}`, "129 characters; at most 128"],
    ["alpine@", 'the digest after "@" is empty'],
    ["alpine@latest", "has no algorithm"],
    ["alpine@sha256:abc", 'has 3 characters after "sha256:"; sha256 has 64'],
    [`alpine@sha256:${"A".repeat(64)}`, "lower case"],
    [`alpine@SHA256:${"a".repeat(64)}`, "malformed algorithm"],
    [`alpine@sha512:${"a".repeat(64)}`, "sha512 has 128"],
    ["alpine@md5:", "is empty or has characters"],
    [`@${SHA}`, 'repository before "@" is missing'],
    ["ghcr.io:99999/a", 'the port "99999"'],
    ["ghcr.io:/a", 'the port ""'],
    ["ghcr.io:0/a", 'the port "0"'],
    ["-bad.example/a", 'the part "-bad"'],
    ["a..example/a", "empty part"],
    ["999.1.1.1/a", "neither a host name nor an IP address"],
    ["[::1/a", "malformed"],
    ["[nonsense]/a", "not an IPv6 address"],
    ["user@ghcr.io/a", "has no algorithm"],
  ])("refuses %j and says: %s", (text, problem) => {
    expectRefusal(text, problem);
  });

  it("refuses names too long for any registry, without repeating them whole", () => {
    expectRefusal(`ghcr.io/${"a/".repeat(130)}a`, "more than 255");
    expectRefusal("x".repeat(2000), "has 2000 characters");
  });
});

function expectRefusal(text: string, problem: string): void {
  let error: unknown;
  try {
    parseReference(text, "source");
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(CopyError);
  const { detail } = error instanceof CopyError ? error : { detail: null };
  expect(detail).toMatchObject({ code: "invalid_request", side: "request", retryable: false });
  expect(detail?.message).toMatch(/^source "/);
  expect(detail?.message).toContain(problem);
  expect(detail?.message.length).toBeLessThan(400);
}

describe("isTag", () => {
  it.each([
    ["v1.0_x-y", true],
    ["", false],
    ["-x", false],
    ["a/b", false],
    ["..", false],
    ["a\n", false],
  ])("of %j is %s", (text, expected) => {
    expect(isTag(text)).toBe(expected);
  });
});

it("a name without tag and digest is that of a repository, until it is given the default tag", () => {
  expect(parseName("alpine")).toEqual({ host: "docker.io", repository: "library/alpine" });
  expect(withDefaultTag(parseName("alpine"))).toEqual(parseReference("alpine"));
  expect(withDefaultTag(parseName("alpine:3"))).toEqual(parseReference("alpine:3"));
});

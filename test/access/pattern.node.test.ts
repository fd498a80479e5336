import { describe, expect, test } from "vitest";
import {
  covers,
  formatPattern,
  hostInPattern,
  inPattern,
  readPattern,
  type Pattern,
} from "../../src/access/pattern.ts";
import { parseReference, type Reference } from "../../src/registry/reference.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

function pattern(text: string): Pattern {
  const read = readPattern(text);
  if ("fault" in read) {
    throw new Error(`${text} ${read.fault}`);
  }
  return read;
}

describe("a reference in a pattern", () => {
  test.each<[pattern: string, reference: string, isIn: boolean]>([
    // A whole name, and nothing that only begins or ends alike.
    ["ghcr.io/acme/app", "ghcr.io/acme/app:1", true],
    ["ghcr.io/acme", "ghcr.io/acme:1", true],
    ["ghcr.io/acme", "ghcr.io/acme-evil:1", false],
    ["ghcr.io/acme", "ghcr.io/acme/app:1", false],
    ["ghcr.io/acme/app", "ghcr.io/acme/app/evil:1", false],
    ["ghcr.io/acme/app", "ghcr.io/acme/ap:1", false],
    ["ghcr.io/acme/app", "ghcr.io.evil.com/acme/app:1", false],
    ["ghcr.io/acme/app", "evil-ghcr.io/acme/app:1", false],
    ["ghcr.io/acme/app", "ghcr.io:444/acme/app:1", false],
    // The port that its scheme has anyway is no part of a host's name, and no wildcard becomes wider for it.
    ["ghcr.io/acme/app", "ghcr.io:443/acme/app:1", true],
    ["ghcr.io:443/acme/app", "ghcr.io/acme/app:1", true],
    ["*.example.com:443/app/x", "eu.example.com/app/x:1", true],
    ["*.example.com:443/app/x", "eu.example.com:5000/app/x:1", false],
    ["*:443/app/x", "example.com:5000/app/x:1", false],
    ["localhost:80/app", "localhost/app:1", true],
    ["ghcr.io/acme/app", "evil.com/ghcr.io/acme/app:1", false],
    // * stays within its element.
    ["ghcr.io/acme/*", "ghcr.io/acme/app:1", true],
    ["ghcr.io/acme/*", "ghcr.io/acme/a/b:1", false],
    ["ghcr.io/acme/*", "ghcr.io/acme:1", false],
    ["ghcr.io/acme/*", "ghcr.io/acme-evil/app:1", false],
    ["ghcr.io/acme/app-*", "ghcr.io/acme/app-web:1", true],
    ["ghcr.io/acme/app-*", "ghcr.io/acme/app-web/x:1", false],
    ["ghcr.io/*/app", "ghcr.io/acme/app:1", true],
    ["ghcr.io/*/app", "ghcr.io/a/b/app:1", false],
    ["*.example.com/app/x", "eu.registry.example.com/app/x:1", true],
    ["*.example.com/app/x", "example.com/app/x:1", false],
    ["*.example.com/app/x", "r.example.com.evil.net/app/x:1", false],
    ["*.example.com/app/x", "r.example.com:5000/app/x:1", false],
    ["registry.example.com:*/app/x", "registry.example.com:5000/app/x:1", true],
    // ** takes whole elements.
    ["ghcr.io/acme/**", "ghcr.io/acme/app:1", true],
    ["ghcr.io/acme/**", "ghcr.io/acme/a/b/c:1", true],
    ["ghcr.io/acme/**", "ghcr.io/acme:1", false],
    ["ghcr.io/acme/**", "ghcr.io/acme-evil/app:1", false],
    ["ghcr.io/**/app", "ghcr.io/app:1", true],
    ["ghcr.io/**/app", "ghcr.io/a/b/app:1", true],
    ["ghcr.io/**/app", "ghcr.io/a/b/my-app:1", false],
    ["ghcr.io/**/a/**/b", "ghcr.io/x/a/b:1", true],
    ["ghcr.io/**/a/**/b", "ghcr.io/a/b/a:1", false],
    ["**/app", "ghcr.io/a/app:1", true],
    ["**/app", "ghcr.io/a/app/x:1", false],
    ["**", "ghcr.io/acme/app:1", true],
    ["**", `127.0.0.1:5000/x@${DIGEST}`, true],
    ["*/**", "registry.example.com:5000/x/y:1", true],
    // Docker Hub by any of its names.
    ["docker.io/library/alpine", "alpine", true],
    ["docker.io/alpine", "alpine:3", true],
    ["index.docker.io/acme/*", "acme/app:1", true],
    ["docker.io/*", "alpine", true],
    ["docker.io/*", "acme/app:1", false],
    ["docker.io/**", "acme/app:1", true],
    ["docker.io/acme/*", "acme-evil/app:1", false],
    ["DOCKER.IO/acme/app", "docker.io/acme/app:1", true],
    ["GHCR.io/acme/app", "ghcr.io/acme/app:1", true],
    // Tags: none is all of them; the default one is latest; case counts.
    ["ghcr.io/acme/app:v*", "ghcr.io/acme/app:v1", true],
    ["ghcr.io/acme/app:v*", "ghcr.io/acme/app:V1", false],
    ["ghcr.io/acme/app:v*", "ghcr.io/acme/app:dev", false],
    ["ghcr.io/acme/app:latest", "ghcr.io/acme/app", true],
    ["ghcr.io/acme/app:latest", "ghcr.io/acme/app:latest-evil", false],
    ["ghcr.io/acme/app:1.*", "ghcr.io/acme/app:1.2.3", true],
    ["ghcr.io/acme/app:1.*", "ghcr.io/acme/app:112", false],
    ["ghcr.io/acme/app:*", "ghcr.io/acme/app:anything", true],
    ["ghcr.io/acme/**:v1", "ghcr.io/acme/a/b:v1", true],
    ["registry.example.com:5000/app/x:v1", "registry.example.com:5000/app/x:v1", true],
    // A digest may be of anything in the repository, whatever tag stands before it.
    ["ghcr.io/acme/app", `ghcr.io/acme/app@${DIGEST}`, true],
    ["ghcr.io/acme/app:*", `ghcr.io/acme/app@${DIGEST}`, true],
    ["ghcr.io/acme/app:v*", `ghcr.io/acme/app@${DIGEST}`, false],
    ["ghcr.io/acme/app:v*", `ghcr.io/acme/app:v1@${DIGEST}`, false],
  ])("%s: %s %s", (text, reference, isIn) => {
    expect(inPattern(parseReference(reference), pattern(text))).toBe(isIn);
  });

  test("a repository with all its tags needs a pattern without one", () => {
    const repository: Reference = { host: "ghcr.io", repository: "acme/app" };
    expect(inPattern(repository, pattern("ghcr.io/acme/app"))).toBe(true);
    expect(inPattern(repository, pattern("ghcr.io/acme/app:latest"))).toBe(false);
    expect(inPattern(repository, pattern("ghcr.io/acme/app:v*"))).toBe(false);
  });

  test("a hostile pattern against a long name takes no time worth speaking of", () => {
    const stars = pattern(`ghcr.io/${"*a".repeat(60)}/${"**/x/".repeat(30)}b`);
    // Milliseconds here; whoever tries one star after the other does not come to an end.
    const before = performance.now();
    expect(inPattern({ host: "ghcr.io", repository: `${"a".repeat(100)}${"/x".repeat(70)}` }, stars)).toBe(false);
    expect(performance.now() - before).toBeLessThan(5_000);
  });
});

describe("texts that are no patterns are refused, with what to write", () => {
  test.each([
    ["", /empty element/],
    ["ghcr.io", /host and repository/],
    ["ghcr.io/", /empty element/],
    ["/acme/app", /empty element/],
    ["ghcr.io//app", /empty element/],
    ["acme/app", /host and repository/],
    ["alpine", /host and repository/],
    ["*", /host and repository/],
    ["ghcr.io/acme**", /stands alone/],
    ["ghcr.io/acme/a**b", /stands alone/],
    ["**.example.com/x", /stands alone/],
    ["ghcr.io/***", /stands alone/],
    ["ghcr.io/Acme/app", /lower case/],
    ["ghcr.io/acme/app ", /characters/],
    ["ghcr.io/acme/ä", /characters/],
    ["ghcr.io/acme/app?", /characters/],
    ["https://ghcr.io/acme/app", /empty element/],
    ["user@ghcr.io/acme", /characters/],
    ["ghcr.io/acme/app:", /tag/],
    ["ghcr.io/acme/app:v**", /tag/],
    ["ghcr.io/acme/app:a:b", /tag/],
    [`ghcr.io/acme/app@${DIGEST}`, /characters|tag/],
    [`ghcr.io/${"a".repeat(400)}`, /more than 400/],
  ])("%j", (text, words) => {
    const read = readPattern(text);
    expect("fault" in read ? read.fault : "").toMatch(words);
  });
});

test.each([
  ["docker.io/alpine", "docker.io/library/alpine"],
  ["registry-1.docker.io/acme/*:*", "docker.io/acme/*"],
  ["GHCR.IO/acme/**:**", "ghcr.io/acme/**"],
  ["docker.io/**", "docker.io/**"],
  ["localhost/app", "localhost/app"],
  ["[::1]:5000/app:v1", "[::1]:5000/app:v1"],
])("%s is spelt %s, and that stays as it is", (text, spelt) => {
  expect(formatPattern(pattern(text))).toBe(spelt);
  expect(formatPattern(pattern(spelt))).toBe(spelt);
});

describe("a pattern within a pattern", () => {
  test.each<[wide: string, narrow: string, covered: boolean]>([
    ["**", "ghcr.io/acme/**", true],
    ["**", "**", true],
    ["ghcr.io/**", "**", false],
    ["ghcr.io/acme/**", "ghcr.io/acme/app", true],
    ["ghcr.io/acme/**", "ghcr.io/acme/*", true],
    ["ghcr.io/acme/**", "ghcr.io/acme/**", true],
    ["ghcr.io/acme/**", "ghcr.io/acme/a/**", true],
    ["ghcr.io/acme/**", "ghcr.io/acme", false],
    ["ghcr.io/acme/**", "ghcr.io/acme-evil/**", false],
    ["ghcr.io/acme/**", "ghcr.io/**", false],
    ["ghcr.io/acme/**", "ghcr.io/**/acme", false],
    ["ghcr.io/acme/*", "ghcr.io/acme/**", false],
    ["ghcr.io/acme/*", "ghcr.io/acme/app-*", true],
    ["ghcr.io/acme/app-*", "ghcr.io/acme/*", false],
    ["ghcr.io/acme/a*c", "ghcr.io/acme/a*b*c", true],
    ["ghcr.io/acme/a*b*c", "ghcr.io/acme/a*c", false],
    ["ghcr.io/*/app", "ghcr.io/**/app", false],
    ["ghcr.io/**/app", "ghcr.io/*/app", true],
    ["ghcr.io/**/app", "ghcr.io/a/**/b/app", true],
    ["ghcr.io/**/app", "ghcr.io/**", false],
    ["*/**", "ghcr.io/**", true],
    ["*/**", "**", false],
    ["*.example.com/**", "r.example.com/**", true],
    ["*.example.com/**", "*/**", false],
    ["ghcr.io/acme/app", "ghcr.io/acme/app:v1", true],
    ["ghcr.io/acme/app:v1", "ghcr.io/acme/app", false],
    ["ghcr.io/acme/app:v*", "ghcr.io/acme/app:v1*", true],
    ["ghcr.io/acme/app:v1*", "ghcr.io/acme/app:v*", false],
    ["ghcr.io/acme/**:v*", "ghcr.io/acme/app:v1", true],
  ])("%s covers %s: %s", (wide, narrow, covered) => {
    expect(covers(pattern(wide), pattern(narrow))).toBe(covered);
  });

  test("never says more than is true: what a covered pattern holds, the covering one holds", () => {
    const words = ["a", "b", "*", "a*", "*b", "**"];
    const names = ["a", "b", "ab", "abb"];
    const three = (list: string[]) =>
      list.flatMap((x) => list.flatMap((y) => [`${x}/${y}`, ...list.map((z) => `${x}/${y}/${z}`)]));
    const patterns = three(words).map((path) => pattern(`h.io/${path}`));
    const references = three(names).map((repository): Reference => ({ host: "h.io", repository, tag: "1" }));
    const held = patterns.map((each) => references.map((reference) => inPattern(reference, each)));
    const wrong: string[] = [];
    let coverings = 0;
    for (const [wideIndex, wide] of patterns.entries()) {
      for (const [narrowIndex, narrow] of patterns.entries()) {
        if (covers(wide, narrow)) {
          coverings += 1;
          if (held[narrowIndex]?.some((isIn, index) => isIn && !held[wideIndex]?.[index])) {
            wrong.push(`${formatPattern(wide)} > ${formatPattern(narrow)}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(coverings).toBeGreaterThan(patterns.length);
  });
});

test.each([
  ["ghcr.io/acme/**", "ghcr.io", true],
  ["ghcr.io/acme/**", "ghcr.io:444", false],
  ["*.example.com/x", "r.example.com", true],
  ["**", "anything:5000", true],
  ["**/app", "quay.io", true],
  ["docker.io/alpine", "docker.io", true],
])("%s may name the host %s: %s", (text, host, may) => {
  expect(hostInPattern(host, pattern(text))).toBe(may);
});

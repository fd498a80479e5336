/** The files of skopeo sync and image-syncer: which requests they become, and what is said of the rest. */
import { describe, expect, test } from "vitest";
import type { ReadingOptions } from "../../src/cli/sync-file/contract.ts";
import { bodies, DIGEST, faults, read } from "./sync-reading.ts";

describe("the file of skopeo sync", () => {
  const FILE = `
registry.example.com:
  images:
    busybox: []
    team/redis:
      - 1.0
      - "2.0"
      - ${DIGEST}
  images-by-tag-regex:
    nginx: ^1\\.13\\.[12]-alpine$
    web: alpine
  images-by-semver:
    alpine: ">= 3.12.0"
`;

  test("goes to the last part of each name below --to", () => {
    expect(bodies(FILE, { to: "r.example/mirror/" })).toEqual([
      { source: "registry.example.com/busybox", target: "r.example/mirror/busybox" },
      { source: "registry.example.com/team/redis:1.0", target: "r.example/mirror/redis:1.0" },
      { source: "registry.example.com/team/redis:2.0", target: "r.example/mirror/redis:2.0" },
      { source: `registry.example.com/team/redis@${DIGEST}`, target: `r.example/mirror/redis@${DIGEST}` },
      {
        source: "registry.example.com/nginx",
        target: "r.example/mirror/nginx",
        tags: { include: ["^1\\.13\\.[12]-alpine$"] },
      },
      { source: "registry.example.com/web", target: "r.example/mirror/web", tags: { include: [".*(?:alpine).*"] } },
      { source: "registry.example.com/alpine", target: "r.example/mirror/alpine", tags: { semver: ">= 3.12.0" } },
    ]);
  });

  test("goes to the whole name with --scoped", () => {
    const targets = ["docker.io: {images: {busybox: ['1']}}", "127.0.0.1:5000: {images: {a/b: ['1']}}"].flatMap(
      (text) => read(text, { to: "r.example", scoped: true }).plan.copies.map(({ body }) => body.target),
    );
    expect(targets).toEqual(["r.example/docker.io/library/busybox:1", "r.example/127.0.0.1-5000/a/b:1"]);
  });

  test("says when two sources end up under one name", () => {
    const text = "a.example: {images: {x/redis: ['1']}}\nb.example: {images: {redis: ['1']}}";
    expect(read(text, { to: "r.example" }).plan.notes).toMatchObject([
      { message: "b.example/redis:1 and a.example/x/redis:1 both go to r.example/redis:1" },
    ]);
    expect(read(text, { to: "r.example", scoped: true }).plan.notes).toEqual([]);
  });

  test("brings credentials, and says what of TLS is not honoured", () => {
    const { local, notes } = read(
      `
a.example:
  credentials: { username: john, password: 12345 }
  tls-verify: false
  cert-dir: /home/john/certs
  images: { x: [] }
127.0.0.1:5000:
  tls-verify: false
  images: { x: [] }`,
      { to: "r.example", scoped: true },
    ).plan;
    expect([...local.credentials]).toEqual([["a.example", { kind: "basic", username: "john", password: "12345" }]]);
    expect(notes.map(({ path, message }) => [path[0], message.replace(/:? .*/, "")])).toEqual([
      ["a.example", "credentials"],
      ["a.example", "tls-verify"],
      ["a.example", "cert-dir"],
    ]);
  });

  test("brings identity tokens, and names without a password", () => {
    const text = `
a.example: {credentials: {identitytoken: t}, images: {x: []}}
b.example: {credentials: {username: u}, images: {x: []}}
c.example: {credentials: {}, images: {x: []}}`;
    expect([...read(text, { to: "r.example" }).plan.local.credentials]).toEqual([
      ["a.example", { kind: "identity", token: "t", username: "" }],
      ["b.example", { kind: "basic", username: "u", password: "" }],
    ]);
  });

  test("brings Docker Hub's credentials under whatever name it has", () => {
    const text = "registry-1.docker.io: {credentials: {username: u, password: p}, images: {x: []}}";
    expect([...read(text, { to: "r.example" }).plan.local.credentials.keys()]).toEqual(["docker.io"]);
  });

  test.each<[string, string, Partial<ReadingOptions>, string]>([
    ["no target", "a.example: {images: {x: []}}", {}, "give one with --to HOST[/PREFIX]"],
    [
      "an unknown key",
      "a.example:\n  images: {x: []}\n  imgaes: {}",
      { to: "r.example" },
      '3:3 "a.example".imgaes: is not known',
    ],
    [
      "what is neither tag nor digest",
      "a.example:\n  images:\n    x:\n      - ok\n      - 'a b'",
      { to: "r.example" },
      '5:9 "a.example".images.x[1]: "a b" is neither',
    ],
    [
      "a repository with a tag",
      "a.example:\n  images:\n    x:1: []",
      { to: "r.example" },
      '3:5 "a.example".images."x:1": names a single image',
    ],
  ])("tells %s with its place", (_name, text, options, words) => {
    expect(faults(text, options)).toEqual([expect.stringContaining(words)]);
  });
});

describe("image-syncer's file", () => {
  test.each<[string, string, unknown[]]>([
    ["all tags", "a.example/x: b.example/y", [{ source: "a.example/x", target: "b.example/y" }]],
    ["one tag, kept", "a.example/x:1: b.example/y", [{ source: "a.example/x:1", target: "b.example/y:1" }]],
    ["one tag, renamed", "a.example/x:1: b.example/y:2", [{ source: "a.example/x:1", target: "b.example/y:2" }]],
    [
      "several tags",
      "a.example/x:1,2: b.example/y",
      [
        { source: "a.example/x:1", target: "b.example/y:1" },
        { source: "a.example/x:2", target: "b.example/y:2" },
      ],
    ],
    [
      "several tags, renamed",
      "a.example/x:1,2: b.example/y:3,4",
      [
        { source: "a.example/x:1", target: "b.example/y:3" },
        { source: "a.example/x:2", target: "b.example/y:4" },
      ],
    ],
    [
      "an expression",
      "a.example/x:/^v1/: b.example/y",
      [{ source: "a.example/x", target: "b.example/y", tags: { include: [".*(?:^v1).*"] } }],
    ],
    [
      "a digest",
      `a.example/x@${DIGEST}: b.example/y`,
      [{ source: `a.example/x@${DIGEST}`, target: `b.example/y@${DIGEST}` }],
    ],
    [
      "several targets",
      "a.example/x:1: [b.example/y, c.example/y]",
      [
        { source: "a.example/x:1", target: "b.example/y:1" },
        { source: "a.example/x:1", target: "c.example/y:1" },
      ],
    ],
    ["no target", "a.example/t/x:1: ''", [{ source: "a.example/t/x:1", target: "d.example/n/x:1" }]],
  ])("asks for %s", (_name, rule, expected) => {
    expect(bodies(rule, { to: "d.example/n" })).toEqual(expected);
  });

  test("has authentication beside its images, from the environment too", () => {
    const { local, notes } = read(`
auth:
  docker.io: { username: $HUB_USER, password: "\${HUB_USER}" }
  a.example/team: { username: u, password: p, insecure: true }
images: { a.example/team/x: b.example/y }`).plan;
    expect([...local.credentials]).toEqual([
      ["docker.io", { kind: "basic", username: "someone", password: "someone" }],
      ["a.example/team", { kind: "basic", username: "u", password: "p" }],
    ]);
    expect(local.hosts).toEqual({ "a.example": { tls: "disabled" } });
    expect(notes).toMatchObject([{ path: ["auth"], message: expect.stringContaining("docker login") }]);
  });

  test("names what of its authentication is not honoured", () => {
    const text = "auth: {a.example: {username: u, password: p, token: t}}\nimages: {a.example/x: b.example/y}";
    expect(read(text).plan.notes).toContainEqual({
      path: ["auth", "a.example", "token"],
      message: "token: not honoured; username and password are, and credHelpers of docker's configuration",
    });
  });

  test.each<[string, string, string]>([
    ["no target at all", "a.example/x: ''", "has no target"],
    ["one name for all tags", "a.example/x: b.example/y:1", "names one tag at the target for all tags"],
    ["another number of tags", "a.example/x:1,2: b.example/y:3", "has 2 tags at the source and 1 at the target"],
  ])("tells %s with its place", (_name, rule, words) => {
    expect(faults(rule)).toEqual([expect.stringMatching(new RegExp(`^1:1 .*${words}`))]);
  });
});

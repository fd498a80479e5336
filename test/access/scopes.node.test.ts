import { describe, expect, test } from "vitest";
import { ROOT, type Principal, type Scopes } from "../../src/access/contract.ts";
import {
  canonicalScopes,
  copyRefusal,
  mayMount,
  mountScope,
  copyViewOf,
  mayUseHost,
  tighter,
  widenings,
} from "../../src/access/scopes.ts";
import type { CopyRequest } from "../../src/copy/request.ts";
import { parseReference } from "../../src/registry/reference.ts";

const scopes: Scopes = {
  sources: ["docker.io/library/*", "ghcr.io/acme/**"],
  targets: ["registry.example.com/mirror/**", "registry.example.com/app:v*"],
  actions: ["copy", "read"],
};
const principal: Principal = {
  id: "key_1",
  name: "pipeline",
  kind: "key",
  scopes,
  limits: {},
  budget: "key_1",
  expiresAtMs: null,
};

function request(source: string, target: string, more: Partial<CopyRequest> = {}): CopyRequest {
  return { source: parseReference(source), target: parseReference(target), ...more };
}

describe("a copy", () => {
  test.each<[string, CopyRequest, string | null]>([
    ["within both", request("alpine", "registry.example.com/mirror/alpine:3"), null],
    ["from elsewhere", request("quay.io/x/y:1", "registry.example.com/mirror/y:1"), "source"],
    ["from a target", request("registry.example.com/mirror/a:1", "registry.example.com/mirror/b:1"), "source"],
    ["to elsewhere", request("alpine", "ghcr.io/acme/alpine:3"), "target"],
    ["to a tag in scope", request("alpine", "registry.example.com/app:v1"), null],
    ["to another tag", request("alpine", "registry.example.com/app:latest"), "target"],
    [
      "to a tag in scope, keeping the old one under another tag",
      request("alpine", "registry.example.com/app:v1", { existing: { kind: "backup", tag: "{tag}-old" } }),
      "target",
    ],
    [
      "to a tag in scope, with tags named after digests",
      request("alpine", "registry.example.com/app:v1", { attached: { digestTags: true } }),
      "target",
    ],
    [
      "to a repository in scope, keeping the old one under another tag",
      request("alpine", "registry.example.com/mirror/a:1", { existing: { kind: "backup", tag: "{tag}-old" } }),
      null,
    ],
    [
      "that removes tags, without the action for that",
      request("alpine", "registry.example.com/mirror/a:1", { prune: { maxTags: 1, dryRun: false } }),
      "action",
    ],
    [
      "that only says which tags it would remove",
      request("alpine", "registry.example.com/mirror/a:1", { prune: { maxTags: 1, dryRun: true } }),
      null,
    ],
  ])("%s", (_, asked, side) => {
    expect(copyRefusal(principal, asked)?.side ?? null).toBe(side);
  });

  test("a refusal says who, what and which side", () => {
    const refusal = copyRefusal(principal, request("quay.io/x/y:1", "registry.example.com/mirror/y:1"));
    expect(refusal?.message).toBe("The source quay.io/x/y:1 lies outside the sources of pipeline.");
  });

  test("without the action nothing may be copied, and root may copy everything", () => {
    const reader = { ...principal, scopes: { ...scopes, actions: ["read" as const] } };
    const { source, target } = request("alpine", "registry.example.com/mirror/alpine:3");
    expect(copyRefusal(principal, { source, target })).toBeNull();
    expect(copyRefusal(reader, { source, target })?.side).toBe("action");
    expect(copyRefusal(ROOT, request("localhost:5000/a", "x.io/b/c:1"))).toBeNull();
  });
});

test.each([
  ["its own, wherever", "key_1", "quay.io/x/y:1", "quay.io/x/z:1", true],
  ["another's between its repositories", "key_2", "ghcr.io/acme/a:1", "registry.example.com/mirror/a:1", true],
  ["another's from its sources only", "key_2", "ghcr.io/acme/a:1", "quay.io/x/z:1", false],
  ["another's to its targets only", "key_2", "quay.io/x/y:1", "registry.example.com/mirror/a:1", false],
])("a copy is seen: %s", (_, owner, source, target, seen) => {
  expect(copyViewOf(principal)({ owner, source: parseReference(source), target: parseReference(target) })).toBe(seen);
});

test.each([
  ["docker.io", true],
  ["registry.example.com", true],
  ["quay.io", false],
])("the host %s is its business: %s", (host, may) => {
  expect(mayUseHost(principal, host)).toBe(may);
});

describe("blobs are mounted", () => {
  test.each<[string, string[], string[]]>([
    ["ghcr.io", ["ghcr.io/acme/**", "ghcr.io/app:v*", "quay.io/**"], ["ghcr.io/acme/**"]],
    ["registry.example.com", ["ghcr.io/acme/**", "*.example.com/a"], ["*.example.com/a"]],
    ["quay.io", ["ghcr.io/acme/**"], []],
    ["quay.io", ["**"], ["**"]],
  ])("at %s for sources %j from %j", (host, sources, expected) => {
    expect(mountScope({ scopes: { ...scopes, sources } }, host)).toEqual(expected);
  });

  test.each<[string, string, boolean]>([
    ["ghcr.io", "acme/app", true],
    ["ghcr.io", "acme", false],
    ["ghcr.io", "other/app", false],
    ["quay.io", "acme/app", false],
  ])("from %s/%s: %s", (host, repository, may) => {
    expect(mayMount(["ghcr.io/acme/**"], host, repository)).toBe(may);
    expect(mayMount([], host, repository)).toBe(false);
    expect(mayMount(mountScope(ROOT, host), host, repository)).toBe(true);
  });

  test("from few patterns only: the rest is copied", () => {
    const sources = Array.from({ length: 100 }, (_, index) => `ghcr.io/team-${index}/**`);
    expect(mountScope({ scopes: { ...scopes, sources } }, "ghcr.io")).toHaveLength(20);
  });
});

describe("a key made by a key", () => {
  test.each<[string, Partial<Scopes>, string[]]>([
    ["the same", {}, []],
    ["less", { sources: ["ghcr.io/acme/app"], targets: ["registry.example.com/app:v1*"], actions: ["read"] }, []],
    ["nothing", { sources: [], targets: [] }, []],
    ["wider sources", { sources: ["ghcr.io/**"] }, ["scopes.sources"]],
    ["everything", { sources: ["**"], targets: ["**"] }, ["scopes.sources", "scopes.targets"]],
    ["a target as source", { sources: ["registry.example.com/mirror/a"] }, ["scopes.sources"]],
    ["all tags", { targets: ["registry.example.com/app"] }, ["scopes.targets"]],
    ["another action", { actions: ["read", "keys"] }, ["scopes.actions"]],
  ])("%s", (_, wanted, fields) => {
    expect(widenings(scopes, { ...scopes, ...wanted }).map(({ field }) => field)).toEqual(fields);
  });

  test.each([
    [{}, {}, {}],
    [{}, { copiesAtOnce: 3 }, { copiesAtOnce: 3 }],
    [{ copiesAtOnce: 2 }, {}, { copiesAtOnce: 2 }],
    [
      { copiesAtOnce: 2, copiesPerHour: 10 },
      { copiesAtOnce: 5, copiesPerHour: 4 },
      { copiesAtOnce: 2, copiesPerHour: 4 },
    ],
  ])("limits %j with %j are %j", (held, wanted, both) => {
    expect(tighter(held, wanted)).toEqual(both);
  });

  test("its scopes are kept in one spelling, each thing once", () => {
    expect(
      canonicalScopes({
        sources: ["index.docker.io/alpine", "docker.io/library/alpine:*"],
        targets: ["GHCR.io/acme/**"],
        actions: ["read", "read"],
      }),
    ).toEqual({ sources: ["docker.io/library/alpine"], targets: ["ghcr.io/acme/**"], actions: ["read"] });
  });
});

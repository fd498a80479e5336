import { describe, expect, test } from "vitest";
import { fitsClaimPattern, ruleFor } from "../../src/access/claims.ts";
import type { IdentityRule } from "../../src/access/contract.ts";

test.each<[pattern: string, value: string, fits: boolean]>([
  ["acme/app", "acme/app", true],
  ["acme/app", "acme/app-evil", false],
  ["acme/app", "Acme/app", false],
  ["acme/*", "acme/app", true],
  ["acme/*", "acme-evil/app", false],
  ["acme/*", "evil/acme/app", false],
  ["acme/*", "acme/group/app", false],
  ["acme/**", "acme/group/app", true],
  ["acme/**", "acme-evil/x", false],
  ["refs/heads/*", "refs/heads/main", true],
  ["refs/heads/*", "refs/heads/feature/x", false],
  ["refs/heads/**", "refs/heads/feature/x", true],
  ["refs/tags/v*", "refs/tags/v1.2", true],
  ["refs/tags/v*", "refs/heads/v1.2", false],
  ["repo:acme/app:**", "repo:acme/app:ref:refs/heads/main", true],
  ["repo:acme/app:**", "repo:acme/app-evil:ref:refs/heads/main", false],
  ["*@acme.com", "ann@acme.com", true],
  ["*@acme.com", "ann@acme.com.evil.net", false],
  ["**/main", "refs/heads/main", true],
  ["a*b*c", "aXbYc", true],
  ["a*b*c", "aXc", false],
  ["*", "", true],
  ["", "", true],
  ["", "x", false],
  ["a.c", "abc", false],
])("%s: %s %s", (pattern, value, fits) => {
  expect(fitsClaimPattern(pattern, value)).toBe(fits);
});

test("a hostile pattern takes no time worth speaking of", () => {
  // A fraction of a second on any machine; whoever tries one star after the other does not come to an end.
  const before = performance.now();
  expect(fitsClaimPattern("**a".repeat(100), `${"a".repeat(4000)}b`)).toBe(false);
  expect(performance.now() - before).toBeLessThan(10_000);
});

describe("the rule for some claims", () => {
  const rule = (name: string, claims: Record<string, string[]>): IdentityRule => ({
    name,
    claims,
    scopes: { sources: [], targets: [], actions: ["read"] },
    limits: {},
  });
  const rules = [
    rule("release", { repository: ["acme/app"], ref: ["refs/heads/main", "refs/tags/v*"] }),
    rule("any", { repository: ["acme/*"] }),
    rule("numbers", { repository_id: ["42"], repository_owner: ["acme"] }),
    rule("groups", { groups: ["admins"] }),
    rule("verified", { email_verified: ["true"], email: ["*@acme.com"] }),
  ];

  test.each<[Record<string, unknown>, string | null]>([
    [{ repository: "acme/app", ref: "refs/heads/main" }, "release"],
    [{ repository: "acme/app", ref: "refs/tags/v1" }, "release"],
    [{ repository: "acme/app", ref: "refs/heads/x" }, "any"],
    [{ repository: "acme/app" }, "any"],
    [{ ref: "refs/heads/main" }, null],
    [{ repository_id: 42, repository_owner: "acme" }, "numbers"],
    [{ repository_id: 42 }, null],
    [{ groups: ["users", "admins"] }, "groups"],
    [{ groups: ["users"] }, null],
    [{ groups: [["admins"]] }, null],
    [{ groups: { admins: true } }, null],
    [{ email: "ann@acme.com", email_verified: true }, "verified"],
    [{ email: "ann@acme.com", email_verified: false }, null],
    [{ repository: null }, null],
    [{}, null],
  ])("%j: %s", (claims, name) => {
    expect(ruleFor(rules, claims)?.name ?? null).toBe(name);
  });

  test("is not found in what every object has", () => {
    expect(ruleFor([rule("proto", { constructor: ["**"] })], {})).toBeNull();
  });
});

/**
 * Claims of a token against the rules that admit it. Pure. A pattern is a text in which `*` stands for any characters but
 * `/`, and `**` for any characters: `acme/*` is every project of acme, and none of a group below it.
 */
import type { IdentityRule } from "./contract.ts";

/** The first rule whose claims are all there and fit; null: none. */
export function ruleFor(
  rules: readonly IdentityRule[],
  claims: Readonly<Record<string, unknown>>,
): IdentityRule | null {
  return (
    rules.find((rule) =>
      Object.entries(rule.claims).every(([name, patterns]) =>
        fitsClaim(patterns, Object.hasOwn(claims, name) ? claims[name] : undefined),
      ),
    ) ?? null
  );
}

/**
 * The claims that can be relied on: an address of mail is one only when its issuer says that it has been verified (OpenID
 * Connect Core, section 5.1), since otherwise whoever has the token may have chosen it. Some issuers say so as text.
 */
export function reliable(claims: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { email: _email, ...others } = claims;
  return claims["email_verified"] === true || claims["email_verified"] === "true" ? claims : others;
}

/** A list of values, as of groups, fits when one of them does. */
function fitsClaim(patterns: readonly string[], value: unknown): boolean {
  if (Array.isArray(value)) {
    return value.some((each: unknown) => !Array.isArray(each) && fitsClaim(patterns, each));
  }
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
    return false;
  }
  return patterns.some((pattern) => fitsClaimPattern(pattern, String(value)));
}

/** Exported for its table of tests. Follows every place in the text that the pattern so far can have led to. */
export function fitsClaimPattern(pattern: string, text: string): boolean {
  let places = new Set([0]);
  for (const part of pattern.match(/\*\*|[^]/g) ?? []) {
    const next = new Set<number>();
    for (const place of places) {
      if (part === "*" || part === "**") {
        const slash = part === "*" ? text.indexOf("/", place) : -1;
        const end = slash < 0 ? text.length : slash;
        for (let reached = place; reached <= end && !next.has(reached); reached += 1) {
          next.add(reached);
        }
      } else if (text[place] === part) {
        next.add(place + 1);
      }
    }
    places = next;
  }
  return places.has(text.length);
}

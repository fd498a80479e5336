/**
 * Tags that are named after a digest: cosign's way to attach signatures, attestations and SBOMs (`sha256-….sig|.att|.sbom`,
 * and whatever other ending), and the fallback tag of the referrers API (`sha256-…` without an ending). Pure.
 */

const DIGEST_TAG = /^((?:sha256|sha384|sha512)-[0-9a-f]{64})(?:[._-].*)?$/;

/** Whether a tag is the fallback tag of some digest: a list of referrers. */
export function isFallbackTag(tag: string): boolean {
  return DIGEST_TAG.exec(tag)?.[1] === tag;
}

/**
 * The tags of a listing that are attached to a digest, by that digest's fallback tag, in the order of the listing. Without the
 * fallback tags: those are written anew for what is copied, entry by entry.
 */
export function digestTagGroups(listed: Iterable<string>): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const tag of new Set(listed)) {
    const prefix = DIGEST_TAG.exec(tag)?.[1];
    if (prefix !== undefined && prefix !== tag) {
      const group = groups.get(prefix) ?? [];
      group.push(tag);
      groups.set(prefix, group);
    }
  }
  return groups;
}

/** Whether a tag is named after a digest, with or without an ending. */
export function isDigestTag(tag: string): boolean {
  return DIGEST_TAG.test(tag);
}

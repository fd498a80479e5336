/**
 * Tags that are named after a digest: cosign's way to attach signatures, attestations and SBOMs (`sha256-….sig|.att|.sbom`,
 * and whatever other ending), and the fallback tag of the referrers API (`sha256-…` without an ending). Pure.
 */
import { fallbackTagOf } from "../registry/fallback-tag.ts";

const DIGEST_TAG = /^((?:sha256|sha384|sha512)-[0-9a-f]{64})(?:[._-].*)?$/;

/** A tag that is attached to a digest. */
export interface DigestTag {
  tag: string;
  /** What it is attached to. */
  digest: string;
  /** What follows the digest, such as `.sig`. */
  suffix: string;
}

/** Whether a tag is the fallback tag of some digest: a list of referrers. */
export function isFallbackTag(tag: string): boolean {
  return DIGEST_TAG.exec(tag)?.[1] === tag;
}

/** The tags of a listing that are attached to a digest, by that digest's fallback tag; without those themselves. */
export function digestTagGroups(listed: Iterable<string>): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const tag of new Set(listed)) {
    const prefix = DIGEST_TAG.exec(tag)?.[1];
    if (prefix !== undefined && prefix !== tag) {
      groups.set(prefix, [...(groups.get(prefix) ?? []), tag]);
    }
  }
  return groups;
}

/** Whether a tag is named after a digest, with or without an ending. */
export function isDigestTag(tag: string): boolean {
  return DIGEST_TAG.test(tag);
}

/**
 * The tags of a listing that are attached to one of the digests (an image's own, and its index's children's), in the order
 * of the listing. Without the fallback tags: those are written anew for what is copied, entry by entry.
 */
export function digestTagsOf(listed: Iterable<string>, digests: Iterable<string>): DigestTag[] {
  const byPrefix = new Map<string, string>();
  for (const digest of digests) {
    byPrefix.set(fallbackTagOf(digest), digest);
  }
  const found: DigestTag[] = [];
  for (const tag of new Set(listed)) {
    const prefix = DIGEST_TAG.exec(tag)?.[1];
    const digest = prefix === undefined ? undefined : byPrefix.get(prefix);
    if (prefix !== undefined && digest !== undefined && tag !== prefix) {
      found.push({ tag, digest, suffix: tag.slice(prefix.length) });
    }
  }
  return found;
}

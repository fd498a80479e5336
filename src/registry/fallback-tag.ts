/** The tag under which registries without the referrers API keep what refers to a digest. Pure. */

/** Distribution-spec, "Referrers Tag Schema": at most so much of algorithm and encoded part goes into the tag. */
const MAX_ALGORITHM_CHARACTERS = 32;
const MAX_ENCODED_CHARACTERS = 64;

/** `sha256-<hex>` of the digest of a subject. */
export function fallbackTagOf(digest: string): string {
  const colon = digest.indexOf(":");
  const clean = (part: string): string => part.replace(/[^A-Za-z0-9._-]/g, "-");
  const algorithm = clean(digest.slice(0, colon)).slice(0, MAX_ALGORITHM_CHARACTERS);
  return `${algorithm}-${clean(digest.slice(colon + 1)).slice(0, MAX_ENCODED_CHARACTERS)}`;
}

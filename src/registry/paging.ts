/** Lists that come page by page: where the next one is (distribution-spec, "Listing Tags"; RFC 8288). Pure. */

/** The target of the first `Link` with the relation `next`, as it was sent; null: this page is the last. */
export function nextLink(headers: Headers): string | null {
  const link = /<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next\b/i.exec(headers.get("link") ?? "");
  return link?.[1] ?? null;
}

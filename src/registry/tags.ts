/** Tags of a repository, page by page. */
import { discard, readBounded } from "./body.ts";
import { answerError, readScopes, type HostClient } from "./host-client.ts";

/** A page of ten thousand long tags has about a megabyte. */
const MAX_PAGE_BYTES = 8 * 1024 * 1024;

/** @see Registry.listTags */
export async function listTags(
  client: HostClient,
  repository: string,
  options: { limit?: number; cursor?: string } = {},
): Promise<{ tags: string[]; next: string | null } | null> {
  const operation = "list tags";
  const first = client.transport.url(repository, "tags/list");
  if (options.limit !== undefined) {
    first.searchParams.set("n", String(options.limit));
  }
  const url = options.cursor === undefined ? first : pageAt(client, operation, first, options.cursor);
  return client.requester.perform(
    {
      operation,
      about: repository,
      kind: "query",
      bytes: 0,
      method: "GET",
      url,
      scopes: readScopes(client, repository),
      headers: { accept: "application/json" },
      accept: [200, 404],
      otherwise: "unsupported",
    },
    async ({ response }) => {
      if (response.status === 404) {
        discard(response);
        return null;
      }
      const body = await readBounded(response, MAX_PAGE_BYTES);
      const tags = body.kind === "cut" ? null : tagsOf(body.bytes);
      if (tags === null) {
        throw answerError(client, operation, "unsupported", `sent a list of tags of ${repository} that cannot be read`);
      }
      return { tags, next: nextOf(client, operation, response, url) };
    },
  );
}

/**
 * A cursor is the query of the next page as the registry's `Link` had it: hosts differ in what they put there, none in
 * the path. It never leads anywhere but to this repository.
 */
function pageAt(client: HostClient, operation: string, first: URL, cursor: string): URL {
  if (!cursor.startsWith("?")) {
    throw answerError(client, operation, "invalid_request", "was asked for an unknown page");
  }
  const url = new URL(first);
  url.search = cursor;
  return url;
}

/** RFC 8288: `</v2/a/tags/list?n=50&last=x>; rel="next"`. */
function nextOf(client: HostClient, operation: string, response: Response, current: URL): string | null {
  const link = /<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next\b/i.exec(response.headers.get("link") ?? "");
  if (!link) {
    return null;
  }
  const next = client.transport.resolve(link[1] ?? "", current, operation);
  // A page that names itself as the next would never end.
  return next.search === "" || next.search === current.search ? null : next.search;
}

/** Null: not a list of tags. Registries say `null` for a repository without any. */
function tagsOf(bytes: Uint8Array): string[] | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value !== "object" || value === null || !("tags" in value)) {
      return null;
    }
    if (value.tags === null) {
      return [];
    }
    return Array.isArray(value.tags) ? value.tags.filter((tag) => typeof tag === "string") : null;
  } catch {
    return null;
  }
}

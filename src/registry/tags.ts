/** Tags of a repository, page by page, and all of them. */
import { discard, readBounded } from "./body.ts";
import type { Registry } from "./contract.ts";
import { CopyError, type ErrorDetail } from "./errors.ts";
import { answerError, readScopes, type HostClient } from "./host-client.ts";
import { nextLink } from "./paging.ts";

/** A page of ten thousand long tags has about a megabyte. */
const MAX_PAGE_BYTES = 8 * 1024 * 1024;

/** Tags asked for at once: what most registries give at most, ECR's limit, and ten pages for ten thousand. */
const PAGE_TAGS = 1000;

/** Ten times what any known repository of releases has; with 128 characters each they take 13 MB. */
const MAX_TAGS = 100_000;

/** Registries may cut pages as they like (GHCR has 100 on each), but not for ever. */
const MAX_PAGES = 2000;

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

/**
 * Every tag of a repository, each once, in the registry's order. A registry that says nothing of a next page although
 * this one is full is asked for what comes after its last tag, as the spec has it for want of a `Link`.
 * @returns Null: the repository does not exist.
 * @throws CopyError `unsupported` when the pages go in a circle, or there are more than 100,000 tags.
 */
export async function listAllTags(
  registry: Pick<Registry, "host" | "listTags">,
  side: ErrorDetail["side"],
  repository: string,
): Promise<string[] | null> {
  const fail = (problem: string): never => {
    const { host } = registry;
    const message = `${host} ${problem} in ${repository} ("list tags")`;
    throw new CopyError({ code: "unsupported", side, host, operation: "list tags", retryable: false, message });
  };
  const tags = new Set<string>();
  const asked = new Set<string>();
  let cursor: string | null = null;
  let isGuess = false;
  let namesNext = false;
  do {
    const page = await registry.listTags(repository, { limit: PAGE_TAGS, ...(cursor === null ? {} : { cursor }) });
    if (page === null) {
      // Between two pages a repository may be deleted; what was listed of it is gone too.
      return null;
    }
    const knownBefore = tags.size;
    for (const tag of page.tags) {
      tags.add(tag);
    }
    if (tags.size > MAX_TAGS) {
      fail(`lists more than ${MAX_TAGS} tags`);
    }
    if (isGuess && tags.size === knownBefore) {
      // It does not know `last`, and has sent the same once more.
      break;
    }
    const last = page.tags.at(-1);
    namesNext ||= page.next !== null;
    isGuess = !namesNext && page.tags.length === PAGE_TAGS && last !== undefined;
    cursor = isGuess ? `?n=${PAGE_TAGS}&last=${encodeURIComponent(last ?? "")}` : page.next;
    if (cursor !== null && (asked.has(cursor) || asked.size >= MAX_PAGES)) {
      fail(asked.has(cursor) ? "leads in a circle from page to page of the tags" : "has too many pages of tags");
    }
    asked.add(cursor ?? "");
  } while (cursor !== null);
  return [...tags];
}

/** `</v2/a/tags/list?n=50&last=x>; rel="next"`. */
function nextOf(client: HostClient, operation: string, response: Response, current: URL): string | null {
  const link = nextLink(response.headers);
  if (link === null) {
    return null;
  }
  const next = client.transport.resolve(link, current, operation);
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

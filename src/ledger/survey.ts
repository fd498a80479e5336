/**
 * A look through a registry for the repositories that a rule's source means, where that is a pattern: its list page by page,
 * of which only what fits is kept. Starts nothing.
 */
import { inPattern, readPattern } from "../access/pattern.ts";
import type { CatalogPage } from "../registry/catalog.ts";
import { CopyError } from "../registry/errors.ts";
import { describeRepositoryFault } from "../registry/reference.ts";

/** Copies that one look starts at most: a few megabytes of rows, and more than a registry serves in a night. */
export const MAX_REPOSITORIES = 5_000;

/** Pages of a registry that cuts them small; the largest public ones are refused long before. */
const MAX_PAGES = 1_000;

export interface Found {
  /** In the registry's order, each once. */
  repositories: string[];
}

/**
 * @param source Pattern whose host has no wildcard.
 * @throws CopyError `unsupported` when the pages go in a circle, or there are too many.
 */
export async function survey(source: string, page: (cursor: string | null) => Promise<CatalogPage>): Promise<Found> {
  const pattern = readPattern(source);
  const host = source.slice(0, source.indexOf("/"));
  const found = new Set<string>();
  const asked = new Set<string>();
  let cursor: string | null = null;
  do {
    const { repositories, next }: CatalogPage = await page(cursor);
    for (const repository of repositories) {
      const isName = describeRepositoryFault(repository) === null;
      if (isName && !("fault" in pattern) && inPattern({ host, repository }, pattern)) {
        found.add(repository);
      }
    }
    if (found.size > MAX_REPOSITORIES) {
      throw tooMany(host, `lists more than ${MAX_REPOSITORIES} repositories that are among the source; narrow it`);
    }
    if (next !== null && (asked.has(next) || asked.size >= MAX_PAGES)) {
      throw tooMany(
        host,
        asked.has(next) ? "leads in a circle from page to page of its repositories" : "has too many repositories",
      );
    }
    asked.add(next ?? "");
    cursor = next;
  } while (cursor !== null);
  return { repositories: [...found] };
}

function tooMany(host: string, problem: string): CopyError {
  const operation = "list repositories";
  const message = `${host} ${problem} ("${operation}").`;
  return new CopyError({ code: "unsupported", side: "source", host, operation, retryable: false, message });
}

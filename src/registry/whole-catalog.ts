/**
 * A registry's list of repositories as a whole, of which only what fits is kept: page after page, bounded. Pure but for the
 * pages.
 */
import type { CatalogPage } from "./catalog.ts";
import { CopyError } from "./errors.ts";
import { describeRepositoryFault } from "./reference.ts";

/** Names that are kept at most: a few megabytes of rows, and more copies than a registry serves in a night. */
export const MAX_REPOSITORIES = 5_000;

/** Pages of a registry that cuts them small; the largest public ones are refused long before. */
const MAX_PAGES = 1_000;

/**
 * In the registry's order, each name once, without those that no repository can have.
 * @param page Asks for one; null: the first.
 * @throws CopyError `unsupported` when the pages go in a circle, there are too many, or too many names fit.
 */
export async function wholeCatalog(
  host: string,
  fits: (repository: string) => boolean,
  page: (cursor: string | null) => Promise<CatalogPage>,
): Promise<string[]> {
  const found = new Set<string>();
  const asked = new Set<string>();
  let cursor: string | null = null;
  do {
    const { repositories, next }: CatalogPage = await page(cursor);
    for (const repository of repositories) {
      if (describeRepositoryFault(repository) === null && fits(repository)) {
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
  return [...found];
}

function tooMany(host: string, problem: string): CopyError {
  const operation = "list repositories";
  const message = `${host} ${problem} ("${operation}").`;
  return new CopyError({ code: "unsupported", side: "source", host, operation, retryable: false, message });
}

/**
 * A look through a registry for the repositories that a rule's source means, where that is a pattern: its list page by page,
 * of which only what fits is kept. Starts nothing.
 */
import { inPattern, readPattern } from "../access/pattern.ts";
import type { CatalogPage } from "../registry/catalog.ts";
import { wholeCatalog } from "../registry/whole-catalog.ts";

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
  const fits = (repository: string) => !("fault" in pattern) && inPattern({ host, repository }, pattern);
  return { repositories: await wholeCatalog(host, fits, page) };
}

/** Which rows of the list a viewer may see: `access/scopes.ts` decides, this makes it cheap enough for thousands of rows. */
import type { Principal } from "../access/contract.ts";
import { copyViewOf } from "../access/scopes.ts";
import type { Reference } from "../registry/reference.ts";

export type Viewer = Pick<Principal, "id" | "scopes">;

/** Whether the viewer may see a row. `source` and `target` are references in full form. */
export function rowViewOf(viewer: Viewer): (row: { owner: string; source: string; target: string }) => boolean {
  const sees = copyViewOf(viewer);
  const sources = beginningsOf(viewer.scopes.sources);
  const targets = beginningsOf(viewer.scopes.targets);
  return ({ owner, source, target }) =>
    owner === viewer.id ||
    // Most rows of others begin otherwise than any pattern, and need not be taken apart.
    (sources.some((beginning) => source.startsWith(beginning)) &&
      targets.some((beginning) => target.startsWith(beginning)) &&
      sees({ owner, source: referenceOf(source), target: referenceOf(target) }));
}

/** What stands before the first wildcard of each pattern: whatever lies in it begins so. */
function beginningsOf(patterns: readonly string[]): string[] {
  return patterns.map((pattern) => pattern.split("*", 1)[0] ?? "");
}

/** Takes the full form of a reference apart, as it stands: without tag and digest it is a repository, not `latest`. */
function referenceOf(text: string): Reference {
  const [name = "", digest] = text.split("@");
  const slash = name.indexOf("/");
  const colon = name.indexOf(":", name.lastIndexOf("/"));
  return {
    host: name.slice(0, slash),
    repository: colon < 0 ? name.slice(slash + 1) : name.slice(slash + 1, colon),
    ...(colon < 0 ? {} : { tag: name.slice(colon + 1) }),
    ...(digest === undefined ? {} : { digest }),
  };
}

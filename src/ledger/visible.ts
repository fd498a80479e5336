/**
 * Which rows of the list a viewer may see. SQLite leaves out most of what it may not, by patterns that are never narrower
 * than its scopes; what is left is decided by the scopes themselves, row by row.
 */
import type { Principal } from "../access/contract.ts";
import { maySeeCopy } from "../access/scopes.ts";
import type { Reference } from "../registry/reference.ts";

/** Cloudflare refuses longer patterns of GLOB. */
const MAX_GLOB_BYTES = 50;

export type Viewer = Pick<Principal, "id" | "scopes">;

/** The condition on a row, for {@link bindingsOf} a viewer. */
export const MAY_BE_SEEN = `(owner = ? OR (EXISTS (SELECT 1 FROM json_each(?) WHERE source GLOB value)
  AND EXISTS (SELECT 1 FROM json_each(?) WHERE target GLOB value)))`;

export function bindingsOf({ id, scopes }: Viewer): [owner: string, sources: string, targets: string] {
  return [id, JSON.stringify(scopes.sources.map(globOf)), JSON.stringify(scopes.targets.map(globOf))];
}

/** Decides one row. `source` and `target` are references in full form. */
export function maySee(viewer: Viewer, row: { owner: string; source: string; target: string }): boolean {
  return maySeeCopy(viewer, { owner: row.owner, source: referenceOf(row.source), target: referenceOf(row.target) });
}

/** What stands before the first wildcard, then anything. Brackets of IPv6 mean something else there: any letter. */
function globOf(pattern: string): string {
  const [beginning = ""] = pattern.split("*", 1);
  return `${beginning.slice(0, MAX_GLOB_BYTES - 1).replaceAll(/[[\]]/g, "?")}*`;
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

/**
 * Copies of the repositories that a registry lists: what the list makes of an entry whose repositories are not named in the
 * file. Pure; the list is the service's.
 */
import { inPattern, readPattern } from "../../access/pattern.ts";
import { matcherOf } from "../../copy/tag-expression.ts";
import { CopyError } from "../../registry/errors.ts";
import type { PlannedCopy, PlannedRegistry, RepositoryChoice, SyncPlan, UnservedEntry } from "./contract.ts";
import { pathText } from "./faults.ts";
import { WrongFile, type SyncReading } from "./read.ts";
import { copiesOf } from "./repository-place.ts";
import { collisions, rivals } from "./rivalry.ts";

/** What became of asking for a registry's list. */
export type Listing =
  | { entry: PlannedRegistry; repositories: readonly string[] }
  | { entry: PlannedRegistry; refusal: string };

/**
 * The reading with a copy of every repository that is chosen. A list that was refused makes its entry one that is not
 * served, as does a repository for which the target's template gives no name.
 * @param asAsked What the command's options make of a copy.
 * @throws WrongFile when copies turn out to be in each other's way.
 */
export function withRepositories(
  reading: SyncReading,
  listings: readonly Listing[],
  nowMs: number,
  asAsked: (copy: PlannedCopy) => PlannedCopy,
): SyncReading {
  const { plan, placeOf } = reading;
  const found = listings.map((listing) => made(listing, nowMs));
  const copies = [...plan.copies, ...found.flatMap((each) => each.copies.map(asAsked))];
  const faults = rivals(copies);
  if (faults.length > 0) {
    throw new WrongFile(
      faults.map(({ path, message }) => ({
        place: path === null ? null : placeOf(path),
        field: pathText(path ?? []),
        message,
      })),
    );
  }
  const known = new Set(plan.notes.map(({ message }) => message));
  const notes = [...found.flatMap((each) => each.notes), ...collisions(copies)];
  return {
    placeOf,
    plan: {
      ...plan,
      copies,
      registries: [],
      unserved: [...plan.unserved, ...found.flatMap(({ unserved }) => unserved)],
      notes: [...plan.notes, ...notes.filter(({ message }) => !known.has(message))],
    },
  };
}

function made(listing: Listing, nowMs: number): Pick<SyncPlan, "copies" | "unserved" | "notes"> {
  const { entry } = listing;
  const { host, path } = entry;
  if ("refusal" in listing) {
    return { copies: [], unserved: [notServed(entry, listing.refusal.replace(/\.$/, ""))], notes: [] };
  }
  const copies: PlannedCopy[] = [];
  const unserved: UnservedEntry[] = [];
  const chosen = listing.repositories.filter(chooserOf(host, entry.choice));
  for (const repository of chosen) {
    try {
      copies.push(...copiesOf(entry, repository, nowMs));
    } catch (error) {
      if (!(error instanceof CopyError)) {
        throw error;
      }
      unserved.push({ ...notServed(entry, error.detail.message), source: `${host}/${repository}` });
    }
  }
  const listed = listing.repositories.length;
  const notes =
    chosen.length === 0 ? [{ path, message: `none of the ${listed} repositories that ${host} lists is chosen` }] : [];
  return { copies, unserved, notes };
}

function notServed({ host, copies, path }: PlannedRegistry, message: string): UnservedEntry {
  return { source: copies[0]?.body.source ?? host, target: copies[0]?.body.target ?? "", path, message };
}

function chooserOf(
  host: string,
  { pattern: text, include = [], exclude = [] }: RepositoryChoice,
): (repository: string) => boolean {
  const pattern = text === undefined ? null : readPattern(text);
  const included = include.length === 0 ? () => true : matcherOf(include);
  const excluded = matcherOf(exclude);
  return (repository) =>
    (pattern === null || (!("fault" in pattern) && inPattern({ host, repository }, pattern))) &&
    included(repository) &&
    !excluded(repository);
}

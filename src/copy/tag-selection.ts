/**
 * Which tags of a repository a copy takes. Conditions on the name go first, so that the costly question, when an image was
 * created, is asked only of the tags that are left. Pure apart from the lookup it is handed.
 */
import { isDigestTag } from "./digest-tags.ts";
import type { TagSelection } from "./request.ts";
import { matcherOf } from "./tag-expression.ts";
import { newestFirst, rangeMatcherOf } from "./versions.ts";

/** When images were created, milliseconds since the epoch; tags whose image does not say are missing in the answer. */
export type CreationLookup = (tags: readonly string[]) => Promise<ReadonlyMap<string, number>>;

export interface ChosenTags {
  /** Each once, in the order of the listing. */
  tags: string[];
  /** Left out because nobody knows when they were created, though a condition asks for it. */
  undated: string[];
}

/** Asked for at once while the newest versions are tried one after the other: a few are enough most times. */
const MIN_LOOKUP_TAGS = 16;

/**
 * The tags that fulfil every condition. `lookup` is called only for conditions on the creation, and only with tags that all
 * others leave; with `latest` by version it is asked for the newest first, and no further than needed.
 * @throws when an expression or a range is faulty (the API has checked them), and what `lookup` throws.
 */
export async function selectTags(
  listed: readonly string[],
  selection: TagSelection,
  lookup: CreationLookup,
): Promise<ChosenTags> {
  const candidates = tagsByName(listed, selection);
  const { latest, newerThanMs } = selection;
  if (latest?.by === "semver") {
    return inOrderOf(candidates, await newestVersions(candidates, latest.count, newerThanMs, lookup));
  }
  if (latest === undefined && newerThanMs === undefined) {
    return { tags: candidates, undated: [] };
  }
  if (candidates.length === 0) {
    return { tags: [], undated: [] };
  }
  const createdAtMs = await lookup(candidates);
  const dated = candidates.flatMap((tag) => {
    const atMs = createdAtMs.get(tag);
    return atMs === undefined ? [] : [{ tag, atMs }];
  });
  const young = dated.filter(({ atMs }) => newerThanMs === undefined || atMs > newerThanMs);
  if (latest !== undefined) {
    young.sort((a, b) => b.atMs - a.atMs || (a.tag < b.tag ? -1 : 1));
    young.splice(latest.count);
  }
  const undated = candidates.filter((tag) => !createdAtMs.has(tag));
  return inOrderOf(candidates, { tags: young.map(({ tag }) => tag), undated });
}

/** The tags that fulfil the conditions on the name, each once: what there is to know without asking for any image. */
export function tagsByName(listed: readonly string[], selection: TagSelection): string[] {
  const { include = [], exclude = [], semver, latest, newerThanMs } = selection;
  const included = include.length === 0 ? () => true : matcherOf(include);
  const excluded = matcherOf(exclude);
  const inRange = semver === undefined ? () => true : rangeMatcherOf(semver);
  // A signature is as young as its image, and would take the place of one among the newest.
  const countsImages = latest !== undefined || newerThanMs !== undefined;
  return [...new Set(listed)].filter(
    (tag) => included(tag) && !excluded(tag) && inRange(tag) && !(countsImages && isDigestTag(tag)),
  );
}

/** Whether a tag never changes by the user's word, so that one that the target has need not be asked for. */
export function immutableTags(selection: TagSelection | undefined): (tag: string) => boolean {
  return matcherOf(selection?.immutable ?? []);
}

async function newestVersions(
  candidates: readonly string[],
  count: number,
  newerThanMs: number | undefined,
  lookup: CreationLookup,
): Promise<ChosenTags> {
  const ordered = newestFirst(candidates);
  if (newerThanMs === undefined) {
    return { tags: ordered.slice(0, count), undated: [] };
  }
  const tags: string[] = [];
  const undated: string[] = [];
  for (let from = 0; from < ordered.length && tags.length < count;) {
    const some = ordered.slice(from, from + Math.max(count - tags.length, MIN_LOOKUP_TAGS));
    from += some.length;
    const createdAtMs = await lookup(some);
    tags.push(...some.filter((tag) => (createdAtMs.get(tag) ?? -Infinity) > newerThanMs));
    undated.push(...some.filter((tag) => !createdAtMs.has(tag)));
  }
  return { tags: tags.slice(0, count), undated };
}

function inOrderOf(candidates: readonly string[], chosen: ChosenTags): ChosenTags {
  const tags = new Set(chosen.tags);
  const undated = new Set(chosen.undated);
  return { tags: candidates.filter((tag) => tags.has(tag)), undated: candidates.filter((tag) => undated.has(tag)) };
}

/**
 * Begins the copy of a repository: lists the tags of both ends, chooses, names them at the target, and says which of them
 * need no look at all. Asks for lists (and, where a condition wants it, for creation dates); writes nothing.
 */
import { isDigestTag, isFallbackTag } from "../copy/digest-tags.ts";
import { sourceMissing } from "../copy/opening.ts";
import { type CopyRequest, platformOf } from "../copy/request.ts";
import { type CreationLookup, immutableTags, selectTags } from "../copy/tag-selection.ts";
import { fillTemplate, mayBeFrom, namesDigest } from "../copy/templates.ts";
import type { Registry } from "../registry/contract.ts";
import { CopyError } from "../registry/errors.ts";
import { formatReference } from "../registry/reference.ts";
import { listAllTags } from "../registry/tags.ts";
import type { NewTag } from "./tag-ledger.ts";

export interface ListingParts {
  request: CopyRequest;
  source: Registry;
  target: Registry;
  now: () => number;
  creations: CreationLookup;
}

export interface Listing {
  rows: NewTag[];
  repository: "new" | "unknown";
  warnings: string[];
}

/** @throws CopyError when the source cannot be listed, two tags would get one name, or the target's list is needed and missing. */
export async function listTagsToCopy(parts: ListingParts): Promise<Listing> {
  const { request, source, target, creations } = parts;
  if (request.prune !== undefined && isWithinItself(request)) {
    throw prunesItself(request);
  }
  const [listed, known] = await Promise.all([
    listAllTags(source, "source", request.source.repository),
    // Without the right to list, every tag is asked for by itself; only pruning needs the list.
    listAllTags(target, "target", request.target.repository).catch((error: unknown) => {
      if (request.prune !== undefined) {
        throw error;
      }
      return "unlisted" as const;
    }),
  ]);
  if (listed === null) {
    throw sourceMissing(request);
  }
  // Lists of referrers are written anew, entry by entry; as they are they would replace what the target has there.
  const isLeftOut = request.attached?.referrers === undefined ? () => false : isFallbackTag;
  const { tags, undated } = await selectTags(
    listed.filter((tag) => !isLeftOut(tag)),
    request.tags ?? {},
    creations,
  );
  const there = known === "unlisted" ? null : new Set(known ?? []);
  // One reading for all: names with the time in them are compared with each other.
  const nowMs = parts.now();
  const rows = rowsOf(request, tags, there, nowMs);
  const warnings = warningsOf(request, listed.length, tags.length, undated);
  if (request.prune !== undefined && there !== null && tags.length > 0) {
    rows.push(...obsoleteRows(request, rows, undated, there, nowMs));
  }
  return { rows, repository: known === null ? "new" : "unknown", warnings };
}

function rowsOf(request: CopyRequest, tags: string[], there: Set<string> | null, nowMs: number): NewTag[] {
  const { existing, deep, attached } = request;
  const isImmutable = immutableTags(request.tags);
  const sources = new Map<string, string>();
  return tags.map((tag) => {
    const name = nameAtTarget(request, tag, nowMs);
    const other = name === null ? undefined : sources.get(name);
    if (other !== undefined) {
      throw sameName(tag, other, name ?? "");
    }
    if (name !== null) {
      sources.set(name, tag);
    }
    const held = name === null || there === null ? null : there.has(name);
    const isSettled = held === true && deep !== true;
    // What is attached to an image may be new though the image is not.
    const settled =
      isImmutable(tag) && attached === undefined ? "unchanged" : existing?.kind === "skip" ? "skipped" : "waiting";
    return { source: tag, target: name, held, state: isSettled ? settled : "waiting" };
  });
}

/** Null: it has the digest in it, which is not known yet. */
function nameAtTarget(request: CopyRequest, tag: string, nowMs: number): string | null {
  const { source, targetTag = "{tag}", attached } = request;
  if (attached?.digestTags === true && isDigestTag(tag)) {
    // Under another name nobody would find what it belongs to.
    return tag;
  }
  if (namesDigest(targetTag)) {
    return null;
  }
  const values = { host: source.host, repository: source.repository, tag, now: nowMs, ...platformOf(request) };
  return fillTemplate(targetTag, "tag", values, "target_tag");
}

/**
 * Tags of the target that no chosen tag is named to. What belongs to an image by its digest is never among them, nor what may
 * be a backup: nothing else has the old images.
 */
function obsoleteRows(
  request: CopyRequest,
  rows: NewTag[],
  undated: string[],
  there: Set<string>,
  nowMs: number,
): NewTag[] {
  const { existing, target: to } = request;
  const isBackup = existing?.kind === "backup" ? mayBeFrom(existing.tag, to) : () => false;
  const kept = new Set(rows.map(({ target }) => target));
  for (const tag of undated) {
    // Whether it is still wanted nobody can tell.
    kept.add(nameAtTarget(request, tag, nowMs));
  }
  return [...there]
    .filter((tag) => !kept.has(tag) && !isDigestTag(tag) && !isBackup(tag))
    .map((tag) => ({ source: "", target: tag, held: true, state: "obsolete" as const }));
}

function warningsOf(request: CopyRequest, listed: number, chosen: number, undated: string[]): string[] {
  const name = formatReference(request.source);
  const warnings: string[] = [];
  if (request.tags === undefined) {
    warnings.push(
      `${name} names no tag, so all its tags are copied: ${listed}. Name one (${name}:latest), or choose with tags.`,
    );
  } else if (chosen === 0) {
    warnings.push(`None of the ${listed} tags of ${name} is chosen.`);
  }
  if (undated.length > 0) {
    const some = undated.slice(0, 5).join(", ");
    warnings.push(
      `${undated.length} tags were left out, since their images do not say when they were created: ${some}.`,
    );
  }
  return warnings;
}

function isWithinItself({ source, target }: CopyRequest): boolean {
  return source.host === target.host && source.repository === target.repository;
}

/** What is not chosen there is the source's own. */
function prunesItself(request: CopyRequest): CopyError {
  return new CopyError({
    code: "invalid_request",
    side: "request",
    host: "",
    operation: "choose tags",
    retryable: false,
    message: `prune would remove the source's own tags, since ${formatReference(request.source)} is the target too; leave prune out, or copy to another repository.`,
  });
}

function sameName(tag: string, other: string, name: string): CopyError {
  return new CopyError({
    code: "invalid_request",
    side: "request",
    host: "",
    operation: "choose tags",
    retryable: false,
    message: `target_tag gives the tags ${other} and ${tag} one name, ${name}; choose fewer tags, or have {tag} in it.`,
  });
}

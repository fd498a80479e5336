/**
 * From a rule to the copies that it makes: of the one thing that was pushed, or of a repository. Pure. What does not fit the
 * rule is left alone, with the reason.
 */
import { inPattern, readPattern } from "../access/pattern.ts";
import { isDigestTag } from "../copy/digest-tags.ts";
import { parseMoment } from "../copy/moment.ts";
import { type CopyRequest, platformOf } from "../copy/request.ts";
import { tagsByName } from "../copy/tag-selection.ts";
import { fillTemplate } from "../copy/templates.ts";
import { errorDetailOf } from "../registry/errors.ts";
import type { Reference } from "../registry/reference.ts";
import type { RulePlan } from "./contract.ts";
import { fillTarget } from "./target.ts";

export type Expanded = { request: CopyRequest } | { ignored: string };

/**
 * The copy of one tag, or of what has only a digest.
 * @param source With a tag or a digest; a digest beside a tag is the sender's word and is not relied on.
 */
export function imageCopy(plan: RulePlan, source: Reference, nowMs: number): Expanded {
  const { host, repository, tag, digest } = source;
  if (!isSourceOf(plan, source)) {
    return { ignored: `it is not among the rule's source ${plan.source}` };
  }
  const { tags, targetTag, prune: _prune, failFast: _failFast, ...choices } = plan.choices;
  if (tags !== undefined && (tag === undefined ? choosesByName(tags) : tagsByName([tag], tags).length === 0)) {
    return {
      ignored: tag === undefined ? "it has no tag, and the rule chooses by tag" : "the rule's tags leave it out",
    };
  }
  return filled(() => {
    const at = fillTarget(plan.target, source, nowMs);
    if (tag === undefined) {
      const named = digest === undefined ? {} : { digest };
      return { source: { host, repository, ...named }, target: { ...at, ...named }, ...choices };
    }
    // Under another name nobody would find what a signature belongs to.
    const keepsName = targetTag === undefined || (choices.attached?.digestTags === true && isDigestTag(tag));
    const written = keepsName
      ? tag
      : fillTemplate(targetTag, "tag", { host, repository, tag, now: nowMs, ...platformOf(choices) }, "target_tag");
    return { source: { host, repository, tag }, target: { ...at, tag: written }, ...choices };
  });
}

/** The copy of a repository, with the tags that the rule chooses. */
export function repositoryCopy(plan: RulePlan, source: Reference, nowMs: number): Expanded {
  const { host, repository } = source;
  if (!isSourceOf(plan, source)) {
    return { ignored: `it is not among the rule's source ${plan.source}` };
  }
  const newerThanMs = plan.newerThan === null ? null : parseMoment(plan.newerThan, nowMs);
  // Who writes a pattern means repositories: no copy of them needs a warning that it takes all tags.
  const tags = onlySource(plan) === null ? (plan.choices.tags ?? {}) : plan.choices.tags;
  return filled(() => ({
    source: { host, repository },
    target: fillTarget(plan.target, source, nowMs),
    ...plan.choices,
    ...(newerThanMs !== null && { tags: { ...tags, newerThanMs } }),
    ...(newerThanMs === null && tags !== undefined && { tags }),
  }));
}

/** The repository that a rule's source names; null: it is a pattern of several. */
export function onlySource({ source }: Pick<RulePlan, "source">): Reference | null {
  const slash = source.indexOf("/");
  return source.includes("*") ? null : { host: source.slice(0, slash), repository: source.slice(slash + 1) };
}

function isSourceOf({ source }: RulePlan, { host, repository }: Reference): boolean {
  const pattern = readPattern(source);
  return !("fault" in pattern) && inPattern({ host, repository }, pattern);
}

function choosesByName({ include, semver }: NonNullable<CopyRequest["tags"]>): boolean {
  return include !== undefined || semver !== undefined;
}

function filled(make: () => CopyRequest): Expanded {
  let request: CopyRequest;
  try {
    request = make();
  } catch (thrown) {
    const { code, message } = errorDetailOf(thrown);
    if (code !== "invalid_request") {
      throw thrown;
    }
    return { ignored: message };
  }
  const { source, target } = request;
  const isItself = source.host === target.host && source.repository === target.repository && source.tag === target.tag;
  return isItself && request.targetTag === undefined ? { ignored: "it would be copied onto itself" } : { request };
}

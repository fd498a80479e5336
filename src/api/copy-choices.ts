/** From the body of a request to what a copy chooses and does: expressions, ranges, templates, all checked. Pure. */
import { MOMENT_FORMS, parseMoment } from "../copy/moment.ts";
import { parsePlatform } from "../copy/platform.ts";
import type { CopyRequest, ExistingTagPolicy, PruneRule, TagSelection } from "../copy/request.ts";
import { describeExpressionFault } from "../copy/tag-expression.ts";
import { dependsOnTag, describeTemplateFault, namesDigest } from "../copy/templates.ts";
import { describeRangeFault } from "../copy/versions.ts";
import { DEFAULT_PRUNE_MAX, type CopyRequestBody } from "./copy-request-schema.ts";
import type { FieldError } from "./problem.ts";

type Choices = Omit<CopyRequest, "source" | "target">;

/**
 * What is wrong goes into `errors`; the answer is of no use then.
 * @param isRepository Whether the source is a repository, with many tags; null: nobody knows, since it is faulty.
 */
export function choicesOf(
  body: CopyRequestBody,
  nowMs: number,
  isRepository: boolean | null,
  errors: FieldError[],
): Choices {
  const tags = selectionOf(body.tags, nowMs, errors);
  const targetTag = templateOf(body.target_tag, "target_tag", errors);
  const existing = existingOf(body, isRepository, errors);
  const prune = pruneOf(body, errors);
  return {
    ...(body.priority === "background" ? { background: true } : {}),
    ...(tags === undefined ? {} : { tags }),
    ...(targetTag === undefined ? {} : { targetTag }),
    ...(body.media_types === undefined ? {} : { mediaTypes: body.media_types }),
    ...platformsOf(body, errors),
    ...attachedOf(body),
    ...(existing === undefined ? {} : { existing }),
    ...(body.deep === true ? { deep: true } : {}),
    ...(body.include_foreign === true ? { includeForeign: true } : {}),
    ...(body.dry_run === true ? { dryRun: true } : {}),
    ...(body.fail_fast === true ? { failFast: true } : {}),
    ...(prune === undefined ? {} : { prune }),
  };
}

function selectionOf(tags: CopyRequestBody["tags"], nowMs: number, errors: FieldError[]): TagSelection | undefined {
  if (tags === undefined) {
    return undefined;
  }
  const { include, exclude, semver, latest, latest_by: by, newer_than: newerThan, immutable } = tags;
  for (const [name, list = []] of Object.entries({ include, exclude, immutable })) {
    for (const [at, expression] of list.entries()) {
      note(errors, `tags.${name}.${at}`, describeExpressionFault(expression));
    }
  }
  note(errors, "tags.semver", semver === undefined ? null : describeRangeFault(semver));
  const newerThanMs = newerThan === undefined ? undefined : parseMoment(newerThan, nowMs);
  note(errors, "tags.newer_than", newerThanMs === null ? `must be ${MOMENT_FORMS}` : null);
  note(errors, "tags.latest_by", by !== undefined && latest === undefined ? "needs latest, the number of tags" : null);
  const selection: TagSelection = {
    ...(include === undefined ? {} : { include }),
    ...(exclude === undefined ? {} : { exclude }),
    ...(semver === undefined ? {} : { semver }),
    ...(latest === undefined ? {} : { latest: { count: latest, by: by ?? "semver" } }),
    ...(newerThanMs === undefined || newerThanMs === null ? {} : { newerThanMs }),
    ...(immutable === undefined ? {} : { immutable }),
  };
  return Object.keys(selection).length === 0 ? undefined : selection;
}

function existingOf(
  body: CopyRequestBody,
  isRepository: boolean | null,
  errors: FieldError[],
): ExistingTagPolicy | undefined {
  const { existing, backup_tag: backupTag } = body;
  if (existing !== "backup") {
    note(errors, "backup_tag", backupTag === undefined ? null : 'needs "existing": "backup"');
    // What is done anyway is not said, so that a request is the same with and without it.
    return existing === undefined || existing === "overwrite" ? undefined : { kind: existing };
  }
  const isMissing = backupTag === undefined;
  note(errors, "backup_tag", isMissing ? 'is missing; give the old image\'s tag, such as "{tag}-{date}"' : null);
  const isSame = backupTag === "{tag}";
  note(errors, "backup_tag", isSame ? "gives the tag that is to be overwritten; have more in it: {tag}-{date}" : null);
  const tag = templateOf(backupTag, "backup_tag", errors, isRepository !== false);
  return tag === undefined ? undefined : { kind: "backup", tag };
}

function pruneOf({ prune, target_tag: targetTag }: CopyRequestBody, errors: FieldError[]): PruneRule | undefined {
  if (prune === undefined) {
    return undefined;
  }
  const isUnknown =
    targetTag !== undefined && describeTemplateFault(targetTag, "tag") === null && namesDigest(targetTag);
  note(errors, "prune", isUnknown ? "cannot tell which tags are chosen while target_tag has a digest in it" : null);
  return { maxTags: prune.max ?? DEFAULT_PRUNE_MAX, dryRun: prune.dry_run ?? true };
}

function platformsOf(body: CopyRequestBody, errors: FieldError[]): Pick<CopyRequest, "platforms"> {
  const { platforms, index = "sparse", target_tag: targetTag } = body;
  const isOne = platforms?.length === 1;
  const hasPlace = targetTag?.includes("{platform}") === true;
  note(errors, "target_tag", hasPlace && !isOne ? "has {platform}, so platforms must name exactly one" : null);
  if (platforms === undefined) {
    note(errors, "index", body.index === undefined ? null : "needs platforms; without them an index is copied whole");
    return {};
  }
  for (const [at, platform] of platforms.entries()) {
    const isKnown = parsePlatform(platform) !== null;
    note(errors, `platforms.${at}`, isKnown ? null : 'must be os/architecture[/variant], such as "linux/arm64"');
  }
  note(
    errors,
    "index",
    index === "single" && !isOne ? "single is for one platform; name one, or choose rewrite" : null,
  );
  return { platforms: { wanted: platforms, index } };
}

function attachedOf({ referrers, digest_tags: digestTags }: CopyRequestBody): Pick<CopyRequest, "attached"> {
  if ((referrers === undefined || referrers === false) && digestTags !== true) {
    return {};
  }
  const { artifact_types: artifactTypes, annotations } = typeof referrers === "object" ? referrers : {};
  const wanted = {
    ...(artifactTypes === undefined ? {} : { artifactTypes }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  return {
    attached: {
      ...(referrers === undefined || referrers === false ? {} : { referrers: wanted }),
      ...(digestTags === true ? { digestTags } : {}),
    },
  };
}

/** Undefined: there is none, or it is faulty. */
function templateOf(
  template: string | undefined,
  field: string,
  errors: FieldError[],
  isForMany = true,
): string | undefined {
  if (template === undefined) {
    return undefined;
  }
  const fault =
    describeTemplateFault(template, "tag") ??
    (!isForMany || dependsOnTag(template) ? null : "gives all images one name; have {tag} in it");
  note(errors, field, fault);
  return fault === null ? template : undefined;
}

function note(errors: FieldError[], field: string, message: string | null): void {
  if (message !== null) {
    errors.push({ field, message });
  }
}

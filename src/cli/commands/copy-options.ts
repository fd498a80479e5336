/** What `drayage copy` can be asked for beyond source and target: its options, and the request that they make. */
import { InvalidArgumentError, Option, type Command } from "commander";

export interface CopyChoices {
  tags?: string[];
  exclude?: string[];
  immutable?: string[];
  semver?: string;
  latest?: number;
  latestBy?: string;
  newerThan?: string;
  targetTag?: string;
  mediaType?: string[];
  platform?: string[];
  index?: string;
  referrers?: true;
  artifactType?: string[];
  digestTags?: true;
  existing?: string;
  backupTag?: string;
  prune?: string;
  pruneMax?: number;
  dryRun?: true;
  deep?: true;
  includeForeign?: true;
  background?: true;
  failFast?: true;
  keepGoing?: true;
}

/** Adds the options, in the order in which the help shows them. */
export function addChoices(command: Command): Command {
  return command
    .option("--tags <regex>", "of a repository, tags that match as a whole; may be repeated", collect)
    .option("--exclude <regex>", "leave out tags that match as a whole; may be repeated", collect)
    .option("--semver <range>", "only versions in this range, such as '>=1.2 <3'")
    .option("--latest <number>", "of those that are left, only the newest", positive)
    .addOption(new Option("--latest-by <order>", "what newest means (default: semver)").choices(["semver", "creation"]))
    .option("--newer-than <when>", "only images created after this: 30d, 12h, 2026-01-31")
    .option("--immutable <regex>", "tags that never change: not asked for if the target has them", collect)
    .option("--target-tag <template>", "name of each tag at the target, such as 'mirror-{tag}'")
    .option("--media-type <type>", "only what is a manifest of this media type; may be repeated", collect)
    .option(
      "--platform <os/arch>",
      "of an index, only this platform: linux/arm64, linux/arm/v7; may be repeated",
      collect,
    )
    .addOption(
      new Option("--index <form>", "what an index becomes with --platform (default: sparse)").choices([
        "sparse",
        "rewrite",
        "single",
      ]),
    )
    .option("--referrers", "copy what refers to the images too: signatures, SBOMs, attestations")
    .option("--artifact-type <type>", "of what refers to them, only this type; may be repeated", collect)
    .option("--digest-tags", "copy tags named after the images' digests too, such as cosign's")
    .addOption(
      new Option("--existing <policy>", "a tag the target has with another digest (default: overwrite)").choices([
        "overwrite",
        "skip",
        "fail",
        "backup",
      ]),
    )
    .option("--backup-tag <template>", "with --existing backup, the old image's new tag, such as '{tag}-{date}'")
    .addOption(
      new Option("--prune <mode>", "tags at the target that are not chosen: say which, or delete them").choices([
        "dry",
        "delete",
      ]),
    )
    .option("--prune-max <number>", "delete no tag at all if there are more than so many (default: 10)", positive)
    .option("--dry-run", "write nothing; say what would be copied, in tags, blobs and bytes")
    .option("--keep-going", "go on with the other tags when one fails (default)")
    .option("--fail-fast", "end at the first tag that fails")
    .option("--deep", "look into what is there already and make it whole")
    .option("--include-foreign", "copy layers that carry other addresses too")
    .option("--background", "leave the reserve of a registry's rate limit to others");
}

/** What the request for the API has besides its source and targets. Whether the values are any good is the service's to say. */
export function choicesOf(choices: CopyChoices): Record<string, unknown> {
  const tags = {
    ...(choices.tags === undefined ? {} : { include: choices.tags }),
    ...(choices.exclude === undefined ? {} : { exclude: choices.exclude }),
    ...(choices.semver === undefined ? {} : { semver: choices.semver }),
    ...(choices.latest === undefined ? {} : { latest: choices.latest }),
    ...(choices.latestBy === undefined ? {} : { latest_by: choices.latestBy }),
    ...(choices.newerThan === undefined ? {} : { newer_than: choices.newerThan }),
    ...(choices.immutable === undefined ? {} : { immutable: choices.immutable }),
  };
  const prune = {
    ...(choices.pruneMax === undefined ? {} : { max: choices.pruneMax }),
    ...(choices.prune === undefined ? {} : { dry_run: choices.prune === "dry" }),
  };
  const { artifactType: artifactTypes } = choices;
  return {
    ...(choices.mediaType === undefined ? {} : { media_types: choices.mediaType }),
    ...(choices.platform === undefined ? {} : { platforms: choices.platform }),
    ...(choices.index === undefined ? {} : { index: choices.index }),
    ...(artifactTypes === undefined ? {} : { referrers: { artifact_types: artifactTypes } }),
    ...(artifactTypes === undefined && choices.referrers === true ? { referrers: true } : {}),
    ...(choices.digestTags === true ? { digest_tags: true } : {}),
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
    ...(choices.targetTag === undefined ? {} : { target_tag: choices.targetTag }),
    ...(choices.existing === undefined ? {} : { existing: choices.existing }),
    ...(choices.backupTag === undefined ? {} : { backup_tag: choices.backupTag }),
    ...(Object.keys(prune).length === 0 ? {} : { prune }),
    ...(choices.dryRun === true ? { dry_run: true } : {}),
    ...(choices.failFast === true ? { fail_fast: true } : {}),
    ...(choices.deep === true ? { deep: true } : {}),
    ...(choices.includeForeign === true ? { include_foreign: true } : {}),
    ...(choices.background === true ? { priority: "background" } : {}),
  };
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function positive(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) {
    return Number(text);
  }
  throw new InvalidArgumentError("It must be a whole number from 1 on.");
}

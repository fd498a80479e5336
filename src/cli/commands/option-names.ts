/** What the service says of fields of a request, in the words of whoever typed options. */
import { ServiceError } from "../client.ts";

/** By field; a place in a list is left out. */
const OPTIONS: Readonly<Record<string, string>> = {
  source: "SOURCE",
  target: "TARGET",
  tags: "the choice of tags (--tags, --exclude, --semver, --latest, --newer-than)",
  "tags.include": "--tags",
  "tags.exclude": "--exclude",
  "tags.immutable": "--immutable",
  "tags.semver": "--semver",
  "tags.latest": "--latest",
  "tags.latest_by": "--latest-by",
  "tags.newer_than": "--newer-than",
  target_tag: "--target-tag",
  media_types: "--media-type",
  platforms: "--platform",
  index: "--index",
  referrers: "--referrers",
  "referrers.artifact_types": "--artifact-type",
  digest_tags: "--digest-tags",
  existing: "--existing",
  backup_tag: "--backup-tag",
  prune: "--prune",
  "prune.max": "--prune-max",
  dry_run: "--dry-run",
  fail_fast: "--fail-fast",
  deep: "--deep",
  include_foreign: "--include-foreign",
};

/** The same failure with options in place of fields; anything else as it is. */
export function inOptionsWords(error: unknown): unknown {
  if (!(error instanceof ServiceError) || error.problem.errors === undefined) {
    return error;
  }
  const errors = error.problem.errors.map(({ field, message }) => ({
    field: optionOf(field),
    message: message
      .replaceAll(/\btargets\.\d+/g, optionOf)
      .replaceAll('"existing": "backup"', "--existing backup")
      .replace("needs platforms; without them", "needs --platform; without it"),
  }));
  const detail = errors.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`)).join("\n");
  return new ServiceError({ ...error.problem, errors, detail });
}

function optionOf(field: string): string {
  const place = /^targets\.(\d+)$/.exec(field)?.[1];
  if (place !== undefined) {
    return `TARGET ${Number(place) + 1}`;
  }
  const known = OPTIONS[field.replace(/\.\d+$/, "")];
  return known ?? field;
}

/** What regsync's entry says of a copy beside its names and tags, as fields of the API. Pure. */
import { formatReference, type Reference } from "../../registry/reference.ts";
import type { Path, ReadingOptions, SyncBody } from "./contract.ts";
import type { FileFault } from "./faults.ts";
import { filledIn, type TemplateFields } from "./go-template.ts";
import type { Notes } from "./notes.ts";
import type { RegsyncEntry } from "./regsync-schema.ts";

/** What is gathered while the entries are read. */
export interface Gathered {
  options: ReadingOptions;
  notes: Notes;
  faults: FileFault[];
}

/**
 * Stands for a tag that is known once the copy runs. In both cases, so that it shows when a template has changed the case of
 * what it stands for.
 */
const TAG = "{Tag}";

/** @param target Its repository may have a place for one that is not known yet. */
export function choicesOf(
  entry: RegsyncEntry,
  target: Pick<Reference, "host" | "repository">,
  path: Path,
  gathered: Gathered,
): Omit<SyncBody, "source" | "target"> {
  noteSmallPrint(entry, path, gathered.notes);
  const { mediaTypes = [] } = entry;
  return {
    ...backupOf(entry, target, path, gathered),
    ...(mediaTypes.length === 0 ? {} : { media_types: mediaTypes }),
    ...platformsOf(entry),
    ...referrersOf(entry, path, gathered.notes),
    ...(entry.digestTags === true ? { digest_tags: true } : {}),
    ...(entry.forceRecursive === true ? { deep: true } : {}),
    ...(entry.includeExternal === true ? { include_foreign: true } : {}),
  };
}

/** What templates may say of the entry. */
export function syncFields({ source, target, type }: RegsyncEntry): TemplateFields {
  return { "Sync.Source": source, "Sync.Target": target, "Sync.Type": type };
}

function platformsOf({ platform, platforms }: RegsyncEntry): Pick<SyncBody, "platforms" | "index"> {
  if (platform !== undefined && platform !== "") {
    return { platforms: [platform], index: "single" };
  }
  return platforms === undefined || platforms.length === 0 ? {} : { platforms, index: "sparse" };
}

/** regsync takes what one of several filters fits; one filter, or several types, can be said here. */
function referrersOf(entry: RegsyncEntry, path: Path, notes: Notes): Pick<SyncBody, "referrers"> {
  if (entry.referrers !== true) {
    return {};
  }
  const filters = entry.referrerFilters ?? [];
  // An empty type is regsync's way to say nothing.
  const types = filters.flatMap(({ artifactType = "" }) => (artifactType === "" ? [] : [artifactType]));
  const onlyTypes = types.length === filters.length && filters.every(({ annotations }) => annotations === undefined);
  const [first, ...others] = filters;
  if (first !== undefined && (others.length === 0 || onlyTypes)) {
    const { annotations } = first;
    return {
      referrers: {
        ...(types.length === 0 ? {} : { artifact_types: types }),
        ...(annotations === undefined ? {} : { annotations }),
      },
    };
  }
  if (filters.length > 0) {
    notes.add(
      "referrerFilters",
      [...path, "referrerFilters"],
      "several filters with annotations cannot be had; all referrers are copied",
    );
  }
  return { referrers: true };
}

function backupOf(
  entry: RegsyncEntry,
  target: Pick<Reference, "host" | "repository">,
  path: Path,
  { options, faults }: Gathered,
): Pick<SyncBody, "existing" | "backup_tag"> {
  if (entry.backup === undefined || entry.backup === "") {
    return {};
  }
  const fault = (message: string): Record<string, never> => {
    // Without its backup an old image would be lost.
    faults.push({ path: [...path, "backup"], message });
    return {};
  };
  const { host: registry, repository } = target;
  const filled = filledIn(
    entry.backup,
    {
      ...syncFields(entry),
      // The same under its older name.
      "Step.Source": entry.source,
      "Step.Target": entry.target,
      "Step.Type": entry.type,
      "Ref.Registry": registry,
      "Ref.Repository": repository,
      "Ref.Tag": TAG,
      "Ref.Reference": `${registry}/${repository}:${TAG}`,
    },
    options,
  );
  if (filled.fault !== null) {
    return fault(filled.fault);
  }
  const name = filled.text.trim();
  if (/\{tag\}/i.test(name.replaceAll(TAG, ""))) {
    return fault("changes the letters of a tag, which is not known before the copy runs; leave lower and upper out");
  }
  const own = `${formatReference({ host: registry, repository })}:`;
  const tag = (name.startsWith(own) ? name.slice(own.length) : name).replaceAll(TAG, "{tag}");
  return /[:/]/.test(tag)
    ? fault(`the backup ${JSON.stringify(name)} is in another repository; only tags of the target's own can be had`)
    : { existing: "backup", backup_tag: tag };
}

function noteSmallPrint(entry: RegsyncEntry, path: Path, notes: Notes): void {
  const { fastCheck, referrers, digestTags, forceRecursive, tags, tagSets = [] } = entry;
  if ([tags, ...tagSets].some((set) => (set?.semverRange ?? []).length > 0)) {
    notes.add(
      "semverRange",
      path,
      "a prerelease or variant (1.27.3-alpine) is in a range only where that names one of the same version, and a tag of " +
        "one number or of four is in none; choose such tags with allow in an entry of their own",
    );
  }
  if (fastCheck === true && (referrers === true || digestTags === true)) {
    notes.add("fastCheck", [...path, "fastCheck"], "not honoured; what is attached is compared in every run");
  } else if (fastCheck === true && forceRecursive === true) {
    notes.add("fastCheck", [...path, "fastCheck"], "not honoured; forceRecursive looks into every image in every run");
  }
}

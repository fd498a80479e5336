/** regsync's file, as requests for the API: one per image, one per repository and set of tags. Pure. */
import { formatReference, type Reference } from "../../registry/reference.ts";
import type { Path, PlannedCopy, ReadingOptions, SyncBody, SyncPlan, UnservedEntry } from "./contract.ts";
import { checkedBy, SyncFileError, type FileFault } from "./faults.ts";
import { filledIn, type TemplateFields } from "./go-template.ts";
import { anywhere, imageText, nameOf, repositoryText } from "./names.ts";
import { Notes } from "./notes.ts";
import { localSettingsOf, noteReserve } from "./regsync-creds.ts";
import { RegsyncFileSchema, type RegsyncCommon, type RegsyncEntry, type RegsyncTagSet } from "./regsync-schema.ts";
import { noteUnheeded } from "./regsync-unheeded.ts";

/** What regsync takes unless told otherwise: together, everything. */
const ALL_MEDIA_TYPES = [
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
];

const ON_DISK = /^ocidir:|^ocifile:/;

/** @throws SyncFileError with everything that is wrong. */
export function readRegsync(data: unknown, options: ReadingOptions): SyncPlan {
  const file = checkedBy(RegsyncFileSchema, data);
  const notes = new Notes();
  const faults: FileFault[] = [];
  noteUnheeded(file, notes);
  const local = localSettingsOf(file, options, notes, faults);
  const copies: PlannedCopy[] = [];
  const unserved: UnservedEntry[] = [];
  for (const [index, given] of file.sync.entries()) {
    const path = ["sync", index];
    const entry = withTemplates({ ...given, ...withDefaults(given, file.defaults ?? {}) }, path, options, faults);
    const because = entry === null ? null : describeUnserved(entry);
    if (entry !== null && because !== null) {
      unserved.push({ source: entry.source, target: entry.target, path, message: because });
    } else if (entry !== null) {
      const bodies = bodiesOf(entry, path, options, notes, faults);
      noteReserve(entry, bodies, local, path, notes);
      copies.push(...bodies.map((body) => ({ body, path })));
    }
  }
  if (faults.length > 0) {
    throw new SyncFileError(faults);
  }
  return { format: "regsync", copies, unserved, notes: notes.all, local };
}

function withDefaults(entry: RegsyncEntry, defaults: RegsyncCommon): RegsyncCommon {
  return {
    // An empty backup is regsync's way to say nothing.
    backup: entry.backup || defaults.backup,
    digestTags: entry.digestTags ?? defaults.digestTags,
    referrers: entry.referrers ?? defaults.referrers,
    referrerFilters: entry.referrerFilters ?? defaults.referrerFilters,
    fastCheck: entry.fastCheck ?? defaults.fastCheck,
    forceRecursive: entry.forceRecursive ?? defaults.forceRecursive,
    includeExternal: entry.includeExternal ?? defaults.includeExternal,
    mediaTypes: entry.mediaTypes ?? defaults.mediaTypes,
    ratelimit: entry.ratelimit ?? defaults.ratelimit,
  };
}

/** The entry with source and target filled in, in this order, as regsync does; null: that failed. */
function withTemplates(
  entry: RegsyncEntry,
  path: Path,
  options: ReadingOptions,
  faults: FileFault[],
): RegsyncEntry | null {
  const source = filledIn(entry.source, syncFields(entry), options);
  const target = filledIn(entry.target, syncFields({ ...entry, source: source.text ?? "" }), options);
  for (const [key, { fault }] of Object.entries({ source, target })) {
    if (fault !== null) {
      faults.push({ path: [...path, key], message: fault });
    }
  }
  return source.text === null || target.text === null ? null : { ...entry, source: source.text, target: target.text };
}

function syncFields({ source, target, type }: RegsyncEntry): TemplateFields {
  return { "Sync.Source": source, "Sync.Target": target, "Sync.Type": type };
}

function describeUnserved({ type, source, target }: RegsyncEntry): string | null {
  if (type === "registry") {
    return "type registry is not served: name the registry's repositories, one entry each (type: repository)";
  }
  return ON_DISK.test(source) || ON_DISK.test(target)
    ? "OCI layouts on disk (ocidir://) are not served: copies go from registry to registry"
    : null;
}

function bodiesOf(
  entry: RegsyncEntry,
  path: Path,
  options: ReadingOptions,
  notes: Notes,
  faults: FileFault[],
): SyncBody[] {
  const source = nameOf(entry.source, "source");
  const target = nameOf(entry.target, "target");
  for (const [key, { fault }] of Object.entries({ source, target })) {
    if (fault !== null) {
      faults.push({ path: [...path, key], message: fault });
    }
  }
  if (source.name === null || target.name === null) {
    return [];
  }
  noteSmallPrint(entry, path, notes);
  const choices = {
    ...backupOf(entry, target.name, path, options, faults),
    ...platformsOf(entry),
    ...referrersOf(entry, path, notes),
    ...(entry.digestTags === true ? { digest_tags: true } : {}),
    ...(entry.forceRecursive === true ? { deep: true } : {}),
    ...(entry.includeExternal === true ? { include_foreign: true } : {}),
  };
  if (entry.type === "image") {
    return [{ source: imageText(source.name), target: imageText(target.name), ...choices }];
  }
  const names = { source: repositoryText(source.name), target: repositoryText(target.name) };
  const own = entry.tags === undefined ? {} : tagsOf(entry.tags);
  const sets = (entry.tagSets ?? []).map((set) => tagsOf(set));
  // Tags of which nothing is said beside sets are no set of all tags.
  const chosen = own.tags === undefined && sets.length > 0 ? sets : [own, ...sets];
  return chosen.map((tags) => ({ ...names, ...tags, ...choices }));
}

function tagsOf({ allow = [], deny = [], semverRange = [] }: RegsyncTagSet): Pick<SyncBody, "tags"> {
  const tags = {
    ...(allow.length === 0 ? {} : { include: allow.map(anchored) }),
    ...(deny.length === 0 ? {} : { exclude: deny.map(anchored) }),
    ...(semverRange.length === 0 ? {} : { semver: semverRange.join(" || ") }),
  };
  return Object.keys(tags).length === 0 ? {} : { tags };
}

/** regsync puts its anchors around the text as it is, so that of `a|b` each side has only one of them. */
function anchored(expression: string): string {
  return expression.includes("|") ? anywhere(`^${expression}$`) : expression;
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
  target: Reference,
  path: Path,
  options: ReadingOptions,
  faults: FileFault[],
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
      "Ref.Tag": "{tag}",
      "Ref.Reference": `${registry}/${repository}:{tag}`,
    },
    options,
  );
  if (filled.fault !== null) {
    return fault(filled.fault);
  }
  const name = filled.text.trim();
  const own = `${formatReference({ host: registry, repository })}:`;
  const tag = name.startsWith(own) ? name.slice(own.length) : name;
  return /[:/]/.test(tag)
    ? fault(`the backup ${JSON.stringify(name)} is in another repository; only tags of the target's own can be had`)
    : { existing: "backup", backup_tag: tag };
}

function noteSmallPrint(entry: RegsyncEntry, path: Path, notes: Notes): void {
  const { mediaTypes = [], fastCheck, referrers, digestTags, forceRecursive } = entry;
  if (mediaTypes.length > 0 && !ALL_MEDIA_TYPES.every((type) => mediaTypes.includes(type))) {
    notes.add("mediaTypes", [...path, "mediaTypes"], "not honoured; manifests of every type are copied");
  }
  if (fastCheck === true && (referrers === true || digestTags === true)) {
    notes.add("fastCheck", [...path, "fastCheck"], "not honoured; what is attached is compared in every run");
  } else if (fastCheck === true && forceRecursive === true) {
    notes.add("fastCheck", [...path, "fastCheck"], "not honoured; forceRecursive looks into every image in every run");
  }
}

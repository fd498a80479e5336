/** regsync's file, as requests for the API: one per image, one per repository and set of tags; and registries of which every repository is copied. Pure. */
import { registryHost } from "../../config/host-name.ts";
import { describeExpressionFault } from "../../copy/tag-expression.ts";
import { formatReference } from "../../registry/reference.ts";
import type {
  LocalSettings,
  Path,
  PlannedCopy,
  PlannedRegistry,
  ReadingOptions,
  SyncBody,
  SyncPlan,
  UnservedEntry,
} from "./contract.ts";
import { checkedBy, SyncFileError, type FileFault } from "./faults.ts";
import { filledIn } from "./go-template.ts";
import { anywhere, imageText, nameOf, repositoryText } from "./names.ts";
import { Notes } from "./notes.ts";
import { choicesOf, syncFields, type Gathered } from "./regsync-choices.ts";
import { localSettingsOf, noteReserve } from "./regsync-creds.ts";
import { rangeOf } from "./regsync-ranges.ts";
import { RegsyncFileSchema, type RegsyncCommon, type RegsyncEntry, type RegsyncTagSet } from "./regsync-schema.ts";
import { REPOSITORY_PLACE } from "./repository-place.ts";
import { noteUnheeded } from "./regsync-unheeded.ts";

const ON_DISK = /^ocidir:|^ocifile:/;

/** @throws SyncFileError with everything that is wrong. */
export function readRegsync(data: unknown, options: ReadingOptions): SyncPlan {
  const file = checkedBy(RegsyncFileSchema, data);
  const notes = new Notes();
  const faults: FileFault[] = [];
  const gathered = { options, notes, faults };
  noteUnheeded(file, notes);
  const local = localSettingsOf(file, options, notes, faults);
  const copies: PlannedCopy[] = [];
  const registries: PlannedRegistry[] = [];
  const unserved: UnservedEntry[] = [];
  for (const [index, given] of file.sync.entries()) {
    const path = ["sync", index];
    const entry = withTemplates({ ...given, ...withDefaults(given, file.defaults ?? {}) }, path, options, faults);
    const because = entry === null ? null : describeUnserved(entry);
    if (entry !== null && because !== null) {
      unserved.push({ source: entry.source, target: entry.target, path, message: because });
    } else if (entry?.type === "registry") {
      registries.push(...registryOf(entry, path, local, gathered));
    } else if (entry !== null) {
      const bodies = bodiesOf(entry, path, gathered);
      noteReserve(entry, bodies, local, path, notes);
      copies.push(...bodies.map((body) => ({ body, path })));
    }
  }
  if (faults.length > 0) {
    throw new SyncFileError(faults);
  }
  return { format: "regsync", copies, registries, unserved, notes: notes.all, local };
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
    // Of an empty list too: regsync then has what it takes unless told otherwise.
    mediaTypes: entry.mediaTypes?.length === 0 ? defaults.mediaTypes : (entry.mediaTypes ?? defaults.mediaTypes),
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

function describeUnserved({ source, target }: RegsyncEntry): string | null {
  return ON_DISK.test(source) || ON_DISK.test(target)
    ? "OCI layouts on disk (ocidir://) are not served: copies go from registry to registry"
    : null;
}

/** The repositories that a registry lists, each below the target. */
function registryOf(entry: RegsyncEntry, path: Path, local: LocalSettings, gathered: Gathered): PlannedRegistry[] {
  const { notes, faults } = gathered;
  const host = registryHost(entry.source);
  // Two components, so that none is taken for one of Docker Hub's own.
  const target = nameOf(`${entry.target}/x/x`, "target");
  const { allow = [], deny = [] } = entry.repos ?? {};
  for (const [key, list] of Object.entries({ allow, deny })) {
    for (const [at, expression] of list.entries()) {
      const fault = describeExpressionFault(anchored(expression));
      faults.push(...(fault === null ? [] : [{ path: [...path, "repos", key, at], message: fault }]));
    }
  }
  if (host === null) {
    faults.push({ path: [...path, "source"], message: "must be a registry host, such as registry.example.com" });
  }
  if (target.name === null) {
    const message =
      "must be a registry host, or one with the beginning of a repository, such as registry.example.com/mirror";
    faults.push({ path: [...path, "target"], message });
  }
  if (host === null || target.name === null) {
    return [];
  }
  const at = { host: target.name.host, repository: target.name.repository.slice(0, -"x/x".length) + REPOSITORY_PLACE };
  const names = { source: `${host}/${REPOSITORY_PLACE}`, target: formatReference(at) };
  const bodies = repositoriesOf(entry, names, choicesOf(entry, at, path, gathered));
  noteReserve(entry, bodies, local, path, notes);
  const choice = {
    ...(allow.length === 0 ? {} : { include: allow.map(anchored) }),
    ...(deny.length === 0 ? {} : { exclude: deny.map(anchored) }),
  };
  return [{ host, choice, copies: bodies.map((body) => ({ body, path })), path }];
}

function bodiesOf(entry: RegsyncEntry, path: Path, gathered: Gathered): SyncBody[] {
  const source = nameOf(entry.source, "source");
  const target = nameOf(entry.target, "target");
  for (const [key, { fault }] of Object.entries({ source, target })) {
    if (fault !== null) {
      gathered.faults.push({ path: [...path, key], message: fault });
    }
  }
  if (source.name === null || target.name === null) {
    return [];
  }
  const choices = choicesOf(entry, target.name, path, gathered);
  return entry.type === "image"
    ? [{ source: imageText(source.name), target: imageText(target.name), ...choices }]
    : repositoriesOf(entry, { source: repositoryText(source.name), target: repositoryText(target.name) }, choices);
}

/** A copy of the repository for each set of tags. */
function repositoriesOf(
  { tags, tagSets = [] }: RegsyncEntry,
  names: Pick<SyncBody, "source" | "target">,
  choices: Omit<SyncBody, "source" | "target">,
): SyncBody[] {
  const own = tags === undefined ? {} : tagsOf(tags);
  const sets = tagSets.map((set) => tagsOf(set));
  // Tags of which nothing is said beside sets are no set of all tags.
  const chosen = own.tags === undefined && sets.length > 0 ? sets : [own, ...sets];
  return chosen.map((each) => ({ ...names, ...each, ...choices }));
}

function tagsOf({ allow = [], deny = [], semverRange = [] }: RegsyncTagSet): Pick<SyncBody, "tags"> {
  const tags = {
    ...(allow.length === 0 ? {} : { include: allow.map(anchored) }),
    ...(deny.length === 0 ? {} : { exclude: deny.map(anchored) }),
    ...(semverRange.length === 0 ? {} : { semver: semverRange.map(rangeOf).join(" || ") }),
  };
  return Object.keys(tags).length === 0 ? {} : { tags };
}

/** regsync puts its anchors around the text as it is, so that of `a|b` each side has only one of them. */
function anchored(expression: string): string {
  return expression.includes("|") ? anywhere(`^${expression}$`) : expression;
}

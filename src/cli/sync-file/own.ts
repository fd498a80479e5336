/** The project's own format, as requests for the API. Pure. */
import { MAX_TARGETS } from "../../api/copy-request-schema.ts";
import {
  noLocalSettings,
  type Path,
  type PlannedCopy,
  type PlannedRegistry,
  type ReadingOptions,
  type SyncBody,
  type SyncPlan,
} from "./contract.ts";
import { checkedBy, SyncFileError, type FileFault } from "./faults.ts";
import { interpolated } from "./interpolation.ts";
import { OwnFileSchema } from "./own-schema.ts";
import { isRepository } from "./names.ts";
import { patternFault, patternHost, REPOSITORY_PLACE, targetFault } from "./repository-place.ts";

/** Defaults that a copy of a single image cannot have. */
const OF_REPOSITORIES: readonly string[] = ["tags", "target_tag", "fail_fast", "prune"];

/** Where a copy goes, each place with where in the file it stands. */
type Places = readonly { target: string; path: Path }[];

/** @throws SyncFileError with everything that is wrong. */
export function readOwn(data: unknown, { env }: ReadingOptions): SyncPlan {
  const faults: FileFault[] = [];
  const filled = interpolated(data, env, faults);
  if (faults.length > 0) {
    throw new SyncFileError(faults);
  }
  const { defaults = {}, copies: entries } = checkedBy(OwnFileSchema, filled);
  const ofImages = Object.fromEntries(Object.entries(defaults).filter(([name]) => !OF_REPOSITORIES.includes(name)));
  const copies: PlannedCopy[] = [];
  const registries: PlannedRegistry[] = [];
  for (const [index, { target, targets, ...entry }] of entries.entries()) {
    const path = ["copies", index];
    const places =
      targets?.map((each, at) => ({ target: each, path: [...path, "targets", at] })) ??
      (target === undefined ? [] : [{ target, path }]);
    // No reference has one: it is a pattern over the repositories that a registry lists, as in rules.
    if (!entry.source.includes("*")) {
      copies.push(...copiesTo({ ...(isRepository(entry.source) ? defaults : ofImages), ...entry }, places));
      continue;
    }
    const wrong = patternFaults(entry.source, places, path);
    faults.push(...wrong);
    if (wrong.length === 0) {
      const host = patternHost(entry.source);
      const body = { ...defaults, ...entry, source: `${host}/${REPOSITORY_PLACE}` };
      registries.push({ host, choice: { pattern: entry.source }, copies: copiesTo(body, places), path });
    }
  }
  if (faults.length > 0) {
    throw new SyncFileError(faults);
  }
  return { format: "own", copies, registries, unserved: [], notes: [], local: noLocalSettings() };
}

function copiesTo(body: Omit<SyncBody, "target">, places: Places): PlannedCopy[] {
  return together(places).flatMap((block) => {
    const alongside = block.map(({ target }) => target);
    return block.map(({ target, path }) => ({
      body: { ...body, target },
      path,
      ...(block.length > 1 ? { alongside } : {}),
    }));
  });
}

/** As many as one request may have. */
function together(places: Places): Places[] {
  return Array.from({ length: Math.ceil(places.length / MAX_TARGETS) }, (_, block) =>
    places.slice(block * MAX_TARGETS, (block + 1) * MAX_TARGETS),
  );
}

function patternFaults(source: string, places: Places, path: Path): FileFault[] {
  const wrong = patternFault(source);
  return [
    ...(wrong === null ? [] : [{ path: [...path, "source"], message: wrong }]),
    ...places.flatMap(({ target, path: at }) => {
      const message = targetFault(target);
      return message === null ? [] : [{ path: at === path ? [...path, "target"] : at, message }];
    }),
  ];
}

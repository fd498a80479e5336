/** The project's own format, as requests for the API. Pure. */
import { MAX_TARGETS } from "../../api/copy-request-schema.ts";
import { noLocalSettings, type PlannedCopy, type ReadingOptions, type SyncBody, type SyncPlan } from "./contract.ts";
import { checkedBy, SyncFileError, type FileFault } from "./faults.ts";
import { interpolated } from "./interpolation.ts";
import { OwnFileSchema } from "./own-schema.ts";
import { isRepository } from "./names.ts";

/** Defaults that a copy of a single image cannot have. */
const OF_REPOSITORIES: readonly string[] = ["tags", "target_tag", "fail_fast", "prune"];

/** @throws SyncFileError with everything that is wrong. */
export function readOwn(data: unknown, { env }: ReadingOptions): SyncPlan {
  const faults: FileFault[] = [];
  const filled = interpolated(data, env, faults);
  if (faults.length > 0) {
    throw new SyncFileError(faults);
  }
  const { defaults = {}, copies } = checkedBy(OwnFileSchema, filled);
  const ofImages = Object.fromEntries(Object.entries(defaults).filter(([name]) => !OF_REPOSITORIES.includes(name)));
  return {
    format: "own",
    copies: copies.flatMap(({ target, targets, ...entry }, index): PlannedCopy[] => {
      const body: Omit<SyncBody, "target"> = { ...(isRepository(entry.source) ? defaults : ofImages), ...entry };
      if (targets === undefined) {
        return target === undefined ? [] : [{ body: { ...body, target }, path: ["copies", index] }];
      }
      return together(targets).flatMap((alongside, block) =>
        alongside.map((each, at) => ({
          body: { ...body, target: each },
          path: ["copies", index, "targets", block * MAX_TARGETS + at],
          ...(alongside.length > 1 ? { alongside } : {}),
        })),
      );
    }),
    unserved: [],
    notes: [],
    local: noLocalSettings(),
  };
}

/** As many as one request may have. */
function together(targets: readonly string[]): (readonly string[])[] {
  return Array.from({ length: Math.ceil(targets.length / MAX_TARGETS) }, (_, block) =>
    targets.slice(block * MAX_TARGETS, (block + 1) * MAX_TARGETS),
  );
}

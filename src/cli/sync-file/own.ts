/** The project's own format, as requests for the API. Pure. */
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
      return (targets ?? (target === undefined ? [] : [target])).map((each, at) => ({
        body: { ...body, target: each },
        path: targets === undefined ? ["copies", index] : ["copies", index, "targets", at],
      }));
    }),
    unserved: [],
    notes: [],
    local: noLocalSettings(),
  };
}

/** Scopes, limits and claims as people write them: in the body of a request for a key, and in the settings. */
import * as z from "zod";
import { ACTIONS } from "./contract.ts";
import { readPattern } from "./pattern.ts";

/** More would be a list of repositories rather than a scope; keeps the work for a request bounded. */
const MAX_PATTERNS = 32;
const MAX_COPIES_AT_ONCE = 10_000;
const MAX_COPIES_PER_HOUR = 1_000_000;

const PatternText = z
  .string("must be text, a pattern such as ghcr.io/acme/**")
  .superRefine((text, context) => {
    const read = readPattern(text);
    if ("fault" in read) {
      context.addIssue(`${JSON.stringify(text.slice(0, 120))} ${read.fault}`);
    }
  })
  .meta({ examples: ["ghcr.io/acme/**"] });

const Patterns = z
  .array(PatternText, "must be a list of patterns such as ghcr.io/acme/**")
  .max(MAX_PATTERNS, `at most ${MAX_PATTERNS} patterns are allowed; use * and **`);

export const ActionName = z.enum(ACTIONS, `must be one of ${ACTIONS.join(", ")}`);

export const ScopesSchema = z
  .strictObject(
    {
      sources: Patterns.default([]).describe(
        "Where copies may come from: `host/repository[:tag]`, `*` within an element, `**` for any elements.",
      ),
      targets: Patterns.default([]).describe("Where copies may go to; patterns as in `sources`."),
      actions: z
        .array(ActionName, `must be a list of actions: ${ACTIONS.join(", ")}`)
        .min(1, `is empty; name at least one of ${ACTIONS.join(", ")}`)
        .max(ACTIONS.length, "names an action twice")
        .describe("What may be done."),
    },
    "must be an object with sources, targets and actions",
  )
  .describe("What somebody may do, and with which repositories.");

const atOnce = count(MAX_COPIES_AT_ONCE).describe("Copies that have not ended.");
const perHour = count(MAX_COPIES_PER_HOUR).describe("Copies that were accepted within the last 60 minutes.");

/** As the API has them. */
export const LimitsSchema = z
  .strictObject(
    { copiesAtOnce: z.exactOptional(atOnce), copiesPerHour: z.exactOptional(perHour) },
    "must be an object with copiesAtOnce, copiesPerHour or both",
  )
  .describe("Bounds on copies; one that is missing does not bind.");

export const LimitFields = { copies_at_once: z.exactOptional(atOnce), copies_per_hour: z.exactOptional(perHour) };

/** As the settings have them. */
export const LimitSettings = z
  .strictObject(LimitFields, "must be a table with copies_at_once, copies_per_hour or both")
  .transform(({ copies_at_once: copiesAtOnce, copies_per_hour: copiesPerHour }) => ({
    ...(copiesAtOnce === undefined ? {} : { copiesAtOnce }),
    ...(copiesPerHour === undefined ? {} : { copiesPerHour }),
  }));

function count(max: number) {
  const fix = `must be a whole number from 1 to ${max}`;
  return z.int(fix).min(1, fix).max(max, fix);
}

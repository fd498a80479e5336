/** The project's own format of a file of copies. Made from the API's schema, so that a copy in a file is one of the API. */
import * as z from "zod";
import { CopyRequestSchema } from "../../api/copy-request-schema.ts";

/** More targets of one source than anybody mirrors to. */
const MAX_TARGETS = 100;

const { source, target, ...choices } = CopyRequestSchema.shape;

const CopyEntry = z
  .strictObject(
    {
      source: source.describe(
        "As a copy's of the API; or with `*` a pattern over the repositories that a registry lists, such as " +
          "`registry.example.com/team/**`. Then `{repository}` stands for their names in the target.",
      ),
      target: target.optional(),
      targets: z
        .array(target, "must be a list of references")
        .min(1, "must name a target")
        .max(MAX_TARGETS, `must be at most ${MAX_TARGETS}`)
        .optional()
        .describe("Several targets of the same source, in place of `target`: a copy to each."),
      ...choices,
    },
    "must be an object with source, and target or targets",
  )
  .superRefine((entry, context) => {
    if (entry.target === undefined && entry.targets === undefined) {
      context.addIssue({ code: "custom", path: ["target"], message: "is missing; give target, or a list targets" });
    } else if (entry.target !== undefined && entry.targets !== undefined) {
      context.addIssue({ code: "custom", path: ["targets"], message: "is there beside target; give one of them" });
    }
  })
  .meta({ oneOf: [{ required: ["target"] }, { required: ["targets"] }] });

export const OwnFileSchema = z
  .strictObject(
    {
      $schema: z.string().optional().describe("Address of this schema, for editors."),
      version: z.literal(1, "must be 1, the version of this format").describe("Version of this format."),
      defaults: z
        .strictObject(choices, "must be an object with fields of copies")
        .optional()
        .describe(
          "Fields for every copy that does not have them itself. Those that are for repositories are left out of copies of " +
            "single images.",
        ),
      copies: z.array(CopyEntry, "must be a list of copies").min(1, "has no copy").describe("The copies to make."),
    },
    "must be an object with version and copies",
  )
  .describe(
    "A list of copies for `drayage sync`. In all texts ${NAME} is the value of an environment variable, ${NAME:-default} one " +
      "with a default.",
  );

/** The format as JSON Schema, for editors: what docs/sync.schema.json holds. */
export function ownJsonSchema(): object {
  return { title: "Drayage: a list of copies", ...z.toJSONSchema(OwnFileSchema, { io: "input" }) };
}

/** What `POST /v1/copies` takes, and what one copy can be asked for wherever else copies are. Shapes are checked here; what references, expressions and templates say in copy-request.ts. */
import * as z from "zod";

/** A list of expressions beyond this is a list of tags; those have an expression of their own. */
const MAX_EXPRESSIONS = 100;
/** More of the newest tags than any repository has. */
const MAX_LATEST = 100_000;
/** There are four types of manifests in use, and a few that once were. */
const MAX_MEDIA_TYPES = 32;
/** Tags that are removed by one copy at most, unless more are allowed. */
export const DEFAULT_PRUNE_MAX = 10;

/** A reference as text; its own grammar is checked by `parseName`. */
const referenceText = (examples: string[]) =>
  z
    .string({
      error: ({ input }) =>
        input === undefined ? `is missing; give a reference such as "${examples[0]}"` : "must be text, a reference",
    })
    .min(1, `is empty; give a reference such as "${examples[0]}"`)
    .meta({ examples });

/** RFC 6838, section 4.2, without parameters: those are not part of what a manifest says it is. */
const MEDIA_TYPE = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

const mediaTypes = z
  .array(
    z
      .string("must be text, a media type")
      .regex(MEDIA_TYPE, 'must be a media type without parameters, such as "application/vnd.oci.image.index.v1+json"')
      .overwrite((type) => type.toLowerCase()),
    "must be a list of media types such as application/vnd.oci.image.index.v1+json",
  )
  .refine((list) => list.length > 0, "must name a media type; leave it out for all")
  .refine((list) => list.length <= MAX_MEDIA_TYPES, `must be at most ${MAX_MEDIA_TYPES}`)
  .meta({ minItems: 1, maxItems: MAX_MEDIA_TYPES })
  .optional()
  .meta({
    description:
      "Media types of manifests: what stands for a manifest of another type is left out, and its tag is `skipped`. Only what a " +
      "tag itself stands for counts, not what an index names. All types unless given.",
    examples: [["application/vnd.oci.image.index.v1+json"]],
  });

const flag = (description: string) => z.boolean("must be true or false").optional().describe(description);

const expressions = (description: string) =>
  z
    .union([z.string(), z.array(z.string()).min(1).max(MAX_EXPRESSIONS)], {
      error: `must be a regular expression, or a list of 1 to ${MAX_EXPRESSIONS}`,
    })
    .transform((value) => (typeof value === "string" ? [value] : value))
    .optional()
    .describe(description);

const TagsSchema = z
  .strictObject(
    {
      include: expressions("Regular expressions (RE2), one of which must match the whole tag.").meta({
        examples: ["v1\\..*"],
      }),
      exclude: expressions("Regular expressions, none of which may match the whole tag."),
      semver: z
        .string("must be text, a range of versions")
        .optional()
        .meta({ description: "A range of versions as npm has them; other tags are left out.", examples: [">=1.2 <3"] }),
      latest: z
        .int(`must be a whole number from 1 to ${MAX_LATEST}`)
        .min(1, "must be at least 1")
        .max(MAX_LATEST, `must be at most ${MAX_LATEST}`)
        .optional()
        .describe("Of those that are left, only so many of the newest."),
      latest_by: z
        .enum(["semver", "creation"], "must be semver or creation")
        .optional()
        .describe("What newest means: the highest version (unless given), or the image created last."),
      newer_than: z
        .string("must be text, a duration or a date")
        .optional()
        .meta({
          description: "Only images created after this: a duration before now, or a date. Costs reads of manifests.",
          examples: ["30d", "2026-01-31"],
        }),
      immutable: expressions("Expressions for tags that never change: those that the target has are not asked for."),
    },
    "must be an object with include, exclude, semver, latest, latest_by, newer_than, immutable",
  )
  .optional()
  .describe("Which tags of a repository; all unless given. Every condition that is there must hold.");

const ReferrersSchema = z
  .union(
    [
      z.boolean(),
      z.strictObject({
        artifact_types: z.array(z.string()).optional(),
        annotations: z.record(z.string(), z.string()).optional(),
      }),
    ],
    { error: "must be true, false, or an object with artifact_types and annotations" },
  )
  .optional()
  .describe("What refers to the images, such as signatures: all of it, or by type and annotations.");

export const CopyRequestSchema = z
  .strictObject(
    {
      source: referenceText(["docker.io/library/alpine:3.22"]).describe(
        "What to copy: `host/repository:tag`, `host/repository@digest`, or both. Without either it is the repository, with " +
          "the tags that `tags` chooses.",
      ),
      target: referenceText(["registry.example.com/team/alpine:3.22"]).describe(
        "Where to. For a repository: a repository. For an image without a tag here the tag is `latest`.",
      ),
      priority: z
        .enum(["interactive", "normal", "background"], "must be one of interactive, normal, background")
        .optional()
        .describe(
          "`background`: nobody waits for this copy; it waits while a registry's rate limit is down to the reserve that " +
            "is configured. The others do not. `normal` unless given.",
        ),
      tags: TagsSchema,
      target_tag: z
        .string("must be text, a template")
        .optional()
        .meta({
          description: "Name of each tag at the target; the same name unless given.",
          examples: ["mirror-{tag}"],
        }),
      existing: z
        .enum(["overwrite", "skip", "fail", "backup"], "must be one of overwrite, skip, fail, backup")
        .optional()
        .describe("What becomes of a tag that the target has with another digest; `overwrite` unless given."),
      backup_tag: z
        .string("must be text, a template")
        .optional()
        .meta({
          description: "With `backup`: the tag that the old image gets before its own is overwritten.",
          examples: ["{tag}-{date}"],
        }),
      deep: flag("Looks into what the target has already, down to its blobs, and makes it whole."),
      include_foreign: flag("Copies layers that carry other addresses too (Docker's foreign layers)."),
      dry_run: flag("Writes nothing at the target: all counts say what the copy would do."),
      fail_fast: flag("One failed tag ends the copy of a repository. Without it the others go on."),
      prune: z
        .strictObject(
          {
            max: z
              .int("must be a whole number")
              .min(1, "must be at least 1")
              .optional()
              .describe(`More than so many are never removed; ${DEFAULT_PRUNE_MAX} unless given.`),
            dry_run: flag("Only says which ones; true unless given."),
          },
          "must be an object with max and dry_run",
        )
        .optional()
        .describe("Removes tags of the target that the selection does not name, once all others are copied."),
      media_types: mediaTypes,
      platforms: z
        .array(z.string(), "must be a list of platforms such as linux/amd64")
        .min(1, "must name a platform; leave it out for all")
        .optional()
        .describe(
          "Which platforms of an index, as `os/architecture[/variant]`; all unless given. What is no index is copied as it is.",
        ),
      index: z
        .enum(["sparse", "rewrite", "single"], "must be one of sparse, rewrite, single")
        .optional()
        .describe(
          "What an index becomes when not all of it is copied: `sparse` (unless given): stays as it is, with its digest; " +
            "`rewrite`: an index of what is copied, with a digest of its own; `single`: the image of the one platform.",
        ),
      referrers: ReferrersSchema,
      digest_tags: flag(
        "Copies tags named after the digests of what is copied too: cosign's `sha256-….sig` and the like.",
      ),
    },
    "must be a JSON object with source and target",
  )
  .describe("A copy to make.");

export type CopyRequestBody = z.output<typeof CopyRequestSchema>;

/** Targets of one request; who mirrors to more of them makes a second one. */
export const MAX_TARGETS = 16;

const { source, target, ...choices } = CopyRequestSchema.shape;

/** What is no object at all is told so, and nothing else. */
function isObject({ value }: { value: unknown }): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A copy, or copies of one source to several targets. */
export const CopiesRequestSchema = z
  .strictObject(
    {
      source,
      target: target.optional(),
      targets: z
        .array(target, "must be a list of references")
        .refine((list) => list.length >= 2, "must name at least 2; a single one is given as target")
        .refine(
          (list) => list.length <= MAX_TARGETS,
          `must be at most ${MAX_TARGETS}; make a second request for the others`,
        )
        .meta({ minItems: 2, maxItems: MAX_TARGETS })
        .optional()
        .describe(
          "In place of `target`: several, each as `target` has them. Each gets a copy of its own, at its own pace; the source's " +
            "manifests are read once for all.",
        ),
      ...choices,
    },
    "must be a JSON object with source and target",
  )
  .refine((body) => body.target !== undefined || body.targets !== undefined, {
    path: ["target"],
    message: 'is missing; give a reference such as "registry.example.com/team/alpine:3.22", or a list targets',
    when: isObject,
  })
  .refine((body) => body.target === undefined || body.targets === undefined, {
    path: ["targets"],
    message: "is there beside target; give one of them",
    when: isObject,
  })
  .meta({ oneOf: [{ required: ["target"] }, { required: ["targets"] }] })
  .describe("A copy to make, or copies of one source to several targets.");

export type CopiesRequestBody = z.output<typeof CopiesRequestSchema>;

/** The shape of regsync's file, as far as it is read. Numbers arrive as the text they were written with. */
import * as z from "zod";

const text = z.string("must be text");
const flag = z.boolean("must be true or false");
const number = z
  .string("must be a number")
  .regex(/^-?\d+(\.\d+)?$/, "must be a number")
  .transform(Number);
const texts = z.array(text, "must be a list of texts");

/** Null is what YAML makes of a key with nothing after it. */
const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

const TagSet = z.looseObject(
  { allow: optional(texts), deny: optional(texts), semverRange: optional(texts) },
  "must be an object with allow, deny, semverRange",
);

const Repositories = z.looseObject(
  { allow: optional(texts), deny: optional(texts) },
  "must be an object with allow and deny",
);

const Filter = z.looseObject(
  { artifactType: optional(text), annotations: optional(z.record(z.string(), text)) },
  "must be an object with artifactType and annotations",
);

/** What defaults and entries have in common. */
const COMMON = {
  backup: optional(text),
  digestTags: optional(flag),
  referrers: optional(flag),
  referrerFilters: optional(z.array(Filter, "must be a list of filters")),
  fastCheck: optional(flag),
  forceRecursive: optional(flag),
  includeExternal: optional(flag),
  mediaTypes: optional(texts),
  ratelimit: optional(z.looseObject({ min: optional(number) }, "must be an object with min and retry")),
};

const Creds = z.looseObject(
  {
    registry: text,
    user: optional(text),
    pass: optional(text),
    token: optional(text),
    hostname: optional(text),
    tls: optional(z.enum(["enabled", "insecure", "disabled"], "must be enabled, insecure or disabled")),
    pathPrefix: optional(text),
    reqPerSec: optional(number),
    reqConcurrent: optional(number),
  },
  "must be an object with registry",
);

const Entry = z.looseObject(
  {
    source: text,
    target: text,
    type: z.enum(["image", "repository", "registry"], "must be image, repository or registry"),
    tags: optional(TagSet),
    repos: optional(Repositories),
    tagSets: optional(z.array(TagSet, "must be a list of objects with allow, deny, semverRange")),
    platform: optional(text),
    platforms: optional(texts),
    ...COMMON,
  },
  "must be an object with source, target and type",
);

export const RegsyncFileSchema = z.looseObject(
  {
    version: optional(z.literal("1", "must be 1, the only version that is known")),
    creds: optional(z.array(Creds, "must be a list")),
    defaults: optional(
      z.looseObject({ ...COMMON, skipDockerConfig: optional(flag) }, "must be an object with defaults of entries"),
    ),
    sync: z.array(Entry, "must be a list of entries with source, target and type"),
  },
  "must be an object with version, creds, defaults and sync",
);

export type RegsyncFile = z.output<typeof RegsyncFileSchema>;
export type RegsyncEntry = RegsyncFile["sync"][number];
export type RegsyncCommon = Partial<Pick<RegsyncEntry, keyof typeof COMMON>>;
export type RegsyncCreds = NonNullable<RegsyncFile["creds"]>[number];
export type RegsyncTagSet = NonNullable<RegsyncEntry["tags"]>;

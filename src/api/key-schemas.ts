/** What goes in and out of `/v1/keys`, as zod schemas. */
import * as z from "zod";
import { LimitsSchema, ScopesSchema } from "../access/schema.ts";

const MAX_NAME_CHARACTERS = 100;
const MAX_PAGE = 100;

const Time = z.iso.datetime().meta({ examples: ["2026-11-24T08:00:00.000Z"] });

export const KeyRequestSchema = z
  .strictObject(
    {
      name: z
        .string({
          error: ({ input }) => (input === undefined ? "is missing; say whose or what it is for" : "must be text"),
        })
        .regex(
          new RegExp(`^[^\\p{C}]{1,${MAX_NAME_CHARACTERS}}$`, "u"),
          `must be 1 to ${MAX_NAME_CHARACTERS} characters without control characters`,
        )
        .meta({ examples: ["release pipeline of acme/app"] }),
      scopes: ScopesSchema,
      limits: LimitsSchema.optional(),
      expiresAt: z.iso
        .datetime({ offset: true, error: "must be a time such as 2027-01-31T00:00:00Z, or null" })
        .nullable()
        .optional()
        .describe("When it stops being good. Null or missing: never, or with the key that makes it."),
    },
    "must be a JSON object with name and scopes",
  )
  .describe("An API key to make.");

export const KeySchema = z
  .object({
    id: z.string().meta({ examples: ["key_0jd7m3k8a0v5q2r9"] }),
    name: z.string(),
    state: z.enum(["active", "expired", "revoked"]),
    maker: z.string().describe("Who made it: `root`, the id of a key, or a subject of an issuer."),
    scopes: ScopesSchema,
    limits: LimitsSchema,
    times: z.object({
      createdAt: Time,
      expiresAt: Time.nullable(),
      revokedAt: Time.nullable(),
      lastUsedAt: Time.nullable().describe("To the hour."),
    }),
  })
  .describe("An API key, without its text, which only its bearer has.");

export const MadeKeySchema = KeySchema.extend({
  key: z
    .string()
    .describe("The key itself, to be sent as bearer token. It is shown this once.")
    .meta({ examples: ["dry_…"] }),
}).describe("A new API key.");

export const KeyListSchema = z
  .object({
    keys: z.array(KeySchema),
    next: z.string().nullable().describe("`cursor` of the page after this one; null: this is the last."),
  })
  .describe("A page of API keys, newest first.");

export const KeyPath = z.object({ id: z.string() });

const LIMIT_FIX = `must be a whole number from 1 to ${MAX_PAGE}`;

export const KeyListQuery = z.strictObject({
  limit: z
    .string(LIMIT_FIX)
    .regex(/^[0-9]{1,3}$/, LIMIT_FIX)
    .transform(Number)
    .pipe(z.int(LIMIT_FIX).min(1, LIMIT_FIX).max(MAX_PAGE, LIMIT_FIX))
    .default(MAX_PAGE)
    .describe("Keys on a page."),
  cursor: z
    .string("must be given once")
    .regex(/^key_[0-9a-v]{16}$/, "must be what `next` said on the page before")
    .optional()
    .describe("Where the page begins: `next` of the page before."),
});

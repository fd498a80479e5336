/** What goes in and out of `/v1/rules`, as zod schemas. What a copy of a rule can be asked for is what any copy can be. */
import * as z from "zod";
import { SECRET_NAME } from "../config/hook-secrets.ts";
import { HookSettingsSchema } from "../hooks/settings.ts";
import { RUN_STATES } from "../ledger/rule-contract.ts";
import { CopyRequestSchema } from "./copy-request-schema.ts";
import { TagTallySchema } from "./schemas.ts";

/** Lower case, so that no two names differ only in it. */
export const RULE_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
export const RULE_NAME_FIX =
  "must be 1 to 63 lower-case letters, digits, dots, hyphens and underscores, and begin with a letter or digit";

const MAX_SECRETS = 8;
const MAX_PAGE = 100;

const Time = z.iso.datetime().meta({ examples: ["2026-11-24T08:00:00.000Z"] });

const SecretName = z
  .string("must be the name of a secret")
  .regex(SECRET_NAME, "must be the name of a secret: letters, digits, dots, hyphens and underscores");

/** RFC 9110, section 5.1: asking for a header of any other name throws. */
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/;

const HeaderName = z
  .string("must be the name of a header")
  .regex(HEADER_NAME, 'must be the name of a header, such as "x-webhook-secret": letters, digits and hyphens');

const PushSchema = HookSettingsSchema.extend({
  with: z
    .exactOptional(z.string("must be the name of a rule"))
    .describe("Takes the deliveries that arrive at this other rule's address, instead of having one of its own."),
  secrets: z
    .exactOptional(z.array(SecretName, "must be a list of names").min(1, "is empty").max(MAX_SECRETS))
    .describe("Names in HOOK_SECRETS; a delivery must prove to know one of them."),
  headers: z
    .exactOptional(z.array(z.strictObject({ name: HeaderName, secret: SecretName })).max(MAX_SECRETS))
    .describe("Headers that a delivery must carry, each with the secret of that name in HOOK_SECRETS."),
}).describe("Copies whatever is pushed. The rule gets an address for the registry's webhook.");

const ScheduleSchema = z
  .strictObject(
    {
      cron: z
        .string({
          error: ({ input }) => (input === undefined ? 'is missing; such as "30 3 * * *"' : "must be text"),
        })
        .meta({ description: "Minute, hour, day of month, month, day of week.", examples: ["30 3 * * *"] }),
      time_zone: z
        .string("must be text, the name of a time zone")
        .default("UTC")
        .meta({ description: "`UTC` unless given.", examples: ["Europe/Berlin"] }),
    },
    "must be an object with cron and time_zone",
  )
  .describe("Copies the repository at set times. They begin within a minute, each rule at its own second.");

export const RuleRequestSchema = z
  .strictObject(
    {
      source: z
        .string({
          error: ({ input }) =>
            input === undefined ? 'is missing; a pattern such as "ghcr.io/acme/**"' : "must be text, a pattern",
        })
        .meta({
          description: "What to copy: `host/repository`, `*` within an element, `**` for any elements.",
          examples: ["ghcr.io/acme/**"],
        }),
      target: z
        .string({
          error: ({ input }) =>
            input === undefined
              ? 'is missing; such as "registry.example.com/mirror/{repository}"'
              : "must be text, a template",
        })
        .meta({
          description: "Where to: a registry host and a template for the repository.",
          examples: ["registry.example.com/mirror/{repository}"],
        }),
      enabled: z.boolean("must be true or false").default(true).describe("False: only starts when it is told to."),
      ...CopyRequestSchema.omit({ source: true, target: true }).shape,
      push: z.exactOptional(PushSchema),
      schedule: z.exactOptional(ScheduleSchema),
    },
    "must be a JSON object with source and target",
  )
  .describe("A rule: what is copied where, how, and when.");

export type RuleBody = z.output<typeof RuleRequestSchema>;

export const RunSchema = z
  .object({
    copy: z
      .string()
      .nullable()
      .describe(
        "Id of the copy; null where none was made, and of a look through a registry for the rule's repositories.",
      ),
    trigger: z.enum(["push", "schedule", "manual"]),
    state: z.enum(["waiting", "running", "succeeded", "failed", "cancelled", "skipped"]),
    source: z.object({ reference: z.string() }),
    target: z.object({ reference: z.string() }),
    version: z.int().describe("Of the rule."),
    digest: z.string().nullable().describe("What was copied, where it is one thing."),
    events: z.int().describe("Pushes that it answers."),
    reason: z
      .string()
      .nullable()
      .describe("Why it was skipped or failed; of a look through a registry what it has found."),
    tags: TagTallySchema.nullable(),
    bytesCopied: z.int().nullable(),
    times: z.object({ at: Time, startedAt: Time.nullable(), doneAt: Time.nullable() }),
  })
  .describe("One copy of a rule. One that is `waiting` can be seen under `/v1/copies` once its turn has come.");

export const RuleSchema = z
  .object({
    name: z.string().meta({ examples: ["mirror-acme"] }),
    version: z.int().describe("Counts up with every change."),
    owner: z.string().describe("Who wrote it last: its copies are made with their scopes."),
    rule: RuleRequestSchema,
    hook: z.string().nullable().describe("The rule at whose address its pushes arrive; null: it takes none."),
    next: z
      .object({ at: Time, beginsAt: Time })
      .nullable()
      .describe("The next time of its schedule, and when it begins for it."),
    open: z
      .object({
        waiting: z
          .int()
          .describe("Copies that wait: for their turn at a target, for a place, for a limit of whoever owns the rule."),
        running: z.int().describe("Copies under way; a low quota may hold them back (`GET /v1/registries/{host}`)."),
        waitingUntil: Time.nullable().describe(
          "When the first of those goes on that wait for a time; null: none does.",
        ),
      })
      .describe("Runs that have not ended; `GET /v1/rules/{name}/runs?state=waiting` lists them."),
    lastRun: RunSchema.nullable(),
    times: z.object({ createdAt: Time, changedAt: Time }),
  })
  .describe("A rule, and how things stand with it.");

const Address = z
  .string()
  .nullable()
  .meta({
    description: "The address for the registry's webhook. It is shown this once; null: there is none, or no new one.",
    examples: ["https://drayage.example.com/v1/hooks/mirror-acme/…"],
  });

export const PutRuleSchema = RuleSchema.extend({
  outcome: z.enum(["created", "changed", "unchanged"]),
  address: Address,
}).describe("A rule as it was written.");

export const RotatedRuleSchema = RuleSchema.extend({ address: Address }).describe("A rule with a new address.");

export const RuleListSchema = z
  .object({
    rules: z.array(RuleSchema),
    next: z.string().nullable().describe("`cursor` of the page after this one; null: this is the last."),
  })
  .describe("A page of rules, by name.");

export const RunListSchema = z
  .object({
    runs: z.array(RunSchema),
    next: z.string().nullable().describe("`cursor` of the page after this one; null: this is the last."),
  })
  .describe("A page of a rule's runs, newest first.");

export const RunRequestSchema = z
  .strictObject(
    {
      source: z
        .string("must be text, a reference")
        .optional()
        .describe("A repository or an image within the rule's source; without it all that the source means."),
    },
    "must be a JSON object with source, or nothing",
  )
  .describe("What to run a rule for.");

export const StartedRunSchema = z
  .object({
    outcome: z.enum(["started", "joined"]).describe("`joined`: one that does the same is waiting already."),
    copy: z
      .string()
      .nullable()
      .describe("Id of the copy; null: the registry is asked for the rule's repositories first."),
    source: z.object({ reference: z.string() }),
    target: z.object({ reference: z.string() }),
  })
  .describe("The copy of a run, or that copies of a whole pattern are looked for.");

export const RulePath = z.object({ name: z.string() });

const LIMIT_FIX = `must be a whole number from 1 to ${MAX_PAGE}`;
const Limit = z
  .string(LIMIT_FIX)
  .regex(/^[0-9]{1,3}$/, LIMIT_FIX)
  .transform(Number)
  .pipe(z.int(LIMIT_FIX).min(1, LIMIT_FIX).max(MAX_PAGE, LIMIT_FIX))
  .default(MAX_PAGE);

const CURSOR_FIX = "must be what `next` said on the page before";

export const RulesQuery = z.strictObject({
  limit: Limit.describe("Rules on a page."),
  cursor: z.string(CURSOR_FIX).regex(RULE_NAME, CURSOR_FIX).optional().describe("Where the page begins."),
});

export const RunsQuery = z.strictObject({
  limit: Limit.describe("Runs on a page."),
  state: z
    .enum(RUN_STATES, `must be one of ${RUN_STATES.join(", ")}`)
    .optional()
    .describe("Only runs in this state."),
  cursor: z
    .string(CURSOR_FIX)
    .regex(/^[0-9]{1,15}$/, CURSOR_FIX)
    .optional()
    .describe("Where the page begins."),
});

export const PutRuleQuery = z.strictObject({
  dry_run: z
    .enum(["true", "false"], "must be true or false")
    .optional()
    .describe("`true`: everything is checked and `outcome` says what would become of it; nothing is changed."),
});

const ETAG_FIX = 'must be the ETag of the rule, such as "3" in quotes, or *';
const IfMatch = z
  .string()
  .regex(/^(?:\*|"[0-9]{1,9}")$/, ETAG_FIX)
  .optional()
  .describe("Only if the rule still has this version (the `ETag` of an answer); `*`: only if it exists.");

export const PutRuleHeaders = z.object({
  "if-match": IfMatch,
  "if-none-match": z.literal("*", "must be *").optional().describe("`*`: only if there is no such rule."),
});

export const DeleteRuleHeaders = z.object({ "if-match": IfMatch });

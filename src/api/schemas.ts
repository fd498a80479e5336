/**
 * What goes in and out of the API, as zod schemas: requests are checked against them, the OpenAPI document is built from
 * them. The contracts of the parts are the law; `satisfies` keeps these in step.
 */
import * as z from "zod";
import type { Asked } from "../copy/request.ts";
import type { HostSnapshot } from "../host/contract.ts";
import { TAG_STATES, type CopyState, type CopyView, type TagTally, type TagView } from "../job/contract.ts";
import type { GroupView } from "../job/group/contract.ts";
import type { ErrorDetail } from "../registry/errors.ts";

/** Longest time that `GET /v1/copies/{id}` holds its answer back. */
export const MAX_WAIT_SECONDS = 60;
export const MAX_PAGE = 100;
const MAX_TAGS_PAGE = 1000;
const DEFAULT_PAGE = 20;

const DIGEST_EXAMPLE = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

const Time = z.iso.datetime().meta({ examples: ["2026-11-24T08:00:00.000Z"] });
const Count = z.int().min(0);

export const CopyStateName = z.enum([
  "accepted",
  "running",
  "succeeded",
  "failed",
  "cancelled",
]) satisfies z.ZodType<CopyState>;

const ErrorSchema = z
  .object({
    code: z.enum([
      "invalid_request",
      "configuration",
      "not_found",
      "unauthorized",
      "denied",
      "rate_limited",
      "unavailable",
      "connection",
      "stalled",
      "digest_mismatch",
      "size_mismatch",
      "manifest_invalid",
      "manifest_too_large",
      "content_missing",
      "unsupported",
      "upload_rejected",
      "upload_lost",
      "cancelled",
      "internal",
    ]),
    side: z.enum(["source", "target", "request", "service"]).describe("Whose fault it is."),
    host: z.string().describe("Registry host, empty when no registry was involved."),
    operation: z.string().meta({ description: "What was being done.", examples: ["upload blob"] }),
    status: z.exactOptional(z.int()).describe("HTTP status that the registry answered with."),
    retryAt: z.exactOptional(z.number()).describe("When to try again, in milliseconds since the epoch."),
    retryable: z.boolean().describe("Whether the same copy may succeed later without anything being changed."),
    message: z.string().describe("One sentence for a person: what was asked, what the registry said, what to do."),
  })
  .describe("Why a copy failed.") satisfies z.ZodType<ErrorDetail>;

const TallySchema = z.object({
  all: Count,
  copied: Count,
  mounted: Count.describe("Taken over from another repository of the target, without a transfer."),
  present: Count.describe("Were at the target already."),
});

export const TagTallySchema = z
  .object({
    all: Count.describe("Names that the copy is about."),
    copied: Count,
    unchanged: Count.describe("Were at the target already, with the same digest."),
    skipped: Count.describe(
      "The target has them with another digest, and `existing` is `skip`; or `media_types` leaves them out.",
    ),
    failed: Count,
    obsolete: Count.describe("With `prune`: tags of the target that are not chosen; not among `all`."),
    deleted: Count.describe("Such tags that have been removed."),
  })
  .describe("What became of the names; one, unless the copy is of a repository.") satisfies z.ZodType<TagTally>;

const TagSchema = z
  .object({
    source: z.string().nullable().describe("Tag or digest at the source; null for what is only at the target."),
    target: z.string().nullable().describe("Tag or digest at the target; null while it is not known."),
    digest: z.string().nullable().describe("At the source; null where nobody has asked."),
    derivedDigest: z
      .string()
      .nullable()
      .describe(
        "Digest of what is written in its place: where platforms were chosen another index, or one image of it; of a list of referrers to which the target has more entries the list with all of them. Else null.",
      ),
    oldDigest: z.string().nullable().describe("What the target had under the name, where that was asked."),
    state: z.enum(TAG_STATES),
    error: ErrorSchema.nullable(),
    reason: z
      .string()
      .nullable()
      .describe("Why it is `skipped`, where `media_types` leaves it out; null where the target has another digest."),
  })
  .describe("One name of a copy, and what became of it.") satisfies z.ZodType<TagView>;

export const TagListSchema = z
  .object({
    tags: z.array(TagSchema),
    next: z.string().nullable().describe("`cursor` of the page after this one; null: this is the last."),
  })
  .describe("A page of a copy's names.");

const AskedSchema = z
  .object({
    by: z.string().meta({ description: "Id of who asked.", examples: ["root", "key_0jd7m3k8a0v5q2r9"] }),
    name: z.string(),
    how: z
      .enum(["api", "push", "schedule", "manual"])
      .describe("A request to the API; or what made a rule run: a webhook, its schedule, somebody's hand."),
    rule: z.string().nullable().describe("Name of the rule; null: there was none."),
  })
  .nullable()
  .describe("Who asked for the copy, and by what; null: nobody knows.") satisfies z.ZodType<Asked | null>;

const GroupOf = z.string().nullable().describe("Id of the group that it is one of; null: it was asked for alone.");

export const CopySchema = z
  .object({
    id: z.string().meta({ examples: ["cp_01jd7m3k8a0v5q2r9s4t6u1b3c"] }),
    state: CopyStateName,
    dryRun: z.boolean().describe("Nothing is written: all counts say what a copy would do."),
    asked: AskedSchema,
    group: GroupOf,
    source: z.object({
      reference: z.string(),
      digest: z
        .string()
        .nullable()
        .meta({ examples: [DIGEST_EXAMPLE] }),
    }),
    target: z.object({ reference: z.string(), digest: z.string().nullable() }),
    tags: TagTallySchema,
    blobs: TallySchema,
    bytes: TallySchema,
    manifests: z.object({ all: Count, copied: Count, present: Count }),
    requests: z.object({ source: Count, target: Count }).describe("HTTP requests made to each registry."),
    times: z.object({ acceptedAt: Time, firstByteAt: Time.nullable(), doneAt: Time.nullable() }),
    warnings: z.array(z.string()).describe("What the registries warned of, each text once."),
    error: ErrorSchema.nullable().describe("Null unless the state is `failed`."),
  })
  .describe("One copy of an image or artifact from one registry to another.") satisfies z.ZodType<CopyView>;

export const GroupSchema = CopySchema.omit({ target: true, group: true })
  .extend({
    id: z.string().meta({ examples: ["cg_01jd7m3k8a0v5q2r9s4t6u1b3c"] }),
    copies: z
      .array(
        CopySchema.pick({
          id: true,
          state: true,
          target: true,
          tags: true,
          blobs: true,
          bytes: true,
          manifests: true,
          requests: true,
          times: true,
          error: true,
        }),
      )
      .describe("One for each target, in their order. Each can be asked for by its own id, with its tags and events."),
  })
  .describe(
    "Copies of one source to several targets. Counts are sums over them; it runs until all have ended, and has failed if one " +
      "of them has.",
  ) satisfies z.ZodType<GroupView>;

/** What an id of a copy may stand for. */
export const CopyOrGroupSchema = z.union([CopySchema, GroupSchema]);

export const CopyListSchema = z
  .object({
    copies: z.array(
      z.object({
        id: z.string(),
        state: CopyStateName,
        asked: AskedSchema,
        group: GroupOf,
        source: z.object({ reference: z.string(), digest: z.string().nullable() }),
        target: z.object({ reference: z.string(), digest: z.string().nullable() }),
        bytes: TallySchema.nullable(),
        requests: z.object({ source: Count, target: Count }).nullable(),
        times: z.object({ acceptedAt: Time, doneAt: Time.nullable() }),
        error: ErrorSchema.nullable(),
      }),
    ),
    next: z.string().nullable().describe("`cursor` of the page after this one; null: this is the last."),
  })
  .describe("A page of copies, newest first. Digests, bytes, requests and the error are null until a copy has ended.");

const ByKind = z.object({ head: Count, manifest: Count, query: Count, blob: Count });
const ByOutcome = z.object({ ok: Count, throttled: Count, refused: Count, failed: Count, unused: Count });

export const RegistrySchema = z
  .object({
    host: z.string(),
    waiting: ByKind.describe("Requests that wait for a slot, by kind."),
    heldBack: Count.describe(
      "Of those that wait: requests of background copies, while the quota is below its reserve.",
    ),
    active: ByKind.describe("Slots that are taken, by kind."),
    lanes: z.object({ joined: Count, ordered: Count }),
    limit: z
      .object({ slots: z.number(), reason: z.string() })
      .describe("Requests at once that are allowed now, and why."),
    pause: z
      .object({ until: Time, reason: z.string() })
      .nullable()
      .describe("Set while the host is left alone after a failure or because it asked for it."),
    quota: z
      .object({
        limit: z.number(),
        remaining: z.number(),
        windowSeconds: z.exactOptional(z.number()),
        seenAt: Time,
        heldBackUntil: Time.nullable().describe("Until when background copies wait; null: they do not."),
      })
      .nullable()
      .describe("What the host said last about its rate limit."),
    lastHour: z
      .object({
        grants: ByKind.describe("Slots given out, by kind of request."),
        outcomes: ByOutcome.describe(
          "What became of them: `ok`, `throttled` (429), `refused` (no connection), `failed` (5xx, a body that broke " +
            "off), `unused`.",
        ),
      })
      .describe("Counts of the last 60 minutes."),
    totalOutcomes: ByOutcome.describe("What became of all slots that were ever given out; only grows."),
    learned: z
      .object({
        summary: z.array(z.string()).describe("What was learned, in sentences."),
        concurrency: z.object({
          limit: Count.describe("Requests at once that it is thought to bear, before any cap."),
          refusedAt: Count.nullable().describe("Fewest requests at once that it has refused; null: none known."),
          refused: z.boolean().describe("Whether it ever refused any."),
        }),
        backoff: z.object({ step: Count.describe("0 when all is well; each further step doubles the pause.") }),
        mountCandidates: Count.describe("Blobs that may be mounted from a repository known to have them."),
      })
      .describe("What the host has taught by its answers. DELETE on `learned` forgets it."),
    settings: z
      .record(
        z.string(),
        z.object({
          value: z.union([z.string(), z.number(), z.array(z.string())]),
          isDefault: z.boolean().describe("Holds without any configuration."),
          overridesLearned: z.boolean().describe("Stands above what was learned."),
        }),
      )
      .describe("The settings in force, by the names they have in the configuration."),
    uploads: z
      .object({
        whole: z.enum(["put", "patch", "chunks"]).describe("How a blob goes that fits into one request."),
        maxWholeBytes: Count.describe("Larger blobs go in chunks; 0: none does."),
        chunkBytes: Count.describe("Size of a chunk; 0: the host takes none."),
        tellsOffset: z.boolean().describe("Whether what the host says of an upload's offset can be relied on."),
        lessons: Count.describe("Refusals that were learned from."),
        reason: z.string().describe("Why this shape."),
      })
      .describe("In which shape blobs are sent there."),
  })
  .describe("How things stand at one registry host.") satisfies z.ZodType<HostSnapshot>;

export const RegistryListSchema = z
  .object({
    registries: z.array(
      z.object({
        host: z.string(),
        firstUsedAt: Time.describe("When the first copy named it."),
        lastUsedAt: Time.describe("When the last copy named it."),
      }),
    ),
  })
  .describe("The registry hosts that copies have named, most recently used first.");

export const ProblemSchema = z
  .object({
    type: z.string().meta({ examples: ["urn:drayage:problem:invalid-request"] }),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe("What is wrong and what to do."),
    errors: z
      .exactOptional(z.array(z.object({ field: z.string(), message: z.string() })))
      .describe("Each field that cannot be accepted, with the fix."),
  })
  .describe("Why a request could not be served (RFC 9457).");

export const HealthSchema = z.object({ status: z.literal("ok") });

export const CopyPath = z.object({ id: z.string() });
export const RegistryPath = z.object({
  host: z
    .string()
    .meta({ description: "Registry host as in a reference, with its port if any.", examples: ["docker.io"] }),
});

export const CreateHeaders = z.object({
  "idempotency-key": z
    .string()
    .regex(/^[\x20-\x7e]{1,255}$/, "must be 1 to 255 printable ASCII characters")
    .optional()
    .describe("Sent again with the same request within 24 hours, the first copy is answered and no other is made."),
});

export const ViewQuery = z.strictObject({
  wait: wholeNumber(0, MAX_WAIT_SECONDS)
    .optional()
    .describe("Seconds to hold the answer back until the copy has ended. Without it the answer comes at once."),
});

export const ListQuery = z.strictObject({
  state: z
    .enum(CopyStateName.options, `must be one of ${CopyStateName.options.join(", ")}`)
    .optional()
    .describe("Only copies in this state."),
  limit: wholeNumber(1, MAX_PAGE).default(DEFAULT_PAGE).describe("Copies on a page."),
  cursor: z
    .string("must be given once")
    .regex(/^cp_[0-9a-v]{26}$/, "must be what `next` said on the page before")
    .optional()
    .describe("Where the page begins: `next` of the page before."),
});

export const TagsQuery = z.strictObject({
  state: z
    .enum(TAG_STATES, `must be one of ${TAG_STATES.join(", ")}`)
    .optional()
    .describe("Only names in this state."),
  limit: wholeNumber(1, MAX_TAGS_PAGE).default(MAX_PAGE).describe("Names on a page."),
  cursor: z
    .string("must be given once")
    .regex(/^[0-9]{1,15}$/, "must be what `next` said on the page before")
    .optional()
    .describe("Where the page begins: `next` of the page before."),
});

export const EventsQuery = z.strictObject({
  after: wholeNumber(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe("Only events after this one; the header `Last-Event-ID` says the same and comes first."),
});

export const EventsHeaders = z.object({
  "last-event-id": wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().describe("The last event that was received."),
});

/** A whole number as it comes in a query or header: text. */
function wholeNumber(min: number, max: number) {
  const fix = `must be a whole number from ${min} to ${max}`;
  return z
    .string(fix)
    .regex(/^[0-9]{1,16}$/, fix)
    .transform(Number)
    .pipe(z.int(fix).min(min, fix).max(max, fix));
}

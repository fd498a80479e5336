/** The part of a hook that a user writes, as a schema: everything but its secrets and its address. */
import * as z from "zod";
import { SENDER_NAMES, type FieldPointers, type Hook, type TokenCheck } from "./contract.ts";
import { describePointerFault } from "./json.ts";

const Pointer = z.string().superRefine((text, context) => {
  const fault = describePointerFault(text);
  if (fault !== null) {
    context.addIssue({ code: "custom", message: fault });
  }
});

export const FieldPointersSchema = z
  .strictObject({
    events: z.exactOptional(Pointer).describe("A list of events; the others then start at each of its elements."),
    reference: z.exactOptional(Pointer).describe("`host/repository:tag@digest`, or part of it."),
    registryHost: z.exactOptional(Pointer),
    repository: z.exactOptional(Pointer),
    tag: z.exactOptional(Pointer).describe("A tag or a list of tags."),
    digest: z.exactOptional(Pointer),
    mediaType: z.exactOptional(Pointer),
    deliveryId: z.exactOptional(Pointer).describe("What stays the same when the delivery is repeated."),
    pushedAt: z.exactOptional(Pointer),
    action: z.exactOptional(Pointer),
    pushActions: z.exactOptional(z.array(z.string().min(1)).min(1)).describe("Values of `action` that mean a push."),
  })
  .describe("JSON pointers (RFC 6901) to what a delivery says, for the senders `generic` and `cloudevents`.");
FieldPointersSchema satisfies z.ZodType<FieldPointers>;

export const TokenCheckSchema = z
  .strictObject({
    issuers: z.array(z.string().min(1)).min(1).describe("Values of `iss` that are accepted."),
    audience: z.string().min(1),
    jwksUrl: z.url({ protocol: /^https$/ }).describe("Where the issuer publishes its keys."),
    claims: z
      .exactOptional(z.record(z.string(), z.union([z.string(), z.boolean()])))
      .describe("Further claims with the one value that is accepted."),
  })
  .describe("The JSON Web Token that each delivery must carry.");
TokenCheckSchema satisfies z.ZodType<TokenCheck>;

const SENDERS = [...SENDER_NAMES, "auto"] as const;

export const HookSettingsSchema = z.strictObject({
  sender: z.enum(SENDERS, `must be one of ${SENDERS.join(", ")}`).default("auto"),
  registryHost: z.exactOptional(z.string().min(1)).describe("Takes the place of the host that the sender names."),
  stripPrefix: z.exactOptional(z.string()).describe("Taken off the front of each repository."),
  addPrefix: z.exactOptional(z.string()).describe("Put in front of each repository."),
  untagged: z.exactOptional(z.boolean()).describe("Also what was pushed by digest alone."),
  fields: z.exactOptional(FieldPointersSchema),
  token: z.exactOptional(TokenCheckSchema),
});
HookSettingsSchema satisfies z.ZodType<Omit<Hook, "name" | "pathHash" | "secrets" | "headers">>;

/** The OpenAPI 3.1 document, made from the table of operations and the schemas that requests are checked against. */
import * as z from "zod";
import { CopiesRequestSchema } from "./copy-request-schema.ts";
import { KeyListSchema, KeyRequestSchema, KeySchema, MadeKeySchema } from "./key-schemas.ts";
import { DeliveryAnswerSchema } from "./hooks.ts";
import { ReportSchema } from "./doctor.ts";
import { NotificationSchema, NotificationsSchema } from "./notifications.ts";
import type { Answer, Operation } from "./operation.ts";
import {
  PutRuleSchema,
  RotatedRuleSchema,
  RuleListSchema,
  RuleRequestSchema,
  RuleSchema,
  RunListSchema,
  RunRequestSchema,
  RunSchema,
  StartedRunSchema,
} from "./rule-schemas.ts";
import {
  CopyListSchema,
  CopyOrGroupSchema,
  CopySchema,
  GroupSchema,
  HealthSchema,
  ProblemSchema,
  RegistryListSchema,
  RegistrySchema,
  TagListSchema,
} from "./schemas.ts";

type Json = Record<string, unknown>;

/** Schemas that the document gives a name; the others stand where they are used. */
const NAMED = z.registry<{ id: string }>();
NAMED.add(CopiesRequestSchema, { id: "CopyRequest" });
NAMED.add(CopySchema, { id: "Copy" });
NAMED.add(GroupSchema, { id: "Group" });
NAMED.add(CopyOrGroupSchema, { id: "CopyOrGroup" });
NAMED.add(CopyListSchema, { id: "CopyList" });
NAMED.add(TagListSchema, { id: "TagList" });
NAMED.add(RegistrySchema, { id: "Registry" });
NAMED.add(RegistryListSchema, { id: "RegistryList" });
NAMED.add(KeyRequestSchema, { id: "KeyRequest" });
NAMED.add(KeySchema, { id: "Key" });
NAMED.add(MadeKeySchema, { id: "MadeKey" });
NAMED.add(KeyListSchema, { id: "KeyList" });
NAMED.add(RuleRequestSchema, { id: "RuleRequest" });
NAMED.add(RuleSchema, { id: "Rule" });
NAMED.add(PutRuleSchema, { id: "PutRule" });
NAMED.add(RotatedRuleSchema, { id: "RotatedRule" });
NAMED.add(RuleListSchema, { id: "RuleList" });
NAMED.add(RunSchema, { id: "Run" });
NAMED.add(RunListSchema, { id: "RunList" });
NAMED.add(RunRequestSchema, { id: "RunRequest" });
NAMED.add(StartedRunSchema, { id: "StartedRun" });
NAMED.add(DeliveryAnswerSchema, { id: "DeliveryAnswer" });
NAMED.add(NotificationsSchema, { id: "Notifications" });
NAMED.add(NotificationSchema, { id: "Notification" });
NAMED.add(ReportSchema, { id: "Report" });
NAMED.add(ProblemSchema, { id: "Problem" });
NAMED.add(HealthSchema, { id: "Health" });

const problem = (description: string): Answer => ({ description, schema: ProblemSchema });

/** What every operation may answer besides its own. */
const COMMON_ANSWERS: Readonly<Record<number, Answer>> = {
  422: problem("A field, parameter or header cannot be accepted; `errors` names each with the fix."),
  500: problem("The service failed, or is configured wrongly."),
  503: problem("No token is configured yet, or the service is busy: try again."),
};
const TOKEN_ANSWERS: Readonly<Record<number, Answer>> = {
  401: problem("A valid token is needed."),
  403: problem("The token does not allow this: its scopes lack the action, or what is asked for lies outside of them."),
};

const ANY_CONTENT = { "application/json": {}, "application/x-www-form-urlencoded": {}, "*/*": {} };

/** The document as plain data. */
export function documentOf(operations: readonly Operation[]): Json {
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.method.toLowerCase()]: described(operation) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Drayage",
      version: "1",
      description: "Copies container images and every other OCI artifact from one registry to another.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    paths,
    components: {
      schemas: namedSchemas(),
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description:
            "A token of the operator (`drayage token`), an API key (`drayage keys create`), or a token of a configured issuer.",
        },
      },
    },
  };
}

function described(operation: Operation): Json {
  const answers = {
    ...operation.answers,
    ...(operation.action === "open" ? {} : { ...COMMON_ANSWERS, ...TOKEN_ANSWERS }),
  };
  return {
    operationId: operation.id,
    summary: operation.summary,
    ...describedAction(operation),
    ...(operation.action === "open" ? { security: [] } : {}),
    parameters: Object.entries(operation.parameters ?? {}).flatMap(([place, schema]) => parameters(place, schema)),
    ...describedBody(operation),
    responses: Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, answered(answer)])),
  };
}

/** Which action it takes is for whoever makes a key, so it stands where they look. */
function describedAction({ action, description }: Operation): Json {
  const needed = action === "open" ? [] : [`Needs the action \`${action}\`.`];
  const text = [...(description === undefined ? [] : [description]), ...needed].join(" ");
  return text === "" ? {} : { description: text };
}

function describedBody({ body, isBodyOptional = false, anyBody }: Operation): Json {
  if (body !== undefined) {
    const content = { "application/json": { schema: schemaOf(body) } };
    return { requestBody: { required: !isBodyOptional, content } };
  }
  return anyBody === undefined ? {} : { requestBody: { description: anyBody, required: true, content: ANY_CONTENT } };
}

function parameters(place: string, schema: z.ZodObject): Json[] {
  return Object.entries(schema.shape).map(([name, each]) => {
    const { description, ...rest } = schemaOf(each);
    return {
      name,
      in: place,
      required: place === "path",
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

function answered(answer: Answer): Json {
  const mediaType =
    answer.schema === ProblemSchema ? "application/problem+json" : (answer.mediaType ?? "application/json");
  const headers = Object.entries(answer.headers ?? {});
  return {
    description: answer.description,
    ...(headers.length === 0
      ? {}
      : {
          headers: Object.fromEntries(
            headers.map(([name, description]) => [name, { description, schema: { type: "string" } }]),
          ),
        }),
    ...(answer.schema === undefined && answer.mediaType === undefined
      ? {}
      : { content: { [mediaType]: answer.schema === undefined ? {} : { schema: schemaOf(answer.schema) } } }),
  };
}

function schemaOf(schema: z.core.$ZodType): Json {
  const named = NAMED.get(schema);
  if (named !== undefined) {
    return { $ref: reference(named.id) };
  }
  // `output`: a number in a query is text on the wire and a number in its meaning.
  return without(z.toJSONSchema(schema, { io: "output" }), ["$schema"]);
}

function namedSchemas(): Record<string, Json> {
  // `input` leaves answers open for fields of later versions, and requests closed.
  const { schemas } = z.toJSONSchema(NAMED, { uri: reference, io: "input" });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, without(schema, ["$schema", "$id"])]));
}

function without(schema: object, keys: readonly string[]): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !keys.includes(key)));
}

function reference(id: string): string {
  return `#/components/schemas/${id}`;
}

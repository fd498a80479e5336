import { Validator, type Schema } from "@cfworker/json-schema";
import { expect, inject, test } from "vitest";
import { router } from "../../src/api/router.ts";
import type { CopyView } from "../../src/job/contract.ts";
import { api, type Ask } from "./client.worker.ts";

interface Described {
  operationId: string;
  requestBody?: { required: boolean; content: Record<string, object> };
  parameters: { name: string; in: string; required: boolean }[];
  responses: Record<string, { content?: Record<string, { schema?: Schema }> }>;
}

interface Document {
  openapi: string;
  paths: Record<string, Record<string, Described>>;
  components: { schemas: Record<string, Schema> };
}

const DELIVERIES = "/v1/hooks/{name}/{part}";

const document = await (await api("/openapi.json")).json<Document>();

const described = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

/** The document's schemas, closed: an answer with a field that the document does not know is an error here. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) {
    return schema.map(closed);
  }
  if (typeof schema !== "object" || schema === null) {
    return schema;
  }
  const parts = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return "properties" in schema && !("additionalProperties" in schema)
    ? { ...parts, additionalProperties: false }
    : parts;
}

test("says the version it is written in, and the same under both addresses", async () => {
  expect(document.openapi).toBe("3.1.0");
  expect(await (await api("/v1/openapi.json")).json()).toEqual(document);
});

test("describes every route, and no other", () => {
  const routes = router.routes.map(([method, , , path = ""]) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
  expect(described.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(routes.sort());
});

test("every route that it describes is served", async () => {
  for (const { method, path } of described) {
    const answer = await api(path.replaceAll(/\{\w+\}/g, "x"), { method, token: null });
    expect([method, path, answer.status]).not.toEqual([method, path, 405]);
    await answer.body?.cancel();
  }
});

test("names each operation once, and every parameter of its path", () => {
  const ids = described.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, operation } of described) {
    const inPath = operation.parameters.filter((parameter) => parameter.in === "path" && parameter.required);
    expect(inPath.map(({ name }) => name)).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
  }
});

test.each(described.map(({ method, path, operation }) => [method, path, operation] as const))(
  "%s %s names what it may be refused with, and nothing else",
  (_method, path, { requestBody, responses }) => {
    const mayMisread = requestBody?.content["application/json"] !== undefined && path !== DELIVERIES;
    const isOpen = responses["403"] === undefined;
    // Even of what takes no parameters: unknown ones are refused.
    expect(Object.keys(responses).includes("422")).toBe(!isOpen);
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(mayMisread ? ["400", "413", "415"] : []));
    // An address with a % that stands for nothing.
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(path.includes("{") ? ["404"] : []));
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(isOpen && path !== DELIVERIES ? [] : ["500", "503"]));
  },
);

test("only a rule's run can be asked for without its body", () => {
  const optional = described.filter(({ operation }) => operation.requestBody?.required === false);
  expect(optional.map(({ operation }) => operation.operationId)).toEqual(["runRule"]);
});

test("deliveries may be anything, and are refused for either of two sizes", () => {
  const operation = document.paths[DELIVERIES]?.["post"];
  expect(operation?.requestBody?.required).toBe(true);
  expect(Object.keys(operation?.requestBody?.content ?? {})).toContain("*/*");
  expect(operation?.responses["413"]).toMatchObject({ description: expect.stringMatching(/1 MiB.*5,000/) });
});

test("every reference leads somewhere", () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(([, to = ""]) => to);
  expect(references.length).toBeGreaterThan(10);
  for (const to of new Set(references)) {
    expect(Object.keys(document.components.schemas)).toContain(to.replace("#/components/schemas/", ""));
  }
});

const { source, target } = inject("registries");
const image = `${source}/nothing/there:1`;
const manyTags = { repository: "nothing/there", tags: Array.from({ length: 5_001 }, (_, at) => `t${at}`) };
const question = {
  id: "1",
  eventType: "Microsoft.EventGrid.SubscriptionValidationEvent",
  data: { validationCode: "512d38b6" },
};
const body = { source: `${source}/nothing/there:1`, target: `${target}/nothing/there:1` };
const many = { source: body.source, targets: [body.target, `${target}/nothing/elsewhere:1`] };
const keyed = { "idempotency-key": "documented" };
const rule = {
  source: `${source}/nothing/there`,
  target: `${target}/nothing/there`,
  push: {},
  schedule: { cron: "@daily" },
};
const ifNew = { "if-none-match": "*" };
const unknown = `/v1/copies/cp_${"0".repeat(26)}`;

const newKey = {
  name: "documented",
  scopes: { sources: ["**"], targets: ["**"], actions: ["copy"] },
  limits: { copiesPerHour: 1 },
  expiresAt: "2100-01-01T00:00:00Z",
};

async function group(): Promise<string> {
  const { id } = await (
    await api("/v1/copies", { body: many, headers: { "idempotency-key": "group" } })
  ).json<CopyView>();
  return id;
}

async function made(key: object): Promise<{ id: string; key: string }> {
  return (await api("/v1/keys", { body: key })).json();
}

/** A key that may do this, and nowhere. */
async function keyFor(actions: string[]): Promise<string> {
  return (await made({ name: "nowhere", scopes: { actions } })).key;
}

async function newAddress(): Promise<string> {
  const answer = await api("/v1/rules/documented/rotate", { method: "POST" });
  return new URL((await answer.json<{ address: string }>()).address).pathname;
}

async function usedUpKey(): Promise<string> {
  const { key } = await made(newKey);
  await api("/v1/copies", { body, token: key });
  return key;
}

test.each<[string, string, number, (id: string) => [string, Ask] | Promise<[string, Ask]>]>([
  ["post", "/v1/copies", 202, () => ["/v1/copies", { body }]],
  ["post", "/v1/copies", 200, () => ["/v1/copies", { body, headers: keyed }]],
  ["post", "/v1/copies", 202, () => ["/v1/copies", { body: many }]],
  ["get", "/v1/copies/{id}", 200, async () => [`/v1/copies/${await group()}?wait=20`, {}]],
  ["delete", "/v1/copies/{id}", 200, async () => [`/v1/copies/${await group()}`, { method: "DELETE" }]],
  ["get", "/v1/copies/{id}/events", 200, async () => [`/v1/copies/${await group()}/events`, {}]],
  ["post", "/v1/copies", 400, () => ["/v1/copies", { body: "{" }]],
  ["post", "/v1/copies", 401, () => ["/v1/copies", { body, token: null }]],
  ["post", "/v1/copies", 409, () => ["/v1/copies", { body: { ...body, target: `${target}/c:2` }, headers: keyed }]],
  ["post", "/v1/copies", 413, () => ["/v1/copies", { body: " ".repeat(70_000) }]],
  ["post", "/v1/copies", 415, () => ["/v1/copies", { body, headers: { "content-type": "text/plain" } }]],
  ["post", "/v1/copies", 422, () => ["/v1/copies", { body: {} }]],
  ["get", "/v1/copies", 200, () => ["/v1/copies", {}]],
  ["get", "/v1/copies/{id}", 200, (id) => [`/v1/copies/${id}?wait=20`, {}]],
  ["get", "/v1/copies/{id}", 404, () => [unknown, {}]],
  ["delete", "/v1/copies/{id}", 200, (id) => [`/v1/copies/${id}`, { method: "DELETE" }]],
  ["delete", "/v1/copies/{id}", 404, () => [unknown, { method: "DELETE" }]],
  ["get", "/v1/copies/{id}/events", 200, (id) => [`/v1/copies/${id}/events`, {}]],
  ["get", "/v1/copies/{id}/events", 404, () => [`${unknown}/events`, {}]],
  ["get", "/v1/registries", 200, () => ["/v1/registries", {}]],
  ["get", "/v1/registries/{host}", 200, () => [`/v1/registries/${source}`, {}]],
  ["get", "/v1/registries/{host}", 404, () => ["/v1/registries/a%20b", {}]],
  ["delete", "/v1/registries/{host}/learned", 200, () => [`/v1/registries/${source}/learned`, { method: "DELETE" }]],
  ["delete", "/v1/registries/{host}/learned", 404, () => ["/v1/registries/a%20b/learned", { method: "DELETE" }]],
  ["post", "/v1/copies", 403, async () => ["/v1/copies", { body, token: await keyFor(["copy"]) }]],
  ["post", "/v1/copies", 429, async () => ["/v1/copies", { body, token: await usedUpKey() }]],
  ["post", "/v1/keys", 201, () => ["/v1/keys", { body: newKey }]],
  ["post", "/v1/keys", 400, () => ["/v1/keys", { body: "{" }]],
  ["post", "/v1/keys", 403, async () => ["/v1/keys", { body: newKey, token: await keyFor(["keys"]) }]],
  ["post", "/v1/keys", 413, () => ["/v1/keys", { body: " ".repeat(70_000) }]],
  ["post", "/v1/keys", 415, () => ["/v1/keys", { body: newKey, headers: { "content-type": "text/plain" } }]],
  ["post", "/v1/keys", 422, () => ["/v1/keys", { body: {} }]],
  ["get", "/v1/keys", 200, () => ["/v1/keys", {}]],
  ["delete", "/v1/keys/{id}", 200, async () => [`/v1/keys/${(await made(newKey)).id}`, { method: "DELETE" }]],
  ["delete", "/v1/keys/{id}", 404, () => ["/v1/keys/key_0000000000000000", { method: "DELETE" }]],
  ["put", "/v1/rules/{name}", 200, () => ["/v1/rules/documented", { method: "PUT", body: rule }]],
  ["put", "/v1/rules/{name}", 412, () => ["/v1/rules/documented", { method: "PUT", body: rule, headers: ifNew }]],
  ["put", "/v1/rules/{name}", 422, () => ["/v1/rules/documented", { method: "PUT", body: {} }]],
  ["get", "/v1/rules/{name}", 200, () => ["/v1/rules/documented", {}]],
  ["get", "/v1/rules/{name}", 404, () => ["/v1/rules/nothing", {}]],
  ["get", "/v1/rules", 200, () => ["/v1/rules", {}]],
  ["post", "/v1/rules/{name}/run", 202, () => ["/v1/rules/documented/run", { body: {} }]],
  ["get", "/v1/rules/{name}/runs", 200, () => ["/v1/rules/documented/runs", {}]],
  ["post", "/v1/rules/{name}/rotate", 200, () => ["/v1/rules/documented/rotate", { method: "POST" }]],
  ["delete", "/v1/rules/{name}", 204, () => ["/v1/rules/documented", { method: "DELETE" }]],
  ["options", "/v1/hooks/{name}/{part}", 200, async () => [await newAddress(), { method: "OPTIONS", token: null }]],
  ["post", "/v1/hooks/{name}/{part}", 202, async () => [await newAddress(), { body: { image }, token: null }]],
  ["post", "/v1/hooks/{name}/{part}", 200, async () => [await newAddress(), { body: [question], token: null }]],
  ["post", "/v1/hooks/{name}/{part}", 200, async () => [await newAddress(), { body: { action: "ping" }, token: null }]],
  ["post", "/v1/hooks/{name}/{part}", 400, async () => [await newAddress(), { body: "{", token: null }]],
  ["post", "/v1/hooks/{name}/{part}", 413, async () => [await newAddress(), { body: manyTags, token: null }]],
  ["put", "/v1/rules/{name}", 404, () => ["/v1/rules/%zz", { method: "PUT", body: rule }]],
  ["post", "/v1/hooks/{name}/{part}", 404, () => ["/v1/hooks/documented/part", { body: {} }]],
  ["get", "/v1/notifications", 200, () => ["/v1/notifications", {}]],
  ["post", "/v1/notifications/dead/{id}/retry", 404, () => ["/v1/notifications/dead/none/retry", { method: "POST" }]],
  ["delete", "/v1/notifications/dead/{id}", 404, () => ["/v1/notifications/dead/none", { method: "DELETE" }]],
  ["get", "/metrics", 200, () => ["/metrics", {}]],
  ["get", "/v1/doctor", 200, () => [`/v1/doctor?registry=${source}`, {}]],
  ["get", "/healthz", 200, () => ["/healthz", {}]],
])("%s %s answers %i as it is described", async (method, path, status, ask) => {
  const { id } = await (await api("/v1/copies", { body, headers: keyed })).json<CopyView>();
  await api(`/v1/copies/${id}?wait=20`);
  await api("/v1/rules/documented", { method: "PUT", body: rule });
  const answer = await api(...(await ask(id)));
  expect(answer.status).toBe(status);
  const content = document.paths[path]?.[method]?.responses[status]?.content ?? {};
  const mediaType = answer.headers.get("content-type") ?? "";
  expect(Object.keys(content)).toEqual(mediaType === "" ? [] : [mediaType]);
  const schema = content[mediaType]?.schema;
  if (schema === undefined) {
    await answer.body?.cancel();
    return;
  }
  const whole = closed({ ...schema, components: document.components });
  const validator = new Validator(isSchema(whole) ? whole : {}, "2020-12", false);
  expect(validator.validate(await answer.json()).errors).toEqual([]);
});

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null;
}

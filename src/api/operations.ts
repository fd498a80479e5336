/** The table of everything the API can do. */
import { COPIES } from "./copies.ts";
import { HEALTH } from "./health.ts";
import { HOOKS } from "./hooks.ts";
import { KEYS } from "./keys.ts";
import { DOCTOR } from "./doctor.ts";
import { METRICS } from "./metrics.ts";
import { NOTIFICATIONS } from "./notifications.ts";
import { documentOf } from "./openapi.ts";
import type { Operation } from "./operation.ts";
import { REGISTRIES } from "./registries.ts";
import { REPOSITORIES } from "./repositories.ts";
import { RULES } from "./rules.ts";

/** The document is for reading and for tools; built at the first question, since few isolates are asked. */
let document: string | null = null;

const DOCUMENT: readonly Operation[] = (["/openapi.json", "/v1/openapi.json"] as const).map((path) => ({
  id: path === "/openapi.json" ? "getDocument" : "getVersionedDocument",
  method: "GET",
  path,
  summary: "This description of the API",
  action: "open",
  answers: { 200: { description: "An OpenAPI 3.1 document.", mediaType: "application/json" } },
  handle: () => {
    document ??= JSON.stringify(documentOf(OPERATIONS));
    return new Response(document, { headers: { "content-type": "application/json" } });
  },
}));

export const OPERATIONS: readonly Operation[] = [
  ...COPIES,
  ...REGISTRIES,
  ...REPOSITORIES,
  ...KEYS,
  ...RULES,
  ...HOOKS,
  ...NOTIFICATIONS,
  ...METRICS,
  ...DOCTOR,
  ...HEALTH,
  ...DOCUMENT,
];

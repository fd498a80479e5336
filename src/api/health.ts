/** `/healthz`: whether the Worker answers. Says nothing else, since anyone may ask. */
import type { Operation } from "./operation.ts";
import { HealthSchema } from "./schemas.ts";

export const HEALTH: readonly Operation[] = [
  {
    id: "getHealth",
    method: "GET",
    path: "/healthz",
    summary: "Whether the service answers",
    action: "open",
    answers: { 200: { description: "It does.", schema: HealthSchema } },
    handle: () => Response.json({ status: "ok" }),
  },
];

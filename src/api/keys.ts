/** `/v1/keys`: make, list and revoke API keys. Whoever makes one can give away no more than they have. */
import type * as z from "zod";
import type { Principal, Scopes } from "../access/contract.ts";
import { KEY_ID_RANDOM_BYTES, KEY_RANDOM_BYTES, isKeyId, keyId, keyText } from "../access/key-text.ts";
import { canonicalScopes, tighter, widenings } from "../access/scopes.ts";
import { INDEX_NAME, type KeyEntry } from "../ledger/contract.ts";
import { readBody, readQuery } from "./input.ts";
import { KeyListQuery, KeyListSchema, KeyPath, KeyRequestSchema, KeySchema, MadeKeySchema } from "./key-schemas.ts";
import type { AdmittedCall, Operation } from "./operation.ts";
import { invalidFields, Problem, type FieldError } from "./problem.ts";
import { ProblemSchema } from "./schemas.ts";

/** RFC 3339 has years of four digits; by its offset a time may lie beyond them. */
const LAST_TIME_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

export const KEYS: readonly Operation[] = [
  {
    id: "createKey",
    method: "POST",
    path: "/v1/keys",
    action: "keys",
    summary: "Make an API key",
    description:
      "The key is in this answer and nowhere else. A key can only make keys whose scopes lie within its own, that share its " +
      "limits, and that end with it.",
    body: KeyRequestSchema,
    answers: {
      201: { description: "The key is good from now on.", schema: MadeKeySchema },
      400: { description: "The body is not JSON.", schema: ProblemSchema },
      409: { description: "There are too many keys that others than the operator have made.", schema: ProblemSchema },
      413: { description: "The body is too large.", schema: ProblemSchema },
      415: { description: "The body is not sent as JSON.", schema: ProblemSchema },
    },
    handle: create,
  },
  {
    id: "listKeys",
    method: "GET",
    path: "/v1/keys",
    action: "keys",
    summary: "List API keys, newest first",
    description: "The operator sees all, everybody else those that they made, and their own.",
    parameters: { query: KeyListQuery },
    answers: { 200: { description: "A page of keys.", schema: KeyListSchema } },
    handle: list,
  },
  {
    id: "revokeKey",
    method: "DELETE",
    path: "/v1/keys/{id}",
    action: "keys",
    summary: "Revoke an API key",
    description: "At once, for good, and with every key that was made by it. Copies under way go on.",
    parameters: { path: KeyPath },
    answers: {
      200: { description: "The key is revoked.", schema: KeySchema },
      404: { description: "There is no such key.", schema: ProblemSchema },
    },
    handle: revoke,
  },
];

async function create({ request, env, principal }: AdmittedCall): Promise<Response> {
  const { name, limits = {}, ...wanted } = await readBody(request, KeyRequestSchema);
  const now = Date.now();
  const scopes = canonicalScopes(wanted.scopes);
  const expiresAtMs = expiryOf(wanted.expiresAt, principal, now);
  refuseWider(principal, scopes);
  const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes));
  const id = keyId(random(KEY_ID_RANDOM_BYTES));
  const key = keyText(random(KEY_RANDOM_BYTES));
  const isLimited = Object.keys(principal.limits).length > 0;
  const made = await env.INDEX.getByName(INDEX_NAME).makeKey({
    id,
    hash: await sha256(key),
    name,
    maker: principal.id,
    scopes,
    limits: tighter(principal.limits, limits),
    // Otherwise a limit could be had as often as one makes keys.
    budget: isLimited ? principal.budget : id,
    expiresAtMs,
  });
  if (made === "maker-gone") {
    throw new Problem("forbidden", "The key that asks for this has just been revoked.");
  }
  if (made === "too-many") {
    throw new Problem(
      "conflict",
      "There are too many keys; revoke some that nobody needs, or ask the operator for one.",
    );
  }
  return Response.json({ ...viewOf(made, now), key }, { status: 201 });
}

async function list({ request, env, principal }: AdmittedCall): Promise<Response> {
  const { limit, cursor } = readQuery(request, KeyListQuery);
  const { keys, next } = await env.INDEX.getByName(INDEX_NAME).listKeys({
    limit,
    ...madeBy(principal),
    ...(cursor === undefined ? {} : { cursor }),
  });
  const now = Date.now();
  return Response.json({ keys: keys.map((key) => viewOf(key, now)), next });
}

async function revoke({ path, env, principal }: AdmittedCall): Promise<Response> {
  const id = path["id"] ?? "";
  const index = env.INDEX.getByName(INDEX_NAME);
  const revoked = isKeyId(id) ? await index.revokeKey(id, madeBy(principal).maker) : null;
  if (revoked === null) {
    throw new Problem("not-found", "There is no key with this id; GET /v1/keys lists them.");
  }
  return Response.json(viewOf(revoked, Date.now()));
}

/** The operator has all keys to look after, everybody else their own. */
function madeBy({ id, kind }: Principal): { maker?: string } {
  return kind === "root" ? {} : { maker: id };
}

function refuseWider(principal: Principal, scopes: Scopes): void {
  const errors = widenings(principal.scopes, scopes);
  if (errors.length > 0) {
    throw new Problem("forbidden", errors.map(({ field, message }) => `${field}: ${message}.`).join("\n"), { errors });
  }
}

function expiryOf(text: string | null | undefined, principal: Principal, now: number): number | null {
  const wantedMs = text === undefined || text === null ? null : Date.parse(text);
  if (wantedMs !== null && wantedMs <= now) {
    throw invalidFields([expiryError("lies in the past")]);
  }
  if (wantedMs !== null && wantedMs > LAST_TIME_MS) {
    throw invalidFields([expiryError("lies beyond the year 9999; leave it out for a key without an end")]);
  }
  if (wantedMs !== null && principal.expiresAtMs !== null && wantedMs > principal.expiresAtMs) {
    throw invalidFields([expiryError(`lies after your own end, ${timeOf(principal.expiresAtMs)}`)]);
  }
  return wantedMs ?? principal.expiresAtMs;
}

function expiryError(message: string): FieldError {
  return { field: "expiresAt", message };
}

function viewOf(key: KeyEntry, now: number): z.input<typeof KeySchema> {
  const isExpired = key.expiresAtMs !== null && key.expiresAtMs <= now;
  return {
    id: key.id,
    name: key.name,
    state: key.revokedAtMs !== null ? "revoked" : isExpired ? "expired" : "active",
    maker: key.maker,
    scopes: {
      sources: [...key.scopes.sources],
      targets: [...key.scopes.targets],
      actions: [...key.scopes.actions],
    },
    limits: key.limits,
    times: {
      createdAt: timeOf(key.createdAtMs),
      expiresAt: timeOrNull(key.expiresAtMs),
      revokedAt: timeOrNull(key.revokedAtMs),
      lastUsedAt: timeOrNull(key.lastUsedAtMs),
    },
  };
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : timeOf(ms);
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

async function sha256(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `POST /v1/copies`: one copy, or a group of copies of one source to several targets. Parses, registers, starts, answers. */
import type { Principal } from "../access/contract.ts";
import { copyRefusal, mountScope } from "../access/scopes.ts";
import { copyIdIn, ID_RANDOM_BYTES, newCopyId, newGroupId } from "../copy/copy-id.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { Env } from "../env.ts";
import type { CopyView } from "../job/contract.ts";
import type { GroupView } from "../job/group/contract.ts";
import { INDEX_NAME, type Limited, type RegisterAnswer, type Registration } from "../ledger/contract.ts";
import { formatReference } from "../registry/reference.ts";
import { CopiesRequestSchema } from "./copy-request-schema.ts";
import { copyRequestsOf, fingerprintOfAll } from "./copy-request.ts";
import { copyAnswer } from "./copy-views.ts";
import { readBody, readHeaders } from "./input.ts";
import type { AdmittedCall } from "./operation.ts";
import { invalidFields, Problem } from "./problem.ts";
import { CreateHeaders } from "./schemas.ts";

/** What is made by one request. */
interface Making {
  /** Puts it on the list; with a key at most once. */
  register(key?: string): Promise<RegisterAnswer>;
  /** Starts it, under its own id or that of the same one that was made before. */
  start(id?: string): Promise<CopyView | GroupView>;
}

export async function create({ request, env, principal }: AdmittedCall): Promise<Response> {
  const { "idempotency-key": key } = readHeaders(request, CreateHeaders);
  const body = await readBody(request, CopiesRequestSchema);
  const copies = copyRequestsOf(body, env, Date.now());
  const isGroup = body.targets !== undefined;
  copies.forEach((copy, place) => refuseOutOfScope(principal, copy, isGroup ? `targets.${place}` : "target"));
  refuseTooMany(principal, copies.length);
  const asked = { by: principal.id, name: principal.name, how: "api", rule: null } as const;
  const made = copies.map((copy) => ({ ...copy, asked, mountable: mountScope(principal, copy.target.host) }));
  const entry = {
    source: made[0] === undefined ? "" : formatReference(made[0].source),
    fingerprint: await fingerprintOfAll(copies, body),
    hosts: [...new Set(copies.flatMap(({ source, target }) => [source.host, target.host]))],
    by: { id: principal.id, limits: principal.limits, budget: principal.budget },
    asked,
  };
  const [only] = made;
  const making = isGroup || only === undefined ? groupOf(env, entry, made) : copyOf(env, entry, only);
  if (key === undefined && Object.keys(principal.limits).length === 0) {
    // The list takes no part in the copy, so neither waits for the other.
    const [begun] = await Promise.all([making.start(), making.register()]);
    return copyAnswer(begun, 202);
  }
  const registered = await making.register(key);
  if (registered.kind === "limited") {
    throw limitReached(registered);
  }
  if (registered.kind === "conflict") {
    throw new Problem(
      "conflict",
      `This Idempotency-Key made the copy ${registered.id} from another request within the last 24 hours; use a new key.`,
    );
  }
  // Known copies are started as well: the request that registered it may have been cut off before it could.
  const started = await making.start(registered.id);
  return copyAnswer(started, registered.kind === "created" ? 202 : 200);
}

type Entry = Omit<Registration, "id" | "target" | "key">;

function copyOf(env: Env, entry: Entry, copy: CopyRequest): Making {
  const own = newCopyId(Date.now(), random());
  const registration = { ...entry, id: own, target: formatReference(copy.target) };
  return {
    register: async (key) => index(env).register({ ...registration, ...(key === undefined ? {} : { key }) }),
    start: async (id = own) => env.JOBS.getByName(id).start(id, copy),
  };
}

function groupOf(env: Env, entry: Entry, copies: CopyRequest[]): Making {
  const own = newGroupId(Date.now(), random());
  const targets = copies.map(({ target }, place) => ({ id: copyIdIn(own, place), target: formatReference(target) }));
  const registration = { ...entry, id: own, copies: targets };
  return {
    register: async (key) => index(env).registerGroup({ ...registration, ...(key === undefined ? {} : { key }) }),
    start: async (id = own) => env.GROUPS.getByName(id).start(id, copies),
  };
}

function index(env: Env) {
  return env.INDEX.getByName(INDEX_NAME);
}

function random(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES));
}

/** @param field That has the target. */
function refuseOutOfScope(principal: Principal, copy: CopyRequest, field: string): void {
  const refusal = copyRefusal(principal, copy);
  if (refusal === null) {
    return;
  }
  const { side, message } = refusal;
  const errors = side === "action" ? [] : [{ field: side === "target" ? field : side, message }];
  throw new Problem("forbidden", message, { errors });
}

/** Waiting does not help who asks for more than may ever be. */
function refuseTooMany({ limits }: Principal, count: number): void {
  const { copiesAtOnce = Infinity, copiesPerHour = Infinity } = limits;
  if (count > 1 && count > Math.min(copiesAtOnce, copiesPerHour)) {
    const allowed = copiesAtOnce < count ? `${copiesAtOnce} copies at once` : `${copiesPerHour} copies per hour`;
    throw invalidFields([{ field: "targets", message: `are ${count}, each a copy; this key may have ${allowed}` }]);
  }
}

function limitReached({ limit, allowed, retryAtMs }: Limited): Problem {
  const what = limit === "copiesAtOnce" ? "copies at once" : "copies per hour";
  const seconds = Math.max(1, Math.ceil((retryAtMs - Date.now()) / 1000));
  return new Problem(
    "limit-reached",
    `This key may have ${allowed} ${what}, and has them; try again in ${seconds} s.`,
    {
      headers: { "retry-after": String(seconds) },
    },
  );
}

/** The rules of a CopyIndex: written, found, listed, deleted, and which of them come due. Who may ask is decided before. */
import { ROOT, type Principal } from "../access/contract.ts";
import type { RulePlan } from "../sync/contract.ts";
import { type Due, nextDue } from "../sync/schedule.ts";
import type { Keys } from "./keys.ts";
import type { HookEntry, RuleCondition, RuleEntry, RulePut, RulePutAnswer, RulesRpc } from "./rule-contract.ts";

/** Far more than anybody keeps in a file; bounds what a leaked key can fill. */
const MAX_RULES = 10_000;

export interface RuleRow {
  name: string;
  version: number;
  owner: string;
  principal: string | null;
  body: string;
  plan: string;
  enabled: number;
  hook: string | null;
  hook_settings: string | null;
  path_hash: string | null;
  slot_at_ms: number | null;
  start_at_ms: number | null;
  created_at_ms: number;
  changed_at_ms: number;
}

type Row = Record<string, SqlStorageValue> & RuleRow;

export class Rules {
  readonly #sql: SqlStorage;
  readonly #keys: Keys;

  constructor(sql: SqlStorage, keys: Keys) {
    this.#sql = sql;
    this.#keys = keys;
  }

  /** One transaction. */
  put(put: RulePut, now: number): RulePutAnswer {
    const known = this.find(put.name);
    if (known !== null && put.by.kind !== "root" && known.owner !== put.by.id) {
      return { kind: "taken" };
    }
    if (!holds(put.condition, known)) {
      return { kind: "stale", version: known?.version ?? null };
    }
    if (known === null && this.#count() >= MAX_RULES) {
      return { kind: "too-many" };
    }
    const { push } = put;
    const from = push !== null && "from" in push ? push.from : null;
    if (from !== null && !this.#maySubscribe(put, from)) {
      return { kind: "no-hook" };
    }
    const hasOwn = push !== null && from === null;
    const listeners = known !== null && known.path_hash !== null && !hasOwn ? this.#listeners(put.name) : [];
    if (listeners.length > 0) {
      return { kind: "listened", by: listeners };
    }
    const isSame = known !== null && known.body === put.body && known.enabled === Number(put.enabled);
    const next = rowOf(put, known, isSame, now);
    if (!put.dryRun) {
      this.#write(next);
    }
    return {
      kind: known === null ? "created" : isSame ? "unchanged" : "changed",
      rule: entryOf(next),
      newAddress: next.path_hash !== null && next.path_hash !== (known?.path_hash ?? null),
    };
  }

  find(name: string, owner?: string): RuleRow | null {
    const [row] = this.#sql
      .exec<Row>("SELECT * FROM rules WHERE name = ?1 AND (?2 IS NULL OR owner = ?2)", name, owner ?? null)
      .toArray();
    return row ?? null;
  }

  list({ owner, limit, cursor }: Parameters<RulesRpc["listRules"]>[0]): { rules: RuleRow[]; next: string | null } {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM rules WHERE name > ?1 AND (?2 IS NULL OR owner = ?2) ORDER BY name LIMIT ?3",
        cursor ?? "",
        owner ?? null,
        limit + 1,
      )
      .toArray();
    const page = rows.slice(0, limit);
    return { rules: page, next: rows.length > limit ? (page.at(-1)?.name ?? null) : null };
  }

  /** One transaction. */
  delete(name: string, condition: RuleCondition, owner?: string): Awaited<ReturnType<RulesRpc["deleteRule"]>> {
    const known = this.find(name, owner);
    if (known === null) {
      return { kind: "unknown" };
    }
    if (!holds(condition, known)) {
      return { kind: "stale", version: known.version };
    }
    const listeners = this.#listeners(name);
    if (listeners.length > 0) {
      return { kind: "listened", by: listeners };
    }
    this.#sql.exec("DELETE FROM rules WHERE name = ?", name);
    return { kind: "deleted" };
  }

  rotate(name: string, pathHash: string, owner?: string): RuleRow | "no-hook" | null {
    const known = this.find(name, owner);
    if (known === null || known.path_hash === null) {
      return known === null ? null : "no-hook";
    }
    this.#sql.exec("UPDATE rules SET path_hash = ? WHERE name = ?", pathHash, name);
    return known;
  }

  hook(name: string, pathHash: string): HookEntry | null {
    const [known] = this.#sql
      .exec<{ hook_settings: string; path_hash: string }>(
        "SELECT hook_settings, path_hash FROM rules WHERE name = ? AND path_hash = ? AND hook_settings IS NOT NULL",
        name,
        pathHash,
      )
      .toArray();
    if (known === undefined) {
      return null;
    }
    const listeners = this.#sql.exec<Row>("SELECT * FROM rules WHERE hook = ? ORDER BY name", name).toArray();
    const settings: HookEntry["settings"] = JSON.parse(known.hook_settings);
    return {
      name,
      settings,
      pathHash: known.path_hash,
      listeners: listeners.map((row) => ({ rule: row.name, plan: planOf(row), enabled: row.enabled === 1 })),
    };
  }

  /** Who a rule's copies are made for, as they are now; null: they are no more. */
  principalOf(row: Pick<RuleRow, "owner" | "principal">, now: number): Principal | null {
    if (row.owner === ROOT.id) {
      return ROOT;
    }
    if (row.principal === null) {
      return this.#keys.principal("id", row.owner, now);
    }
    const principal: Principal = JSON.parse(row.principal);
    return principal;
  }

  /** Rules whose schedule begins by now, the longest due first. */
  due(now: number, limit: number): RuleRow[] {
    return this.#sql
      .exec<Row>("SELECT * FROM rules WHERE start_at_ms <= ? ORDER BY start_at_ms LIMIT ?", now, limit)
      .toArray();
  }

  /** All times of the schedule up to now count as one. */
  advance(row: RuleRow, now: number): void {
    const { schedule } = planOf(row);
    const due = schedule === null ? null : nextDue(row.name, schedule, now);
    this.#sql.exec(
      "UPDATE rules SET slot_at_ms = ?, start_at_ms = ? WHERE name = ?",
      due?.slotMs ?? null,
      due?.startMs ?? null,
      row.name,
    );
  }

  /** When the next schedule begins; null: none does. */
  nextStartMs(): number | null {
    return this.#sql.exec<{ at: number | null }>("SELECT min(start_at_ms) AS at FROM rules").one().at;
  }

  #maySubscribe({ name, by }: RulePut, from: string): boolean {
    const other = from === name ? null : this.find(from, by.kind === "root" ? undefined : by.id);
    return other !== null && other.path_hash !== null;
  }

  #listeners(name: string): string[] {
    return this.#sql
      .exec<{ name: string }>("SELECT name FROM rules WHERE hook = ?1 AND name <> ?1 ORDER BY name", name)
      .toArray()
      .map((row) => row.name);
  }

  #count(): number {
    return this.#sql.exec<{ rules: number }>("SELECT count(*) AS rules FROM rules").one().rules;
  }

  #write(row: RuleRow): void {
    this.#sql.exec(
      `INSERT OR REPLACE INTO rules (name, version, owner, principal, body, plan, enabled, hook, hook_settings, path_hash,
         slot_at_ms, start_at_ms, created_at_ms, changed_at_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.name,
      row.version,
      row.owner,
      row.principal,
      row.body,
      row.plan,
      row.enabled,
      row.hook,
      row.hook_settings,
      row.path_hash,
      row.slot_at_ms,
      row.start_at_ms,
      row.created_at_ms,
      row.changed_at_ms,
    );
  }
}

export function planOf(row: Pick<RuleRow, "plan">): RulePlan {
  const plan: RulePlan = JSON.parse(row.plan);
  return plan;
}

/** Without its runs, which are another table's. */
export function entryOf(row: RuleRow): RuleEntry {
  const { slot_at_ms: slotMs, start_at_ms: startMs } = row;
  return {
    name: row.name,
    version: row.version,
    owner: row.owner,
    body: row.body,
    plan: planOf(row),
    enabled: row.enabled === 1,
    hook: row.hook,
    next: slotMs === null || startMs === null ? null : { slotMs, startMs },
    createdAtMs: row.created_at_ms,
    changedAtMs: row.changed_at_ms,
    lastRun: null,
    open: { waiting: 0, running: 0, dueMs: null },
  };
}

function holds(condition: RuleCondition, known: RuleRow | null): boolean {
  switch (condition.kind) {
    case "none":
      return true;
    case "new":
      return known === null;
    case "version":
      return known !== null && (condition.version === null || condition.version === known.version);
    default:
      return condition satisfies never;
  }
}

/** The row as it will be. An unchanged rule keeps its owner, and a schedule that is the same its next time. */
function rowOf(put: RulePut, known: RuleRow | null, isSame: boolean, now: number): RuleRow {
  const { by, push, plan } = put;
  const owner = isSame && known !== null ? known : { owner: by.id, principal: keptPrincipal(by) };
  const own = push !== null && "settings" in push ? push : null;
  return {
    name: put.name,
    version: (known?.version ?? 0) + (isSame ? 0 : 1),
    owner: owner.owner,
    principal: owner.principal,
    body: put.body,
    plan: JSON.stringify(plan),
    enabled: Number(put.enabled),
    hook: own !== null ? put.name : push !== null && "from" in push ? push.from : null,
    hook_settings: own === null ? null : JSON.stringify(own.settings),
    path_hash: own === null ? null : (known?.path_hash ?? own.pathHash),
    ...dueOf(put, known, now),
    created_at_ms: known?.created_at_ms ?? now,
    changed_at_ms: isSame && known !== null ? known.changed_at_ms : now,
  };
}

function dueOf({ name, plan, enabled }: RulePut, known: RuleRow | null, now: number) {
  if (plan.schedule === null || !enabled) {
    return { slot_at_ms: null, start_at_ms: null };
  }
  const isKept =
    known !== null &&
    known.start_at_ms !== null &&
    JSON.stringify(planOf(known).schedule) === JSON.stringify(plan.schedule);
  if (isKept) {
    return { slot_at_ms: known.slot_at_ms, start_at_ms: known.start_at_ms };
  }
  const due: Due | null = nextDue(name, plan.schedule, now);
  return { slot_at_ms: due?.slotMs ?? null, start_at_ms: due?.startMs ?? null };
}

/** Keys are looked up when a copy starts, so that a revoked one starts none; of tokens nobody keeps a list. */
function keptPrincipal(by: Principal): string | null {
  return by.kind === "root" || by.kind === "key" ? null : JSON.stringify({ ...by, expiresAtMs: null });
}

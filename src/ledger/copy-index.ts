/**
 * The list of copies, the idempotency keys, the API keys, the registry hosts in use, and the rules with their runs: one
 * Durable Object per tenant. It takes no part in a copy; the copy itself, with all it knows, is its CopyJob.
 */
import { DurableObject } from "cloudflare:workers";
import type { Principal } from "../access/contract.ts";
import { isLocal, recordDays } from "../config.ts";
import type { Env } from "../env.ts";
import type { CopyState, CopyView } from "../job/contract.ts";
import { migrate } from "../storage/migrations.ts";
import type {
  CopyEntry,
  CopyIndexRpc,
  HostEntry,
  IndexMetrics,
  KeyEntry,
  NewKey,
  RegisterAnswer,
  Registration,
} from "./contract.ts";
import { dataPointOf } from "./data-point.ts";
import { Keys } from "./keys.ts";
import { limitReached } from "./limits.ts";
import { CopyList } from "./list.ts";
import { Probes } from "./probes.ts";
import { Records } from "./records.ts";
import type {
  HookEntry,
  RuleEntry,
  RulePut,
  RulePutAnswer,
  RulesRpc,
  SurveyAnswer,
  Wish,
  WishAnswer,
} from "./rule-contract.ts";
import { RuleDesk } from "./rule-desk.ts";
import { entryOf as ruleEntryOf, type RuleRow, Rules } from "./rules.ts";
import { LOCAL_PLACES, PLACES } from "./runs.ts";
import { STEPS } from "./schema.ts";
import type { Viewer } from "./visible.ts";

/** As long as a client may reasonably go on repeating one request. */
const KEY_LIFE_MS = 24 * 60 * 60 * 1000;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Bounds the object's size (some 150 MB of rows), whatever a tenant does. */
const MAX_ENTRIES = 100_000;
/** Registry hosts that are remembered; far more than anybody uses, and few enough to be listed at once. */
const MAX_HOSTS = 1_000;
/** Old entries that one registration clears: more than one, so that a backlog shrinks, and few, so that it stays cheap. */
const ENTRIES_CLEARED_AT_ONCE = 4;

export class CopyIndex extends DurableObject<Env> implements CopyIndexRpc, RulesRpc {
  readonly #list: CopyList;
  readonly #records: Records;
  readonly #keys: Keys;
  readonly #probes: Probes;
  readonly #rules: Rules;
  readonly #desk: RuleDesk;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    migrate(ctx.storage, STEPS);
    this.#list = new CopyList(ctx.storage.sql);
    this.#records = new Records(ctx.storage.sql);
    this.#keys = new Keys(ctx.storage.sql);
    this.#probes = new Probes(ctx.storage.sql);
    this.#rules = new Rules(ctx.storage.sql, this.#keys);
    this.#desk = new RuleDesk({
      storage: ctx.storage,
      rules: this.#rules,
      places: isLocal(env) ? LOCAL_PLACES : PLACES,
      register: (entry, now) => this.#register(entry, now),
      start: async (copy, request) => void (await this.env.JOBS.getByName(copy).start(copy, request)),
      repositories: (host, cursor) => this.env.REGISTRIES.getByName(host).listRepositories(cursor),
      meanwhile: (work) => ctx.waitUntil(work.then(() => this.#setAlarm())),
    });
  }

  /**
   * Puts a copy on the list, unless its idempotency key has one already or it is one too many. Counting and adding are one
   * transaction, so that no number of requests at once gets past a limit. Registering the same id again changes
   * nothing.
   */
  async register(entry: Registration): Promise<RegisterAnswer> {
    const answer = this.ctx.storage.transactionSync(() => {
      const registered = this.#register(entry, Date.now());
      if (registered.kind === "created" && this.#list.find(entry.id)?.doneAtMs === null) {
        this.#desk.runs.addOther(entry.id, entry.target, Date.now());
      }
      return registered;
    });
    if (entry.key !== undefined && answer.kind === "created") {
      await this.#setAlarm();
    }
    return answer;
  }

  async changed(id: string, state: CopyState, copy?: CopyView): Promise<void> {
    const now = Date.now();
    if (this.#records.changed(id, state, copy, now) && copy !== undefined) {
      this.env.ANALYTICS?.writeDataPoint(dataPointOf(copy));
    }
    if (state !== "accepted" && state !== "running") {
      this.#desk.ended(id, state, copy ?? null, now);
      await this.#setAlarm();
    }
  }

  async list(query: Parameters<CopyIndexRpc["list"]>[0]): ReturnType<CopyIndexRpc["list"]> {
    return this.#list.page(query);
  }

  async find(id: string, viewer?: Viewer): Promise<CopyEntry | null> {
    return this.#list.find(id, viewer);
  }

  async metrics(): Promise<IndexMetrics> {
    return this.#records.metrics();
  }

  async openProbe(id: string): Promise<void> {
    this.#probes.open(id, Date.now());
  }

  async probeCame(id: string): Promise<void> {
    this.#probes.came(id, Date.now());
  }

  async probeCameAtMs(id: string): Promise<number | null> {
    return this.#probes.cameAtMs(id);
  }

  async hosts(): Promise<HostEntry[]> {
    return this.#sql
      .exec<{ host: string; first_used_at_ms: number; last_used_at_ms: number }>(
        "SELECT host, first_used_at_ms, last_used_at_ms FROM hosts ORDER BY last_used_at_ms DESC, host LIMIT ?",
        MAX_HOSTS,
      )
      .toArray()
      .map((row) => ({ host: row.host, firstUsedAtMs: row.first_used_at_ms, lastUsedAtMs: row.last_used_at_ms }));
  }

  async makeKey(key: NewKey): Promise<KeyEntry | "maker-gone" | "too-many"> {
    return this.ctx.storage.transactionSync(() => this.#keys.make(key, Date.now()));
  }

  async principalByHash(hash: string): Promise<Principal | null> {
    return this.#keys.principal("hash", hash, Date.now());
  }

  async principalById(id: string): Promise<Principal | null> {
    return this.#keys.principal("id", id, Date.now());
  }

  async listKeys(query: Parameters<CopyIndexRpc["listKeys"]>[0]): ReturnType<CopyIndexRpc["listKeys"]> {
    return this.#keys.list(query);
  }

  async revokeKey(id: string, maker?: string): Promise<KeyEntry | null> {
    return this.ctx.storage.transactionSync(() => this.#keys.revoke(id, maker ?? null, Date.now()));
  }

  async putRule(put: RulePut): Promise<RulePutAnswer> {
    const answer = this.ctx.storage.transactionSync(() => this.#rules.put(put, Date.now()));
    await this.#setAlarm();
    return "rule" in answer ? { ...answer, rule: { ...answer.rule, ...this.#runsOf(put.name) } } : answer;
  }

  async findRule(name: string, owner?: string): Promise<RuleEntry | null> {
    const row = this.#rules.find(name, owner);
    return row === null ? null : this.#ruleEntry(row);
  }

  async listRules(query: Parameters<RulesRpc["listRules"]>[0]): ReturnType<RulesRpc["listRules"]> {
    const { rules, next } = this.#rules.list(query);
    return { rules: rules.map((row) => this.#ruleEntry(row)), next };
  }

  async deleteRule(...asked: Parameters<RulesRpc["deleteRule"]>): ReturnType<RulesRpc["deleteRule"]> {
    const answer = this.ctx.storage.transactionSync(() => {
      const deleted = this.#rules.delete(...asked);
      if (deleted.kind === "deleted") {
        this.#desk.runs.forget(asked[0]);
      }
      return deleted;
    });
    this.#desk.pump(Date.now());
    return answer;
  }

  async rotateHook(name: string, pathHash: string, owner?: string): Promise<RuleEntry | "no-hook" | null> {
    const row = this.#rules.rotate(name, pathHash, owner);
    return row === null || row === "no-hook" ? row : this.#ruleEntry(row);
  }

  async findHook(name: string, pathHash: string): Promise<HookEntry | null> {
    return this.#rules.hook(name, pathHash);
  }

  async wish(wishes: readonly Wish[]): Promise<WishAnswer[]> {
    const answers = this.#desk.wish(wishes, Date.now());
    await this.#setAlarm();
    return answers;
  }

  async wishAll(rule: string): Promise<SurveyAnswer> {
    const answer = this.#desk.surveys.wish(rule, Date.now());
    await this.#setAlarm();
    return answer;
  }

  async listRuns(rule: string, query: Parameters<RulesRpc["listRuns"]>[1]): ReturnType<RulesRpc["listRuns"]> {
    return this.#rules.find(rule, query.owner) === null ? null : this.#desk.runs.list(rule, query);
  }

  async tick(): Promise<void> {
    this.#desk.tick(Date.now());
    await this.#setAlarm();
  }

  /** Clears the idempotency keys whose time is over, does what rules have due, and rings again for the next of these. */
  override async alarm(): Promise<void> {
    this.#sql.exec("DELETE FROM idempotency_keys WHERE at_ms <= ?", Date.now() - KEY_LIFE_MS);
    this.#desk.tick(Date.now());
    await this.#setAlarm();
  }

  /** The one place where the alarm is set: for whatever comes first; an earlier one stays. */
  async #setAlarm(): Promise<void> {
    const [oldest] = this.#sql
      .exec<{ at_ms: number }>("SELECT at_ms FROM idempotency_keys ORDER BY at_ms LIMIT 1")
      .toArray();
    const deskMs = this.#desk.nextMs(Date.now());
    const nextMs = Math.min(oldest === undefined ? Infinity : oldest.at_ms + KEY_LIFE_MS, deskMs ?? Infinity);
    const setMs = await this.ctx.storage.getAlarm();
    if (nextMs !== Infinity && (setMs === null || setMs > nextMs)) {
      await this.ctx.storage.setAlarm(Math.max(nextMs, Date.now()));
    }
  }

  #ruleEntry(row: RuleRow): RuleEntry {
    return { ...ruleEntryOf(row), ...this.#runsOf(row.name) };
  }

  #runsOf(rule: string): Pick<RuleEntry, "lastRun" | "open"> {
    const { runs } = this.#desk;
    return { lastRun: runs.list(rule, { limit: 1 }).runs[0] ?? null, open: runs.open(rule, Date.now()) };
  }

  get #sql(): SqlStorage {
    return this.ctx.storage.sql;
  }

  #register(entry: Registration, now: number): RegisterAnswer {
    const { id: owner, budget, limits } = entry.by;
    if (entry.key !== undefined) {
      const [known] = this.#sql
        .exec<{ id: string; fingerprint: string }>(
          "SELECT id, fingerprint FROM idempotency_keys WHERE owner = ? AND key = ? AND at_ms > ?",
          owner,
          entry.key,
          now - KEY_LIFE_MS,
        )
        .toArray();
      if (known && known.id !== entry.id) {
        return { kind: known.fingerprint === entry.fingerprint ? "known" : "conflict", id: known.id };
      }
    }
    const isLimited = limits.copiesAtOnce !== undefined || limits.copiesPerHour !== undefined;
    const limited =
      isLimited && this.#list.find(entry.id) === null ? limitReached(this.#sql, budget, limits, now) : null;
    if (limited !== null) {
      return limited;
    }
    if (entry.key !== undefined) {
      this.#sql.exec(
        "INSERT OR REPLACE INTO idempotency_keys (owner, key, fingerprint, id, at_ms) VALUES (?, ?, ?, ?, ?)",
        owner,
        entry.key,
        entry.fingerprint,
        entry.id,
        now,
      );
    }
    this.#sql.exec(
      `INSERT INTO copies (id, state, source, target, owner, budget, accepted_at_ms, asked)
       VALUES (?1, 'accepted', ?2, ?3, ?4, ?5, ?6, ?7)
       ON CONFLICT (id) DO UPDATE SET source = ?2, target = ?3, owner = ?4, budget = ?5, asked = ?7`,
      entry.id,
      entry.source,
      entry.target,
      owner,
      isLimited ? budget : null,
      now,
      entry.asked === undefined ? null : JSON.stringify(entry.asked),
    );
    this.#noteHosts(entry.hosts, now);
    this.#clearOldest(now);
    return { kind: "created", id: entry.id };
  }

  #noteHosts(hosts: string[], now: number): void {
    for (const host of hosts) {
      this.#sql.exec(
        `INSERT INTO hosts (host, first_used_at_ms, last_used_at_ms) VALUES (?1, ?2, ?2)
         ON CONFLICT (host) DO UPDATE SET last_used_at_ms = max(last_used_at_ms, ?2)`,
        host,
        now,
      );
    }
    this.#sql.exec(
      `DELETE FROM hosts WHERE (SELECT count(*) FROM hosts) > ?1
       AND host IN (SELECT host FROM hosts ORDER BY last_used_at_ms DESC, host LIMIT -1 OFFSET ?1)`,
      MAX_HOSTS,
    );
  }

  /** Looks at the oldest few entries only, so it costs the same however long the list is. */
  #clearOldest(now: number): void {
    this.#sql.exec(
      `DELETE FROM copies WHERE n IN (SELECT n FROM copies ORDER BY n LIMIT ?)
       AND (accepted_at_ms < ? OR n <= (SELECT max(n) FROM copies) - ?)`,
      ENTRIES_CLEARED_AT_ONCE,
      now - recordDays(this.env) * DAY_MS,
      MAX_ENTRIES,
    );
  }
}

/**
 * The list of copies, the idempotency keys, the API keys, the registry hosts in use, and the rules with their runs: one
 * Durable Object per tenant. It takes no part in a copy; the copy itself, with all it knows, is its CopyJob.
 */
import { DurableObject } from "cloudflare:workers";
import type { Principal } from "../access/contract.ts";
import { isLocal, recordDays } from "../config.ts";
import type { Env } from "../env.ts";
import { type CopyState, type CopyView, ENDED_STATES } from "../job/contract.ts";
import { migrate } from "../storage/migrations.ts";
import type {
  CopyEntry,
  CopyIndexRpc,
  GroupRegistration,
  HostEntry,
  IndexMetrics,
  KeyEntry,
  NewKey,
  RegisterAnswer,
  Registration,
} from "./contract.ts";
import { dataPointOf } from "./data-point.ts";
import { Keys } from "./keys.ts";
import { CopyList } from "./list.ts";
import { Probes } from "./probes.ts";
import { Records } from "./records.ts";
import { MAX_HOSTS, Registrations } from "./registrations.ts";
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
import { askAfter, tellReceivers, unbegunView } from "./unbegun.ts";
import type { Viewer } from "./visible.ts";

export class CopyIndex extends DurableObject<Env> implements CopyIndexRpc, RulesRpc {
  readonly #list: CopyList;
  readonly #registrations: Registrations;
  readonly #records: Records;
  readonly #keys: Keys;
  readonly #probes: Probes;
  readonly #rules: Rules;
  readonly #desk: RuleDesk;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    migrate(ctx.storage, STEPS);
    this.#list = new CopyList(ctx.storage.sql);
    this.#registrations = new Registrations(ctx.storage.sql, () => recordDays(env));
    this.#records = new Records(ctx.storage.sql);
    this.#keys = new Keys(ctx.storage.sql);
    this.#probes = new Probes(ctx.storage.sql);
    this.#rules = new Rules(ctx.storage.sql, this.#keys);
    this.#desk = new RuleDesk({
      storage: ctx.storage,
      rules: this.#rules,
      places: isLocal(env) ? LOCAL_PLACES : PLACES,
      register: (entry, now) => this.#registrations.register(entry, now),
      start: async (copy, request) => void (await this.env.JOBS.getByName(copy).start(copy, request)),
      lookAfter: (copy, why) => this.#lookAfter(copy, why),
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
    return this.#register(entry, [entry], (now) => this.#registrations.register(entry, now));
  }

  async registerGroup(group: GroupRegistration): Promise<RegisterAnswer> {
    return this.#register(group, group.copies, (now) => this.#registrations.registerGroup(group, now));
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

  async findGroup(id: string, viewer?: Viewer): Promise<CopyEntry[]> {
    return this.#list.group(id, viewer);
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
    await this.#setAlarm();
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
    this.#registrations.clearKeys(Date.now());
    this.#desk.tick(Date.now());
    await this.#setAlarm();
  }

  /** @returns Whether somebody has the copy. */
  async #lookAfter(id: string, why: string): Promise<boolean> {
    const entry = this.#list.find(id);
    if (entry === null || entry.doneAtMs !== null) {
      return entry !== null;
    }
    const found = await askAfter(this.env, entry);
    if (found === "group" || this.#list.find(id)?.state !== entry.state) {
      return true;
    }
    const view = found ?? unbegunView(entry, why, Date.now());
    await this.changed(id, view.state, ENDED_STATES.includes(view.state) ? view : undefined);
    if (found === null) {
      await tellReceivers(this.env, view).catch(() => {});
    }
    return found !== null;
  }

  async #register(
    { key }: Pick<Registration, "key">,
    copies: readonly Pick<Registration, "id" | "target">[],
    register: (now: number) => RegisterAnswer,
  ): Promise<RegisterAnswer> {
    const now = Date.now();
    const answer = this.ctx.storage.transactionSync(() => {
      const registered = register(now);
      const isNew = registered.kind === "created";
      for (const { id, target } of isNew ? copies : []) {
        if (this.#list.find(id)?.doneAtMs === null) {
          this.#desk.runs.addOther(id, target, now);
        }
      }
      return registered;
    });
    if (key !== undefined && answer.kind === "created") {
      await this.#setAlarm();
    }
    return answer;
  }

  /** The one place where the alarm is set: for whatever comes first; an earlier one stays. */
  async #setAlarm(): Promise<void> {
    const deskMs = this.#desk.nextMs(Date.now());
    const nextMs = Math.min(this.#registrations.nextKeyMs() ?? Infinity, deskMs ?? Infinity);
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
}

/**
 * What rules do: takes wishes for copies, lets each start when its turn comes, and notes how it ended. Everything is a row
 * before it is an effect, so an object that is evicted goes on where it was.
 */
import { copyRefusal, mountScope } from "../access/scopes.ts";
import { ID_RANDOM_BYTES, newCopyId } from "../copy/copy-id.ts";
import type { Asked, CopyRequest } from "../copy/request.ts";
import type { CopyState, CopyView } from "../job/contract.ts";
import { writeLine } from "../log.ts";
import { errorDetailOf } from "../registry/errors.ts";
import type { CatalogPage } from "../registry/catalog.ts";
import { onlySource, repositoryCopy } from "../sync/expand.ts";
import type { RegisterAnswer, Registration } from "./contract.ts";
import { Deliveries } from "./deliveries.ts";
import type { Wish, WishAnswer } from "./rule-contract.ts";
import { planOf, type RuleRow, type Rules } from "./rules.ts";
import { type Places, type RunRow, Runs } from "./runs.ts";
import { Surveys } from "./surveys.ts";

/** Schedules that one look takes; the rest is due at the next, at once. */
const DUE_AT_ONCE = 100;
/** A start that failed so often will not succeed; about two minutes in all. */
const MAX_TRIES = 8;
/** Rounds of one pump, in each of which somebody is refused or has to wait: what is left is done at once, by the alarm. */
const MAX_ROUNDS = 100;
/** While anybody waits, a look once in a while: should the end of a copy never be told. */
const WATCH_MS = 10 * 60 * 1000;

export interface DeskPorts {
  storage: Pick<DurableObjectStorage, "sql" | "transactionSync">;
  rules: Rules;
  places: Places;
  /** Puts a copy on the list, within the transaction that lets it start. */
  register(entry: Registration, now: number): RegisterAnswer;
  start(copy: string, request: CopyRequest): Promise<void>;
  /** Asks what became of a copy of which nothing is heard, and ends it where nobody has it. Answers whether somebody has. */
  lookAfter(copy: string, why: string): Promise<boolean>;
  /** A page of a registry's repositories. */
  repositories(host: string, cursor: string | null): Promise<CatalogPage>;
  /** Something goes on beside the call. */
  meanwhile(work: Promise<void>): void;
}

export class RuleDesk {
  readonly runs: Runs;
  readonly surveys: Surveys;
  readonly #ports: DeskPorts;
  readonly #deliveries: Deliveries;
  /** The last pump was broken off at its bound. */
  #isBehind = false;

  constructor(ports: DeskPorts) {
    this.#ports = ports;
    this.runs = new Runs(ports.storage.sql, ports.places);
    this.#deliveries = new Deliveries(ports.storage.sql);
    this.surveys = new Surveys({
      ...ports,
      runs: this.runs,
      wish: (wish, now) => this.#wish(wish, now),
      pump: (now) => this.pump(now),
    });
  }

  /** Notes what is wished, and starts what can start. */
  wish(wishes: readonly Wish[], now: number): WishAnswer[] {
    const answers = this.#ports.storage.transactionSync(() => wishes.map((each) => this.#wish(each, now)));
    this.pump(now);
    return answers;
  }

  /** Does what is due by now: schedules, starts that were not confirmed, what nothing was heard of. */
  tick(now: number): void {
    const { rules, storage } = this.#ports;
    const silent = storage.transactionSync(() => {
      for (const row of rules.due(now, DUE_AT_ONCE)) {
        this.#schedule(row, now);
        rules.advance(row, now);
      }
      this.#deliveries.clear(now);
      return this.runs.giveUp(now);
    });
    for (const copy of silent) {
      this.#ports.meanwhile(this.#ports.lookAfter(copy, "nothing was heard of it").then(() => undefined));
    }
    for (const run of this.runs.takeUnconfirmed(now)) {
      this.#ports.meanwhile(run.copy === null ? this.surveys.take(run) : this.#start(run));
    }
    this.pump(now);
  }

  /** Starts whose turn it is, as far as there are places. A place that one may not have is the next one's. */
  pump(now: number): void {
    const limited = new Set<string>();
    this.#isBehind = true;
    for (let round = 0; this.#isBehind && round < MAX_ROUNDS; round += 1) {
      const { ready, begun } = this.#ports.storage.transactionSync(() => {
        const rows = this.runs.ready(now, limited);
        return { ready: rows, begun: rows.filter((run) => this.#mayBegin(run, limited, now)) };
      });
      for (const run of begun) {
        this.#ports.meanwhile(this.#start(run));
      }
      this.#isBehind = begun.length < ready.length;
    }
  }

  /**
   * A copy has ended: the next one for its target may have its turn.
   * @param view The copy at its end; null: not known.
   */
  ended(
    copy: string,
    state: Exclude<CopyState, "accepted" | "running">,
    view: Pick<CopyView, "source" | "tags" | "bytes" | "error"> | null,
    now: number,
  ): void {
    const run = this.runs.end(copy, state, now);
    if (run === null) {
      return;
    }
    if (run.rule !== null && this.#ports.rules.find(run.rule) === null) {
      this.runs.forget(run.rule);
    } else if (run.rule !== null && view !== null) {
      const reason = view.error?.message ?? null;
      this.runs.book(run.n, view.source.digest, { reason, tags: view.tags, bytesCopied: view.bytes.copied });
    }
    this.pump(now);
  }

  /** When to {@link tick} next, in milliseconds since the epoch; null: nothing is to come. */
  nextMs(now: number): number | null {
    const times = [
      this.#isBehind ? now : null,
      this.#ports.rules.nextStartMs(),
      this.runs.nextDueMs(now),
      this.runs.isAnybodyWaiting() ? now + WATCH_MS : null,
    ].filter((time) => time !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  #wish({ rule: name, trigger, request, deliveryKey, hint }: Wish, now: number): WishAnswer {
    const { rules } = this.#ports;
    const row = rules.find(name);
    if (row === null || (row.enabled === 0 && trigger !== "manual")) {
      return { kind: "ignored", reason: row === null ? "the rule is gone" : "the rule is switched off" };
    }
    const refusal = this.#refusal(row, request, now);
    if (refusal !== null) {
      return { kind: "ignored", reason: refusal };
    }
    const known = deliveryKey === null ? null : this.#deliveries.answered(deliveryKey, name, now);
    if (known !== null) {
      return { kind: "joined", copy: known };
    }
    const rule = { name, version: row.version, priority: planOf(row).priority };
    const standIn = this.runs.standIn({ rule, trigger, request, hint }, now);
    const copy = standIn ?? newCopyId(now, crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
    if (standIn === null) {
      this.runs.add({ copy, rule, trigger, request, hint }, now);
    }
    if (deliveryKey !== null) {
      this.#deliveries.note(deliveryKey, name, copy, now);
    }
    return { kind: standIn === null ? "started" : "joined", copy };
  }

  #schedule(row: RuleRow, now: number): void {
    const plan = planOf(row);
    const source = onlySource(plan);
    if (source === null) {
      this.surveys.schedule(row, now);
      return;
    }
    const made = repositoryCopy(plan, source, now);
    const rule = { name: row.name, version: row.version, priority: plan.priority };
    const trigger = "schedule" as const;
    if ("ignored" in made) {
      // Without a copy there is no target but the template.
      const run = { rule, trigger, request: { source, target: plan.target } };
      this.runs.startNothing(run, "failed", `No copy can be made: ${made.ignored}.`, now);
      return;
    }
    const run = { rule, trigger, request: made.request };
    if (this.runs.hasOpen(row.name)) {
      this.runs.startNothing(run, "skipped", "The last run had not ended.", now);
    } else {
      const copy = newCopyId(now, crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
      this.runs.add({ ...run, copy, hint: null }, now);
    }
  }

  /** Whoever wrote the rule must still be allowed what it does. */
  #refusal(row: RuleRow, request: CopyRequest, now: number): string | null {
    const principal = this.#ports.rules.principalOf(row, now);
    return principal === null
      ? `whoever wrote the rule (${row.owner}) has no access any more; write it again`
      : (copyRefusal(principal, request)?.message ?? null);
  }

  /** @param limited Gets the names of rules whose runs have to wait for a limit. */
  #mayBegin(run: RunRow, limited: Set<string>, now: number): boolean {
    const { rules } = this.#ports;
    const row = rules.find(run.rule ?? "");
    const principal = row === null ? null : rules.principalOf(row, now);
    const request = requestOf(run);
    if (row === null || principal === null || request === null || run.copy === null) {
      this.runs.refuse(run.n, "Whoever wrote the rule has no access any more; write it again.", now);
      return false;
    }
    const refusal = copyRefusal(principal, request);
    if (refusal !== null) {
      this.runs.refuse(run.n, refusal.message, now);
      return false;
    }
    const registered = this.#ports.register(
      {
        id: run.copy,
        source: run.source,
        target: run.target,
        fingerprint: "",
        hosts: [request.source.host, request.target.host],
        by: principal,
        asked: askedFor(run, principal),
      },
      now,
    );
    if (registered.kind === "limited") {
      this.runs.postpone(run.n, registered.retryAtMs);
      limited.add(row.name);
      return false;
    }
    this.runs.begin(run.n, now);
    return true;
  }

  async #start(run: RunRow): Promise<void> {
    const request = requestOf(run);
    if (run.copy === null || request === null) {
      return;
    }
    try {
      const row = this.#ports.rules.find(run.rule ?? "");
      const owner = row === null ? null : this.#ports.rules.principalOf(row, Date.now());
      const given =
        owner === null ? {} : { asked: askedFor(run, owner), mountable: mountScope(owner, request.target.host) };
      await this.#ports.start(run.copy, { ...request, ...given });
      this.runs.confirm(run.n);
    } catch (error) {
      const { message } = errorDetailOf(error);
      writeLine({ msg: "start of a copy failed", job: run.copy, error: message }, "error");
      if (this.runs.tryAgain(run.n, Date.now()) >= MAX_TRIES) {
        await this.#giveUpStart(run.n, run.copy, message);
      }
    }
  }

  /** Its job may have it all the same: only the answers were lost then. */
  async #giveUpStart(n: number, copy: string, why: string): Promise<void> {
    if (await this.#ports.lookAfter(copy, why)) {
      this.runs.confirm(n);
    } else {
      this.runs.refuse(n, "The service could not start it.", Date.now());
      this.pump(Date.now());
    }
  }
}

function askedFor({ rule, cause }: RunRow, { id, name }: { id: string; name: string }): Asked {
  return { by: id, name, how: cause ?? "manual", rule };
}

function requestOf(run: RunRow): CopyRequest | null {
  const request: CopyRequest | null = run.request === null ? null : JSON.parse(run.request);
  return request;
}

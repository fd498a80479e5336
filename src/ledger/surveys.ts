/**
 * Runs of rules whose source is a pattern: a look through the registry for its repositories, which is a row among the runs,
 * and then a copy of each that fits, which are runs of their own. Nothing is started before the whole list is there, and all
 * of it in one transaction: a look that breaks off is taken anew, and starts nothing twice.
 */
import { writeLine } from "../log.ts";
import type { CatalogPage } from "../registry/catalog.ts";
import { errorDetailOf } from "../registry/errors.ts";
import { PRIORITIES, type Trigger } from "../sync/contract.ts";
import { repositoryCopy } from "../sync/expand.ts";
import type { SurveyAnswer, Wish, WishAnswer } from "./rule-contract.ts";
import { planOf, type RuleRow, type Rules } from "./rules.ts";
import { CONFIRM_MS, type Row, type RunRow, type Runs, without } from "./runs.ts";
import { type Found, survey } from "./survey.ts";

/** Stands where runs that become a copy have its request: there is something to be taken up again. */
const SURVEY = "survey";

/** A host's object that restarts is back within a second; asking for a page again changes nothing. */
const PAGE_TRIES = 4;
const FIRST_PAUSE_MS = 100;

export interface SurveyPorts {
  storage: Pick<DurableObjectStorage, "sql" | "transactionSync">;
  rules: Rules;
  runs: Runs;
  /** A page of a registry's repositories. */
  repositories(host: string, cursor: string | null): Promise<CatalogPage>;
  /** Within a transaction. */
  wish(wish: Wish, now: number): WishAnswer;
  pump(now: number): void;
  meanwhile(work: Promise<void>): void;
}

export class Surveys {
  readonly #ports: SurveyPorts;
  /** Looks that this object is at; one that it has forgotten begins anew. */
  readonly #taking = new Set<number>();

  constructor(ports: SurveyPorts) {
    this.#ports = ports;
  }

  /** Somebody wants it now. */
  wish(rule: string, now: number): SurveyAnswer {
    const row = this.#ports.rules.find(rule);
    if (row === null) {
      return { kind: "ignored", reason: "the rule is gone" };
    }
    const isAtIt =
      this.#sql
        .exec("SELECT 1 FROM runs WHERE rule = ? AND copy IS NULL AND ended_at_ms IS NULL LIMIT 1", rule)
        .toArray().length > 0;
    if (!isAtIt) {
      this.#begin(row, "manual", now);
    }
    return { kind: isAtIt ? "joined" : "started" };
  }

  /** Its schedule is due. One transaction. */
  schedule(row: RuleRow, now: number): void {
    if (this.#ports.runs.hasOpen(row.name)) {
      const { n } = this.#insert(row, "schedule", now);
      this.#end(n, "skipped", "The last run had not ended.", now);
    } else {
      this.#begin(row, "schedule", now);
    }
  }

  /** Takes the look, unless this object is at it. */
  async take(run: RunRow): Promise<void> {
    if (this.#taking.has(run.n)) {
      return;
    }
    this.#taking.add(run.n);
    try {
      const found = await survey(run.source, (cursor) => this.#page(hostOf(run.source), cursor));
      this.#ports.storage.transactionSync(() => this.#wishAll(run, found, Date.now()));
    } catch (error) {
      const { message } = errorDetailOf(error);
      writeLine({ msg: "look for repositories failed", rule: run.rule, error: message }, "error");
      this.#end(run.n, "failed", message, Date.now());
      if (this.#ports.rules.find(run.rule ?? "") === null) {
        this.#ports.runs.forget(run.rule ?? "");
      }
    } finally {
      this.#taking.delete(run.n);
    }
    this.#ports.pump(Date.now());
  }

  async #page(host: string, cursor: string | null): Promise<CatalogPage> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#ports.repositories(host, cursor);
      } catch (error) {
        // A refusal is an answer; everything else means that the call broke.
        if (errorDetailOf(error).code !== "internal" || tries === PAGE_TRIES) {
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** tries));
      }
    }
  }

  #begin(row: RuleRow, trigger: Trigger, now: number): void {
    this.#ports.meanwhile(this.take(this.#insert(row, trigger, now)));
  }

  #wishAll(run: RunRow, { repositories }: Found, now: number): void {
    const row = this.#ports.rules.find(run.rule ?? "");
    if (row === null) {
      this.#end(run.n, "failed", "The rule is gone.", now);
      this.#ports.runs.forget(run.rule ?? "");
      return;
    }
    const plan = planOf(row);
    const counts = { started: 0, joined: 0, ignored: 0 };
    let why = "";
    for (const repository of repositories) {
      const made = repositoryCopy(plan, { host: hostOf(run.source), repository }, now);
      const wish = { rule: row.name, trigger: run.cause ?? "manual", deliveryKey: null, hint: null };
      const answer: WishAnswer =
        "ignored" in made
          ? { kind: "ignored", reason: made.ignored }
          : this.#ports.wish({ ...wish, request: made.request }, now);
      counts[answer.kind] += 1;
      why ||= answer.kind === "ignored" ? answer.reason : "";
    }
    const isInVain = counts.ignored > 0 && counts.ignored === repositories.length;
    const text = foundText(counts, why, plan.choices.tags === undefined && plan.newerThan === null);
    this.#end(run.n, isInVain ? "failed" : "succeeded", text, now);
    // What it has found stands above its copies: of many the oldest are soon cleared away.
    this.#sql.exec("UPDATE runs SET n = (SELECT max(n) + 1 FROM runs) WHERE n = ?", run.n);
  }

  #insert(row: RuleRow, trigger: Trigger, now: number): RunRow {
    const { source, target, priority } = planOf(row);
    this.#ports.runs.clearOldest(row.name, now);
    return this.#sql
      .exec<Row>(
        // No repository has the name of a template: it stands in nobody's way.
        `INSERT INTO runs (rule, version, cause, source, target, repository, wide, priority, state, request, events, tries,
           due_at_ms, at_ms, started_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1, ?6, 'running', ?7, 1, 0, ?8, ?9, ?9) RETURNING *`,
        row.name,
        row.version,
        trigger,
        source,
        `${target.host}/${target.repository}`,
        PRIORITIES.indexOf(priority),
        SURVEY,
        now + CONFIRM_MS,
        now,
      )
      .one();
  }

  #end(n: number, state: "succeeded" | "failed" | "skipped", reason: string, now: number): void {
    this.#sql.exec(
      `UPDATE runs SET state = ?2, ended_at_ms = ?3, request = NULL, result = ?4,
         started_at_ms = iif(?2 = 'skipped', NULL, started_at_ms) WHERE n = ?1`,
      n,
      state,
      now,
      JSON.stringify(without(reason)),
    );
  }

  get #sql(): SqlStorage {
    return this.#ports.storage.sql;
  }
}

function hostOf(source: string): string {
  return source.slice(0, source.indexOf("/"));
}

/**
 * Tells nothing of what lies outside of the source: that may be outside of somebody's scopes.
 * @param takesAllTags The rule chooses none: said once here, and in none of the copies.
 */
function foundText(counts: Record<WishAnswer["kind"], number>, why: string, takesAllTags: boolean): string {
  const { started, joined, ignored } = counts;
  const joining = joined === 0 ? "" : `, ${joined} under way already`;
  const left = ignored === 0 ? "" : `, ${ignored} left out (the first: ${why})`;
  const all = takesAllTags && started > 0 ? ", with all tags" : "";
  return `Repositories among the source: ${started + joined + ignored}; ${started} copies begun${all}${joining}${left}.`;
}

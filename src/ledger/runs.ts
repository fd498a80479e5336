/**
 * Runs: every copy that a rule makes, from the wish for it to its end, and whose turn it is. Writers of one target are put in
 * order here: one at a time for each tag, and none beside one that writes a whole repository. A copy asks its source when it
 * starts, so whoever waits for a turn always brings what is newest then.
 */
import { formatReference } from "../registry/reference.ts";
import { isRepositoryCopy, type CopyRequest } from "../copy/request.ts";
import { PRIORITIES, type Priority, type Trigger } from "../sync/contract.ts";
import type { CopyState } from "../job/contract.ts";
import type { OpenRuns, RunEntry, RunResult, RunState } from "./rule-contract.ts";

/** A second copy to one target begins no sooner after the first: what comes meanwhile is one copy. */
export const COALESCE_MS = 1_000;
/** So long a finished copy of the same digest stands for another push of it; after that the target is asked again. */
const JOIN_ENDED_MS = 10 * 60 * 1000;
/** Copies of rules under way at once, for each priority that may still start: nobody's background fills the house. */
export type Places = Readonly<Record<Priority, number>>;

export const PLACES: Places = { interactive: 250, normal: 200, background: 100 };
/** One machine runs everything in one thread: with more copies at once than this none ends sooner, and deliveries wait longer. */
export const LOCAL_PLACES: Places = { interactive: 24, normal: 16, background: 8 };
/** How long the start of a copy may be unconfirmed before it is asked for again. */
export const CONFIRM_MS = 10_000;
/** Kept for each rule, to look back at. */
const RUNS_KEPT = 200;
const RUN_LIFE_MS = 30 * 24 * 60 * 60 * 1000;
/** Old runs that one new run clears: more than one, so that a backlog shrinks. */
const CLEARED_AT_ONCE = 4;
/** No copy lives longer than a day (`job/copy-job.ts`). */
const COPY_LIFE_MS = 25 * 60 * 60 * 1000;
/** A copy that was asked for and has not begun by then never was. */
const BEGIN_LIMIT_MS = 10 * 60 * 1000;

export interface RunRow {
  n: number;
  copy: string | null;
  rule: string | null;
  version: number | null;
  cause: Trigger | null;
  source: string;
  target: string;
  state: RunState;
  request: string | null;
  events: number;
  tries: number;
  at_ms: number;
  started_at_ms: number | null;
  ended_at_ms: number | null;
  digest: string | null;
  result: string | null;
}

export type Row = Record<string, SqlStorageValue> & RunRow;

/** What a new run is made of. */
export interface NewRun {
  copy: string;
  rule: { name: string; version: number; priority: Priority };
  trigger: Trigger;
  request: CopyRequest;
  hint: string | null;
}

export class Runs {
  readonly #sql: SqlStorage;
  readonly #places: Places;

  constructor(sql: SqlStorage, places: Places) {
    this.#sql = sql;
    this.#places = places;
  }

  /** The copy that does what a new one would, waiting, under way or just done; null: there is none. */
  standIn({ rule, request, hint }: Omit<NewRun, "copy">, now: number): string | null {
    const source = formatReference(request.source);
    const target = formatReference(request.target);
    const [open] = this.#sql
      .exec<{ n: number; copy: string }>(
        // One that waits has not asked its source yet. One under way may have, so it must be about the same digest.
        `SELECT n, copy FROM runs WHERE target = ?1 AND source = ?2 AND rule = ?3 AND version = ?4 AND ended_at_ms IS NULL
         AND (state = 'waiting' OR hint = ?5) ORDER BY n DESC LIMIT 1`,
        target,
        source,
        rule.name,
        rule.version,
        hint,
      )
      .toArray();
    if (open !== undefined) {
      this.#sql.exec("UPDATE runs SET events = events + 1, hint = ? WHERE n = ?", hint, open.n);
      return open.copy;
    }
    const [last] = this.#sql
      .exec<Row & { version: number }>("SELECT * FROM runs WHERE target = ? ORDER BY n DESC LIMIT 1", target)
      .toArray();
    const isDone =
      last !== undefined &&
      last.state === "succeeded" &&
      hint !== null &&
      last.digest === hint &&
      last.source === source &&
      last.rule === rule.name &&
      last.version === rule.version &&
      (last.ended_at_ms ?? 0) > now - JOIN_ENDED_MS;
    return isDone ? last.copy : null;
  }

  /** Puts a run into the queue. */
  add({ copy, rule, trigger, request, hint }: NewRun, now: number): void {
    const target = formatReference(request.target);
    const [before] = this.#sql
      .exec<{ atMs: number }>(
        "SELECT started_at_ms AS atMs FROM runs WHERE target = ? AND started_at_ms IS NOT NULL ORDER BY n DESC LIMIT 1",
        target,
      )
      .toArray();
    this.#insert({
      copy,
      rule,
      trigger,
      request,
      target,
      state: "waiting",
      hint,
      // A time to come was told by a clock that has been put right since.
      dueMs: before === undefined ? now : Math.max(now, Math.min(before.atMs, now) + COALESCE_MS),
      now,
    });
    this.clearOldest(rule.name, now);
  }

  /** Notes that a rule was due and why nothing was started: it is not its turn, or there is nothing that could be. */
  startNothing(run: Omit<NewRun, "copy" | "hint">, state: "skipped" | "failed", reason: string, now: number): void {
    const target = formatReference(run.request.target);
    this.#insert({ ...run, copy: null, target, state, hint: null, dueMs: now, now });
    this.#sql.exec(
      "UPDATE runs SET ended_at_ms = ?, result = ? WHERE n = (SELECT max(n) FROM runs)",
      now,
      JSON.stringify(without(reason)),
    );
    this.clearOldest(run.rule.name, now);
  }

  /** How many runs of a rule have not ended, and when the first of those comes due that wait for a time. */
  open(rule: string, now: number): OpenRuns {
    const { waiting, running, due } = this.#sql
      .exec<{ waiting: number; running: number; due: number | null }>(
        `SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'running') AS running,
           min(due_at_ms) FILTER (WHERE state = 'waiting' AND due_at_ms > ?2) AS due
         FROM runs WHERE rule = ?1 AND ended_at_ms IS NULL`,
        rule,
        now,
      )
      .one();
    return { waiting, running, dueMs: due };
  }

  /** Somebody's own copy: it waits for nobody, but runs wait for it. */
  addOther(copy: string, target: string, now: number): void {
    const name = target.split("@", 1)[0] ?? target;
    const colon = name.indexOf(":", name.lastIndexOf("/"));
    this.#sql.exec(
      `INSERT OR IGNORE INTO runs (copy, source, target, repository, wide, priority, state, events, tries, due_at_ms, at_ms,
         started_at_ms) VALUES (?1, '', ?2, ?3, ?4, 0, 'running', 1, 0, ?5, ?5, ?5)`,
      copy,
      target,
      colon < 0 ? name : name.slice(0, colon),
      Number(colon < 0 && name === target),
      now,
    );
    this.#sql.exec("DELETE FROM runs WHERE rule IS NULL AND ended_at_ms < ?", now - JOIN_ENDED_MS);
  }

  /**
   * Runs whose turn it is, the first first. Starting one of them takes no other's turn.
   * @param rulesLeftOut Names of rules whose turn does not come.
   */
  ready(now: number, rulesLeftOut: ReadonlySet<string>): RunRow[] {
    const { running } = this.#sql
      // The plus keeps SQLite from the index over all runs by rule.
      .exec<{ running: number }>("SELECT count(*) AS running FROM runs WHERE state = 'running' AND +rule IS NOT NULL")
      .one();
    const free = Math.max(...Object.values(this.#places)) - running;
    if (free <= 0) {
      return [];
    }
    const rows = this.#sql
      .exec<Row & { priority: number }>(
        `SELECT * FROM runs AS w WHERE state = 'waiting' AND due_at_ms <= ?1
         AND rule NOT IN (SELECT value FROM json_each(?3))
         AND NOT EXISTS (SELECT 1 FROM runs AS o WHERE o.target = w.target AND o.ended_at_ms IS NULL AND ${BEFORE})
         AND NOT EXISTS (SELECT 1 FROM runs AS o WHERE o.repository = w.repository AND o.wide = 1 AND o.ended_at_ms IS NULL
           AND ${BEFORE})
         AND NOT (w.wide = 1 AND EXISTS (SELECT 1 FROM runs AS o WHERE o.repository = w.repository AND o.ended_at_ms IS NULL
           AND ${BEFORE}))
         ORDER BY priority, n LIMIT ?2`,
        now,
        free,
        JSON.stringify([...rulesLeftOut]),
      )
      .toArray();
    return rows.filter((row, index) => running + index < this.#places[PRIORITIES[row.priority] ?? "background"]);
  }

  /** Whether a rule has a run over a whole repository that has not ended. */
  hasOpen(rule: string): boolean {
    return (
      this.#sql.exec("SELECT 1 FROM runs WHERE rule = ? AND wide = 1 AND ended_at_ms IS NULL LIMIT 1", rule).toArray()
        .length > 0
    );
  }

  begin(n: number, now: number): void {
    this.#sql.exec(
      "UPDATE runs SET state = 'running', started_at_ms = ?2, due_at_ms = ?3 WHERE n = ?1",
      n,
      now,
      now + CONFIRM_MS,
    );
  }

  /** Its job has it: the request is not needed any more. */
  confirm(n: number): void {
    this.#sql.exec("UPDATE runs SET request = NULL WHERE n = ?", n);
  }

  /** The start was not confirmed: it is asked for again, ever later. Says how often it has been; 0: it has ended all the same. */
  tryAgain(n: number, now: number): number {
    const [run] = this.#sql
      .exec<{ tries: number }>(
        `UPDATE runs SET tries = tries + 1, due_at_ms = ?2 + 1000 * (1 << min(tries, 6))
         WHERE n = ?1 AND ended_at_ms IS NULL RETURNING tries`,
        n,
        now,
      )
      .toArray();
    return run?.tries ?? 0;
  }

  postpone(n: number, untilMs: number): void {
    this.#sql.exec("UPDATE runs SET due_at_ms = ? WHERE n = ?", untilMs, n);
  }

  /** Begun, and not confirmed (or, looks through a registry, not ended) in time: answered once, until it is overdue again. */
  takeUnconfirmed(now: number): RunRow[] {
    return this.#sql
      .exec<Row>(
        `UPDATE runs SET due_at_ms = ?2 WHERE state = 'running' AND request IS NOT NULL AND due_at_ms <= ?1 RETURNING *`,
        now,
        now + CONFIRM_MS,
      )
      .toArray();
  }

  /** The end of a copy, told once or more often. Answers with its run, when it ended by this. */
  end(copy: string, state: Exclude<CopyState, "accepted" | "running">, now: number): RunRow | null {
    const [ended] = this.#sql
      .exec<Row>(
        "UPDATE runs SET state = ?2, ended_at_ms = ?3, request = NULL WHERE copy = ?1 AND ended_at_ms IS NULL RETURNING *",
        copy,
        state,
        now,
      )
      .toArray();
    return ended ?? null;
  }

  /** How a run ended, as its job tells it. */
  book(n: number, digest: string | null, result: RunResult): void {
    this.#sql.exec("UPDATE runs SET digest = ?2, result = ?3 WHERE n = ?1", n, digest, JSON.stringify(result));
  }

  /** A run that never became a copy. */
  refuse(n: number, reason: string, now: number): void {
    this.#sql.exec(
      "UPDATE runs SET state = 'failed', ended_at_ms = ?2, request = NULL, result = ?3 WHERE n = ?1 AND ended_at_ms IS NULL",
      n,
      now,
      JSON.stringify(without(reason)),
    );
  }

  /** The rule is gone: its runs go, those under way as soon as they have ended, when this is called again. */
  forget(rule: string): void {
    this.#sql.exec("DELETE FROM runs WHERE rule = ? AND state <> 'running'", rule);
    this.#sql.exec("DELETE FROM deliveries WHERE rule = ?", rule);
  }

  /** Runs of which nothing will ever be heard. Answers with the ids of their copies. */
  giveUp(now: number): string[] {
    const given = this.#sql.exec<{ copy: string | null }>(
      `UPDATE runs SET state = 'failed', ended_at_ms = ?1, request = NULL, result = ?3
       WHERE state = 'running' AND (started_at_ms < ?2 OR (rule IS NULL AND started_at_ms < ?4
         AND (SELECT state FROM copies WHERE id = runs.copy) = 'accepted')) RETURNING copy`,
      now,
      now - COPY_LIFE_MS,
      JSON.stringify(without("Nothing was heard of it for a day.")),
      now - BEGIN_LIMIT_MS,
    );
    return given.toArray().flatMap(({ copy }) => copy ?? []);
  }

  /** When something comes due by itself; null: nothing does. What waits for a turn is woken by the end of another. */
  nextDueMs(now: number): number | null {
    return this.#sql
      .exec<{ at: number | null }>(
        `SELECT min(due_at_ms) AS at FROM (
           SELECT due_at_ms FROM runs WHERE state = 'waiting' AND due_at_ms > ?1
           UNION ALL SELECT due_at_ms FROM runs WHERE state = 'running' AND request IS NOT NULL)`,
        now,
      )
      .one().at;
  }

  isAnybodyWaiting(): boolean {
    return this.#sql.exec("SELECT 1 FROM runs WHERE state = 'waiting' LIMIT 1").toArray().length > 0;
  }

  list(
    rule: string,
    query: { state?: RunState; limit: number; cursor?: number },
  ): { runs: RunEntry[]; next: number | null } {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM runs WHERE rule = ?1 AND n < ?2 AND (?3 IS NULL OR state = ?3) ORDER BY n DESC LIMIT ?4",
        rule,
        query.cursor ?? Number.MAX_SAFE_INTEGER,
        query.state ?? null,
        query.limit + 1,
      )
      .toArray();
    const page = rows.slice(0, query.limit);
    return { runs: page.map(runOf), next: rows.length > page.length ? (page.at(-1)?.n ?? null) : null };
  }

  #insert(
    run: Omit<NewRun, "copy"> & { copy: string | null; target: string; state: RunState; dueMs: number; now: number },
  ) {
    const { rule, request } = run;
    const { host, repository } = request.target;
    this.#sql.exec(
      `INSERT INTO runs (copy, rule, version, cause, source, target, repository, wide, hint, priority, state, request, events,
         tries, due_at_ms, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?)`,
      run.copy,
      rule.name,
      rule.version,
      run.trigger,
      formatReference(request.source),
      run.target,
      `${host}/${repository}`,
      Number(isRepositoryCopy(request)),
      run.hint,
      PRIORITIES.indexOf(rule.priority),
      run.state,
      run.state === "waiting" ? JSON.stringify(request) : null,
      run.dueMs,
      run.now,
    );
  }

  /** Of a rule that gets a new run: a few of those that are too old or too many. */
  clearOldest(rule: string, now: number): void {
    this.#sql.exec(
      `DELETE FROM runs WHERE n IN (SELECT n FROM runs WHERE rule = ?1 ORDER BY n LIMIT ?2) AND ended_at_ms IS NOT NULL
       AND (at_ms < ?3 OR n <= (SELECT n FROM runs WHERE rule = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?4))`,
      rule,
      CLEARED_AT_ONCE,
      now - RUN_LIFE_MS,
      RUNS_KEPT,
    );
  }
}

/** Has its turn, or is due and came earlier. */
const BEFORE = "(o.state = 'running' OR (o.n < w.n AND o.due_at_ms <= ?1))";

/** The result of a run that is no more than a sentence. */
export function without(reason: string): RunResult {
  return { reason, tags: null, bytesCopied: null };
}

export function runOf(row: RunRow): RunEntry {
  const result: RunResult | null = row.result === null ? null : JSON.parse(row.result);
  return {
    n: row.n,
    copy: row.copy,
    rule: row.rule ?? "",
    version: row.version ?? 0,
    trigger: row.cause ?? "manual",
    state: row.state,
    source: row.source,
    target: row.target,
    digest: row.digest,
    events: row.events,
    atMs: row.at_ms,
    startedAtMs: row.started_at_ms,
    endedAtMs: row.ended_at_ms,
    result,
  };
}

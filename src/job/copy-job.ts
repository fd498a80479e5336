/**
 * One copy, as a Durable Object: takes the calls, keeps one run of the copy alive, and writes down how it ended. What a
 * copy consists of is decided in planner.ts and publisher.ts. It never touches a blob's bytes.
 */
import { DurableObject } from "cloudflare:workers";
import { INDEX_NAME } from "../ledger/contract.ts";
import { writeLine } from "../log.ts";
import { type CopyRequest, isRepositoryCopy } from "../copy/request.ts";
import type { Env } from "../env.ts";
import type { HeldSlot, Settlement } from "../host/contract.ts";
import { type ErrorDetail, errorDetailOf } from "../registry/errors.ts";
import { migrate } from "../storage/migrations.ts";
import {
  type CopyJobRpc,
  type CopyState,
  type CopyView,
  ENDED_STATES,
  KEPT_MS,
  type TagState,
  type TagView,
} from "./contract.ts";
import { dryEnds, type RunEnds } from "./dry-run.ts";
import { EventLog } from "./events.ts";
import { endedError, tooLong } from "./failures.ts";
import { tellOfEnd } from "./farewell.ts";
import { HostOffers } from "./host-offers.ts";
import { type CopyRecord, Ledger, LEDGER_STEPS } from "./ledger.ts";
import { MAIN_TAG_ID } from "./tag-ledger.ts";
import { addReferrerAt } from "./referrer-lists.ts";
import { openRegistries, placesOf, type RegistriesOptions } from "./registries.ts";
import { CopyRun } from "./run.ts";
import { bookSettlements, type Booked } from "./settlements.ts";
import { copyView } from "./view.ts";
import { endOr } from "./waiting.ts";

/** How long a copy may be without anybody working at it, when its object was evicted. */
const WATCH_MS = 20_000;
/** No copy is worth more: by then credentials, upload sessions and the user's interest have run out. */
const COPY_LIFE_MS = 24 * 3_600_000;
/** Runs that may end in something unforeseen before the copy fails. */
const MAX_CRASHES = 5;
const FIRST_CRASH_PAUSE_MS = 1_000;
/** How long a cancellation waits for the answer to the root's push, so that it can say what became of the tag. */
const COMMIT_PATIENCE_MS = 5_000;
/** How long a cancellation waits until the target's host has taken back the blobs. */
const FAREWELL_PATIENCE_MS = 5_000;
/** The API waits at most a minute; more would only keep the object in memory. */
const MAX_VIEW_WAIT_MS = 120_000;

interface Running {
  run: CopyRun;
  slotsAt: (host: string) => HeldSlot[];
  controller: AbortController;
  close: () => void;
  /** Nothing new may be sent, though what is under way may still end. */
  refusing: boolean;
}

export class CopyJob extends DurableObject<Env> implements CopyJobRpc {
  readonly #ledger: Ledger;
  readonly #events: EventLog;
  readonly #hostOffers: HostOffers;
  #running: Running | null = null;
  #ended = Promise.withResolvers<void>();
  #farewell: Promise<void> | null = null;
  /** Its tables are gone. */
  #cleared = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    migrate(ctx.storage, LEDGER_STEPS);
    this.#ledger = new Ledger(ctx.storage.sql);
    const ended = this.#hasEnded();
    if (ended) {
      this.#ended.resolve();
    }
    this.#events = new EventLog(ctx.storage.sql, Date.now, ended);
    this.#hostOffers = new HostOffers(env, () => this.#hasEnded());
  }

  /** Starts the copy and answers at once; with the id of a copy that exists, answers with that. */
  async start(id: string, request: CopyRequest): Promise<CopyView> {
    const known = this.#view();
    if (known !== null) {
      return known;
    }
    if (this.#cleared) {
      throw new Error("This copy was made and has ended long ago.");
    }
    this.#ledger.create(id, request, Date.now());
    void this.ctx.storage.setAlarm(Date.now() + WATCH_MS);
    const accepted = required(this.#view());
    this.#events.append({ type: "state", data: accepted });
    this.#launch();
    return accepted;
  }

  async view(waitMs: number): Promise<CopyView | null> {
    const now = this.#view();
    if (now === null || waitMs <= 0 || ENDED_STATES.includes(now.state)) {
      return now;
    }
    await endOr(Math.min(waitMs, MAX_VIEW_WAIT_MS), this.#ended.promise);
    return this.#view();
  }

  /** Ends the copy. One whose root is being pushed at this moment may still succeed: the answer says. */
  async cancel(): Promise<CopyView | null> {
    const record = this.#record();
    if (record === null) {
      return null;
    }
    const running = this.#running;
    if (running?.run.committing === true) {
      running.refusing = true;
      running.run.refuse(endedError());
      await endOr(COMMIT_PATIENCE_MS, this.#ended.promise);
    }
    this.#end("cancelled", null);
    await endOr(FAREWELL_PATIENCE_MS, this.#sayFarewell());
    return this.#view();
  }

  async tags(query: {
    state?: TagState;
    limit: number;
    cursor?: number;
  }): Promise<{ tags: TagView[]; next: number | null } | null> {
    return this.#record() === null ? null : this.#ledger.tags.page(query);
  }

  async events(lastSeq: number): Promise<ReadableStream<Uint8Array> | null> {
    return this.#record() === null ? null : this.#events.watch(lastSeq);
  }

  async settled(settlements: Settlement[]): Promise<void> {
    const record = this.#record();
    if (record === null || ENDED_STATES.includes(record.state)) {
      return;
    }
    const mirrors = placesOf(this.env, record.request).length - 1;
    const booked = bookSettlements(this.#ledger, this.#events, record, settlements, mirrors);
    const { arrived, failed } = booked;
    const [first] = failed;
    if (first !== undefined && !isRepositoryCopy(record.request)) {
      this.#end("failed", first.error);
    } else if (this.#running !== null) {
      this.#running.run.arrived(arrived);
      for (const { digest, error } of failed) {
        this.#running?.run.blobFailed(digest, error);
      }
    } else if (record.crashes === 0) {
      // Evicted meanwhile. After a crash it is the alarm that decides when to go on.
      this.#launch();
    }
    if (booked.moved.length > 0 || booked.hasLeftMirror) {
      this.ctx.waitUntil(
        this.#offerElsewhere(record, booked).catch((failure: unknown) => this.#logCrash(errorDetailOf(failure))),
      );
    }
  }

  async warned(messages: string[]): Promise<void> {
    const record = this.#record();
    if (record !== null && !ENDED_STATES.includes(record.state)) {
      this.#events.warn(messages);
    }
  }

  async slotsAt(host: string): Promise<HeldSlot[]> {
    return this.#running?.slotsAt(host) ?? [];
  }

  async progressed(progress: { id: string; bytes: number }[]): Promise<void> {
    const running = this.#running;
    if (running === null) {
      return;
    }
    for (const { id, bytes } of progress) {
      const digest = id.slice(id.lastIndexOf("@") + 1);
      running.run.moved(digest);
      this.#events.progress(digest, bytes);
    }
  }

  /** The watchdog: rings while the copy runs, then until everybody has been told of its end, and once more to clear up. */
  override async alarm(): Promise<void> {
    const record = this.#record();
    if (record === null || record.told) {
      await (record === null ? null : this.#clear(record));
      return;
    }
    await this.ctx.storage.setAlarm(Date.now() + WATCH_MS);
    if (ENDED_STATES.includes(record.state)) {
      await this.#sayFarewell();
    } else if (Date.now() - record.acceptedMs > COPY_LIFE_MS) {
      this.#end("failed", tooLong(record.request.target.host));
    } else if (this.#running === null) {
      this.#launch();
    } else {
      await this.#running.run.offerAgain(WATCH_MS).catch((error: unknown) => this.#logCrash(errorDetailOf(error)));
    }
  }

  /** Begins a run, from the ledger where that has something. Synchronous up to the first request. */
  #launch(): void {
    const record = this.#record();
    if (record === null) {
      return;
    }
    if (record.state === "accepted") {
      this.#ledger.run();
      this.#events.append({ type: "state", data: required(this.#view()) });
      this.ctx.waitUntil(
        // The end will be told until it is heard; that it runs is only news.
        this.env.INDEX.getByName(INDEX_NAME)
          .changed(record.id, "running")
          .catch(() => {}),
      );
    }
    this.ctx.waitUntil(this.#runToEnd(record));
  }

  async #runToEnd(record: CopyRecord): Promise<void> {
    const { id, request } = record;
    const controller = new AbortController();
    let running: Running | null = null;
    try {
      const { source, target, slotsAt, close, sendOffers } = this.#openEnds({
        env: this.env,
        job: id,
        request,
        signal: controller.signal,
        beforeRequest: () => {
          if (running?.refusing !== false || controller.signal.aborted) {
            throw endedError();
          }
        },
      });
      const run = new CopyRun({
        id,
        request,
        ledger: this.#ledger,
        events: this.#events,
        source,
        target,
        places: placesOf(this.env, request),
        now: Date.now,
        sendOffers,
        addReferrer: (addition) => addReferrerAt(this.env, request.target.host, addition, () => this.#hasEnded()),
      });
      running = { run, slotsAt, controller, close, refusing: false };
      this.#running = running;
      await run.toEnd();
      this.#end("succeeded", null);
    } catch (error) {
      this.#runFailed(running, errorDetailOf(error));
    } finally {
      running?.close();
      if (this.#running === running) {
        this.#running = null;
      }
    }
  }

  /** In a dry run both ends only say what they would do. */
  #openEnds(options: RegistriesOptions): RunEnds {
    const opened = openRegistries(options);
    const { job, request, signal } = options;
    if (request.dryRun === true) {
      const refuse = (error: unknown) => this.#running?.run.refuse(error);
      return dryEnds(opened, signal, (settlements) => this.settled(settlements), refuse);
    }
    const { host } = request.target;
    return { ...opened, sendOffers: (offers) => this.#hostOffers.send({ job, host }, offers) };
  }

  /** Names of which the copy's end leaves open whether the target has them. */
  #warnOfNames(names: readonly string[], state: CopyState): void {
    const { host } = required(this.#record()).request.target;
    const how = state === "failed" ? "Failed" : "Cancelled";
    this.#events.warn(
      names.map(
        (name) =>
          `${how} while ${name} was on the way to ${host}, which had not answered clearly: look whether it has it.`,
      ),
    );
  }

  #runFailed(running: Running | null, error: ErrorDetail): void {
    if (running?.refusing === true) {
      this.#end("cancelled", null);
    } else if (error.code !== "internal") {
      this.#end("failed", error);
    }
    if (this.#hasEnded()) {
      return;
    }
    this.#logCrash(error);
    running?.run.book();
    running?.run.stop(error);
    running?.controller.abort(error);
    const crashes = this.#ledger.crashed(error);
    if (crashes >= MAX_CRASHES) {
      this.#end("failed", error);
    } else {
      void this.ctx.storage.setAlarm(Date.now() + FIRST_CRASH_PAUSE_MS * 2 ** crashes);
    }
  }

  /** The one place where a copy ends; what it finds ended stays as it is. */
  #end(state: Exclude<CopyState, "accepted" | "running">, error: ErrorDetail | null): void {
    const running = this.#running;
    if (!this.#ledger.end(state, error, Date.now())) {
      return;
    }
    // Also names of a run that this object has forgotten.
    const unclear = new Set([...(running?.run.unclearNames ?? []), ...this.#ledger.tags.underWay()]);
    const failsAll = state === "failed" && !isRepositoryCopy(required(this.#record()).request);
    this.#ledger.tags.endRest(failsAll ? "failed" : "cancelled", failsAll ? error : null);
    running?.run.book();
    this.#warnOfNames([...unclear], state);
    this.#events.append({ type: "state", data: required(this.#view()) });
    this.#events.end();
    running?.run.stop(endedError());
    running?.controller.abort(endedError());
    this.#ended.resolve();
    this.ctx.waitUntil(this.#sayFarewell().catch((failure: unknown) => this.#logCrash(errorDetailOf(failure))));
  }

  /** Tells everybody of the end; the alarm repeats it until both have heard. */
  #sayFarewell(): Promise<void> {
    this.#farewell ??= this.#tellEnd().finally(() => {
      this.#farewell = null;
    });
    return this.#farewell;
  }

  async #tellEnd(): Promise<void> {
    const record = this.#record();
    if (record === null || record.told) {
      return;
    }
    await this.#hostOffers.quiet();
    await tellOfEnd(this.env, record.request.target.host, required(this.#view()));
    this.#ledger.told();
    await this.ctx.storage.setAlarm((record.doneMs ?? Date.now()) + KEPT_MS);
  }

  /** Gives the object's storage back when its time is over. */
  async #clear({ doneMs }: CopyRecord): Promise<void> {
    const untilMs = (doneMs ?? 0) + KEPT_MS;
    if (Date.now() < untilMs) {
      await this.ctx.storage.setAlarm(untilMs);
      return;
    }
    this.#cleared = true;
    await this.ctx.storage.deleteAll();
  }

  /** Offers blobs that a mirror could not send from where they are to be read now. */
  async #offerElsewhere({ id, request }: CopyRecord, { moved, hasLeftMirror }: Booked): Promise<void> {
    if (!hasLeftMirror) {
      this.#running?.run.offerElsewhere(moved);
      return;
    }
    // What still waits for the mirror would be tried there blob after blob.
    await this.#hostOffers.withdraw({ job: id, host: request.target.host });
    await this.#running?.run.offerAgain();
  }

  #view(): CopyView | null {
    const record = this.#record();
    if (record === null) {
      return null;
    }
    const requests = this.#running?.run.requests ?? record.requests;
    const { tags } = this.#ledger;
    const main = isRepositoryCopy(record.request) ? null : tags.get(MAIN_TAG_ID);
    return copyView(record, this.#ledger.sums(), tags.tally(), main, requests, this.#events.warnings());
  }

  #record(): CopyRecord | null {
    return this.#cleared ? null : this.#ledger.record();
  }

  #hasEnded(): boolean {
    const state = this.#record()?.state;
    return state !== undefined && ENDED_STATES.includes(state);
  }

  #logCrash(error: ErrorDetail): void {
    const line = { msg: "job", job: this.#record()?.id ?? "", operation: error.operation, error: error.message };
    writeLine(line, "error");
  }
}

/** For what is only called where there is a copy. */
function required<T>(found: T | null): T {
  if (found === null) {
    throw new Error("This object has no copy.");
  }
  return found;
}

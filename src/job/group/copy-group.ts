/**
 * Copies of one source to several targets, as a Durable Object: starts a CopyJob for each, reads the source's manifests for
 * all of them, and shows them as one. Each copy goes at its own pace and ends for itself.
 */
import { DurableObject } from "cloudflare:workers";
import { copyIdIn } from "../../copy/copy-id.ts";
import type { CopyRequest } from "../../copy/request.ts";
import type { Env } from "../../env.ts";
import { INDEX_NAME } from "../../ledger/contract.ts";
import { writeLine } from "../../log.ts";
import type { ManifestHead } from "../../registry/contract.ts";
import type { Place } from "../../registry/places.ts";
import { migrate } from "../../storage/migrations.ts";
import { type CopyView, ENDED_STATES, KEPT_MS } from "../contract.ts";
import { EventLog } from "../events.ts";
import { endedError, neverBegun } from "../failures.ts";
import { type OpenSource, openSource, placesOf } from "../registries.ts";
import { untouchedView } from "../view.ts";
import { endOr } from "../waiting.ts";
import type { CopyGroupRpc, GroupEvent, GroupView, SharedManifest, SharedRead } from "./contract.ts";
import { KeptManifests } from "./kept-manifests.ts";
import { GROUP_STEPS, type GroupCopy, GroupLedger, type GroupRecord } from "./ledger.ts";
import { SourceReader } from "./source-reader.ts";
import { groupedCopy, groupView } from "./view.ts";

/** How long a copy's start, or the word of its end, may be lost before it is looked after. */
const WATCH_MS = 20_000;
/** For so long a copy's start is tried: by then 180 times. */
const START_LIMIT_MS = 60 * 60 * 1000;
/** The API waits at most a minute; more would only keep the object in memory. */
const MAX_VIEW_WAIT_MS = 120_000;

export class CopyGroup extends DurableObject<Env> implements CopyGroupRpc {
  readonly #ledger: GroupLedger;
  readonly #kept: KeptManifests;
  readonly #events: EventLog<GroupEvent>;
  #reader: SourceReader | null = null;
  #starting: Promise<void> | null = null;
  #ended = Promise.withResolvers<void>();
  /** Its tables are gone. */
  #cleared = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    migrate(ctx.storage, GROUP_STEPS);
    this.#ledger = new GroupLedger(ctx.storage.sql);
    this.#kept = new KeptManifests(ctx.storage.sql);
    const ended = this.#hasEnded();
    if (ended) {
      this.#ended.resolve();
    }
    this.#events = new EventLog(ctx.storage.sql, Date.now, ended);
  }

  async start(id: string, requests: CopyRequest[]): Promise<GroupView> {
    if (this.#record() === null) {
      if (this.#cleared) {
        throw new Error("These copies were made and have ended long ago.");
      }
      const now = Date.now();
      const copies = requests.map((request, place) => {
        const copy = { id: copyIdIn(id, place), request: { ...request, group: id } };
        return { ...copy, view: untouchedView(copy.id, copy.request, now) };
      });
      this.#ledger.create(id, copies, now);
      void this.ctx.storage.setAlarm(now + WATCH_MS);
      this.#events.append({ type: "state", data: this.#requireView() });
      this.ctx.waitUntil(this.#startAll());
    }
    return this.#requireView();
  }

  async view(waitMs: number): Promise<GroupView | null> {
    if (this.#record() === null) {
      return null;
    }
    if (waitMs > 0) {
      await endOr(Math.min(waitMs, MAX_VIEW_WAIT_MS), this.#ended.promise);
    }
    return this.#view(await this.#look());
  }

  async cancel(): Promise<GroupView | null> {
    if (this.#record() === null) {
      return null;
    }
    this.#ledger.cancel();
    await this.#cancelAll();
    return this.#view(await this.#look());
  }

  async events(lastSeq: number): Promise<ReadableStream<Uint8Array> | null> {
    return this.#record() === null ? null : this.#events.watch(lastSeq);
  }

  async ended(copy: CopyView): Promise<void> {
    if (this.#record() !== null) {
      this.#noteIfEnded(copy);
    }
  }

  async warned(messages: string[]): Promise<void> {
    if (this.#record() !== null && !this.#hasEnded()) {
      this.#events.warn(messages);
    }
  }

  async head(reference: string): Promise<SharedRead<ManifestHead | null>> {
    return this.#openReader()?.head(reference) ?? null;
  }

  async manifest(reference: string): Promise<SharedRead<SharedManifest>> {
    return this.#openReader()?.manifest(reference) ?? null;
  }

  /** The watchdog: rings while copies run, and once more to clear up. */
  override async alarm(): Promise<void> {
    const record = this.#record();
    if (record === null) {
      return;
    }
    if (record.doneMs === null) {
      this.#reader?.rest();
      await this.ctx.storage.setAlarm(Date.now() + WATCH_MS);
      await (record.cancelled ? this.#cancelAll() : this.#startAll());
      await this.#look();
      if (!record.cancelled && Date.now() - record.acceptedMs > START_LIMIT_MS) {
        await this.#giveUpUnstarted();
      }
    } else if (Date.now() < record.doneMs + KEPT_MS) {
      await this.ctx.storage.setAlarm(record.doneMs + KEPT_MS);
    } else {
      this.#cleared = true;
      await this.ctx.storage.deleteAll();
    }
  }

  /** Starts what has not been started. Never rejects: the alarm tries again. */
  #startAll(): Promise<void> {
    this.#starting ??= Promise.all(this.#openCopies().map((copy) => this.#start(copy)))
      .then(() => undefined)
      .finally(() => {
        this.#starting = null;
      });
    return this.#starting;
  }

  async #start({ id, request, started }: GroupCopy): Promise<void> {
    if (started || this.#requireRecord().cancelled) {
      return;
    }
    try {
      const view = await this.env.JOBS.getByName(id).start(id, request);
      if (this.#ledger.started(id)) {
        const isFirst = this.#ledger.copies().filter((copy) => copy.started).length === 1;
        this.#events.append({ type: "copy", data: groupedCopy({ ...view, state: "running" }) });
        if (isFirst) {
          this.#events.append({ type: "state", data: this.#requireView() });
        }
      }
    } catch (error) {
      this.#log(`copy ${id} not started`, error);
    }
  }

  /** Never rejects: the alarm tries again. */
  async #cancelAll(): Promise<void> {
    // What is on its way to a copy's object may not arrive there after the cancellation.
    await this.#starting;
    await Promise.all(
      this.#openCopies().map(async ({ id, view }) => {
        try {
          const copy = await this.env.JOBS.getByName(id).cancel();
          this.#noteIfEnded(copy ?? (await this.#endUnstarted(view, "cancelled")));
        } catch (error) {
          this.#log(`copy ${id} not cancelled`, error);
        }
      }),
    );
  }

  /** Never rejects: the alarm tries again. */
  async #giveUpUnstarted(): Promise<void> {
    const unstarted = this.#openCopies().filter(({ started }) => !started);
    await Promise.all(
      unstarted.map(async ({ id, view }) => {
        try {
          this.#noteIfEnded(await this.#endUnstarted({ ...view, error: neverBegun() }, "failed"));
        } catch (error) {
          this.#log(`copy ${id} not given up`, error);
        }
      }),
    );
  }

  /** Of a copy that has no job nobody else would tell the list: there it would be accepted for ever. */
  async #endUnstarted(view: CopyView, state: "cancelled" | "failed"): Promise<CopyView> {
    const doneAt = new Date().toISOString();
    const ended: CopyView = { ...view, state, times: { ...view.times, doneAt } };
    await this.env.INDEX.getByName(INDEX_NAME).changed(view.id, state, ended);
    return ended;
  }

  /** How the copies stand that have not ended, from themselves. One that cannot be asked is left out. */
  async #look(): Promise<Map<string, CopyView>> {
    const running = this.#openCopies().filter(({ started }) => started);
    const views = await Promise.all(
      running.map(async ({ id }) => {
        try {
          return await this.env.JOBS.getByName(id).view(0);
        } catch (error) {
          this.#log(`copy ${id} not seen`, error);
          return null;
        }
      }),
    );
    const seen = views.filter((view) => view !== null);
    seen.forEach((view) => this.#noteIfEnded(view));
    return new Map(seen.map((view) => [view.id, view]));
  }

  #noteIfEnded(copy: CopyView): void {
    if (!ENDED_STATES.includes(copy.state) || !this.#ledger.ended(copy)) {
      return;
    }
    this.#events.append({ type: "copy", data: groupedCopy(copy) });
    this.#events.warn(copy.warnings);
    if (this.#openCopies().length === 0 && this.#ledger.end(Date.now())) {
      this.#reader?.close();
      this.#kept.clear();
      this.#events.append({ type: "state", data: this.#requireView() });
      this.#events.end();
      this.#ended.resolve();
      void this.ctx.storage.setAlarm(Date.now() + KEPT_MS);
    }
  }

  /** Null: there is nothing to read for. */
  #openReader(): SourceReader | null {
    if (this.#record() === null || this.#hasEnded()) {
      return null;
    }
    this.#reader ??= this.#newReader();
    return this.#reader;
  }

  #newReader(): SourceReader | null {
    const [first, ...others] = this.#ledger.copies().map(({ request }) => request);
    if (first === undefined) {
      return null;
    }
    // What is one copy's target is read from for none: they would find there what they bring.
    const targets = others.map(({ target }) => target);
    const places = placesOf(this.env, first).filter(
      ({ host, repository }) => !targets.some((target) => target.host === host && target.repository === repository),
    );
    return new SourceReader({
      repository: first.source.repository,
      kept: this.#kept,
      places,
      open: () => this.#openSource(first, places),
      onRead: (requests, warnings) => {
        if (!this.#cleared) {
          this.#ledger.countRequests(requests);
          this.#events.warn(warnings);
        }
      },
    });
  }

  #openSource(request: CopyRequest, places: readonly Place[]): OpenSource {
    const controller = new AbortController();
    const { signal } = controller;
    const { id } = this.#requireRecord();
    const beforeRequest = () => signal.throwIfAborted();
    const { source, close } = openSource({ env: this.env, job: id, request, signal, beforeRequest }, places);
    return {
      source,
      close: () => {
        controller.abort(endedError());
        close();
      },
    };
  }

  #openCopies(): GroupCopy[] {
    return this.#ledger.copies().filter(({ state }) => !ENDED_STATES.includes(state));
  }

  /** @param seen Copies as they are now; missing: as they were last written down. */
  #view(seen: ReadonlyMap<string, CopyView> = new Map()): GroupView | null {
    const record = this.#record();
    const [first, ...others] = this.#ledger.copies().map((copy) => viewOf(copy, seen.get(copy.id)));
    return record === null || first === undefined
      ? null
      : groupView({ ...record, warnings: this.#events.warnings() }, [first, ...others]);
  }

  #requireView(): GroupView {
    const view = this.#view();
    if (view === null) {
      throw new Error("This object has no group.");
    }
    return view;
  }

  #record(): GroupRecord | null {
    return this.#cleared ? null : this.#ledger.record();
  }

  #requireRecord(): GroupRecord {
    const record = this.#record();
    if (record === null) {
      throw new Error("This object has no group.");
    }
    return record;
  }

  #hasEnded(): boolean {
    return (this.#record()?.doneMs ?? null) !== null;
  }

  #log(event: string, error: unknown): void {
    const words = error instanceof Error ? error.message : String(error);
    writeLine({ msg: "group", group: this.#record()?.id ?? "", event, error: words }, "error");
  }
}

/** A copy's end is what was written down; before it, what it says itself. */
function viewOf(copy: GroupCopy, seen: CopyView | undefined): CopyView {
  return ENDED_STATES.includes(copy.state) || seen === undefined ? { ...copy.view, state: copy.state } : seen;
}

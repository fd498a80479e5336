/**
 * The events of one copy, or of a group of copies: kept in the `events` table (created in ledger.ts), and handed to watchers as Server-Sent
 * Events. A watcher is a cursor into the table, so that nothing is buffered for one who reads slowly.
 *
 * One message: `id` is the event's `seq` (none for `progress`), `event` its type, `data` the whole CopyEvent as JSON.
 */
import type { CopyEvent } from "./contract.ts";

/** Often enough for proxies that drop silent connections, and the only way to notice that a watcher has gone. */
const HEARTBEAT_MS = 15_000;
/** A watcher that has not read for so many heartbeats is dropped: its stream would keep the object in memory. */
const MAX_MISSED_HEARTBEATS = 4;
/** At most 4 progress events per second, whatever the lanes report. */
const PROGRESS_INTERVAL_MS = 250;
/** Events read from the table at once while a watcher catches up. */
const PAGE_EVENTS = 200;

/** A registry may send a warning with every answer; more than this nobody reads. */
const MAX_WARNINGS = 100;

const HEARTBEAT = ": still here\n\n";

const encoder = new TextEncoder();

interface AnyEvent {
  seq: number;
  at: string;
  type: string;
  data: unknown;
}

/** An event that is kept, before it gets its number and time. */
export type NewEvent<E extends AnyEvent = CopyEvent> = E extends AnyEvent
  ? Exclude<Omit<E, "seq" | "at">, { type: "progress" }>
  : never;

interface Watcher {
  cursor: number;
  /** The newest progress that it has not been sent. */
  progress: string;
  heartbeatDue: boolean;
  missedHeartbeats: number;
  /** Set while it waits for something to read. */
  wake: (() => void) | null;
  fail: (reason: Error) => void;
}

interface EventRow extends Record<string, SqlStorageValue> {
  seq: number;
  at: string;
  type: string;
  data: string;
}

export class EventLog<E extends AnyEvent = CopyEvent> {
  readonly #sql: SqlStorage;
  readonly #now: () => number;
  readonly #watchers = new Set<Watcher>();
  readonly #progress = new Map<string, number>();
  #progressTimer: ReturnType<typeof setTimeout> | null = null;
  #heartbeatTimer: ReturnType<typeof setInterval> | null = null;
  #warnings: Set<string> | null = null;
  #lastSeq: number;
  #ended: boolean;

  /**
   * @param now Milliseconds since the epoch.
   * @param ended The copy has ended: watchers get what is kept, then the end.
   */
  constructor(sql: SqlStorage, now: () => number, ended: boolean) {
    this.#sql = sql;
    this.#now = now;
    this.#ended = ended;
    this.#lastSeq = sql.exec<{ seq: number | null }>("SELECT max(seq) AS seq FROM events").one().seq ?? 0;
  }

  /** Keeps events, in this order, and wakes the watchers. */
  append(...events: NewEvent<E>[]): void {
    this.#append(events);
  }

  #append(events: readonly Omit<AnyEvent, "seq" | "at">[]): void {
    const at = new Date(this.#now()).toISOString();
    for (const event of events) {
      this.#lastSeq += 1;
      this.#sql.exec(
        "INSERT INTO events (seq, at, type, data) VALUES (?, ?, ?, ?)",
        this.#lastSeq,
        at,
        event.type,
        JSON.stringify(event.data),
      );
    }
    this.#wakeAll();
  }

  /** Keeps each warning once. */
  warn(messages: string[]): void {
    if (messages.length === 0) {
      return;
    }
    const known = (this.#warnings ??= new Set(this.warnings()));
    for (const message of messages) {
      if (known.has(message) || known.size >= MAX_WARNINGS) {
        continue;
      }
      known.add(message);
      this.#append([{ type: "warning", data: { message } }]);
    }
  }

  /** Messages of the warnings so far, in their order. */
  warnings(): string[] {
    return this.#sql
      .exec<{ message: string }>("SELECT data ->> 'message' AS message FROM events WHERE type = 'warning' ORDER BY seq")
      .toArray()
      .map((row) => row.message);
  }

  /** Bytes so far of a blob under way: told to who watches just now, not kept. */
  progress(digest: string, bytes: number): void {
    if (this.#watchers.size === 0 || this.#ended) {
      return;
    }
    this.#progress.set(digest, bytes);
    this.#progressTimer ??= setTimeout(() => this.#flushProgress(), PROGRESS_INTERVAL_MS);
  }

  /** A blob is no longer under way. */
  forgetProgress(digest: string): void {
    this.#progress.delete(digest);
  }

  /** Nothing comes after this: every stream ends once its reader has read everything. */
  end(): void {
    this.#ended = true;
    this.#progress.clear();
    this.#wakeAll();
  }

  /** A stream of the events after `lastSeq`. */
  watch(lastSeq: number): ReadableStream<Uint8Array> {
    const watcher: Watcher = {
      cursor: lastSeq,
      progress: "",
      heartbeatDue: false,
      missedHeartbeats: 0,
      wake: null,
      fail: () => {},
    };
    const source: UnderlyingByteSource = {
      type: "bytes",
      start: (controller) => {
        watcher.fail = (reason) => controller.error(reason);
        this.#watchers.add(watcher);
        this.#heartbeatTimer ??= setInterval(() => this.#beat(), HEARTBEAT_MS);
      },
      pull: (controller) => this.#feed(watcher, controller),
      cancel: () => this.#leave(watcher),
    };
    return new ReadableStream(source);
  }

  async #feed(watcher: Watcher, controller: ReadableByteStreamController): Promise<void> {
    watcher.missedHeartbeats = 0;
    while (this.#watchers.has(watcher)) {
      const text = this.#unsent(watcher);
      if (text !== "") {
        controller.enqueue(encoder.encode(text));
        return;
      }
      if (this.#ended) {
        this.#leave(watcher);
        controller.close();
        // A reader with a buffer of its own waits for it to come back, even empty.
        controller.byobRequest?.respond(0);
        return;
      }
      await new Promise<void>((resolve) => {
        watcher.wake = resolve;
      });
    }
  }

  #unsent(watcher: Watcher): string {
    let text = "";
    if (watcher.cursor < this.#lastSeq) {
      const rows = this.#sql
        .exec<EventRow>("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?", watcher.cursor, PAGE_EVENTS)
        .toArray();
      for (const { seq, at, type, data } of rows) {
        // Every part is JSON already; `type` is one of a few plain words.
        text += `id: ${seq}\nevent: ${type}\ndata: {"seq":${seq},"at":"${at}","type":"${type}","data":${data}}\n\n`;
        watcher.cursor = seq;
      }
    }
    text += watcher.progress;
    if (text === "" && watcher.heartbeatDue) {
      text = HEARTBEAT;
    }
    watcher.progress = "";
    watcher.heartbeatDue = false;
    return text;
  }

  #flushProgress(): void {
    this.#progressTimer = null;
    if (this.#progress.size === 0) {
      return;
    }
    const blobs = [...this.#progress].map(([digest, bytes]) => ({ digest, bytes }));
    this.#progress.clear();
    const at = new Date(this.#now()).toISOString();
    const event: CopyEvent = { seq: 0, at, type: "progress", data: { blobs } };
    const text = `event: progress\ndata: ${JSON.stringify(event)}\n\n`;
    for (const watcher of this.#watchers) {
      watcher.progress = text;
    }
    this.#wakeAll();
  }

  #beat(): void {
    for (const watcher of this.#watchers) {
      if (watcher.wake === null) {
        watcher.missedHeartbeats += 1;
        if (watcher.missedHeartbeats < MAX_MISSED_HEARTBEATS) {
          continue;
        }
        this.#leave(watcher);
        watcher.fail(new Error("Dropped: nobody has read these events for a minute; read on from the last id."));
      } else {
        watcher.heartbeatDue = true;
        wake(watcher);
      }
    }
  }

  #wakeAll(): void {
    for (const watcher of this.#watchers) {
      wake(watcher);
    }
  }

  #leave(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    wake(watcher);
    if (this.#watchers.size > 0) {
      return;
    }
    if (this.#heartbeatTimer !== null) {
      clearInterval(this.#heartbeatTimer);
    }
    if (this.#progressTimer !== null) {
      clearTimeout(this.#progressTimer);
    }
    this.#heartbeatTimer = null;
    this.#progressTimer = null;
  }
}

function wake(watcher: Watcher): void {
  const resolve = watcher.wake;
  watcher.wake = null;
  resolve?.();
}

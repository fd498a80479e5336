/** The events of a copy, in a real object's table, read as a watcher reads them. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EventLog } from "../../src/job/events.ts";

const HEARTBEAT_MS = 15_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function inLog(body: (log: EventLog, sql: SqlStorage) => Promise<void>): Promise<void> {
  const stub = env.JOBS.getByName(crypto.randomUUID());
  return runInDurableObject(stub, (_job, state) => {
    const { sql } = state.storage;
    return body(new EventLog(sql, () => 0, false), sql);
  });
}

function note(log: EventLog, ...messages: string[]): void {
  for (const message of messages) {
    log.append({ type: "warning", data: { message } });
  }
}

class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next piece; null at the end. */
  async next(): Promise<string | null> {
    const { done, value } = await this.#reader.read();
    return done ? null : this.#decoder.decode(value);
  }

  /** Numbers of the events in the next piece. */
  async seqs(): Promise<number[]> {
    const text = (await this.next()) ?? "";
    return [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
  }

  leave(): Promise<void> {
    return this.#reader.cancel();
  }
}

test("an event is one message with number, type and the whole event", () =>
  inLog(async (log) => {
    note(log, "line\nbreak");
    expect(await new Reader(log.watch(0)).next()).toBe(
      'id: 1\nevent: warning\ndata: {"seq":1,"at":"1970-01-01T00:00:00.000Z","type":"warning",' +
        '"data":{"message":"line\\nbreak"}}\n\n',
    );
  }));

test("a watcher gets what was before, then what comes, then the end", () =>
  inLog(async (log) => {
    note(log, "a", "b", "c");
    const reader = new Reader(log.watch(1));
    expect(await reader.seqs()).toEqual([2, 3]);
    const pending = reader.seqs();
    note(log, "d");
    expect(await pending).toEqual([4]);
    note(log, "e");
    log.end();
    expect(await reader.seqs()).toEqual([5]);
    expect(await reader.next()).toBeNull();
  }));

test("numbers go on after a restart, and an ended copy's stream ends", () =>
  inLog(async (log, sql) => {
    note(log, "a", "b");
    const later = new EventLog(sql, () => 0, true);
    note(later, "c");
    const reader = new Reader(later.watch(0));
    expect(await reader.seqs()).toEqual([1, 2, 3]);
    expect(await reader.next()).toBeNull();
  }));

test("a long past comes whole and in order", () =>
  inLog(async (log) => {
    note(log, ...Array.from({ length: 450 }, (_, index) => `w${index}`));
    log.end();
    const text = await new Response(log.watch(0)).text();
    expect([...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]))).toEqual(
      Array.from({ length: 450 }, (_, index) => index + 1),
    );
  }));

test("watchers do not disturb one another", () =>
  inLog(async (log) => {
    const [fast, slow] = [new Reader(log.watch(0)), new Reader(log.watch(0))];
    note(log, "a");
    expect(await fast.seqs()).toEqual([1]);
    note(log, "b");
    expect(await fast.seqs()).toEqual([2]);
    expect(await slow.seqs()).toEqual([1, 2]);
  }));

test("a silent stream has a comment every 15 seconds", () =>
  inLog(async (log) => {
    const reader = new Reader(log.watch(0));
    for (let beat = 0; beat < 2; beat += 1) {
      const pending = reader.next();
      await Promise.resolve();
      await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
      expect(await pending).toMatch(/^:.*\n\n$/);
    }
  }));

test("a watcher that does not read for a minute is dropped; one that reads is not", () =>
  inLog(async (log) => {
    const lazy = new Reader(log.watch(0));
    const busy = new Reader(log.watch(0));
    for (let beat = 0; beat < 4; beat += 1) {
      const pending = busy.next();
      await Promise.resolve();
      await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
      await pending;
    }
    await expect(lazy.next()).rejects.toThrow("Dropped");
    note(log, "a");
    expect(await busy.seqs()).toEqual([1]);
  }));

test("a watcher that reads slowly, and has not caught up for a minute, is not dropped", () =>
  inLog(async (log) => {
    note(log, ...Array.from({ length: 5_000 }, (_, index) => `w${index}`));
    const slow = new Reader(log.watch(0));
    for (let beat = 0; beat < 6; beat += 1) {
      // A few hundred events, in the small pieces in which the runtime hands them on.
      for (let piece = 0; piece < 10; piece += 1) {
        await slow.next();
      }
      await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    }
    expect((await slow.seqs()).at(-1)).toBeLessThan(5_000);
  }));

test("the last watcher that leaves takes the timers along", () =>
  inLog(async (log) => {
    const reader = new Reader(log.watch(0));
    const pending = reader.next();
    log.progress("sha256:a", 1);
    expect(vi.getTimerCount()).toBe(2);
    await vi.advanceTimersByTimeAsync(250);
    await pending;
    await reader.leave();
    expect(vi.getTimerCount()).toBe(0);
  }));

test("progress is told four times a second, the newest of each blob, and not kept", () =>
  inLog(async (log) => {
    const reader = new Reader(log.watch(0));
    const pending = reader.next();
    for (let bytes = 1; bytes <= 100; bytes += 1) {
      log.progress("sha256:a", bytes);
    }
    log.progress("sha256:b", 7);
    log.progress("sha256:done", 9);
    log.forgetProgress("sha256:done");
    await vi.advanceTimersByTimeAsync(250);
    expect(await pending).toBe(
      'event: progress\ndata: {"seq":0,"at":"1970-01-01T00:00:00.000Z","type":"progress","data":{"blobs":' +
        '[{"digest":"sha256:a","bytes":100},{"digest":"sha256:b","bytes":7}]}}\n\n',
    );
    note(log, "kept");
    expect(await reader.seqs()).toEqual([1]);
    expect(await new Reader(log.watch(0)).seqs()).toEqual([1]);
  }));

test("nothing is told of progress once the copy has ended", () =>
  inLog(async (log) => {
    const reader = new Reader(log.watch(0));
    const pending = reader.next();
    log.progress("sha256:a", 1);
    note(log, "the end");
    await pending;
    log.end();
    await vi.advanceTimersByTimeAsync(250);
    expect(await reader.next()).toBeNull();
  }));

test("without watchers progress costs nothing", () =>
  inLog(async (log) => {
    log.progress("sha256:a", 1);
    expect(vi.getTimerCount()).toBe(0);
  }));

test("each warning is kept once, also after a restart, and not without bound", () =>
  inLog(async (log, sql) => {
    log.warn(["one", "two", "one"]);
    const later = new EventLog(sql, () => 0, false);
    later.warn(["two", "three"]);
    expect(later.warnings()).toEqual(["one", "two", "three"]);
    later.warn(Array.from({ length: 500 }, (_, index) => `more ${index}`));
    expect(later.warnings()).toHaveLength(100);
  }));

/** The Notifier's object: what it keeps, when it sends again, what becomes of what nobody takes. The receiver is `fetch`. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { CopyView } from "../../src/job/contract.ts";
import { Notifier } from "../../src/notify/notifier.ts";
import { Outbox } from "../../src/notify/outbox.ts";
import { MAX_ATTEMPTS } from "../../src/notify/policy.ts";

const SECRETS = { ops: `whsec_${btoa("k".repeat(32))}`, chat: `whsec_${btoa("c".repeat(32))}` };
const OPS = { name: "ops", url: "https://ops.example/hook" };
const CHAT = { name: "chat", url: "https://chat.example/hook", events: ["failed"] };

let count = 0;

interface Sent {
  url: string;
  id: string;
  type: string;
}

/** Answers every request with these statuses in turn, the last one for ever. */
function receiver(...statuses: number[]): Sent[] {
  const sent: Sent[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    const event = await request.json<{ type: string }>();
    sent.push({ url: request.url, id: request.headers.get("webhook-id") ?? "", type: event.type });
    const status = (statuses.length > 1 ? statuses.shift() : statuses[0]) ?? 500;
    return new Response(null, { status });
  });
  return sent;
}

afterEach(() => {
  vi.restoreAllMocks();
});

/** A Notifier of its own for every test, with these receivers. */
function fresh(receivers: object[] = [OPS]) {
  const stub = env.NOTIFIER.getByName(`test-${++count}`);
  const settings = { ...env, NOTIFICATIONS: receivers, NOTIFICATION_SECRETS: SECRETS };
  return {
    stub,
    inside: <T>(work: (notifier: Notifier, ring: () => Promise<void>) => Promise<T>): Promise<T> =>
      runInDurableObject(stub, (_bare, state) => {
        const notifier = new Notifier(state, settings);
        return work(notifier, async () => {
          // What is under way ends first; then everything that waits is due.
          await notifier.alarm();
          state.storage.sql.exec("UPDATE messages SET next_at_ms = 0 WHERE next_at_ms IS NOT NULL");
          await notifier.alarm();
        });
      }),
  };
}

function ended(state: CopyView["state"], changes: Partial<CopyView> = {}): CopyView {
  const tally = { all: 0, copied: 0, mounted: 0, present: 0 };
  return {
    id: `cp_${String(++count).padStart(26, "0")}`,
    state,
    dryRun: false,
    asked: null,
    group: null,
    source: { reference: "a.example/x:1", digest: null },
    target: { reference: "b.example/x:1", digest: null },
    tags: { all: 1, copied: 0, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 },
    blobs: tally,
    bytes: tally,
    manifests: { all: 0, copied: 0, present: 0 },
    requests: { source: 0, target: 0 },
    times: { acceptedAt: "2026-11-24T08:00:00.000Z", firstByteAt: null, doneAt: "2026-11-24T08:00:01.000Z" },
    warnings: [],
    error: null,
    ...changes,
  };
}

describe("the end of a copy", () => {
  test("is told to every receiver that wants it, once, however often the copy tells it", async () => {
    const sent = receiver(204);
    const { inside } = fresh([OPS, CHAT]);
    const [good, bad] = [ended("succeeded"), ended("failed")];
    await inside(async (notifier, ring) => {
      await Promise.all([notifier.ended(good), notifier.ended(good), notifier.ended(bad)]);
      await ring();
      await notifier.ended(good);
      await ring();
      expect(await notifier.counts()).toEqual({ pending: 0, dead: 0, delivered: 3, refused: 0 });
    });
    expect(sent.map(({ url, type }) => `${new URL(url).hostname} ${type}`).sort()).toEqual([
      "chat.example dev.drayage.copy.failed",
      "ops.example dev.drayage.copy.failed",
      "ops.example dev.drayage.copy.succeeded",
    ]);
  });

  test("is told again under the same id until it is taken", async () => {
    const sent = receiver(500, 503, 204);
    const { inside } = fresh();
    const copy = ended("failed");
    await inside(async (notifier, ring) => {
      await notifier.ended(copy);
      await expect.poll(async () => (await notifier.counts()).refused).toBe(1);
      const { entries } = await notifier.list({ state: "pending", limit: 10 });
      expect(entries).toMatchObject([{ copy: copy.id, receiver: "ops", attempts: 1, reason: "answered 500" }]);
      expect(entries[0]?.nextAtMs).toBeGreaterThan(Date.now());
      await ring();
      await ring();
      expect(await notifier.counts()).toEqual({ pending: 0, dead: 0, delivered: 1, refused: 2 });
    });
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ id }) => id))).toEqual(new Set([copy.id.replace("cp_", "evt_")]));
  });

  test("survives its object: what was under way comes again by the alarm", async () => {
    const { stub, inside } = fresh();
    vi.spyOn(globalThis, "fetch").mockImplementation(() => new Promise(() => {}));
    await inside((notifier) => notifier.ended(ended("failed")));
    vi.restoreAllMocks();
    const sent = receiver(204);
    await runInDurableObject(stub, (_bare, { storage }) => {
      storage.sql.exec("UPDATE messages SET next_at_ms = 0");
    });
    await inside((notifier) => notifier.alarm());
    expect(sent).toHaveLength(1);
  });

  test("of a dry run, or one that nobody wants, makes no message", async () => {
    const sent = receiver(204);
    const { inside } = fresh([CHAT]);
    await inside(async (notifier) => {
      await notifier.ended(ended("failed", { dryRun: true }));
      await notifier.ended(ended("succeeded"));
      await notifier.ended(ended("running"));
      expect(await notifier.counts()).toEqual({ pending: 0, dead: 0, delivered: 0, refused: 0 });
    });
    expect(sent).toEqual([]);
  });

  test("leaves no alarm once it is told", async () => {
    receiver(204);
    const { stub, inside } = fresh();
    await inside(async (notifier) => {
      await notifier.ended(ended("failed"));
      await expect.poll(async () => (await notifier.counts()).delivered).toBe(1);
    });
    await expect.poll(() => runInDurableObject(stub, (_bare, { storage }) => storage.getAlarm())).toBeNull();
    expect(await runDurableObjectAlarm(stub)).toBe(false);
  });
});

describe("a message that nobody takes", () => {
  test("is dead after its last attempt, listed, and can be sent again or forgotten", async () => {
    const sent = receiver(500);
    const { inside } = fresh();
    await inside(async (notifier, ring) => {
      await notifier.ended(ended("failed"));
      for (let attempt = 1; attempt < MAX_ATTEMPTS + 3; attempt += 1) {
        await ring();
      }
      expect(sent).toHaveLength(MAX_ATTEMPTS);
      const { entries } = await notifier.list({ state: "dead", limit: 10 });
      expect(entries).toMatchObject([{ attempts: MAX_ATTEMPTS, nextAtMs: null, reason: "answered 500" }]);
      const id = entries[0]?.id ?? "";

      vi.restoreAllMocks();
      const again = receiver(204);
      expect(await notifier.retry(id)).toMatchObject({ id, attempts: 0 });
      await expect.poll(async () => (await notifier.counts()).delivered).toBe(1);
      expect(again.map((each) => each.id)).toEqual([sent[0]?.id]);
      expect([await notifier.retry(id), await notifier.discard(id)]).toEqual([null, false]);
    });
  });

  test("is dead at once when its receiver is configured no more", async () => {
    receiver(500);
    const { stub, inside } = fresh();
    await inside((notifier) => notifier.ended(ended("failed")));
    await runInDurableObject(stub, async (_bare, state) => {
      const other = new Notifier(state, { ...env, NOTIFICATIONS: [CHAT], NOTIFICATION_SECRETS: SECRETS });
      await other.alarm();
      const { entries } = await other.list({ state: "dead", limit: 10 });
      expect(entries).toMatchObject([{ receiver: "ops", reason: expect.stringMatching(/no receiver of this name/) }]);
      expect(await other.discard(entries[0]?.id ?? "")).toBe(true);
      expect(await other.counts()).toMatchObject({ pending: 0, dead: 0 });
    });
  });

  test("does not hold up other receivers", async () => {
    const taken: string[] = [];
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      const { hostname } = new URL(new Request(input, init).url);
      if (hostname === "ops.example") {
        return new Promise(() => {});
      }
      taken.push(hostname);
      return new Response(null, { status: 204 });
    });
    const { inside } = fresh([OPS, CHAT]);
    await inside(async (notifier) => {
      for (let n = 0; n < 10; n += 1) {
        await notifier.ended(ended("failed"));
      }
      await expect.poll(() => taken.length).toBe(10);
    });
  });

  test("is found page by page", async () => {
    receiver(410);
    const { inside } = fresh();
    await inside(async (notifier) => {
      for (let n = 0; n < 3; n += 1) {
        await notifier.ended(ended("failed"));
      }
      await expect.poll(async () => (await notifier.counts()).dead).toBe(3);
      const first = await notifier.list({ state: "dead", limit: 2 });
      const second = await notifier.list({ state: "dead", limit: 2, cursor: first.next ?? "" });
      expect([first.entries.length, second.entries.length, second.next]).toEqual([2, 1, null]);
    });
  });

  test("is found page by page though those of the page before have been forgotten meanwhile", async () => {
    receiver(410);
    const { inside } = fresh();
    await inside(async (notifier) => {
      for (let n = 0; n < 4; n += 1) {
        await notifier.ended(ended("failed"));
      }
      await expect.poll(async () => (await notifier.counts()).dead).toBe(4);
      const first = await notifier.list({ state: "dead", limit: 2 });
      for (const { id } of first.entries) {
        expect(await notifier.discard(id)).toBe(true);
      }
      const second = await notifier.list({ state: "dead", limit: 2, cursor: first.next ?? "" });
      expect(second.entries).toHaveLength(2);
      expect((await notifier.list({ state: "dead", limit: 2, cursor: "nonsense" })).entries).toEqual([]);
    });
  });

  test("is not looked at for each one that is sent: a receiver that was down for long gets thousands", async () => {
    await runInDurableObject(env.NOTIFIER.getByName(`test-${++count}`), (_bare, { storage: { sql } }) => {
      for (let n = 0; n < 500; n += 1) {
        const message = { event: `evt_${n}`, receiver: n === 0 ? "gone" : "ops", copy: `cp_${n}`, body: "{}" };
        new Outbox(sql).put(message.copy, [{ ...message, state: "failed" }], 1_000 + n);
      }
      const asked: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
      const counting = new Proxy(sql, {
        get: (target, name) =>
          name === "exec"
            ? (...query: Parameters<SqlStorage["exec"]>) => {
                const cursor = target.exec(...query);
                asked.push(cursor);
                return cursor;
              }
            : Reflect.get(target, name),
      });
      const outbox = new Outbox(counting);
      outbox.giveUpOthers(["ops"]);
      expect(outbox.nextAtMs()).toBe(1_001);
      expect(outbox.list("dead", 10).entries).toMatchObject([{ receiver: "gone" }]);
      expect(asked.reduce((sum, { rowsRead }) => sum + rowsRead, 0)).toBeLessThan(50);
    });
  });
});

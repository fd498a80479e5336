import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { ROOT } from "../../src/access/contract.ts";

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

function indexOf(name: string) {
  return env.INDEX.getByName(`test-${name}`);
}

type Index = ReturnType<typeof indexOf>;

function entry(id: string, key?: string, fingerprint = "same") {
  const hosts = ["source", "target"];
  return {
    id,
    source: `source/${id}`,
    target: `target/${id}`,
    fingerprint,
    hosts,
    by: ROOT,
    ...(key === undefined ? {} : { key }),
  };
}

async function ids(index: Index, query: Partial<Parameters<Index["list"]>[0]> = {}): Promise<string[]> {
  const { copies } = await index.list({ limit: 100, ...query });
  return copies.map(({ id }) => id);
}

/** Makes everything that is stored older by so much. */
async function age(index: Index, ms: number): Promise<void> {
  await runInDurableObject(index, (_, { storage }) => {
    storage.sql.exec("UPDATE idempotency_keys SET at_ms = at_ms - ?", ms);
    storage.sql.exec("UPDATE copies SET accepted_at_ms = accepted_at_ms - ?", ms);
  });
}

describe("the registry hosts", () => {
  test("are those that copies have named, the last one first, each once", async () => {
    const index = indexOf("hosts");
    await index.register({ ...entry("a"), hosts: ["old.example", "both.example"] });
    await runInDurableObject(index, (_, { storage }) => {
      storage.sql.exec("UPDATE hosts SET first_used_at_ms = 1000, last_used_at_ms = 1000");
    });
    await index.register({ ...entry("b"), hosts: ["both.example", "both.example"] });
    const hosts = await index.hosts();
    expect(hosts.map(({ host }) => host)).toEqual(["both.example", "old.example"]);
    expect(hosts.map(({ firstUsedAtMs }) => firstUsedAtMs)).toEqual([1000, 1000]);
    expect(hosts[0]?.lastUsedAtMs).toBeGreaterThan(1000);
  });

  test("are at most a thousand: the ones that were not used for longest go", async () => {
    const index = indexOf("many-hosts");
    await index.register(entry("first"));
    await runInDurableObject(index, (_, { storage }) => {
      storage.sql.exec(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1005)
         INSERT INTO hosts SELECT 'host-' || i, i, i FROM n`,
      );
    });
    await index.register({ ...entry("last"), hosts: ["newest"] });
    const hosts = (await index.hosts()).map(({ host }) => host);
    expect(hosts).toHaveLength(1_000);
    expect(hosts[0]).toBe("newest");
    expect(hosts).toContain("host-1005");
    expect(hosts).not.toContain("host-8");
  });
});

describe("the list", () => {
  test("is newest first and comes in pages without gap or repetition", async () => {
    const index = indexOf("pages");
    for (const id of ["a", "b", "c", "d", "e"]) {
      await index.register(entry(id));
    }
    const pages: string[][] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page: Awaited<ReturnType<Index["list"]>> = await index.list({ limit: 2, ...(cursor ? { cursor } : {}) });
      pages.push(page.copies.map(({ id }) => id));
      cursor = page.next;
      // What is registered while someone turns pages does not move the pages.
      await index.register(entry(`later-${pages.length}`));
    }
    expect(pages).toEqual([["e", "d"], ["c", "b"], ["a"]]);
  });

  test("is empty at first", async () => {
    expect(await indexOf("empty").list({ limit: 10 })).toEqual({ copies: [], next: null });
  });

  test("a last page that is full has no next one", async () => {
    const index = indexOf("full-page");
    await index.register(entry("a"));
    await index.register(entry("b"));
    expect((await index.list({ limit: 2 })).next).toBeNull();
  });

  test("shows one state only, in pages as well", async () => {
    const index = indexOf("states");
    for (const id of ["a", "b", "c", "d"]) {
      await index.register(entry(id));
    }
    for (const id of ["a", "b", "d"]) {
      await index.changed(id, "failed");
    }
    const first = await index.list({ limit: 2, state: "failed" });
    expect(first.copies.map(({ id }) => id)).toEqual(["d", "b"]);
    expect(await ids(index, { state: "failed", ...(first.next === null ? {} : { cursor: first.next }) })).toEqual([
      "a",
    ]);
    expect(await ids(index, { state: "accepted" })).toEqual(["c"]);
  });

  test("survives eviction", async () => {
    const index = indexOf("evicted");
    await index.register(entry("a"));
    await index.changed("a", "succeeded");
    const before = await index.list({ limit: 10 });
    await evictDurableObject(index);
    expect(await indexOf("evicted").list({ limit: 10 })).toEqual(before);
    expect(before.copies).toMatchObject([{ id: "a", state: "succeeded", source: "source/a", target: "target/a" }]);
  });
});

describe("states", () => {
  test("an end has a time, and nothing comes after it", async () => {
    const index = indexOf("ended");
    await index.register(entry("a"));
    await index.changed("a", "running");
    expect((await index.list({ limit: 1 })).copies).toMatchObject([{ state: "running", doneAtMs: null }]);
    await index.changed("a", "cancelled");
    const [ended] = (await index.list({ limit: 1 })).copies;
    expect(ended).toMatchObject({ state: "cancelled", doneAtMs: expect.any(Number) });
    await index.changed("a", "running");
    await index.changed("a", "failed");
    await index.register(entry("a"));
    expect((await index.list({ limit: 1 })).copies).toEqual([ended]);
  });

  test("a state that is known before the copy is registered waits for it unseen", async () => {
    const index = indexOf("early");
    await index.changed("a", "running");
    expect(await ids(index)).toEqual([]);
    await index.changed("a", "accepted");
    await index.register(entry("a"));
    expect((await index.list({ limit: 1 })).copies).toMatchObject([{ id: "a", state: "running", source: "source/a" }]);
  });
});

describe("idempotency keys", () => {
  test("the same key: the first copy for the same request, a conflict for another", async () => {
    const index = indexOf("keys");
    expect(await index.register(entry("a", "k"))).toEqual({ kind: "created", id: "a" });
    expect(await index.register(entry("b", "k"))).toEqual({ kind: "known", id: "a" });
    expect(await index.register(entry("c", "k", "other"))).toEqual({ kind: "conflict", id: "a" });
    expect(await index.register(entry("d", "K"))).toEqual({ kind: "created", id: "d" });
    expect(await ids(index)).toEqual(["d", "a"]);
  });

  test("the same registration a second time, its answer having been lost, is created again", async () => {
    const index = indexOf("repeated");
    await index.register(entry("a", "k"));
    expect(await index.register(entry("a", "k"))).toEqual({ kind: "created", id: "a" });
    expect(await ids(index)).toEqual(["a"]);
  });

  test("survive eviction, and 24 hours, and no longer", async () => {
    const index = indexOf("expiry");
    await index.register(entry("a", "k"));
    await evictDurableObject(index);
    await age(index, DAY_MS - HOUR_MS);
    expect(await index.register(entry("b", "k"))).toEqual({ kind: "known", id: "a" });
    await age(index, HOUR_MS);
    expect(await index.register(entry("c", "k", "other"))).toEqual({ kind: "created", id: "c" });
    expect(await index.register(entry("d", "k"))).toEqual({ kind: "conflict", id: "c" });
  });

  test("are cleared by an alarm, which rings only while there are any", async () => {
    const index = indexOf("alarm");
    await index.register(entry("a"));
    expect(await runDurableObjectAlarm(index)).toBe(false);
    await index.register(entry("b", "old"));
    await age(index, DAY_MS);
    await index.register(entry("c", "new"));
    expect(await runDurableObjectAlarm(index)).toBe(true);
    const keys = await runInDurableObject(index, (_, { storage }) =>
      storage.sql.exec<{ key: string }>("SELECT key FROM idempotency_keys").toArray(),
    );
    expect(keys).toEqual([{ key: "new" }]);
    await age(index, DAY_MS);
    expect(await runDurableObjectAlarm(index)).toBe(true);
    expect(await runDurableObjectAlarm(index)).toBe(false);
  });
});

describe("old entries", () => {
  test("go after 30 days, a few at each registration", async () => {
    const index = indexOf("old");
    for (let count = 0; count < 6; count += 1) {
      await index.register(entry(`old-${count}`));
    }
    await age(index, 30 * DAY_MS + 1);
    await index.register(entry("a"));
    expect(await ids(index)).toEqual(["a", "old-5", "old-4"]);
    await index.register(entry("b"));
    expect(await ids(index)).toEqual(["b", "a"]);
  });

  test("go when there are more than 100,000", async () => {
    const index = indexOf("many");
    await runInDurableObject(index, (_, { storage }) => {
      storage.sql.exec(
        `WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 100002)
         INSERT INTO copies (id, state, source, target, accepted_at_ms) SELECT 'c' || n, 'failed', 's', 't', ? FROM counted`,
        Date.now(),
      );
    });
    await index.register(entry("newest"));
    const { rows, oldest } = await runInDurableObject(index, (_, { storage }) =>
      storage.sql.exec<{ rows: number; oldest: number }>("SELECT count(*) AS rows, min(n) AS oldest FROM copies").one(),
    );
    expect({ rows, oldest }).toEqual({ rows: 100_000, oldest: 4 });
  });
});

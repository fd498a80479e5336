/** API keys, limits and visibility, as the index keeps and enforces them. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { ROOT, type Limits, type Principal, type Scopes } from "../../src/access/contract.ts";
import { STEPS } from "../../src/ledger/schema.ts";
import { migrate } from "../../src/storage/migrations.ts";

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

const SCOPES: Scopes = { sources: ["ghcr.io/acme/**"], targets: ["quay.io/acme/**"], actions: ["copy", "read"] };

function indexOf(name: string) {
  return env.INDEX.getByName(`test-keys-${name}`);
}

type Index = ReturnType<typeof indexOf>;

function newKey(id: string, more: Partial<Parameters<Index["makeKey"]>[0]> = {}) {
  return {
    id,
    hash: `hash of ${id}`,
    name: id,
    maker: "root",
    scopes: SCOPES,
    limits: {},
    budget: id,
    expiresAtMs: null,
    ...more,
  };
}

/** Makes everything that is stored older by so much. */
async function age(index: Index, ms: number): Promise<void> {
  await runInDurableObject(index, (_, { storage }) => {
    storage.sql.exec("UPDATE copies SET accepted_at_ms = accepted_at_ms - ?", ms);
    storage.sql.exec(
      `UPDATE keys SET created_at_ms = created_at_ms - ?1, expires_at_ms = expires_at_ms - ?1,
       revoked_at_ms = revoked_at_ms - ?1, last_used_at_ms = last_used_at_ms - ?1`,
      ms,
    );
  });
}

async function idsOf(index: Index): Promise<string[]> {
  return (await index.listKeys({ limit: 100 })).keys.map(({ id }) => id);
}

describe("a key", () => {
  test("is found by its hash, and is its bearer's principal, also after an eviction", async () => {
    const index = indexOf("found");
    await index.makeKey(newKey("key_a", { limits: { copiesAtOnce: 2 } }));
    await evictDurableObject(index);
    expect(await indexOf("found").principalByHash("hash of key_a")).toEqual({
      id: "key_a",
      name: "key_a",
      kind: "key",
      scopes: SCOPES,
      limits: { copiesAtOnce: 2 },
      budget: "key_a",
      expiresAtMs: null,
    });
  });

  test("that there never was, that was revoked or that has expired is nobody's", async () => {
    const index = indexOf("nobody");
    await index.makeKey(newKey("key_revoked"));
    await index.makeKey(newKey("key_expired", { expiresAtMs: Date.now() + HOUR_MS }));
    expect(await index.principalByHash("hash of key_expired")).not.toBeNull();
    await index.revokeKey("key_revoked");
    await age(index, HOUR_MS);
    for (const id of ["key_never", "key_revoked", "key_expired"]) {
      expect(await index.principalByHash(`hash of ${id}`)).toBeNull();
    }
  });

  test("was last used in an hour, and is written to once in it", async () => {
    const index = indexOf("used");
    await index.makeKey(newKey("key_a"));
    expect((await index.listKeys({ limit: 1 })).keys[0]?.lastUsedAtMs).toBeNull();
    await index.principalByHash("hash of key_a");
    const [used] = (await index.listKeys({ limit: 1 })).keys;
    expect((used?.lastUsedAtMs ?? 1) % HOUR_MS).toBe(0);
    await age(index, 2 * HOUR_MS);
    await index.principalByHash("hash of key_a");
    expect((await index.listKeys({ limit: 1 })).keys[0]?.lastUsedAtMs).toBeGreaterThan(Date.now() - 2 * HOUR_MS);
  });

  test("is kept as a hash: its text is nowhere in the tables", async () => {
    const index = indexOf("hash");
    await index.makeKey(newKey("key_a"));
    const columns = await runInDurableObject(index, (_, { storage }) =>
      Object.keys(storage.sql.exec("SELECT * FROM keys").one()),
    );
    expect(columns).not.toContain("key");
    expect(columns).toContain("hash");
  });
});

describe("revoking", () => {
  test("takes with it what the key has made, and what that has made, and nothing else", async () => {
    const index = indexOf("cascade");
    await index.makeKey(newKey("key_a"));
    await index.makeKey(newKey("key_b", { maker: "key_a" }));
    await index.makeKey(newKey("key_c", { maker: "key_b" }));
    await index.makeKey(newKey("key_other"));
    expect((await index.revokeKey("key_a"))?.revokedAtMs).toBeGreaterThan(0);
    const { keys } = await index.listKeys({ limit: 10 });
    expect(keys.filter(({ revokedAtMs }) => revokedAtMs === null).map(({ id }) => id)).toEqual(["key_other"]);
    expect(await index.makeKey(newKey("key_late", { maker: "key_b" }))).toBe("maker-gone");
  });

  test("a second time changes nothing, and of another's key there is none", async () => {
    const index = indexOf("twice");
    await index.makeKey(newKey("key_a"));
    const first = await index.revokeKey("key_a");
    await age(index, 1000);
    expect((await index.revokeKey("key_a"))?.revokedAtMs).toBe((first?.revokedAtMs ?? 0) - 1000);
    await index.makeKey(newKey("key_b"));
    expect(await index.revokeKey("key_b", "key_a")).toBeNull();
    expect(await index.revokeKey("key_b", "key_b")).not.toBeNull();
    expect(await index.revokeKey("key_none")).toBeNull();
  });
});

describe("the list of keys", () => {
  test("comes in pages, newest first, and shows others only what is theirs", async () => {
    const index = indexOf("pages");
    await index.makeKey(newKey("key_a"));
    await index.makeKey(newKey("key_b", { maker: "key_a" }));
    await index.makeKey(newKey("key_c"));
    await index.makeKey(newKey("key_d", { maker: "key_a" }));
    const first = await index.listKeys({ limit: 3 });
    expect([first.keys.map(({ id }) => id), first.next]).toEqual([["key_d", "key_c", "key_b"], "key_b"]);
    const second = await index.listKeys({ limit: 3, cursor: first.next ?? "" });
    expect([second.keys.map(({ id }) => id), second.next]).toEqual([["key_a"], null]);
    const theirs = await index.listKeys({ limit: 10, maker: "key_a" });
    expect(theirs.keys.map(({ id }) => id)).toEqual(["key_d", "key_b", "key_a"]);
    expect((await index.listKeys({ limit: 10, maker: "key_a", cursor: "key_c" })).keys).toEqual([]);
  });

  test("loses keys that have been gone for 30 days", async () => {
    const index = indexOf("gone");
    await index.makeKey(newKey("key_expired", { expiresAtMs: Date.now() + HOUR_MS }));
    await index.makeKey(newKey("key_revoked"));
    await index.makeKey(newKey("key_good"));
    await index.revokeKey("key_revoked");
    await age(index, 30 * DAY_MS - HOUR_MS);
    await index.makeKey(newKey("key_new"));
    expect(await idsOf(index)).toEqual(["key_new", "key_good", "key_revoked", "key_expired"]);
    await age(index, 2 * HOUR_MS);
    await index.makeKey(newKey("key_newer"));
    expect(await idsOf(index)).toEqual(["key_newer", "key_new", "key_good"]);
  });

  test("a leaked key cannot fill it: others than root have a thousand between them, root has as many as it likes", async () => {
    const index = indexOf("full");
    await index.makeKey(newKey("key_leaked"));
    await runInDurableObject(index, (_, { storage }) => {
      storage.sql.exec(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO keys (id, hash, name, maker, scopes, limits, budget, created_at_ms)
         SELECT 'key_n' || i, 'h' || i, '', 'key_leaked', '{}', '{}', '', 1 FROM n`,
      );
    });
    expect(await index.makeKey(newKey("key_more", { maker: "key_leaked" }))).toBe("too-many");
    expect(await index.makeKey(newKey("key_root"))).toMatchObject({ id: "key_root" });
  });
});

function entry(id: string, maker: Pick<Principal, "id" | "limits" | "budget">, key?: string) {
  return {
    id,
    source: "ghcr.io/acme/app:1",
    target: "quay.io/acme/app:1",
    fingerprint: "same",
    hosts: [],
    by: maker,
    ...(key === undefined ? {} : { key }),
  };
}

function limitedBy(limits: Limits, id = "key_a", budget = id) {
  return { id, limits, budget };
}

describe("copies at once", () => {
  test("are never more than allowed, however many are asked for in the same moment", async () => {
    const index = indexOf("burst");
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, count) => index.register(entry(`c${count}`, limitedBy({ copiesAtOnce: 3 })))),
    );
    expect(answers.filter(({ kind }) => kind === "created")).toHaveLength(3);
    expect(answers.filter(({ kind }) => kind === "limited")).toHaveLength(27);
    expect((await index.list({ limit: 100 })).copies).toHaveLength(3);
  });

  test("are counted until they end, whatever way", async () => {
    const index = indexOf("end");
    const limited = limitedBy({ copiesAtOnce: 1 });
    for (const [count, state] of (["succeeded", "failed", "cancelled"] as const).entries()) {
      expect(await index.register(entry(`c${count}`, limited))).toMatchObject({ kind: "created" });
      await index.changed(`c${count}`, "running");
      expect(await index.register(entry("more", limited))).toMatchObject({
        kind: "limited",
        limit: "copiesAtOnce",
        allowed: 1,
      });
      await index.changed(`c${count}`, state);
    }
  });

  test("one that was registered and never began stops counting, one that runs does not", async () => {
    const index = indexOf("never-began");
    const limited = limitedBy({ copiesAtOnce: 1 });
    await index.register(entry("never-began", limited));
    await age(index, HOUR_MS);
    expect(await index.register(entry("runs", limited))).toMatchObject({ kind: "created" });
    await index.changed("runs", "running");
    await age(index, HOUR_MS);
    expect(await index.register(entry("more", limited))).toMatchObject({ kind: "limited" });
  });
});

describe("copies per hour", () => {
  test("are counted over the last 60 minutes, and the answer says when there is room again", async () => {
    const index = indexOf("hour");
    const limited = limitedBy({ copiesPerHour: 2 });
    await index.register(entry("a", limited));
    await age(index, 40 * 60 * 1000);
    await index.register(entry("b", limited));
    await index.changed("a", "succeeded");
    const answer = await index.register(entry("c", limited));
    expect(answer).toMatchObject({ kind: "limited", limit: "copiesPerHour", allowed: 2 });
    const waitMs = answer.kind === "limited" ? answer.retryAtMs - Date.now() : 0;
    expect(waitMs / 60_000).toBeGreaterThan(19);
    expect(waitMs / 60_000).toBeLessThanOrEqual(20);
    await age(index, waitMs + 1);
    expect(await index.register(entry("c", limited))).toMatchObject({ kind: "created" });
    expect(await index.register(entry("d", limited))).toMatchObject({ kind: "limited" });
  });
});

describe("a limit", () => {
  test("binds its own budget alone, and all who share that", async () => {
    const index = indexOf("budgets");
    const limits = { copiesAtOnce: 1 };
    expect(await index.register(entry("a", limitedBy(limits, "key_a", "shared")))).toMatchObject({ kind: "created" });
    expect(await index.register(entry("b", limitedBy(limits, "key_b", "shared")))).toMatchObject({ kind: "limited" });
    expect(await index.register(entry("c", limitedBy(limits, "key_c")))).toMatchObject({ kind: "created" });
    expect(await index.register(entry("d", ROOT))).toMatchObject({ kind: "created" });
  });

  test("does not stand in the way of a request that is sent again", async () => {
    const index = indexOf("again");
    const limited = limitedBy({ copiesAtOnce: 1, copiesPerHour: 1 });
    expect(await index.register(entry("a", limited, "k"))).toEqual({ kind: "created", id: "a" });
    expect(await index.register(entry("a", limited, "k"))).toEqual({ kind: "created", id: "a" });
    expect(await index.register(entry("b", limited, "k"))).toEqual({ kind: "known", id: "a" });
    expect(await index.register(entry("c", limited, "other"))).toMatchObject({ kind: "limited" });
  });

  test("that refuses a copy leaves its idempotency key unused", async () => {
    const index = indexOf("unused");
    const limited = limitedBy({ copiesAtOnce: 1 });
    await index.register(entry("a", limited));
    expect(await index.register(entry("b", limited, "k"))).toMatchObject({ kind: "limited" });
    await index.changed("a", "succeeded");
    expect(await index.register(entry("c", limited, "k"))).toEqual({ kind: "created", id: "c" });
  });
});

test("an idempotency key is its principal's: the same text of another is another key", async () => {
  const index = indexOf("idempotency");
  expect(await index.register(entry("a", limitedBy({}, "key_a"), "k"))).toEqual({ kind: "created", id: "a" });
  expect(await index.register({ ...entry("b", limitedBy({}, "key_b"), "k"), fingerprint: "other" })).toEqual({
    kind: "created",
    id: "b",
  });
  expect(await index.register(entry("c", limitedBy({}, "key_a"), "k"))).toEqual({ kind: "known", id: "a" });
});

describe("what a viewer sees of the list", () => {
  const viewer = { id: "key_v", scopes: SCOPES };
  const copies: [id: string, owner: string, source: string, target: string, seen: boolean][] = [
    ["own", "key_v", "docker.io/library/alpine:3", "example.com/x/y:1", true],
    ["in-scope", "root", "ghcr.io/acme/app:1", "quay.io/acme/app:1", true],
    ["deep", "key_x", "ghcr.io/acme/a/b/c:1", "quay.io/acme/a:1", true],
    ["source-only", "root", "ghcr.io/acme/app:1", "quay.io/other/app:1", false],
    ["target-only", "root", "ghcr.io/other/app:1", "quay.io/acme/app:1", false],
    ["prefix", "root", "ghcr.io/acme-evil/app:1", "quay.io/acme/app:1", false],
    ["neither", "root", "docker.io/library/alpine:3", "example.com/x/y:1", false],
    ["repository", "root", "ghcr.io/acme/app", "quay.io/acme/app", true],
  ];

  async function filled(name: string): Promise<Index> {
    const index = indexOf(name);
    for (const [id, owner, source, target] of copies) {
      await index.register({ ...entry(id, limitedBy({}, owner)), source, target });
    }
    return index;
  }

  const seen = copies.filter(([, , , , is]) => is).map(([id]) => id);

  test("its own, and those between its repositories; the others are not there", async () => {
    const index = await filled("seen");
    const page = await index.list({ limit: 100, viewer });
    expect(page.copies.map(({ id }) => id)).toEqual(seen.toReversed());
    for (const [id, , , , is] of copies) {
      expect((await index.find(id, viewer)) !== null).toBe(is);
      expect(await index.find(id)).toMatchObject({ id });
    }
  });

  test("pages are full and end where its own end; a cursor at another's copy leads nowhere", async () => {
    const index = await filled("paged");
    const first = await index.list({ limit: 2, viewer });
    expect(first.copies).toHaveLength(2);
    const second = await index.list({ limit: 2, viewer, cursor: first.next ?? "" });
    expect([...first.copies, ...second.copies].map(({ id }) => id)).toEqual(seen.toReversed());
    expect(second.next).toBeNull();
    expect(await index.list({ limit: 2, viewer, cursor: "neither" })).toEqual(
      await index.list({ limit: 2, viewer, cursor: "none" }),
    );
  });

  test("by state as well", async () => {
    const index = await filled("by-state");
    for (const [id] of copies) {
      await index.changed(id, id === "own" ? "failed" : "succeeded");
    }
    expect((await index.list({ limit: 10, viewer, state: "failed" })).copies.map(({ id }) => id)).toEqual(["own"]);
  });

  test.each<[string, Scopes, string[]]>([
    ["without any scope only its own", { sources: [], targets: [], actions: ["read"] }, ["own"]],
    ["whoever may see all sees all", ROOT.scopes, copies.map(([id]) => id).toReversed()],
    [
      "one tag",
      { sources: ["ghcr.io/acme/app:1"], targets: ["**"], actions: ["read"] },
      ["source-only", "in-scope", "own"],
    ],
  ])("%s", async (name, scopes, ids) => {
    const index = await filled(`scopes ${name}`);
    expect((await index.list({ limit: 100, viewer: { id: "key_v", scopes } })).copies.map(({ id }) => id)).toEqual(ids);
  });
});

test("beyond the newest 20,000 copies a viewer sees its own, and no gap", async () => {
  const index = indexOf("far");
  const viewer = { id: "key_v", scopes: SCOPES };
  await index.register(entry("old-shared", ROOT));
  await index.register(entry("old-own", limitedBy({}, "key_v")));
  await runInDurableObject(index, (_, { storage }) => {
    storage.sql.exec(
      `WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 19999)
       INSERT INTO copies (id, state, source, target, accepted_at_ms) SELECT 'c' || n, 'failed', 's.io/a:1', 't.io/a:1', ? FROM counted`,
      Date.now(),
    );
  });
  const ids = async (cursor?: string) =>
    (await index.list({ limit: 10, viewer, ...(cursor === undefined ? {} : { cursor }) })).copies.map(({ id }) => id);
  expect(await ids()).toEqual(["old-own"]);
  await index.register(entry("new-shared", ROOT));
  await index.register(entry("new-own", limitedBy({}, "key_v")));
  expect(await ids()).toEqual(["new-own", "new-shared", "old-own"]);
  expect(await ids("new-shared")).toEqual(["old-own"]);
});

test("what was in the tables before anybody but the operator had keys is the operator's", async () => {
  const index = indexOf("migrated");
  await runInDurableObject(index, (_, { storage }) => {
    const tables = storage.sql.exec<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '_cf%'",
    );
    for (const { name } of tables.toArray()) {
      storage.sql.exec(`DROP TABLE ${name}`);
    }
    migrate(storage, STEPS.slice(0, 2));
    storage.sql.exec("INSERT INTO copies VALUES (7, 'old', 'running', 's.io/a:1', 't.io/a:1', ?, NULL)", Date.now());
    storage.sql.exec("INSERT INTO idempotency_keys VALUES ('k', 'same', 'old', ?)", Date.now());
  });
  await evictDurableObject(index);
  const again = indexOf("migrated");
  expect(await again.find("old")).toMatchObject({ owner: "root", state: "running" });
  expect(await again.register(entry("a", ROOT, "k"))).toEqual({ kind: "known", id: "old" });
  expect(await again.register(entry("b", limitedBy({}), "k"))).toEqual({ kind: "created", id: "b" });
});

/** Rules over patterns in the real index, with stand-ins for the registry that lists and for what starts copies. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { ROOT } from "../../src/access/contract.ts";
import type { RunEntry } from "../../src/ledger/rule-contract.ts";
import type { CatalogPage } from "../../src/registry/catalog.ts";
import { CopyError } from "../../src/registry/errors.ts";
import type { RulePlan } from "../../src/sync/contract.ts";

type Index = ReturnType<typeof env.INDEX.getByName>;
type List = (cursor: string | null) => Promise<CatalogPage>;

const REPOSITORIES = ["other/app", "team/api", "team/web"];

const all: List = async () => ({ repositories: REPOSITORIES, next: null });
const refuses: List = async () => {
  const message = "source.example does not list its repositories for us";
  throw new CopyError({ code: "unsupported", side: "source", host: "", operation: "", retryable: false, message });
};
const never: List = () => new Promise(() => {});

/** Takes the place of the registry and of the jobs, in this object until it dies. */
async function stage(index: Index, list: List): Promise<void> {
  await runInDurableObject(index, (instance) => {
    const JOBS = { getByName: () => ({ start: async () => {} }) };
    const REGISTRIES = { getByName: () => ({ listRepositories: list }) };
    Reflect.set(instance, "env", { ...env, JOBS, REGISTRIES });
  });
}

async function ruleIn(name: string, list: List, plan: Partial<RulePlan> = {}): Promise<Index> {
  const index = env.INDEX.getByName(`surveys-${name}`);
  await stage(index, list);
  await index.putRule({
    name: "mirror",
    body: "{}",
    plan: {
      source: "source.example/team/**",
      target: { host: "target.example", repository: "m/{repository}" },
      choices: {},
      newerThan: null,
      priority: "normal",
      schedule: null,
      ...plan,
    },
    enabled: true,
    push: null,
    by: ROOT,
    condition: { kind: "none" },
    dryRun: false,
  });
  return index;
}

async function settled(index: Index): Promise<RunEntry[]> {
  await runInDurableObject(index, () => new Promise((done) => setTimeout(done)));
  return (await index.listRuns("mirror", { limit: 100 }))?.runs ?? [];
}

const shown = (runs: readonly RunEntry[]) => runs.map(({ source, target, state }) => `${source} ${target} ${state}`);

const LOOK = "source.example/team/** target.example/m/{repository}";
const COPIES = [
  "source.example/team/web target.example/m/team/web running",
  "source.example/team/api target.example/m/team/api running",
];

describe("a run of a rule over a pattern", () => {
  test("is a look through the registry, and a copy of each repository that fits", async () => {
    const index = await ruleIn("fits", all);
    expect(await index.wishAll("mirror")).toEqual({ kind: "started" });
    const runs = await settled(index);
    expect(shown(runs)).toEqual([`${LOOK} succeeded`, ...COPIES]);
    expect(runs[0]).toMatchObject({
      copy: null,
      trigger: "manual",
      result: { reason: "Repositories among the source: 2; 2 copies begun, with all tags." },
    });
    expect((await index.findRule("mirror"))?.open).toEqual({ waiting: 0, running: 2, dueMs: null });
  });

  test("fails with the registry's refusal, and starts nothing", async () => {
    const index = await ruleIn("refused", refuses);
    await index.wishAll("mirror");
    const runs = await settled(index);
    expect(shown(runs)).toEqual([`${LOOK} failed`]);
    expect(runs[0]?.result?.reason).toBe("source.example does not list its repositories for us");
  });

  test("asks again where the registry's object was thrown out of memory", async () => {
    let asked = 0;
    const index = await ruleIn("broken", async (cursor) => {
      if ((asked += 1) === 1) {
        throw new Error("Durable Object was reset");
      }
      return all(cursor);
    });
    await index.wishAll("mirror");
    await expect.poll(async () => shown(await settled(index))).toEqual([`${LOOK} succeeded`, ...COPIES]);
    expect(asked).toBe(2);
  });

  test("starts nothing when a later page fails", async () => {
    const index = await ruleIn("half", async (cursor) =>
      cursor === null ? { repositories: REPOSITORIES, next: "?2" } : refuses(cursor),
    );
    await index.wishAll("mirror");
    expect(shown(await settled(index))).toEqual([`${LOOK} failed`]);
  });

  test("is joined by another while it looks, and taken anew after the object has died meanwhile", async () => {
    const before = await ruleIn("killed", never);
    expect(await before.wishAll("mirror")).toEqual({ kind: "started" });
    expect(await before.wishAll("mirror")).toEqual({ kind: "joined" });
    await abortAllDurableObjects();
    const index = env.INDEX.getByName("surveys-killed");
    await stage(index, all);
    await runInDurableObject(index, (_, { storage }) => {
      storage.sql.exec("UPDATE runs SET due_at_ms = 0 WHERE ended_at_ms IS NULL");
    });
    await index.tick();
    expect(shown(await settled(index))).toEqual([`${LOOK} succeeded`, ...COPIES]);
    await index.tick();
    expect(await settled(index)).toHaveLength(3);
  });

  test("of a rule that is deleted while it looks starts nothing, and leaves nothing behind", async () => {
    let answer: (page: CatalogPage) => void = () => {};
    const index = await ruleIn("deleted", () => new Promise((resolve) => (answer = resolve)));
    await index.wishAll("mirror");
    await index.deleteRule("mirror", { kind: "none" });
    await runInDurableObject(index, () => answer({ repositories: REPOSITORIES, next: null }));
    await settled(index);
    const open = await runInDurableObject(index, (_, { storage }) =>
      storage.sql.exec("SELECT state FROM runs").toArray(),
    );
    expect(open).toEqual([]);
  });

  test("of a rule that is deleted while it looks, and which then fails, leaves nothing behind either", async () => {
    let refuse: () => void = () => {};
    const index = await ruleIn("deleted-and-refused", async (cursor) => {
      await new Promise<void>((resolve) => (refuse = resolve));
      return refuses(cursor);
    });
    await index.wishAll("mirror");
    await index.deleteRule("mirror", { kind: "none" });
    await runInDurableObject(index, () => refuse());
    await settled(index);
    const left = await runInDurableObject(index, (_, { storage }) =>
      storage.sql.exec("SELECT state FROM runs").toArray(),
    );
    expect(left).toEqual([]);
  });

  test("by schedule begins when it is due, and is skipped while copies of the last one are under way", async () => {
    const index = await ruleIn("schedule", all, { schedule: { cron: "0 3 * * *", timeZone: "UTC" } });
    const due = () =>
      runInDurableObject(index, (_, { storage }) => {
        storage.sql.exec("UPDATE rules SET start_at_ms = 1");
      });
    await due();
    await index.tick();
    const runs = await settled(index);
    expect(shown(runs)).toEqual([`${LOOK} succeeded`, ...COPIES]);
    expect(new Set(runs.map(({ trigger }) => trigger))).toEqual(new Set(["schedule"]));
    await due();
    await index.tick();
    const [skipped] = await settled(index);
    expect(skipped).toMatchObject({ state: "skipped", copy: null, startedAtMs: null });
  });
});

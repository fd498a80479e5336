/** Rules in the real index, with a stand-in for what starts copies: it shows who writes where, and when. */
import {
  createScheduledController,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { ROOT } from "../../src/access/contract.ts";
import type { CopyRequest } from "../../src/copy/request.ts";
import type { CopyView } from "../../src/job/contract.ts";
import type { RulePut, RunEntry, Wish } from "../../src/ledger/rule-contract.ts";
import worker from "../../src/index.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { LOCAL_PLACES } from "../../src/ledger/runs.ts";
import { formatReference, parseName } from "../../src/registry/reference.ts";
import type { RulePlan } from "../../src/sync/contract.ts";

type Index = ReturnType<typeof env.INDEX.getByName>;

/** Sources have digests that count up; a copy reads its source when it starts, and writes its target when it lands. */
class Writers {
  readonly source = new Map<string, number>();
  readonly target = new Map<string, number>();
  readonly running = new Map<string, { target: string; digest: number }>();
  readonly started: string[] = [];
  faults: string[] = [];
  broken = false;
  /** Of a start: it may be late, or get lost. */
  answer: () => Promise<void> = async () => {};
  readonly #landed = new Map<string, number>();

  async start(id: string, request: CopyRequest): Promise<void> {
    if (this.broken) {
      throw new Error("overloaded");
    }
    if (this.running.has(id) || this.#landed.has(id)) {
      return;
    }
    const target = formatReference(request.target);
    const others = [...this.running.values()].filter((copy) => copy.target === target);
    this.faults.push(...others.map(() => `two copies to ${target} at once`));
    this.started.push(id);
    this.running.set(id, { target, digest: this.source.get(formatReference(request.source)) ?? 0 });
    await this.answer();
  }

  async land(index: Index, id: string): Promise<void> {
    const copy = this.running.get(id);
    if (copy === undefined) {
      throw new Error(`${id} is not under way`);
    }
    if (copy.digest < (this.target.get(copy.target) ?? 0)) {
      this.faults.push(`an older image over a newer one at ${copy.target}`);
    }
    this.target.set(copy.target, copy.digest);
    this.running.delete(id);
    this.#landed.set(id, copy.digest);
    await index.changed(id, "succeeded", ended(id, copy.digest));
  }

  async landAll(index: Index): Promise<void> {
    await settled(index);
    while (this.running.size > 0) {
      await Promise.all([...this.running.keys()].map((id) => this.land(index, id)));
      await makeDue(index);
    }
  }

  /** Takes the place of the jobs, in this object until it is evicted. */
  async open(index: Index): Promise<void> {
    await runInDurableObject(index, (instance) => {
      const JOBS = {
        getByName: (id: string) => ({
          start: (_: string, request: CopyRequest) => this.start(id, request),
          view: async () => (this.running.has(id) ? { ...ended(id, 0), state: "running" } : null),
        }),
      };
      Reflect.set(instance, "env", { ...env, JOBS });
    });
  }
}

function ended(id: string, digest: number): CopyView {
  const tally = { all: 1, copied: 1, mounted: 0, present: 0 };
  return {
    id,
    state: "succeeded",
    dryRun: false,
    asked: null,
    group: null,
    source: { reference: FROM, digest: digestOf(digest) },
    target: { reference: TO, digest: digestOf(digest) },
    tags: { all: 1, copied: 1, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 },
    blobs: tally,
    bytes: tally,
    manifests: { all: 1, copied: 1, present: 0 },
    requests: { source: 1, target: 1 },
    times: { acceptedAt: new Date(0).toISOString(), firstByteAt: null, doneAt: new Date(0).toISOString() },
    warnings: [],
    error: null,
  };
}

function digestOf(number: number): string {
  return `sha256:${number.toString(16).padStart(64, "0")}`;
}

async function open(name: string): Promise<{ index: Index; writers: Writers }> {
  const index = env.INDEX.getByName(`rules-${name}`);
  const writers = new Writers();
  await writers.open(index);
  return { index, writers };
}

/** What goes on beside a call has come to its end. */
async function settled(index: Index): Promise<void> {
  await runInDurableObject(index, () => new Promise((done) => setTimeout(done)));
}

/** The time that anything waits for has come. */
async function makeDue(index: Index): Promise<void> {
  await runInDurableObject(index, (_, { storage }) => {
    storage.sql.exec("UPDATE runs SET due_at_ms = 0 WHERE ended_at_ms IS NULL");
  });
  await index.tick();
  await settled(index);
}

function planOf(more: Partial<RulePlan> = {}): RulePlan {
  return {
    source: "source.example/team/app",
    target: { host: "target.example", repository: "{repository}" },
    choices: {},
    newerThan: null,
    priority: "normal",
    schedule: null,
    ...more,
  };
}

async function rule(index: Index, name: string, plan: Partial<RulePlan> = {}, more: Partial<RulePut> = {}) {
  const answer = await index.putRule({
    name,
    body: JSON.stringify(plan),
    plan: planOf(plan),
    enabled: true,
    push: { settings: { sender: "auto" }, pathHash: "sha256:x" },
    by: ROOT,
    condition: { kind: "none" },
    dryRun: false,
    ...more,
  });
  return answer;
}

function wish(name: string, from: string, to: string, more: Partial<Wish> = {}): Wish {
  const request = { source: parseName(from), target: parseName(to) };
  return { rule: name, trigger: "push", request, deliveryKey: null, hint: null, ...more };
}

async function runsOf(index: Index, name: string): Promise<RunEntry[]> {
  return (await index.listRuns(name, { limit: 100 }))?.runs ?? [];
}

const FROM = "source.example/team/app:1";
const TO = "target.example/team/app:1";

describe("pushes", () => {
  test("a thousand at once for one tag end in two copies, with the newest at the target", async () => {
    const { index, writers } = await open("burst");
    await rule(index, "one");
    const wishes = Array.from({ length: 1000 }, (_, at) => wish("one", FROM, TO, { hint: digestOf(at + 1) }));
    writers.source.set(FROM, 1);
    const first = await index.wish(wishes.slice(0, 500));
    await settled(index);
    writers.source.set(FROM, 1000);
    const second = await index.wish(wishes.slice(500));
    expect([...first, ...second].map(({ kind }) => kind).filter((kind) => kind === "started")).toHaveLength(2);
    await writers.landAll(index);
    expect(writers.started).toHaveLength(2);
    expect(writers.target.get(TO)).toBe(1000);
    expect(writers.faults).toEqual([]);
    const runs = await runsOf(index, "one");
    expect(runs.reduce((sum, run) => sum + run.events, 0)).toBe(1000);
    expect(runs.map(({ state }) => state)).toEqual(["succeeded", "succeeded"]);
  });

  test("a thousand for a hundred rules, in between each other: none is lost, none has two copies at once", async () => {
    const { index, writers } = await open("hundred");
    for (let at = 0; at < 100; at += 1) {
      await rule(index, `rule-${at}`);
    }
    let random = 1;
    for (let event = 0; event < 1000; event += 5) {
      const delivered = Array.from({ length: 5 }, (_, at) => {
        const name = `app-${(event + at) % 100}`;
        const from = `source.example/${name}:1`;
        writers.source.set(from, event + at + 1);
        const more = { hint: digestOf(event + at + 1) };
        return wish(`rule-${(event + at) % 100}`, from, `target.example/${name}:1`, more);
      });
      expect((await index.wish(delivered)).map(({ kind }) => kind)).not.toContain("ignored");
      // Some land meanwhile, by a sequence that is the same in every run.
      random = (random * 48_271) % 2_147_483_647;
      const [oldest] = writers.running.keys();
      if (random % 3 > 0 && oldest !== undefined) {
        await writers.land(index, oldest);
      }
    }
    await makeDue(index);
    await writers.landAll(index);
    expect(writers.faults).toEqual([]);
    for (let at = 0; at < 100; at += 1) {
      expect(writers.target.get(`target.example/app-${at}:1`)).toBe(901 + at);
    }
    const { copies } = await index.list({ limit: 1 });
    expect(copies[0]?.state).toBe("succeeded");
  });

  test("the same delivery again joins its copy, while it waits, runs, and when it has succeeded", async () => {
    const { index, writers } = await open("repeated");
    await rule(index, "one");
    const delivery = wish("one", FROM, TO, { deliveryKey: "d1" });
    const [started] = await index.wish([delivery]);
    expect(started?.kind).toBe("started");
    const [again] = await index.wish([delivery]);
    expect(again).toEqual({ ...started, kind: "joined" });
    await writers.landAll(index);
    expect(await index.wish([delivery])).toEqual([again]);
    expect(writers.started).toHaveLength(1);
  });

  test("a delivery whose copy failed is tried again", async () => {
    const { index, writers } = await open("failed");
    await rule(index, "one");
    const delivery = wish("one", FROM, TO, { deliveryKey: "d1" });
    await index.wish([delivery]);
    await settled(index);
    const [id = ""] = writers.started;
    writers.running.delete(id);
    await index.changed(id, "failed");
    expect((await index.wish([delivery]))[0]?.kind).toBe("started");
  });

  test("another delivery of the digest that the last copy brought joins it; of another digest, or of none, it does not", async () => {
    const { index, writers } = await open("digest");
    await rule(index, "one");
    writers.source.set(FROM, 7);
    await index.wish([wish("one", FROM, TO, { hint: digestOf(6) })]);
    await settled(index);
    await writers.landAll(index);
    // It was told of 6 and has found 7.
    const kinds = (await index.wish([wish("one", FROM, TO, { hint: digestOf(7) })])).map(({ kind }) => kind);
    expect(kinds).toEqual(["joined"]);
    expect((await index.wish([wish("one", FROM, TO, { hint: digestOf(6) })]))[0]?.kind).toBe("started");
  });

  test("wait for somebody's own copy to the same tag", async () => {
    const { index, writers } = await open("own");
    await rule(index, "one");
    await index.register({ id: "own", source: FROM, target: TO, fingerprint: "", hosts: [], by: ROOT });
    await index.wish([wish("one", FROM, TO), wish("one", `${FROM}2`, `${TO}2`)]);
    await settled(index);
    expect([...writers.running.values()].map(({ target }) => target)).toEqual([`${TO}2`]);
    await index.changed("own", "succeeded");
    await settled(index);
    expect(writers.running.size).toBe(1);
    await makeDue(index);
    expect(writers.running.size).toBe(2);
  });

  test("wait while the whole repository is written, and it waits for them", async () => {
    const { index, writers } = await open("wide");
    await rule(index, "one");
    const whole = wish("one", "source.example/team/app", "target.example/team/app", { trigger: "manual" });
    await index.wish([wish("one", FROM, TO), whole, wish("one", `${FROM}2`, `${TO}2`)]);
    await settled(index);
    expect(writers.running.size).toBe(1);
    await writers.land(index, writers.started[0] ?? "");
    await settled(index);
    expect([...writers.running.values()].map(({ target }) => target)).toEqual(["target.example/team/app"]);
    await writers.land(index, writers.started[1] ?? "");
    await settled(index);
    expect([...writers.running.values()].map(({ target }) => target)).toEqual([`${TO}2`]);
  });

  test("start as many as there are places for their priority, the rest as those end, interactive ones first", async () => {
    const { index, writers } = await open("places");
    await rule(index, "one");
    await rule(index, "urgent", { priority: "interactive" });
    await rule(index, "idle", { priority: "background" });
    const many = (name: string, count: number) =>
      Array.from({ length: count }, (_, at) =>
        wish(name, `source.example/${name}:${at}`, `target.example/${name}:${at}`),
      );
    const running = () => {
      const targets = [...writers.running.values()].map(({ target }) => target);
      return ["idle", "one", "urgent"].map((name) => targets.filter((each) => each.includes(`/${name}:`)).length);
    };
    await index.wish(many("idle", 12));
    await settled(index);
    expect(running()).toEqual([LOCAL_PLACES.background, 0, 0]);
    await index.wish([...many("one", 25), ...many("urgent", 10)]);
    await settled(index);
    expect(running()).toEqual([LOCAL_PLACES.background, 0, 10]);
    for (const id of writers.started.slice(0, LOCAL_PLACES.background)) {
      await writers.land(index, id);
    }
    await settled(index);
    expect(running()).toEqual([0, LOCAL_PLACES.normal - 10, 10]);
    await writers.landAll(index);
    expect(writers.started).toHaveLength(47);
    expect(writers.faults).toEqual([]);
  });

  test("what the index had begun when it was evicted is started with the same id", async () => {
    const { index, writers } = await open("evicted");
    await rule(index, "one");
    writers.broken = true;
    const [answer] = await index.wish([wish("one", FROM, TO)]);
    await settled(index);
    await evictDurableObject(index);
    writers.broken = false;
    await writers.open(index);
    await runInDurableObject(index, (_, { storage }) => storage.sql.exec("UPDATE runs SET due_at_ms = 0"));
    expect(await runDurableObjectAlarm(index)).toBe(true);
    await settled(index);
    expect(answer).toMatchObject({ kind: "started", copy: writers.started[0] });
  });
});

describe("a copy that cannot be started", () => {
  async function triedEightTimes(index: Index): Promise<void> {
    await settled(index);
    for (let tries = 1; tries < 8; tries += 1) {
      expect((await index.list({ limit: 1 })).copies[0]?.doneAtMs).toBeNull();
      await makeDue(index);
    }
  }

  test("fails in the end, in the list and for its rule, and lets the next one have its turn", async () => {
    const { index, writers } = await open("unstarted");
    await rule(index, "one");
    writers.broken = true;
    await index.wish([wish("one", FROM, TO)]);
    await triedEightTimes(index);
    const [copy] = (await index.list({ limit: 1 })).copies;
    expect(copy).toMatchObject({
      state: "failed",
      record: { state: "failed", error: { operation: "start copy", message: expect.stringContaining("overloaded") } },
    });
    expect((await runsOf(index, "one"))[0]).toMatchObject({
      state: "failed",
      result: { reason: expect.stringContaining("never begun: overloaded") },
    });
    expect(await index.metrics()).toMatchObject({ open: { accepted: 0 }, totals: { ended: { failed: { push: 1 } } } });
    writers.broken = false;
    await index.wish([wish("one", FROM, TO)]);
    await makeDue(index);
    expect(writers.running.size).toBe(1);
    // The first one has begun after all: what its job says goes.
    const id = copy?.id ?? "";
    await index.changed(id, "running");
    expect(await index.find(id)).toMatchObject({ state: "running", doneAtMs: null, record: null });
    await index.changed(id, "succeeded", ended(id, 1));
    await index.changed(id, "failed", { ...ended(id, 1), state: "failed" });
    expect(await index.find(id)).toMatchObject({ state: "succeeded", record: { state: "succeeded" } });
  });

  test("goes on where its job has it all the same", async () => {
    const { index, writers } = await open("unconfirmed");
    await rule(index, "one");
    writers.answer = async () => {
      writers.broken = true;
      throw new Error("the connection was lost");
    };
    await index.wish([wish("one", FROM, TO)]);
    await triedEightTimes(index);
    expect((await runsOf(index, "one"))[0]).toMatchObject({ state: "running" });
    expect((await index.list({ limit: 1 })).copies[0]?.state).toBe("running");
    await writers.landAll(index);
    expect((await runsOf(index, "one"))[0]).toMatchObject({ state: "succeeded" });
  });

  test("somebody's own, whose request was cut off, fails after some minutes; one that runs unheard of does not", async () => {
    const { index, writers } = await open("cut-off");
    const own = { source: FROM, fingerprint: "", hosts: [], by: ROOT };
    await index.register({ ...own, id: "cut-off", target: TO });
    await index.register({ ...own, id: "unheard-of", target: `${TO}2` });
    writers.running.set("unheard-of", { target: `${TO}2`, digest: 0 });
    await runInDurableObject(index, (_, { storage }) => {
      storage.sql.exec("UPDATE runs SET started_at_ms = started_at_ms - ?", 11 * 60_000);
    });
    await index.tick();
    await settled(index);
    const [unheard, cut] = (await index.list({ limit: 2 })).copies;
    expect([unheard?.state, cut?.state]).toEqual(["running", "failed"]);
    expect(cut?.record?.error?.operation).toBe("start copy");
  });
});

describe("whoever wrote the rule", () => {
  const KEY = {
    id: "key_0000000000000001",
    hash: "h1",
    name: "ci",
    maker: "root",
    scopes: {
      sources: ["source.example/team/**"],
      targets: ["target.example/**"],
      actions: ["copy", "rules"] as const,
    },
    limits: { copiesAtOnce: 1 },
    budget: "key_0000000000000001",
    expiresAtMs: null,
  };

  test("must still be good, and may do no more than its scopes and limits say", async () => {
    const { index, writers } = await open("owner");
    await index.makeKey(KEY);
    const by = { ...ROOT, id: KEY.id, kind: "key" as const, scopes: KEY.scopes };
    await rule(index, "one", {}, { by });
    const outside = wish("one", "source.example/other/app:1", "target.example/app:1");
    const answers = await index.wish([outside, wish("one", FROM, TO), wish("one", `${FROM}2`, `${TO}2`)]);
    expect(answers.map(({ kind }) => kind)).toEqual(["ignored", "started", "started"]);
    await settled(index);
    expect(writers.running.size).toBe(1);
    await index.revokeKey(KEY.id);
    await writers.landAll(index);
    const [last] = await runsOf(index, "one");
    expect(last).toMatchObject({ state: "failed", result: { reason: expect.stringContaining("no access any more") } });
    expect((await index.wish([wish("one", FROM, TO)]))[0]).toMatchObject({ kind: "ignored" });
  });

  test("holds up nobody else with what is refused or is one too many", async () => {
    const { index, writers } = await open("crowd");
    for (const [name, id] of [
      ["greedy", "key_0000000000000002"],
      ["gone", "key_0000000000000003"],
    ] as const) {
      await index.makeKey({ ...KEY, id, hash: id, budget: id });
      await rule(index, name, {}, { by: { ...ROOT, id, kind: "key" as const, scopes: KEY.scopes } });
    }
    await rule(index, "other");
    const many = (name: string, length: number) =>
      Array.from({ length }, (_, at) =>
        wish(name, `source.example/team/${name}:${at}`, `target.example/${name}:${at}`),
      );
    await index.wish(many("other", LOCAL_PLACES.normal));
    await settled(index);
    // Of one whose key is revoked while its runs wait, and of one that may have a single copy at once.
    await index.wish([...many("gone", 450), ...many("greedy", 50), wish("other", FROM, TO)]);
    await index.revokeKey("key_0000000000000003");
    expect(writers.running.size).toBe(LOCAL_PLACES.normal);
    for (const id of writers.started.slice(0, 2)) {
      await writers.land(index, id);
    }
    // More than are looked at in one go: the alarm does the rest.
    const targets = () => [...writers.running.values()].map(({ target }) => target);
    await expect.poll(targets, { timeout: 3_000 }).toContain(TO);
    expect(targets().filter((target) => target.includes("/greedy:"))).toHaveLength(1);
  });

  test("is the only one to change it, besides the operator", async () => {
    const { index } = await open("taken");
    const by = { ...ROOT, id: "oidc:x:y", kind: "oidc" as const };
    await rule(index, "one", {}, { by });
    const other = { ...by, id: "oidc:x:z" };
    expect((await rule(index, "one", {}, { by: other })).kind).toBe("taken");
    expect(await index.findRule("one", other.id)).toBeNull();
    expect((await index.deleteRule("one", { kind: "none" }, other.id)).kind).toBe("unknown");
    expect((await rule(index, "one", { priority: "background" })).kind).toBe("changed");
    expect(await index.findRule("one")).toMatchObject({ owner: "root", version: 2 });
  });
});

describe("schedules", () => {
  const nightly = { schedule: { cron: "0 3 * * *", timeZone: "UTC" } };

  async function makeRulesDue(index: Index): Promise<void> {
    await runInDurableObject(index, (_, { storage }) => storage.sql.exec("UPDATE rules SET start_at_ms = 1000"));
    expect(await runDurableObjectAlarm(index)).toBe(true);
    await settled(index);
  }

  test("start the repository when they are due; what was missed comes once; the alarm is set for the next", async () => {
    const { index, writers } = await open("schedule");
    await rule(index, "one", nightly, { push: null });
    await makeRulesDue(index);
    expect([...writers.running.values()].map(({ target }) => target)).toEqual(["target.example/team/app"]);
    const next = (await index.findRule("one"))?.next;
    expect(next?.startMs).toBeGreaterThan(Date.now());
    await writers.landAll(index);
    expect(writers.started).toHaveLength(1);
    await runInDurableObject(index, async (_, { storage }) => {
      // An earlier one stays, and is set anew when it rings.
      expect((await storage.getAlarm()) ?? Infinity).toBeLessThanOrEqual(next?.startMs ?? 0);
    });
  });

  test("are skipped while the last run runs, and say so", async () => {
    const { index, writers } = await open("skipped");
    await rule(index, "one", nightly, { push: null });
    await makeRulesDue(index);
    await makeRulesDue(index);
    expect(writers.started).toHaveLength(1);
    const runs = await runsOf(index, "one");
    expect(runs.map(({ state }) => state)).toEqual(["skipped", "running"]);
    expect(runs[0]).toMatchObject({ copy: null, result: { reason: "The last run had not ended." } });
  });

  test("of which no copy can be made say so among the rule's runs, each time", async () => {
    const { index, writers } = await open("impossible");
    const target = { host: "target.example", repository: `${"deep/".repeat(50)}{repository}` };
    await rule(index, "one", { ...nightly, target }, { push: null });
    await makeRulesDue(index);
    await makeRulesDue(index);
    expect(writers.started).toEqual([]);
    const runs = await runsOf(index, "one");
    expect(runs).toMatchObject([{ state: "failed" }, { state: "failed" }]);
    expect(runs[0]).toMatchObject({
      copy: null,
      trigger: "schedule",
      source: "source.example/team/app",
      target: `target.example/${target.repository}`,
      startedAtMs: null,
      result: { reason: expect.stringMatching(/^No copy can be made: target .* more than 255 characters\.$/) },
    });
    expect(runs[0]?.endedAtMs).not.toBeNull();
    expect((await index.findRule("one"))?.open).toMatchObject({ waiting: 0, running: 0 });
  });

  test("are looked at by the cron trigger as well", async () => {
    const index = env.INDEX.getByName(INDEX_NAME);
    const writers = new Writers();
    await writers.open(index);
    await rule(index, "one", nightly, { push: null });
    await runInDurableObject(index, async (_, { storage }) => {
      storage.sql.exec("UPDATE rules SET start_at_ms = 1000");
      await storage.deleteAlarm();
    });
    await worker.scheduled(createScheduledController(), env);
    await settled(index);
    expect(writers.started).toHaveLength(1);
    await runInDurableObject(index, async (_, { storage }) => {
      expect(await storage.getAlarm()).not.toBeNull();
    });
  });

  test("of a rule that is switched off do not come; its other triggers neither, until it is told to run", async () => {
    const { index, writers } = await open("off");
    await rule(index, "one", nightly, { enabled: false });
    expect((await index.findRule("one"))?.next).toBeNull();
    const answers = await index.wish([wish("one", FROM, TO), wish("one", FROM, TO, { trigger: "manual" })]);
    expect(answers.map(({ kind }) => kind)).toEqual(["ignored", "started"]);
    await settled(index);
    expect(writers.running.size).toBe(1);
  });
});

describe("runs", () => {
  test("are kept with what became of them, the newest two hundred, and go with their rule", async () => {
    const { index, writers } = await open("kept");
    await rule(index, "one");
    writers.source.set(FROM, 3);
    await index.wish(Array.from({ length: 206 }, (_, at) => wish("one", FROM, `${TO}-${at}`)));
    await writers.landAll(index);
    await index.wish([wish("one", FROM, TO), wish("one", FROM, `${TO}-last`)]);
    await writers.landAll(index);
    const first = await index.listRuns("one", { limit: 100 });
    expect(first?.runs[0]).toMatchObject({ state: "succeeded", digest: digestOf(3), result: { bytesCopied: 1 } });
    const second = await index.listRuns("one", { limit: 100, cursor: first?.next ?? 0 });
    const third = await index.listRuns("one", { limit: 100, cursor: second?.next ?? 0 });
    expect([first, second, third].map((page) => page?.runs.length)).toEqual([100, 100, 0]);
    await index.deleteRule("one", { kind: "none" });
    expect(await index.listRuns("one", { limit: 1 })).toBeNull();
    await rule(index, "one");
    expect(await runsOf(index, "one")).toEqual([]);
  });

  test("that end after their rule has been deleted leave nothing behind", async () => {
    const { index, writers } = await open("orphans");
    await rule(index, "one");
    await index.wish([wish("one", FROM, TO, { deliveryKey: "d1" })]);
    await settled(index);
    await index.deleteRule("one", { kind: "none" });
    expect(writers.running.size).toBe(1);
    await writers.landAll(index);
    const rows = await runInDurableObject(index, (_, { storage }) =>
      storage.sql.exec("SELECT n FROM runs WHERE rule IS NOT NULL").toArray(),
    );
    expect(rows).toEqual([]);
  });

  test("that have gone with their rule when the answer to their start is lost leave the alarm to others", async () => {
    const { index, writers } = await open("late-answer");
    await rule(index, "one");
    await rule(index, "nightly", { schedule: { cron: "0 3 * * *", timeZone: "UTC" } });
    let lose: (reason: Error) => void = () => {};
    writers.answer = () => new Promise((_, reject) => (lose = reject));
    await index.wish([wish("one", FROM, TO)]);
    await index.deleteRule("one", { kind: "none" });
    await writers.land(index, writers.started[0] ?? "");
    await runInDurableObject(index, async (_, { storage }) => {
      await storage.deleteAlarm();
      lose(new Error("the connection was lost"));
    });
    await settled(index);
    expect(await runInDurableObject(index, (_, { storage }) => storage.getAlarm())).not.toBeNull();
  });

  test("wait no longer than a moment for one before them that began by a clock that was fast", async () => {
    const { index, writers } = await open("clock");
    await rule(index, "one");
    await index.wish([wish("one", FROM, TO)]);
    await settled(index);
    await runInDurableObject(index, (_, { storage }) => {
      storage.sql.exec("UPDATE runs SET started_at_ms = started_at_ms + 1000000000");
    });
    await writers.land(index, writers.started[0] ?? "");
    await index.wish([wish("one", FROM, TO)]);
    expect((await index.findRule("one"))?.open.dueMs ?? 0).toBeLessThan(Date.now() + 10_000);
  });
});

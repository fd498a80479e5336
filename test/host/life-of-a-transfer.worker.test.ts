/**
 * One transfer through two hosts in real workerd, either object evicted between any two steps, every call made twice. The
 * test plays the lane; the jobs are real objects without a copy, which acknowledge whatever they are told.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { HeldSlot, HostSession } from "../../src/host/contract.ts";
import { REJOIN_MS } from "../../src/host/leases.ts";
import type { RegistryHost } from "../../src/host/registry-host.ts";
import { heldSlot } from "../../src/lane/held-slot.ts";
import { copied, offerOf } from "./transfers.ts";

type Host = DurableObjectStub<RegistryHost>;

/** A stub breaks with the object it leads to, so that each use takes a new one. */
function freshHost(): { name: string; readonly host: Host } {
  const name = `${crypto.randomUUID()}.test`;
  return {
    name,
    get host() {
      return env.REGISTRIES.getByName(name);
    },
  };
}

/** Ends the object at once, whoever is there: `evictDurableObject` waits for the end of all sessions. */
async function evict(host: Host): Promise<void> {
  await expect(runInDurableObject(host, (_host, state) => state.abort("evicted"))).rejects.toThrow("evicted");
}

async function rowsOf(host: Host, table: "offers" | "owners"): Promise<number> {
  return runInDurableObject(host, (_host, state) => {
    return state.storage.sql.exec<{ count: number }>(`SELECT count(*) AS count FROM ${table}`).one().count;
  });
}

/** Nothing waits, nothing is held, no row is left, and no alarm will ring. */
async function expectIdle(host: Host): Promise<void> {
  await expect
    .poll(async () => {
      const { active, waiting } = await host.snapshot();
      return [active.blob, waiting.blob, await rowsOf(host, "offers"), await rowsOf(host, "owners")];
    })
    .toEqual([0, 0, 0, 0]);
  // One that was set while there was work rings once more, and is the last.
  await runDurableObjectAlarm(host);
  expect(await runInDurableObject(host, (_host, state) => state.storage.getAlarm())).toBeNull();
}

describe.each(["target", "source"] as const)("a transfer whose %s's object is evicted", (victim) => {
  test.each(["join", "next", "renew", "report"])("after %s ends once, and leaves nothing behind", async (step) => {
    const source = freshHost();
    const target = freshHost();
    const jobName = crypto.randomUUID();
    const evicted = victim === "target" ? target : source;
    let session: HostSession | null = null;
    let held: HeldSlot[] = [];
    const evictAfter = async (done: string): Promise<void> => {
      if (done === step) {
        await evict(evicted.host);
        if (victim === "target") {
          session = null;
        }
      }
    };
    // What a lane does when its session has broken: it comes back for what it holds.
    const joined = async (): Promise<HostSession> => {
      session ??= await target.host.join({ name: "lane", width: 5, held });
      return session;
    };

    await joined();
    await evictAfter("join");
    // The seat first: a host whose blobs find none sends for lanes of its own.
    const handed = (await joined()).next();
    await target.host.offer(jobName, [offerOf(jobName, source.name, "sha256:a")]);
    await target.host.offer(jobName, [offerOf(jobName, source.name, "sha256:a")]);
    const transfer = await handed;
    if (transfer === null) {
      throw new Error("the lane was sent home");
    }
    held = [heldSlot(transfer)];
    expect(transfer.offer.digest).toBe("sha256:a");
    await evictAfter("next");
    const progress = [{ lease: transfer.lease, bytes: 10 }];
    expect(await (await joined()).renew(progress)).toMatchObject({ lost: [] });
    expect(await (await joined()).renew(progress)).toMatchObject({ lost: [] });
    await evictAfter("renew");
    await joined();
    expect((await target.host.snapshot()).active.blob).toBe(1);
    // A source that was evicted since hears of the slot when it is told something, and lends to nobody before.
    const isUntold = victim === "source" && (step === "next" || step === "renew");
    expect((await source.host.snapshot()).active.blob).toBe(isUntold ? 0 : 1);
    await (await joined()).report(copied(transfer));
    await (await joined()).report(copied(transfer));
    await evictAfter("report");
    (await joined())[Symbol.dispose]();
    if (step === "report" && victim === "target") {
      // Evicted before its job had answered it may look for the blob once more: the job has ended, and says so.
      await target.host.withdraw(jobName);
    }
    await expectIdle(target.host);
    await expectIdle(source.host);
  });
});

test("withdrawn twice, with an eviction between, a transfer is lost and its slots are free at both ends", async () => {
  const source = freshHost();
  const target = freshHost();
  const jobName = crypto.randomUUID();
  const first = await target.host.join({ name: "lane", width: 5, held: [] });
  const handed = first.next();
  await target.host.offer(jobName, [offerOf(jobName, source.name, "sha256:a")]);
  const transfer = await handed;
  const lease = transfer?.lease ?? "";
  await target.host.withdraw(jobName);
  await evict(target.host);
  await target.host.withdraw(jobName);
  using again = await target.host.join({ name: "lane", width: 5, held: transfer === null ? [] : [heldSlot(transfer)] });
  expect(await again.renew([{ lease, bytes: 0 }])).toMatchObject({ lost: [lease] });
  await again.report({ ...copied(transfer ?? expect.unreachable()), result: { kind: "returned" } });
  await expectIdle(target.host);
  await expectIdle(source.host);
});

test("a lane that dies gives both slots back long before its lease runs out, and the blob goes to the next", async () => {
  const source = freshHost();
  const target = freshHost();
  const jobName = crypto.randomUUID();
  const dying = await target.host.join({ name: "dying", width: 5, held: [] });
  const handed = dying.next();
  await target.host.offer(jobName, [offerOf(jobName, source.name, "sha256:a")]);
  const lost = await handed;
  using next = await target.host.join({ name: "next", width: 5, held: [] });
  dying[Symbol.dispose]();
  await expect
    .poll(async () => (await target.host.snapshot()).active.blob + (await source.host.snapshot()).active.blob, {
      timeout: REJOIN_MS / 2,
    })
    .toBe(0);
  const transfer = await next.next();
  expect(transfer?.offer.id).toBe(lost?.offer.id);
  expect(transfer?.lease).not.toBe(lost?.lease);
  // Whoever comes back too late finds its lease lost.
  using late = await target.host.join({ name: "dying", width: 5, held: lost === null ? [] : [heldSlot(lost)] });
  expect(await late.renew([{ lease: lost?.lease ?? "", bytes: 0 }])).toMatchObject({ lost: [lost?.lease] });
  await next.report(copied(transfer ?? expect.unreachable()));
});

test("alarms that ring twice or with nothing to do change nothing", async () => {
  const target = freshHost();
  const jobName = crypto.randomUUID();
  using session = await target.host.join({ name: "lane", width: 5, held: [] });
  const handed = session.next();
  await target.host.offer(jobName, [offerOf(jobName, target.name, "sha256:a")]);
  const transfer = await handed;
  await runDurableObjectAlarm(target.host);
  await runDurableObjectAlarm(target.host);
  expect((await target.host.snapshot()).active.blob).toBe(1);
  await session.report(copied(transfer ?? expect.unreachable()));
  await expectIdle(target.host);
});

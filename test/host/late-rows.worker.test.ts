/** What a host has taught is still known when its object was gone: at once where it is a pause, else when all is quiet. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import type { Outcome } from "../../src/registry/gate.ts";
import type { RegistryHost } from "../../src/host/registry-host.ts";

type Host = () => DurableObjectStub<RegistryHost>;

const SOON = { timeout: 10_000, interval: 10 };

function freshHost(): Host {
  const name = `${crypto.randomUUID()}.test`;
  return () => env.REGISTRIES.getByName(name);
}

/** A request of a job, which then leaves. */
async function request(host: Host, outcome: Outcome): Promise<void> {
  using session = await host().join({ name: "j", width: 0, held: [] });
  const lease = await session.acquire({ id: crypto.randomUUID(), kind: "head", bytes: 0, job: "j" });
  await session.release(lease, outcome);
}

/** Ends the object at once, as a crash does; `evictDurableObject` waits for timers. */
async function crash(host: Host): Promise<void> {
  await expect(runInDurableObject(host(), (_host, state) => state.abort("crashed"))).rejects.toThrow("crashed");
}

async function learnedRows(host: Host): Promise<unknown[]> {
  return runInDurableObject(host(), (_host, { storage }) =>
    storage.sql
      .exec("SELECT key FROM learned")
      .toArray()
      .map(({ key }) => key),
  );
}

test("a pause outlives a crash right after the refusal", async () => {
  const host = freshHost();
  await request(host, { class: "throttled", retryAfterMs: 600_000 });
  const { pause, limit } = await host().snapshot();
  await crash(host);
  const after = await host().snapshot();
  expect(after.pause).toEqual(pause);
  expect(after.pause?.reason).toContain("Retry-After");
  expect(after.limit).toEqual(limit);
  expect(after.lastHour.outcomes.throttled).toBe(1);
});

test("quota, limit and counts of a short visit outlive an eviction before the alarm, which then overwrites nothing", async () => {
  const host = freshHost();
  await request(host, { class: "ok", quota: { limit: 100, remaining: 7, windowSeconds: 3_600 } });
  const before = await host().snapshot();
  expect(before.quota?.remaining).toBe(7);
  await vi.waitFor(async () => expect(await learnedRows(host)).toEqual(["limits"]), SOON);
  await evictDurableObject(host());
  const after = await host().snapshot();
  expect(after).toEqual(before);
  // Set while there was something to do, it rings once, in an object that knows only what was written.
  expect(await runDurableObjectAlarm(host())).toBe(true);
  expect(await host().snapshot()).toEqual(before);
  expect(await runDurableObjectAlarm(host())).toBe(false);
});

test("what is forgotten stays forgotten", async () => {
  const host = freshHost();
  await request(host, { class: "throttled", retryAfterMs: 600_000 });
  const { pause, learned } = await host().forget();
  expect([pause, learned.concurrency]).toEqual([null, { limit: 8, refusedAt: null, refused: false }]);
  await vi.waitFor(async () => {
    await crash(host);
    expect((await host().snapshot()).learned).toEqual(learned);
  }, SOON);
  expect((await host().snapshot()).pause).toBeNull();
});

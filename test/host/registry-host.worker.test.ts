/** The object of a host as its callers meet it, in real workerd: slots, transfers, evictions, alarms. */
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { START_LIMIT } from "../../src/host/concurrency.ts";
import { LANE_WIDTH } from "../../src/host/seats.ts";
import type { HeldSlot } from "../../src/host/contract.ts";
import type { RegistryHost } from "../../src/host/registry-host.ts";
import { heldSlot } from "../../src/lane/held-slot.ts";
import { copied, offerOf } from "./transfers.ts";

let count = 0;

/** A host of its own for every test. */
function freshHost(): { name: string; host: DurableObjectStub<RegistryHost> } {
  const name = `host-${++count}.test`;
  return { name, host: env.REGISTRIES.getByName(name) };
}

const lane = (name: string, held: HeldSlot[] = []) => ({ name, width: 5, held });
const job = (name: string) => ({ name, width: 0, held: [] });
const small = (id: string) => ({ id, kind: "head" as const, bytes: 0, job: "j" });

test("small requests get one slot more than the limit, the next waits for a release", async () => {
  const { host } = freshHost();
  using session = await host.join(job("j"));
  const leases = await Promise.all(Array.from({ length: START_LIMIT + 1 }, (_, i) => session.acquire(small(`r${i}`))));
  expect(new Set(leases).size).toBe(START_LIMIT + 1);
  let granted = false;
  const next = session.acquire(small("next")).then((lease) => {
    granted = true;
    return lease;
  });
  expect((await host.snapshot()).waiting.head).toBe(1);
  expect(granted).toBe(false);
  await session.release(leases[0] ?? "", { class: "ok" });
  expect(await next).toBe("next");
});

test("releasing twice frees one slot", async () => {
  const { host } = freshHost();
  using session = await host.join(job("j"));
  const a = await session.acquire(small("a"));
  await session.acquire(small("b"));
  await session.release(a, { class: "ok" });
  await session.release(a, { class: "ok" });
  expect((await host.snapshot()).active.head).toBe(1);
});

test("the end of a caller gives back what it held", async () => {
  const { host } = freshHost();
  const session = await host.join(job("j"));
  await session.acquire(small("a"));
  session[Symbol.dispose]();
  await expect.poll(async () => (await host.snapshot()).active.head).toBe(0);
});

test("a blob from another host takes a slot at both, and gives both back", async () => {
  const { name: source, host: from } = freshHost();
  const { host: to } = freshHost();
  using session = await to.join(lane("l"));
  const next = session.next();
  await to.offer("j1", [offerOf("j1", source, "sha256:a")]);
  const transfer = await next;
  expect(transfer?.offer.digest).toBe("sha256:a");
  expect((await to.snapshot()).active.blob).toBe(1);
  expect((await from.snapshot()).active.blob).toBe(1);
  await session.report(copied(transfer ?? expect.unreachable()));
  await expect.poll(async () => (await from.snapshot()).active.blob).toBe(0);
  expect((await to.snapshot()).active.blob).toBe(0);
});

test("offering the same blob again starts nothing new", async () => {
  const { name, host } = freshHost();
  using session = await host.join(lane("l"));
  const first = session.next();
  // Nothing comes for this one: it ends with the session, or with the object.
  session.next().catch(() => undefined);
  await host.offer("j1", [offerOf("j1", name, "sha256:a")]);
  await host.offer("j1", [offerOf("j1", name, "sha256:a")]);
  expect((await first)?.mountFrom).toEqual(["base"]);
  expect((await host.snapshot()).active.blob).toBe(1);
});

test("a lane goes on with its transfer after the host's object was evicted, and the limit holds meanwhile", async () => {
  const { name, host } = freshHost();
  const session = await host.join(lane("l"));
  const next = session.next();
  await host.offer("j1", [offerOf("j1", name, "sha256:a")]);
  const transfer = (await next) ?? expect.unreachable();
  await abortAllDurableObjects();
  const again = env.REGISTRIES.getByName(name);
  // It may have as many as it has ever had: small requests get what is left beside them.
  using others = await again.join(job("others"));
  const admitted: string[] = [];
  for (let i = 0; i <= START_LIMIT; i++) {
    others.acquire(small(`r${i}`)).then(
      (lease) => admitted.push(lease),
      () => undefined,
    );
  }
  await expect.poll(async () => (await again.snapshot()).waiting.head).toBe(LANE_WIDTH);
  using back = await again.join(lane("l", [heldSlot(transfer)]));
  expect((await again.snapshot()).active.blob).toBe(1);
  // Now that it is known which it has, the others may go.
  await expect.poll(() => admitted.length).toBe(START_LIMIT);
  expect(await back.renew([{ lease: transfer.lease, bytes: 10 }])).toEqual({ lost: [], withdrawn: [] });
  await back.report(copied(transfer));
  expect((await again.snapshot()).active.blob).toBe(0);
});

test("what waits survives an eviction", async () => {
  const { name: source } = freshHost();
  const { name, host } = freshHost();
  using filler = await host.join(job("filler"));
  // Every slot is taken, so the offers wait.
  await Promise.all(Array.from({ length: START_LIMIT }, (_, i) => filler.acquire(small(`f${i}`))));
  await host.offer("j1", [offerOf("j1", source, "sha256:a"), offerOf("j1", source, "sha256:b")]);
  await abortAllDurableObjects();
  expect((await env.REGISTRIES.getByName(name).snapshot()).waiting.blob).toBe(2);
});

test("a withdrawn transfer is lost at its next renewal", async () => {
  const { name, host } = freshHost();
  using session = await host.join(lane("l"));
  const next = session.next();
  await host.offer("j1", [offerOf("j1", name, "sha256:a")]);
  const transfer = await next;
  await host.withdraw("j1");
  expect(await session.renew([{ lease: transfer?.lease ?? "", bytes: 0 }])).toEqual({
    lost: [transfer?.lease],
    withdrawn: [transfer?.lease],
  });
});

test("an idle host has no alarm, a busy one may ring twice", async () => {
  const { name, host } = freshHost();
  expect(await runDurableObjectAlarm(host)).toBe(false);
  using session = await host.join(lane("l"));
  const next = session.next();
  await host.offer("j1", [offerOf("j1", name, "sha256:a")]);
  const transfer = await next;
  expect(await runDurableObjectAlarm(host)).toBe(true);
  expect(await runDurableObjectAlarm(host)).toBe(true);
  expect((await host.snapshot()).active.blob).toBe(1);
  await session.report(copied(transfer ?? expect.unreachable()));
});

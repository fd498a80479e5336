/** What a host has to say to a copy reaches those who follow it: a real host, a real job. */
import { env } from "cloudflare:workers";
import { expect, inject, test } from "vitest";

const { target } = inject("registries");
/** Keeps ten requests of its quota back: test settings of vitest.config.ts. */
const RESERVE_HOST = "reserve.test";

test("a background copy held back for a host's quota shows the warning, in its view and as an event, once", async () => {
  const host = env.REGISTRIES.getByName(RESERVE_HOST);
  using session = await host.join({ name: "caller", width: 0, held: [] });
  const lease = await session.acquire({ id: crypto.randomUUID(), kind: "head", bytes: 0, job: "caller" });
  await session.release(lease, { class: "ok", quota: { limit: 100, remaining: 3, windowSeconds: 3_600 } });

  // Already its first request waits.
  const repository = "app";
  const id = crypto.randomUUID();
  const job = env.JOBS.getByName(id);
  await job.start(id, {
    source: { host: RESERVE_HOST, repository, tag: "v1" },
    target: { host: target, repository, tag: "v1" },
    background: true,
  });
  await expect
    .poll(async () => (await job.view(0))?.warnings ?? [])
    .toEqual([expect.stringContaining("(quota_reserve)")]);
  const events = await job.events(0);
  await job.cancel();
  const text = await new Response(events).text();
  expect(text.match(/event: warning/g)).toHaveLength(1);
  expect(text).toContain(`${RESERVE_HOST} has 3 of 100 requests left`);
});

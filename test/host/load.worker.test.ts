/** A thousand lanes, and jobs with small requests beside them, a hundred at once, on one host's object in real workerd. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { BlobOffer, HostSession, Transfer } from "../../src/host/contract.ts";
import { GREATEST_LOCAL_LIMIT, START_LIMIT } from "../../src/host/concurrency.ts";
import { copied, offerOf } from "./transfers.ts";

const LANES = 1_000;
/** Lanes that are there at the same time: more than the host may have slots, so that the limit is what holds them. */
const AT_ONCE = 100;
const BLOBS_PER_LANE = 2;
/** Jobs that come with each hundred lanes, and the small requests of each, one after the other. */
const JOBS_AT_ONCE = 20;
const REQUESTS_PER_JOB = 10;
const KINDS = ["head", "manifest", "query"] as const;

test(
  "a thousand lanes, 200 jobs: never more slots than the limit, every blob moves once, nothing is left",
  { timeout: 120_000 },
  async () => {
    const name = "load.test";
    const host = env.REGISTRIES.getByName(name);
    const job = "load";
    const inOrder = (index: number): BlobOffer => {
      const digest = `sha256:${index.toString(16).padStart(64, "0")}`;
      return { ...offerOf(job, name, digest, 1_000 + index), since: index };
    };

    const moved: string[] = [];
    const answered = new Set<string>();
    /** What callers hold: told of a slot later than it is taken, and giving it back before it is free. */
    const held = { blobs: 0, all: 0 };
    const most = { blobs: 0, all: 0 };
    const take = (blobs: number): void => {
      held.blobs += blobs;
      held.all += 1;
      most.blobs = Math.max(most.blobs, held.blobs);
      most.all = Math.max(most.all, held.all);
    };
    const give = (blobs: number): void => {
      held.blobs -= blobs;
      held.all -= 1;
    };
    const lane = async (session: HostSession, first: Promise<Transfer | null>): Promise<void> => {
      for (let [blob, handed] = [1, first]; ; blob++) {
        const transfer = await handed;
        if (transfer === null) {
          throw new Error("a lane was sent home while blobs wait");
        }
        take(1);
        moved.push(transfer.offer.digest);
        expect(await session.renew([{ lease: transfer.lease, bytes: 1 }])).toMatchObject({ lost: [] });
        give(1);
        if (blob === BLOBS_PER_LANE) {
          await session.report(copied(transfer));
          session[Symbol.dispose]();
          return;
        }
        handed = session.next(copied(transfer));
      }
    };
    const ask = async (caller: string): Promise<void> => {
      using session = await host.join({ name: caller, width: 0, held: [] });
      for (let request = 0; request < REQUESTS_PER_JOB; request++) {
        const kind = KINDS[request % KINDS.length] ?? "head";
        const lease = await session.acquire({ id: `${caller}-${request}`, kind, bytes: 1_000, job: caller });
        take(0);
        answered.add(lease);
        // Held for a while, as a request is.
        await host.snapshot();
        give(0);
        await session.release(lease, { class: "ok" });
      }
    };
    const over = new AbortController();
    let extraUsed = 0;
    let looks = 0;
    const watch = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const { active, limit } = await host.snapshot();
        const all = active.blob + active.head + active.manifest + active.query;
        expect(active.blob).toBeLessThanOrEqual(limit.slots);
        expect(all).toBeLessThanOrEqual(limit.slots + 1);
        extraUsed += all > limit.slots ? 1 : 0;
        looks += 1;
        // While calls inside the process follow one another without a pause, workerd looks at no timer and at no socket.
        await (looks % 20 === 0 ? scheduler.wait(1) : null);
      }
    };
    const watching = watch();
    for (let from = 0; from < LANES; from += AT_ONCE) {
      const joins = Array.from({ length: AT_ONCE }, (_, index) =>
        host.join({ name: `lane-${from + index}`, width: 1, held: [] }),
      );
      const sessions = await Promise.all(joins);
      // The seats first: a host whose blobs find none sends for lanes of its own.
      const first = sessions.map((session): [HostSession, Promise<Transfer | null>] => [session, session.next()]);
      const count = AT_ONCE * BLOBS_PER_LANE;
      await host.offer(
        job,
        Array.from({ length: count }, (_, index) => inOrder(from * BLOBS_PER_LANE + index)),
      );
      const jobs = Array.from({ length: JOBS_AT_ONCE }, (_, index) => ask(`job-${from + index}`));
      await Promise.all([...first.map((each) => lane(...each)), ...jobs]);
    }
    over.abort();
    await watching;

    // More were there than that: it is the limit that held them.
    expect(most.blobs).toBeLessThanOrEqual(GREATEST_LOCAL_LIMIT);
    expect(most.blobs).toBeGreaterThan(START_LIMIT);
    expect(most.all).toBeLessThanOrEqual(GREATEST_LOCAL_LIMIT + 1);
    expect(extraUsed).toBeGreaterThan(0);
    expect(answered.size).toBe((LANES / AT_ONCE) * JOBS_AT_ONCE * REQUESTS_PER_JOB);
    expect(moved).toHaveLength(LANES * BLOBS_PER_LANE);
    expect(new Set(moved).size).toBe(LANES * BLOBS_PER_LANE);
    await expect
      .poll(async () => {
        const { active, waiting, lanes } = await host.snapshot();
        return [active.blob, waiting.blob, lanes.joined];
      })
      .toEqual([0, 0, 0]);
    await expect
      .poll(() =>
        runInDurableObject(host, (_host, state) =>
          ["offers", "owners"].map(
            (table) => state.storage.sql.exec<{ count: number }>(`SELECT count(*) AS count FROM ${table}`).one().count,
          ),
        ),
      )
      .toEqual([0, 0]);
  },
);

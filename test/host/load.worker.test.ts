/** A thousand lanes and jobs, one after the other and many at once, on one host's object in real workerd. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { BlobOffer, HostSession, Transfer, TransferReport } from "../../src/host/contract.ts";
import { GREATEST_LIMIT, START_LIMIT } from "../../src/host/concurrency.ts";

const LANES = 1_000;
/** Lanes that are there at the same time: more than the host may have slots, so that the limit is what holds them. */
const AT_ONCE = 100;
const BLOBS_PER_LANE = 2;

function copied(transfer: Transfer): TransferReport {
  return {
    lease: transfer.lease,
    result: { kind: "copied" },
    bytes: transfer.offer.sizeBytes,
    target: { class: "ok" },
    source: { class: "ok" },
    requests: { source: 1, target: 2 },
    warnings: [],
  };
}

test("a thousand lanes: never more slots than the limit, every blob moves once, nothing is left", async () => {
  const name = "load.test";
  const host = env.REGISTRIES.getByName(name);
  const job = "load";
  const offerOf = (index: number): BlobOffer => {
    const digest = `sha256:${index.toString(16).padStart(64, "0")}`;
    return {
      id: `${job}/app@${digest}`,
      digest,
      sizeBytes: 1_000 + index,
      targetRepository: "app",
      sourceHost: name,
      sourceRepository: "base",
      mayExist: false,
      since: index,
    };
  };

  const moved: string[] = [];
  let [underWay, most] = [0, 0];
  const lane = async (session: HostSession, first: Promise<Transfer | null>): Promise<void> => {
    for (let [blob, handed] = [1, first]; ; blob++) {
      const transfer = await handed;
      if (transfer === null) {
        throw new Error("a lane was sent home while blobs wait");
      }
      underWay += 1;
      most = Math.max(most, underWay);
      moved.push(transfer.offer.digest);
      expect(await session.renew([{ lease: transfer.lease, bytes: 1 }])).toMatchObject({ lost: [] });
      underWay -= 1;
      if (blob === BLOBS_PER_LANE) {
        await session.report(copied(transfer));
        session[Symbol.dispose]();
        return;
      }
      handed = session.next(copied(transfer));
    }
  };
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
      Array.from({ length: count }, (_, index) => offerOf(from * BLOBS_PER_LANE + index)),
    );
    await Promise.all(first.map((each) => lane(...each)));
  }

  // More were there than that: it is the limit that held them.
  expect(most).toBeLessThanOrEqual(GREATEST_LIMIT);
  expect(most).toBeGreaterThan(START_LIMIT);
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
        ["offers", "leases"].map(
          (table) => state.storage.sql.exec<{ count: number }>(`SELECT count(*) AS count FROM ${table}`).one().count,
        ),
      ),
    )
    .toEqual([0, 0]);
});

/** What a grant costs in node with many waiting: the real scheduler, with a port that writes nothing down. */
import type { BlobOffer, Transfer } from "../src/host/contract.ts";
import { Limits } from "../src/host/limits.ts";
import { MAX_WAIT_MS, POLICIES } from "../src/host/policy.ts";
import type { SchedulerPort } from "../src/host/port.ts";
import { HostScheduler } from "../src/host/scheduler.ts";

const HOST = "registry.test";
const JOBS = 200;
const GRANTS = 20_000;
/** Until the compiler has seen enough of it. */
const WARM_UP_GRANTS = 2_000;

/** Microseconds at the median from a lane's asking to its answer, while so many wait. */
export function grantMicroseconds(waiting: number): number {
  const handed: Transfer[] = [];
  let ids = 0;
  const nothing = (): void => undefined;
  const port: SchedulerPort = {
    newId: () => `id-${++ids}`,
    random: () => 0.5,
    putOffers: nothing,
    putTries: nothing,
    putHandover: nothing,
    abandon: nothing,
    deleteOffers: nothing,
    deleteOffersLater: nothing,
    putOwner: nothing,
    putKnown: nothing,
    known: () => [],
    order: nothing,
    borrow: nothing,
    giveBack: nothing,
    tellRoom: nothing,
    keep: nothing,
    askLoans: nothing,
    askSlots: nothing,
    lend: nothing,
    settle: nothing,
    heldBack: nothing,
    hand: (_seat, transfer) => {
      if (transfer !== null) {
        handed.push(transfer);
      }
    },
    admit: nothing,
    refuse: nothing,
  };
  const limits = new Limits({ host: HOST, reqConcurrent: 0, reqPerSec: 0, quotaReserve: 0 });
  const scheduler = new HostScheduler({ host: HOST, maxWaitMs: MAX_WAIT_MS, policy: POLICIES.drayage }, limits, port);
  let now = 1_000_000_000;
  const all = Array.from({ length: waiting + GRANTS + WARM_UP_GRANTS }, (_, index) => offer(index, now));
  for (const [job, offers] of Map.groupBy(all, ({ id }) => id.slice(0, id.indexOf("/")))) {
    scheduler.offer(job, offers, now);
  }
  scheduler.join("lane", { name: "lane", width: 1, held: [] }, now);
  const micros: number[] = [];
  for (let grant = 0; grant < GRANTS + WARM_UP_GRANTS; grant++) {
    now += 1;
    const start = performance.now();
    scheduler.seat("lane", `seat-${grant}`, now);
    const end = performance.now();
    const transfer = handed.pop();
    if (transfer === undefined) {
      throw new Error("nothing was granted");
    }
    if (grant >= WARM_UP_GRANTS) {
      micros.push((end - start) * 1_000);
    }
    scheduler.report(
      {
        lease: transfer.lease,
        result: { kind: "copied" },
        bytes: transfer.offer.sizeBytes,
        target: { class: "ok" },
        source: { class: "ok" },
        requests: { source: 1, target: 2 },
        warnings: [],
      },
      now,
    );
    scheduler.acknowledged([transfer.offer.id]);
  }
  return micros.toSorted((left, right) => left - right)[Math.floor(micros.length / 2)] ?? NaN;
}

function offer(index: number, now: number): BlobOffer {
  const digest = `sha256:${index.toString(16).padStart(64, "0")}`;
  const repository = `team/service-${index % 50}`;
  return {
    id: `job-${index % JOBS}/${repository}@${digest}`,
    digest,
    sizeBytes: 1_000 + ((index * 7_919) % 10_000_000),
    targetRepository: repository,
    sourceHost: HOST,
    sourceRepository: repository,
    mayExist: false,
    since: now + index,
  };
}

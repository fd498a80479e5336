/**
 * A chaos run: hundreds of copies, several at once, between registries that break, while the service is killed, its
 * objects thrown out of memory and its messages lost. Afterwards everything has to be right, and nothing left over.
 */
import * as z from "zod";
import { makeDistribution } from "../limits/distribution.ts";
import { LimitWatch } from "../limits/watch.ts";
import { seeded } from "../sim/random.ts";
import { Registries } from "./registries.ts";
import type { Death } from "./leftovers.ts";
import { messagesOf } from "./messages.ts";
import type { Report } from "./report.ts";
import { ChaosService, sleep } from "./service.ts";
import { shortenedLimits } from "./shortened.ts";
import { deal, type Blow } from "./blows.ts";
import { drawCopy, prepare, carryOut, type Ended } from "./copy.ts";

export interface ChaosOptions {
  copies: number;
  seed: number;
  /** Copies under way at once. */
  width: number;
  /** Longest pause between two blows, in milliseconds; 0: none at all. */
  pauseMaxMs: number;
  /** Leaves the logs of every workerd behind. */
  keep: boolean;
  /** Told of every copy's end. */
  onEnded?: (ended: Ended) => void;
}

/** After the last copy: until every slot is free and every message gone. Leases have to run out after the last kill. */
const QUIET_BOUND_MS = 40_000;
const POLL_MS = 250;

const ByKind = z.record(z.string(), z.number());
const Snapshot = z.looseObject({
  waiting: ByKind,
  active: ByKind,
  lanes: z.object({ joined: z.number(), ordered: z.number() }),
});

export async function runChaos(options: ChaosOptions): Promise<Report> {
  const { copies, seed, width, pauseMaxMs } = options;
  const beganMs = performance.now();
  await using distribution = await makeDistribution({
    keep: options.keep,
    frame: "test/chaos/main.worker.ts",
    broker: "test/chaos/broker.worker.ts",
    define: { CHAOS_SEED: String(seed) },
    plugins: [shortenedLimits()],
  });
  using watch = new LimitWatch(distribution.processes);
  await using registries = await Registries.open();
  await using service = await ChaosService.start(distribution);

  const random = seeded(seed);
  const blows: Partial<Record<Blow, number>> = {};
  const deaths: Death[] = [];
  const ended: Ended[] = [];
  const underWay = new Set<string>();
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < copies) {
      const planned = drawCopy(random, seed, started++);
      await prepare(registries, planned, random);
      const end = await carryOut(service, registries, seed, planned, (id) => underWay.add(id));
      underWay.delete(end.id);
      ended.push(end);
      options.onEnded?.(end);
    }
  };
  const calm = new AbortController();
  const blowsUnderWay =
    pauseMaxMs === 0
      ? Promise.resolve()
      : deal(
          {
            service,
            random: seeded(seed + 1),
            hosts: registries.hosts,
            jobs: () => [...underWay],
            pauseMaxMs,
            onBlow: (blow) => {
              blows[blow] = (blows[blow] ?? 0) + 1;
              if (blow !== "forget") {
                deaths.push({ atMs: performance.now(), what: blow });
              }
            },
          },
          calm.signal,
        );
  await Promise.all(Array.from({ length: width }, worker));
  calm.abort();
  await blowsUnderWay;
  for (const registry of registries.own) {
    registry.faults.clear();
  }
  const slotsLeaked = await quiet(service, registries, deaths);
  const left = registries.leftovers(deaths);
  const violations = watch.take();
  return {
    seed,
    copies,
    ends: countBy(ended, ({ state }) => state),
    misses: ended.flatMap(({ planned, id, problems }) =>
      problems.map((problem) => `copy ${planned.index} (${planned.fate}, ${id}): ${problem}`),
    ),
    longestMs: Math.round(Math.max(0, ...ended.map(({ tookMs }) => tookMs))),
    blows,
    faults: registries.faultsStruck(),
    messages: await messagesOf(distribution.processes),
    uploadsLeft: left.closable,
    uploadsLost: left.excused,
    slotsLeaked,
    damaged: await registries.damaged(),
    limits: violations.map(({ limit, detail }) => `${limit}: ${detail}`),
    peakBytes: watch.peakBytes,
    cpuMs: watch.cpuMs,
    tookMs: Math.round(performance.now() - beganMs),
  };
}

/** Waits until nothing waits or runs at any registry; else what still does. */
async function quiet(service: ChaosService, registries: Registries, deaths: readonly Death[]): Promise<string[]> {
  const deadline = performance.now() + QUIET_BOUND_MS;
  for (;;) {
    const busy: string[] = [];
    for (const host of registries.hosts) {
      const { waiting, active, lanes } = Snapshot.parse(await service.ask(`/v1/registries/${host}`));
      if (
        [...Object.values(waiting), ...Object.values(active), lanes.joined, lanes.ordered].some((count) => count > 0)
      ) {
        busy.push(`${host}: ${JSON.stringify({ waiting, active, lanes })}`);
      }
    }
    if ((busy.length === 0 && registries.leftovers(deaths).closable.length === 0) || performance.now() > deadline) {
      return busy;
    }
    await sleep(POLL_MS);
  }
}

function countBy<T>(list: readonly T[], key: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of list) {
    counts[key(item)] = (counts[key(item)] ?? 0) + 1;
  }
  return counts;
}

/**
 * One copy's dealings with two registry hosts, step by step, in real workerd: the test plays the job and the lane, and the
 * hosts have one slot each, so that one that is lost stops everything. Jobs and the queue of lanes are played too: what
 * the hosts tell them is what a test looks at.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import type {
  HeldSlot,
  Handover,
  HostSession,
  HostSnapshot,
  Joiner,
  Settlement,
  Transfer,
  TransferReport,
  WorkOrder,
} from "../../src/host/contract.ts";
import { REJOIN_MS } from "../../src/host/leases.ts";
import type { RegistryHost } from "../../src/host/registry-host.ts";
import { heldSlot } from "../../src/lane/held-slot.ts";
import { copied, offerOf } from "./transfers.ts";

export type Side = "target" | "source";
export const SIDES: readonly Side[] = ["target", "source"];

/** Long enough to be met by the steps that follow, in milliseconds. */
const PAUSE_MS = 150;
/** How far the first lane has got, of {@link LARGE_BYTES}. */
const HANDED_OVER_BYTES = 400;
const LARGE_BYTES = 1_000;
const SMALL_BYTES = 500;
const ONE_SLOT = { req_concurrent: 1 };

type Host = DurableObjectStub<RegistryHost>;

/** Lanes that hosts have sent for, and ends that jobs were told of, while a test plays both. */
const ordered = new Map<string, string[]>();
const told = new Map<string, Settlement[]>();
/** By job: the slots that it has at its target. */
const slots = new Map<string, ReadonlyMap<string, HeldSlot>>();
const oneSlotHosts: Record<string, typeof ONE_SLOT> = {};

/** From now on no lane comes by itself, and jobs take what they are told and do nothing. */
export function playJobsAndLanes(): void {
  const send = async ({ host, lane }: WorkOrder): Promise<void> => void list(ordered, host).push(lane);
  const sendBatch = async (orders: { body: WorkOrder }[]): Promise<void> => {
    await Promise.all(orders.map(({ body }) => send(body)));
  };
  const getByName = (job: string): object => ({
    settled: async (settlements: Settlement[]) => void list(told, job).push(...settlements),
    progressed: async () => undefined,
    warned: async () => undefined,
    slotsAt: async () => [...(slots.get(job)?.values() ?? [])],
  });
  Object.assign(env, { LANES: { send, sendBatch } });
  Object.defineProperty(env.JOBS, "getByName", { value: getByName });
}

/** What is left when all is over: the same however the walk was disturbed. */
export interface Remains {
  ends: [digest: string, outcome: "there" | "failed"][];
  hosts: {
    waiting: HostSnapshot["waiting"];
    active: HostSnapshot["active"];
    learned: HostSnapshot["learned"]["concurrency"];
    rows: number;
    alarm: number | null;
  }[];
}

export class Walk {
  readonly job = crypto.randomUUID();
  readonly #names = { target: `${crypto.randomUUID()}.test`, source: `${crypto.randomUUID()}.test` };
  readonly #sessions: { lane: HostSession | null; job: HostSession | null } = { lane: null, job: null };
  readonly #held = { lane: new Map<string, HeldSlot>(), job: new Map<string, HeldSlot>() };
  /** Digests of which a lane has said that they are there, and how often it has moved each. */
  readonly copied: string[] = [];
  transfer: Transfer | null = null;
  #pausedUntilMs = 0;

  constructor() {
    slots.set(this.job, this.#held.job);
    for (const name of Object.values(this.#names)) {
      oneSlotHosts[name] = ONE_SLOT;
    }
    // Settings are read anew only where they are another object.
    Object.assign(env, { HOSTS: { ...oneSlotHosts } });
  }

  /** A stub breaks with the object it leads to, so that each use takes a new one. */
  host(side: Side): Host {
    return env.REGISTRIES.getByName(this.#names[side]);
  }

  // --- the job --------------------------------------------------------------------------------------------------------

  async ask(id: string): Promise<void> {
    const request = { id, kind: "manifest" as const, bytes: 1_000, job: this.job };
    const lease = await this.#within("job", (session) => session.acquire(request));
    this.#held.job.set(lease, { lease, kind: request.kind, bytes: request.bytes });
  }

  async answer(id: string): Promise<void> {
    await this.#within("job", (session) => session.release(id, { class: "ok" }));
    this.#held.job.delete(id);
  }

  async offer(): Promise<void> {
    const { source } = this.#names;
    const offers = [
      offerOf(this.job, source, "sha256:large", LARGE_BYTES),
      offerOf(this.job, source, "sha256:small", SMALL_BYTES),
    ];
    await this.host("target").offer(this.job, offers);
  }

  // --- the lane -------------------------------------------------------------------------------------------------------

  async ordered(): Promise<void> {
    await eventually(() => expect(list(ordered, this.#names.target)).not.toEqual([]));
  }

  async join(): Promise<void> {
    await this.#within("lane", async () => undefined);
  }

  /** Takes what was handed back, no sooner than the host wants. */
  async nextAfterPause(): Promise<void> {
    await this.next();
    expect(Date.now()).toBeGreaterThanOrEqual(this.#pausedUntilMs);
  }

  /** Takes the next transfer, with the report of the last. */
  async next(report?: TransferReport): Promise<void> {
    const transfer = await this.#within("lane", (session) => session.next(report));
    if (report !== undefined) {
      this.#held.lane.delete(report.lease);
    }
    if (transfer === null) {
      throw new Error("the lane was sent home while blobs wait");
    }
    this.transfer = transfer;
    this.#held.lane.set(transfer.lease, heldSlot(transfer));
  }

  async renew(): Promise<void> {
    const handover = {
      v: 1,
      location: "https://upload.test/1",
      minChunkBytes: 0,
      maxChunkBytes: 0,
      offsetBytes: HANDED_OVER_BYTES,
    } as const;
    const progress = [{ lease: this.#moving.lease, bytes: HANDED_OVER_BYTES, handover }];
    expect(await this.#within("lane", (session) => session.renew(progress))).toEqual({ lost: [], withdrawn: [] });
  }

  /** The host wants to be left alone: the blob goes back, half moved. */
  async handBack(): Promise<void> {
    const handover = await this.#keptHandover();
    // Of a report that is made again the host hears nothing new: the pause is counted from the first.
    this.#pausedUntilMs ||= Date.now() + PAUSE_MS;
    await this.#report({
      ...copied(this.#moving),
      result: { kind: "returned" },
      bytes: HANDED_OVER_BYTES,
      target: { class: "throttled", retryAfterMs: PAUSE_MS },
      ...(handover === null ? {} : { handover }),
    });
  }

  async finish(): Promise<void> {
    this.copied.push(this.#moving.offer.digest);
    await this.#report(copied(this.#moving));
  }

  /** Reports the present transfer and takes the next in one call. */
  async finishAndNext(): Promise<void> {
    this.copied.push(this.#moving.offer.digest);
    await this.next(copied(this.#moving));
  }

  async expectNothingTaken(): Promise<void> {
    await eventually(async () => {
      for (const side of SIDES) {
        expect(sum((await this.host(side).snapshot()).active), side).toBe(0);
      }
    });
  }

  /** Both slots that the transfer needs are taken, and no other. */
  async expectBothEndsTaken(): Promise<void> {
    for (const side of SIDES) {
      const { active } = await this.host(side).snapshot();
      // An object that was just evicted knows of them again when it is told; until then it knows that there may be some.
      const isUntold = sum(active) === 0 && (await this.#ownerRows(side)) > 0;
      expect(active, side).toEqual({ head: 0, manifest: 0, query: 0, blob: isUntold ? 0 : 1 });
    }
  }

  #ownerRows(side: Side): Promise<number> {
    return runInDurableObject(
      this.host(side),
      (_host, { storage }) => storage.sql.exec<{ count: number }>("SELECT count(*) AS count FROM owners").one().count,
    );
  }

  async expectHandedOver(): Promise<void> {
    expect(this.#moving).toMatchObject({
      offer: { digest: "sha256:large" },
      handover: { offsetBytes: HANDED_OVER_BYTES },
    });
  }

  async expectTold(digests: string[]): Promise<void> {
    await eventually(() => expect(new Set(list(told, this.job).map(({ digest }) => digest))).toEqual(new Set(digests)));
  }

  async forget(): Promise<void> {
    await this.host("target").forget();
    await this.host("source").forget();
  }

  // --- what happens to it ---------------------------------------------------------------------------------------------

  /**
   * The object's memory is gone. One that has nothing to do is evicted as the platform does it; that waits for the end of
   * sessions and timers, so one at work is ended as a deploy or a crash does it.
   */
  async evict(side: Side): Promise<void> {
    const host = this.host(side);
    const { active, waiting, lanes } = await host.snapshot();
    const owners = await this.#ownerRows(side);
    const isIdle = sum(active) + sum(waiting) + lanes.joined + owners === 0 && (side === "source" || this.#isAlone);
    if (isIdle) {
      await evictDurableObject(host);
    } else {
      await expect(runInDurableObject(host, (_host, state) => state.abort("evicted"))).rejects.toThrow("evicted");
    }
  }

  async ring(side: Side): Promise<void> {
    await runDurableObjectAlarm(this.host(side));
  }

  /** The lane and the job are gone, as when their invocations end: their slots are free long before their leases run out. */
  async die(): Promise<void> {
    this.#disposeSessions();
    await vi.waitFor(
      async () => {
        for (const side of SIDES) {
          expect(sum((await this.host(side).snapshot()).active), side).toBe(0);
        }
      },
      { timeout: REJOIN_MS / 2, interval: 10 },
    );
  }

  /** What the lane had is not its own any more; it finds out when it renews, and what it says of it counts no more. */
  async expectLost(): Promise<void> {
    const { lease } = this.#moving;
    const renewal = await this.#within("lane", (session) => session.renew([{ lease, bytes: LARGE_BYTES }]));
    expect(renewal).toEqual({ lost: [lease], withdrawn: [] });
    await this.#report(copied(this.#moving));
    this.#disposeSessions();
  }

  /** No host has more under way than its one slot. */
  async expectWithinLimits(): Promise<void> {
    for (const side of SIDES) {
      expect(sum((await this.host(side).snapshot()).active), side).toBeLessThanOrEqual(1);
    }
  }

  /** Does what is left to do, as lanes and jobs would, then leaves; answers what remains. */
  async end(): Promise<Remains> {
    while ((await this.host("target").snapshot()).waiting.blob > 0) {
      // Evicted before its job was known to be told: the blob is looked for once more, and found.
      await this.next();
      await this.#report({ ...copied(this.#moving), result: { kind: "present" }, bytes: 0 });
    }
    await this.forget();
    // An object that was restarted waits for them to come back.
    this.#disposeSessions();
    await this.#within("lane", async () => undefined);
    await this.#within("job", async () => undefined);
    this.#disposeSessions();
    await eventually(async () => expect(await Promise.all(SIDES.map((side) => this.#rows(side)))).toEqual([0, 0]));
    const hosts = await Promise.all(SIDES.map((side) => this.#remainsOf(side)));
    const ends = new Map(
      list(told, this.job).map(({ digest, outcome }) => [digest, outcome === "failed" ? "failed" : "there"] as const),
    );
    return { ends: [...ends].toSorted(([left], [right]) => (left < right ? -1 : 1)), hosts };
  }

  // --- inside ---------------------------------------------------------------------------------------------------------

  get #moving(): Transfer {
    return this.transfer ?? expect.unreachable("no transfer");
  }

  get #isAlone(): boolean {
    return this.#sessions.lane === null && this.#sessions.job === null;
  }

  #disposeSessions(): void {
    for (const who of ["lane", "job"] as const) {
      this.#sessions[who]?.[Symbol.dispose]();
      this.#sessions[who] = null;
      this.#held[who].clear();
    }
  }

  async #report(report: TransferReport): Promise<void> {
    await this.#within("lane", (session) => session.report(report));
    this.#held.lane.delete(report.lease);
  }

  /** What a lane and a job do when their session breaks: they come back for what they hold, and ask again. */
  async #within<T>(who: "lane" | "job", call: (session: HostSession) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        this.#sessions[who] ??= await this.host("target").join(this.#joiner(who));
        return await call(this.#sessions[who]);
      } catch (error) {
        if (tries === 3) {
          throw error;
        }
        this.#sessions[who] = null;
      }
    }
  }

  #joiner(who: "lane" | "job"): Joiner {
    const held = [...this.#held[who].values()];
    return who === "lane" ? { name: "lane", width: 5, held } : { name: this.job, width: 0, held };
  }

  async #keptHandover(): Promise<Handover | null> {
    return runInDurableObject(this.host("target"), (_host, { storage }) => {
      const [row] = storage.sql.exec<{ kept: string }>("SELECT kept FROM handovers").toArray();
      const kept: { handover: Handover } | null = row === undefined ? null : JSON.parse(row.kept);
      return kept?.handover ?? null;
    });
  }

  #rows(side: Side): Promise<number> {
    return runInDurableObject(this.host(side), (_host, { storage }) => {
      const counts = ["offers", "owners", "handovers", "known"].map(
        (table) => storage.sql.exec<{ count: number }>(`SELECT count(*) AS count FROM ${table}`).one().count,
      );
      return counts.reduce((total, count) => total + count, 0);
    });
  }

  async #remainsOf(side: Side): Promise<Remains["hosts"][number]> {
    const host = this.host(side);
    // One that was set while there was work rings once more, and is the last.
    await runDurableObjectAlarm(host);
    const { waiting, active, learned } = await host.snapshot();
    const alarm = await runInDurableObject(host, (_host, { storage }) => storage.getAlarm());
    return { waiting, active, learned: learned.concurrency, rows: await this.#rows(side), alarm };
  }
}

/** What becomes of calls that nobody waits for is there within a moment; nothing in a walk may take longer. */
function eventually(holds: () => Promise<void> | void): Promise<void> {
  return vi.waitFor(holds, { timeout: 5_000, interval: 10 });
}

function list<T>(lists: Map<string, T[]>, key: string): T[] {
  const found = lists.get(key) ?? [];
  lists.set(key, found);
  return found;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

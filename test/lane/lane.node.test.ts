import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { HostSession, Joiner, Progress, Transfer, TransferReport } from "../../src/host/contract.ts";
import { LANE_WIDTH } from "../../src/host/seats.ts";
import { whyOf, type Why } from "../../src/lane/letting-go.ts";
import type { Meter } from "../../src/lane/meter.ts";
import { LANE_TIMES, runLane, type LaneTools, type TransferRunner } from "../../src/lane/lane.ts";

const ORDER = { v: 1, host: "target.example", lane: "lane-1" } as const;
const LIFE_MS = 90_000;
/** How long the scripted host lets a caller wait when it has nothing to do. */
const LINGER_MS = 2_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a lane", () => {
  it("runs five transfers at once, reports each one, and ends when there is nothing to do", async () => {
    const host = new ScriptedHost(12);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(0);
    expect(streams.active).toBe(LANE_WIDTH);

    await streams.finishAll();
    await ended(lane);
    expect(host.reports.map(({ lease }) => lease).toSorted()).toEqual(host.granted.toSorted());
    expect(streams.most).toBe(LANE_WIDTH);
    expect(host.openSessions).toBe(0);
  });

  it("takes nothing new when its time is up, but finishes and reports what it has", async () => {
    const host = new ScriptedHost(100);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(LIFE_MS + 5_000);
    expect(host.openSessions).toBe(1);

    await streams.finishAll();
    await ended(lane);
    expect(host.granted).toHaveLength(LANE_WIDTH);
    expect(host.reports).toHaveLength(LANE_WIDTH);
    expect(host.openSessions).toBe(0);
  });

  it("hangs up when its time is up while it only waits", async () => {
    const host = new ScriptedHost(0, { waitsForEver: true });
    const lane = runLane(ORDER, tools(host, new Streams().run));
    await vi.advanceTimersByTimeAsync(LIFE_MS);
    await ended(lane);
    expect(host.openSessions).toBe(0);
  });

  it("gives back what was on its way to it when its time was up, so that nobody takes it for cut off", async () => {
    const host = new ScriptedHost(0, { waitsForEver: true });
    const lane = runLane(ORDER, tools(host, new Streams().run));
    host.onItsWay = transferOf("crossing");
    await vi.advanceTimersByTimeAsync(LIFE_MS);
    await ended(lane);
    expect(host.reports).toMatchObject([{ lease: "crossing", result: { kind: "returned" } }]);
    expect(host.openSessions).toBe(0);
  });

  it("takes nothing more when the host is reset while its time runs out", async () => {
    const host = new ScriptedHost(0, { waitsForEver: true });
    const lane = runLane(ORDER, tools(host, new Streams().run));
    await vi.advanceTimersByTimeAsync(LIFE_MS - 1);
    host.isDown = true;
    host.reset();
    await vi.advanceTimersByTimeAsync(1);
    host.isDown = false;
    await vi.advanceTimersByTimeAsync(1_000);
    await ended(lane);
    expect(host.openSessions).toBe(0);
  });

  it("gives a transfer back untouched that is handed to it when its time is up", async () => {
    const host = new ScriptedHost(1, { waitsForEver: true });
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(LIFE_MS - 1);
    vi.setSystemTime(Date.now() + 1);
    host.handOut(transferOf("late"));
    await vi.advanceTimersByTimeAsync(1);
    await streams.finishAll();
    await ended(lane);
    expect(host.reports.find(({ lease }) => lease === "late")).toMatchObject({
      result: { kind: "returned" },
      target: { class: "unused" },
    });
  });

  it("tells every second how far its transfers are", async () => {
    const host = new ScriptedHost(1);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(0);
    streams.progress("lease-1", 1000);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(host.progress.at(-1)).toEqual([{ lease: "lease-1", bytes: 1000 }]);
    await streams.finishAll();
    await ended(lane);
    const told = host.progress.length;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(host.progress).toHaveLength(told);
  });

  it("breaks off the streams of a lost lease and goes on with the others", async () => {
    const host = new ScriptedHost(2);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(0);
    host.lost.add("lease-1");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(host.reports).toMatchObject([{ lease: "lease-1", result: { kind: "returned" } }]);
    expect(streams.active).toBe(1);
    await streams.finishAll();
    await ended(lane);
    expect(host.reports.at(-1)).toMatchObject({ lease: "lease-2", result: { kind: "copied" } });
  });

  it("says of a lost lease whether its blob is still wanted", async () => {
    const host = new ScriptedHost(2);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(0);
    host.lost.add("lease-1");
    host.lost.add("lease-2");
    host.withdrawn.add("lease-2");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(streams.letGo).toEqual({ "lease-1": "lost", "lease-2": "withdrawn" });
    await ended(lane);
  });

  it("tells the host what another lane would need, each time it changes and until it is heard", async () => {
    const host = new ScriptedHost(1);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(0);
    const handovers = (): unknown[] => host.progress.map(([progress]) => progress?.handover?.offsetBytes);
    streams.handOver("lease-1", 100);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(handovers()).toEqual([100, undefined]);
    streams.handOver("lease-1", 200);
    host.reset();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(handovers().slice(2)).toContain(200);
    await streams.finishAll();
    await ended(lane);
  });

  it("tells the host of an open upload that nobody could go on with, so that it can be deleted", async () => {
    const host = new ScriptedHost(1);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(0);
    streams.open("lease-1");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(host.progress.map(([progress]) => progress?.handover?.offsetBytes)).toEqual([0, undefined]);
    await streams.finishAll();
    await ended(lane);
  });

  it("has its transfers leave off when its time is up, and breaks off those that do not", async () => {
    const host = new ScriptedHost(1);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(LANE_TIMES.timeUpMs - 1);
    expect(streams.timesUp).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(streams.timesUp).toEqual(["lease-1"]);
    expect(streams.active).toBe(1);
    await vi.advanceTimersByTimeAsync(LANE_TIMES.breakOffMs - LANE_TIMES.timeUpMs);
    expect(streams.letGo).toEqual({ "lease-1": "time" });
    await ended(lane);
    expect(host.openSessions).toBe(0);
  });

  it("joins again after a reset of the host's object, with the leases it holds, and streams on meanwhile", async () => {
    const host = new ScriptedHost(3);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    await vi.advanceTimersByTimeAsync(0);
    host.reset();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(host.joins.map(({ held }) => held.map(({ lease }) => lease))).toEqual([
      [],
      ["lease-1", "lease-2", "lease-3"],
    ]);
    expect(streams.active).toBe(3);
    await streams.finishAll();
    await ended(lane);
    expect(host.reports.map(({ result }) => result.kind)).toEqual(["copied", "copied", "copied"]);
    expect(host.openSessions).toBe(0);
  });

  it("gives up after a bounded number of tries when the host's object stays out of reach, and leaves nothing running", async () => {
    const host = new ScriptedHost(2);
    const streams = new Streams();
    const lane = runLane(ORDER, tools(host, streams.run));
    const thrown = lane.catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(0);
    host.isDown = true;
    host.reset();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await thrown).toMatchObject({ message: "the object was reset" });
    expect(streams.active).toBe(0);
    expect(host.joins.length).toBeLessThan(12);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("aborts and frees everything when a runner throws against its promise", async () => {
    const host = new ScriptedHost(2);
    const signals: AbortSignal[] = [];
    const streams = new Streams();
    const run: TransferRunner = (transfer, means) => {
      signals.push(means.signal);
      return transfer.lease === "lease-1" ? Promise.reject(new Error("a bug")) : streams.run(transfer, means);
    };
    await expect(runLane(ORDER, tools(host, run))).rejects.toThrow("a bug");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect(host.openSessions).toBe(0);
  });
});

function tools(host: ScriptedHost, runTransfer: TransferRunner): LaneTools {
  return { join: (who) => host.join(who), runTransfer, now: Date.now, times: LANE_TIMES };
}

/** The lane's end, once the host has had the time to say that there is nothing left. */
async function ended(lane: Promise<void>): Promise<void> {
  await vi.advanceTimersByTimeAsync(LINGER_MS);
  await lane;
}

function transferOf(lease: string): Transfer {
  const offer = {
    id: `job/target@${lease}`,
    digest: `sha256:${"0".repeat(64)}`,
    sizeBytes: 10,
    targetRepository: "target",
    sourceHost: "source.example",
    sourceRepository: "source",
    mayExist: false,
    since: 0,
  };
  return { lease, loan: null, offer, job: "job", mountFrom: [], attempt: 1 };
}

function reportOf(lease: string, kind: "copied" | "returned"): TransferReport {
  return {
    lease,
    result: { kind },
    bytes: 0,
    target: { class: "ok" },
    source: { class: "ok" },
    requests: { source: 1, target: 2 },
    warnings: [],
  };
}

/** Transfers that last until the test ends them. */
class Streams {
  #open = new Map<string, { end: (report: TransferReport) => void; meter: Meter }>();
  most = 0;
  /** Leases whose transfers were asked to leave off. */
  readonly timesUp: string[] = [];
  /** By lease: why its transfer was broken off. */
  readonly letGo: Record<string, Why> = {};

  readonly run: TransferRunner = (transfer, { signal, timeUp, meter }) =>
    new Promise((resolve) => {
      const end = (report: TransferReport): void => {
        this.#open.delete(transfer.lease);
        resolve(report);
      };
      this.#open.set(transfer.lease, { end, meter });
      this.most = Math.max(this.most, this.#open.size);
      timeUp.addEventListener("abort", () => this.timesUp.push(transfer.lease), { once: true });
      const broken = (): void => {
        this.letGo[transfer.lease] = whyOf(signal.reason);
        end(reportOf(transfer.lease, "returned"));
      };
      signal.addEventListener("abort", broken, { once: true });
    });

  get active(): number {
    return this.#open.size;
  }

  progress(lease: string, bytes: number): void {
    const stream = this.#open.get(lease);
    if (stream) {
      stream.meter.bytes = bytes;
    }
  }

  handOver(lease: string, offsetBytes: number): void {
    const stream = this.#open.get(lease);
    if (stream) {
      stream.meter.handover = { v: 1, location: "http://target/", minChunkBytes: 0, maxChunkBytes: 0, offsetBytes };
    }
  }

  open(lease: string): void {
    const stream = this.#open.get(lease);
    if (stream) {
      stream.meter.opened = { v: 1, location: "http://target/", minChunkBytes: 0, maxChunkBytes: 0, offsetBytes: 0 };
    }
  }

  async finishAll(): Promise<void> {
    while (this.#open.size > 0) {
      for (const [lease, { end }] of this.#open) {
        end(reportOf(lease, "copied"));
      }
      await vi.advanceTimersByTimeAsync(0);
    }
  }
}

/** A host that hands out so many transfers, then answers null (or lets its callers wait). */
class ScriptedHost {
  readonly joins: Joiner[] = [];
  readonly reports: TransferReport[] = [];
  readonly granted: string[] = [];
  readonly progress: Progress[][] = [];
  readonly lost = new Set<string>();
  readonly withdrawn = new Set<string>();
  isDown = false;
  /** Handed to a caller that waits just when the lane retires. */
  onItsWay: Transfer | null = null;
  openSessions = 0;
  #left: number;
  #waitsForEver: boolean;
  #waiting: ((transfer: Transfer | null) => void)[] = [];
  #resets: (() => void)[] = [];
  #epoch = 0;

  constructor(transfers: number, { waitsForEver = false } = {}) {
    this.#left = transfers;
    this.#waitsForEver = waitsForEver;
  }

  async join(who: Joiner): Promise<HostSession> {
    this.joins.push(who);
    if (this.isDown) {
      throw new Error("the object was reset");
    }
    this.openSessions += 1;
    const epoch = this.#epoch;
    const check = (): void => {
      if (epoch !== this.#epoch) {
        throw new Error("the object was reset");
      }
    };
    let isOpen = true;
    return {
      next: async (report) => {
        check();
        if (report) {
          this.reports.push(report);
        }
        if (this.#left > 0) {
          this.#left -= 1;
          this.granted.push(`lease-${this.granted.length + 1}`);
          return transferOf(this.granted.at(-1) ?? "");
        }
        return new Promise((resolve, reject) => {
          this.#waiting.push(resolve);
          this.#resets.push(() => reject(new Error("the object was reset")));
          if (!this.#waitsForEver) {
            setTimeout(() => resolve(null), LINGER_MS);
          }
        });
      },
      retire: async () => {
        check();
        for (const answer of this.#waiting.splice(0)) {
          answer(this.onItsWay);
          this.onItsWay = null;
        }
      },
      report: async (report) => {
        check();
        this.reports.push(report);
      },
      renew: async (progress) => {
        check();
        this.progress.push(progress);
        const lost = progress.map(({ lease }) => lease).filter((lease) => this.lost.has(lease));
        return { lost, withdrawn: lost.filter((lease) => this.withdrawn.has(lease)) };
      },
      acquire: () => Promise.reject(new Error("lanes ask for no small requests")),
      release: async () => undefined,
      authorize: async () => null,
      [Symbol.dispose]: () => {
        if (isOpen) {
          this.openSessions -= 1;
        }
        isOpen = false;
      },
    };
  }

  handOut(transfer: Transfer): void {
    this.#waiting.shift()?.(transfer);
  }

  /** As an eviction of the object: every pending and further call of its sessions fails. */
  reset(): void {
    this.#epoch += 1;
    for (const reject of this.#resets.splice(0)) {
      reject();
    }
  }
}

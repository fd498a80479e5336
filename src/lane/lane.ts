/**
 * One lane: takes transfers from one target host, runs up to LANE_WIDTH of them at once and reports them, until there is
 * nothing to do or its time is up. Which transfer comes when, and how many a registry bears, is the host's decision.
 */
import { LANE_WIDTH } from "../host/seats.ts";
import type { Transfer, TransferReport, WorkOrder } from "../host/contract.ts";
import { heldSlot } from "./held-slot.ts";
import { HostLine, type Join } from "./host-line.ts";
import { LetGo } from "./letting-go.ts";
import type { Meter } from "./meter.ts";

/**
 * A lane takes on nothing new after this long: short beside the 15 minutes of a queue invocation, kind to deploys, and to
 * the local queue, which delivers one batch at a time. A work order costs milliseconds.
 */
export const LANE_LIFE_MS = 90_000;
/** A transfer that still runs after this leaves off at the next chunk: the invocation has 15 minutes in all. */
const TIME_UP_MS = 10 * 60_000;
/** One that has not come to the end of a chunk by then is broken off. */
const BREAK_OFF_MS = 12 * 60_000;
/** A transfer that will take longer than this may well meet the end of its Worker, and is made ready to change lanes. */
const PORTABLE_AFTER_MS = 20_000;

/** How long a lane may do what, from its start, in milliseconds. */
export interface LaneTimes {
  /** Takes on new transfers. */
  lifeMs: number;
  /** Lets transfers run on that could leave off. */
  timeUpMs: number;
  /** Lets transfers run at all. */
  breakOffMs: number;
  /** Not from its start: the expected duration from which on a transfer is hashed so that another lane can go on. */
  portableAfterMs: number;
}

export const LANE_TIMES: LaneTimes = {
  lifeMs: LANE_LIFE_MS,
  timeUpMs: TIME_UP_MS,
  breakOffMs: BREAK_OFF_MS,
  portableAfterMs: PORTABLE_AFTER_MS,
};
/** How often leases are extended and progress is told; a fraction of a lease's time limit, and what a person sees move. */
const RENEW_INTERVAL_MS = 1_000;

/** Runs one transfer to its end, whatever that is; must end soon after the signal is aborted, and never throw. */
export type TransferRunner = (
  transfer: Transfer,
  run: { signal: AbortSignal; timeUp: AbortSignal; portableAfterMs: number; meter: Meter; target: HostLine },
) => Promise<TransferReport>;

export interface LaneTools {
  /** Opens a session at the target host. */
  join: Join;
  runTransfer: TransferRunner;
  now: () => number;
  times: LaneTimes;
}

/**
 * Runs a lane to its end. When this returns or throws, nothing of it is running any more.
 * @throws whatever the host's object threw when it stayed out of reach.
 */
export async function runLane(order: WorkOrder, tools: LaneTools): Promise<void> {
  using lane = new Lane(order, tools);
  await lane.run();
}

interface Running {
  transfer: Transfer;
  controller: AbortController;
  meter: Meter;
}

class Lane {
  readonly #tools: LaneTools;
  readonly #line: HostLine;
  readonly #endsAtMs: number;
  /** By lease: what runs, or has ended and is not reported yet. */
  readonly #running = new Map<string, Running>();
  readonly #renewTimer: ReturnType<typeof setInterval>;
  readonly #timers: ReturnType<typeof setTimeout>[];
  readonly #timeUp = new AbortController();
  #renewing: Promise<void> | null = null;

  constructor(order: WorkOrder, tools: LaneTools) {
    const { lifeMs, timeUpMs, breakOffMs } = tools.times;
    this.#tools = tools;
    this.#line = new HostLine(tools.join, () => ({
      name: order.lane,
      width: LANE_WIDTH,
      held: [...this.#running.values()].map(({ transfer }) => heldSlot(transfer)),
    }));
    this.#endsAtMs = tools.now() + lifeMs;
    this.#renewTimer = setInterval(() => {
      this.#renewing ??= this.#renew().finally(() => {
        this.#renewing = null;
      });
    }, RENEW_INTERVAL_MS);
    const outOfTime = new LetGo("time", "the lane's time is up");
    this.#timers = [
      setTimeout(() => this.#retire(), lifeMs),
      setTimeout(() => this.#timeUp.abort(outOfTime), timeUpMs),
      setTimeout(() => this.#abortAll(outOfTime), breakOffMs),
    ];
  }

  async run(): Promise<void> {
    const loops = Array.from({ length: LANE_WIDTH }, () => this.#loop());
    // A loop that fails ends them all: its reports did not get through, and the others' would not either.
    for (const loop of loops) {
      loop.catch(() => this.#end());
    }
    const ends = await Promise.allSettled(loops);
    clearInterval(this.#renewTimer);
    await this.#renewing;
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) {
      throw failed.reason;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#renewTimer);
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#end();
  }

  #end(): void {
    this.#abortAll(new LetGo("lost", "the lane has ended"));
    this.#line[Symbol.dispose]();
  }

  async #loop(): Promise<void> {
    let report: TransferReport | undefined;
    for (;;) {
      if (this.#isOver) {
        if (report !== undefined) {
          await this.#deliver(report);
        }
        return;
      }
      const transfer = await this.#line.next(report);
      if (report !== undefined) {
        this.#running.delete(report.lease);
      }
      if (transfer === null) {
        return;
      }
      report = this.#isOver ? returned(transfer) : await this.#runOne(transfer);
    }
  }

  async #deliver(report: TransferReport): Promise<void> {
    await this.#line.report(report);
    this.#running.delete(report.lease);
  }

  async #runOne(transfer: Transfer): Promise<TransferReport> {
    const controller = new AbortController();
    const meter: Meter = { bytes: 0 };
    this.#running.set(transfer.lease, { transfer, controller, meter });
    return this.#tools.runTransfer(transfer, {
      signal: controller.signal,
      timeUp: this.#timeUp.signal,
      portableAfterMs: this.#tools.times.portableAfterMs,
      meter,
      target: this.#line,
    });
  }

  async #renew(): Promise<void> {
    if (this.#running.size === 0) {
      return;
    }
    const told = [...this.#running].map(([lease, { meter }]) => ({
      lease,
      meter,
      handover: meter.handover ?? meter.opened,
    }));
    const progress = told.map(({ lease, meter, handover }) => ({
      lease,
      bytes: meter.bytes,
      ...(handover !== undefined && handover !== meter.toldHandover && { handover }),
    }));
    try {
      const { lost, withdrawn } = await this.#line.renew(progress);
      for (const { lease, meter, handover } of told) {
        if (handover !== undefined && !lost.includes(lease)) {
          meter.toldHandover = handover;
        }
      }
      for (const lease of lost) {
        const why = withdrawn.includes(lease) ? "withdrawn" : "lost";
        this.#running.get(lease)?.controller.abort(new LetGo(why, "the lease was lost"));
      }
    } catch {
      // The host stayed out of reach: whoever holds its slots now, it is not us.
      this.#abortAll(new LetGo("lost", "the host is out of reach"));
    }
  }

  get #isOver(): boolean {
    return this.#tools.now() >= this.#endsAtMs;
  }

  /** After its time a lane does not sit and wait: every waiting `next` is answered. */
  #retire(): void {
    this.#line.retire().catch(() => {
      // The host stayed out of reach: the waiting calls fail by themselves, and end the lane.
    });
  }

  #abortAll(reason: LetGo): void {
    for (const { controller } of this.#running.values()) {
      controller.abort(reason);
    }
  }
}

/** A transfer that came when the lane's time was up. */
function returned({ lease, handover }: Transfer): TransferReport {
  return {
    lease,
    result: { kind: "returned" },
    ...(handover !== undefined && { handover }),
    bytes: 0,
    target: { class: "unused" },
    source: { class: "unused" },
    requests: { source: 0, target: 0 },
    warnings: [],
  };
}

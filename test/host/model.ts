/**
 * Several registry hosts, their lanes and the calls between them, run to the end by the real scheduler under a fake
 * clock: every call takes a random time, lanes die, calls get lost. Checks at every grant that no host has more under
 * way than it may.
 */
import type { BlobOffer, Settlement, Transfer } from "../../src/host/contract.ts";
import { Exchanges } from "../../src/host/exchanges.ts";
import { Limits } from "../../src/host/limits.ts";
import { POLICIES, type PolicyName } from "../../src/host/policy.ts";
import type { SchedulerPort } from "../../src/host/port.ts";
import { HostScheduler } from "../../src/host/scheduler.ts";
import { LANE_WIDTH } from "../../src/host/seats.ts";

export type Random = () => number;

/** mulberry32: small, seeded, good enough to draw histories. */
export function seeded(seed: number): Random {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export interface ModelOptions {
  /** Slots of each host, by name; 0: adaptive. */
  hosts: Record<string, number>;
  random: Random;
  policy?: PolicyName;
  maxWaitMs?: number;
  /** Chance that a transfer ends in the death of its lane. */
  deaths?: number;
  /** Chance that a transfer fails with an error worth a retry. */
  failures?: number;
  /** Chance that a call between hosts is lost. */
  losses?: number;
  /** How long every call takes, in milliseconds; by default a random time. */
  callMs?: number;
  /** How long a transfer takes, in milliseconds. */
  durationMs?: (bytes: number, random: Random) => number;
}

export interface Ended {
  id: string;
  job: string;
  outcome: string;
  atMs: number;
  waitedMs: number;
}

interface ModelHost {
  scheduler: HostScheduler;
  /** What the step under way has to tell to other hosts. */
  exchanges: Exchanges;
  timerAtMs: number;
  running: number;
  cap: number;
}

const MOST_CALL_MS = 50;

export class Model {
  now = 0;
  readonly ended = new Map<string, Ended>();
  readonly #settled = new Map<string, Settlement>();
  /** Longest wait between a blob's offer and its first start. */
  worstWaitMs = 0;
  readonly violations: string[] = [];
  /** Calls between hosts, and of hosts to the queue. */
  calls = 0;
  #events: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;
  #ids = 0;
  #options: ModelOptions;
  #hosts = new Map<string, ModelHost>();
  /** By session: what ends each of its transfers. */
  #lanes = new Map<string, Set<() => void>>();
  #started = new Set<string>();
  #offered = new Map<string, number>();
  /** Small requests, and how long each takes. */
  #held = new Map<string, number>();

  constructor(options: ModelOptions) {
    this.#options = options;
    for (const [host, cap] of Object.entries(options.hosts)) {
      const limits = new Limits({ host, reqConcurrent: cap, reqPerSec: 0, quotaReserve: 0 });
      const settings = { host, maxWaitMs: options.maxWaitMs ?? 60_000, policy: POLICIES[options.policy ?? "drayage"] };
      this.#hosts.set(host, {
        scheduler: new HostScheduler(settings, limits, this.#port(host)),
        exchanges: new Exchanges(),
        timerAtMs: Infinity,
        running: 0,
        cap,
      });
    }
  }

  /** Offers blobs to their target at a time. */
  offerAt(atMs: number, job: string, target: string, offers: BlobOffer[]): void {
    this.#at(atMs, () => {
      for (const offer of offers) {
        this.#offered.set(offer.id, this.now);
      }
      this.#step(target, (host) => host.offer(job, offers, this.now));
    });
  }

  /** A small request of a job, which holds its slot for a time. */
  askAt(atMs: number, job: string, name: string, holdMs: number): void {
    const id = `small${++this.#ids}`;
    this.#held.set(id, holdMs);
    this.#at(atMs, () =>
      this.#step(name, (host) => host.request(job, { id, kind: "manifest", bytes: 0, job }, this.now)),
    );
  }

  withdrawAt(atMs: number, job: string, target: string): void {
    this.#at(atMs, () => this.#step(target, (host) => host.withdraw(job, this.now)));
  }

  /** Runs until nothing is left to happen, or until `untilMs`. */
  run(untilMs: number): void {
    for (;;) {
      const event = this.#pop();
      if (event === undefined || event.atMs > untilMs) {
        return;
      }
      this.now = Math.max(this.now, event.atMs);
      event.run();
    }
  }

  scheduler(host: string): HostScheduler {
    return this.#host(host).scheduler;
  }

  #port(host: string): SchedulerPort {
    const { random } = this.#options;
    return {
      newId: () => `n${++this.#ids}`,
      random,
      putOffers: () => undefined,
      putTries: () => undefined,
      putHandover: () => undefined,
      abandon: () => undefined,
      deleteOffers: () => undefined,
      deleteOffersLater: () => undefined,
      putOwner: () => undefined,
      putKnown: () => undefined,
      known: () => [],
      order: (lane) => this.#call(() => this.#startLane(host, lane)),
      borrow: (source, request) => this.#host(host).exchanges.borrow(source, request),
      giveBack: (source, id, outcome) => this.#host(host).exchanges.giveBack(source, id, outcome),
      tellRoom: (source) => this.#host(host).exchanges.tellRoom(source),
      keep: (source, ids) => this.#call(() => this.#step(source, (other) => other.keep(ids, this.now))),
      askLoans: () => undefined,
      askSlots: () => undefined,
      lend: (borrower, id) =>
        this.#call(() => {
          const answer = this.#step(borrower, (other) => other.lent(id, this.now));
          this.#answer(() => this.#step(host, (me) => me.lentAnswered(borrower, id, answer, this.now)));
        }),
      settle: (job, settlement) => {
        const { id, outcome } = settlement;
        // The same end may be told again, to a job that has not acknowledged it.
        if ((this.#settled.get(id) ?? settlement) !== settlement) {
          this.violations.push(`${id} was settled twice`);
        }
        if (this.ended.has(id)) {
          this.#answer(() => this.#step(host, (me) => me.acknowledged([id])));
          return;
        }
        this.#settled.set(id, settlement);
        this.ended.set(id, { id, job, outcome, atMs: this.now, waitedMs: this.now - (this.#offered.get(id) ?? 0) });
        this.#answer(() => this.#step(host, (me) => me.acknowledged([id])));
      },
      hand: (seat, transfer) => this.#hand(host, seat, transfer),
      heldBack: () => undefined,
      admit: (id) =>
        this.#at(this.now + (this.#held.get(id) ?? 0), () =>
          this.#step(host, (me) => me.release(id, { class: "ok" }, this.now)),
        ),
      refuse: () => undefined,
    };
  }

  #startLane(host: string, lane: string): void {
    const session = `${host}/${lane}`;
    this.#step(host, (me) => {
      me.join(session, { name: lane, width: LANE_WIDTH, held: [] }, this.now);
      for (let i = 0; i < LANE_WIDTH; i++) {
        me.seat(session, `${session}#${++this.#ids}`, this.now);
      }
    });
  }

  #hand(host: string, seat: string, transfer: Transfer | null): void {
    if (transfer === null) {
      return;
    }
    const { random, deaths = 0, failures = 0, durationMs = (): number => 10 + random() * 1000 } = this.#options;
    const session = seat.slice(0, seat.indexOf("#"));
    const ends = transfer.offer.sourceHost === host ? [host] : [host, transfer.offer.sourceHost];
    if (!this.#started.has(transfer.offer.id)) {
      this.#started.add(transfer.offer.id);
      this.worstWaitMs = Math.max(this.worstWaitMs, this.now - (this.#offered.get(transfer.offer.id) ?? this.now));
    }
    for (const name of ends) {
      const state = this.#host(name);
      state.running += 1;
      if (state.cap > 0 && state.running > state.cap) {
        this.violations.push(`${name} has ${state.running} transfers at once, at most ${state.cap} are allowed`);
      }
    }
    let over = false;
    const end = (): void => {
      over = true;
      for (const name of ends) {
        this.#host(name).running -= 1;
      }
    };
    const lane = this.#lanes.get(session) ?? new Set();
    this.#lanes.set(session, lane.add(end));
    const dies = random() < deaths;
    const fails = random() < failures;
    this.#at(this.now + durationMs(transfer.offer.sizeBytes, random), () => {
      if (over) {
        return;
      }
      if (dies) {
        // With a lane die all its transfers.
        for (const endOfOne of lane) {
          endOfOne();
        }
        this.#step(host, (me) => me.leave(session, this.now));
        return;
      }
      lane.delete(end);
      end();
      const error = {
        code: "unavailable",
        side: "source",
        host: "",
        operation: "read blob",
        retryable: true,
        message: "injected",
      } as const;
      const report = {
        lease: transfer.lease,
        result: fails ? ({ kind: "failed", error } as const) : ({ kind: "copied" } as const),
        bytes: transfer.offer.sizeBytes,
        target: { class: "ok" } as const,
        source: { class: fails ? "failed" : "ok" } as const,
        requests: { source: 1, target: 2 },
        warnings: [],
      };
      this.#step(host, (me) => {
        me.report(report, this.now);
        me.seat(session, `${session}#${++this.#ids}`, this.now);
      });
    });
  }

  #step<T>(name: string, step: (scheduler: HostScheduler) => T): T {
    const host = this.#host(name);
    const result = step(host.scheduler);
    this.#exchange(name);
    this.#arm(name);
    return result;
  }

  /** What the step has left to tell to other hosts, one call to each. */
  #exchange(name: string): void {
    const { exchanges, scheduler } = this.#host(name);
    for (const source of exchanges.sources()) {
      const { returns, requests } = exchanges.take(source);
      const room = scheduler.roomFor(source, requests, this.now);
      this.#call(
        () => {
          const answer = this.#step(source, (other) =>
            other.exchange({ borrower: name, room, returns, requests }, this.now),
          );
          this.#answer(() => this.#step(name, (me) => me.exchanged(source, requests, answer, this.now)));
        },
        () => this.#step(name, (me) => me.exchanged(source, requests, undefined, this.now)),
      );
    }
  }

  #arm(name: string): void {
    const host = this.#host(name);
    const dueAtMs = host.scheduler.nextTickAtMs(this.now);
    if (dueAtMs !== undefined && (dueAtMs < host.timerAtMs || host.timerAtMs <= this.now)) {
      host.timerAtMs = dueAtMs;
      this.#at(dueAtMs, () => {
        if (host.timerAtMs === dueAtMs) {
          host.timerAtMs = Infinity;
          this.#step(name, (scheduler) => scheduler.tick(this.now));
        }
      });
    }
  }

  #host(name: string): ModelHost {
    const host = this.#hosts.get(name);
    if (host === undefined) {
      throw new Error(`no host ${name}`);
    }
    return host;
  }

  #call(run: () => void, lost?: () => void): void {
    this.calls += 1;
    this.#answer(run, lost);
  }

  #answer(run: () => void, lost?: () => void): void {
    const { random, losses = 0, callMs } = this.#options;
    const isLost = random() < losses;
    const then = isLost ? lost : run;
    if (then !== undefined) {
      this.#at(this.now + (callMs ?? random() * MOST_CALL_MS), then);
    }
  }

  #at(atMs: number, run: () => void): void {
    const event = { atMs, order: this.#order++, run };
    // A binary heap, by time and order of arrival.
    const heap = this.#events;
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const other = heap[parent];
      if (other === undefined || !before(event, other)) {
        break;
      }
      heap[i] = other;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): { atMs: number; order: number; run: () => void } | undefined {
    const heap = this.#events;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) {
      return top;
    }
    let i = 0;
    for (;;) {
      const left = heap[2 * i + 1];
      const right = heap[2 * i + 2];
      const least = right !== undefined && left !== undefined && before(right, left) ? right : left;
      if (least === undefined || !before(least, last)) {
        break;
      }
      heap[i] = least;
      i = least === left ? 2 * i + 1 : 2 * i + 2;
    }
    heap[i] = last;
    return top;
  }
}

function before(a: { atMs: number; order: number }, b: { atMs: number; order: number }): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

export function blob(job: string, source: string, name: string, sizeBytes: number, since: number): BlobOffer {
  return {
    id: `${job}/app@${name}`,
    digest: name,
    sizeBytes,
    targetRepository: "app",
    sourceHost: source,
    sourceRepository: "app",
    mayExist: false,
    since,
  };
}

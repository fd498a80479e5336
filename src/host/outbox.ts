/**
 * The calls a RegistryHost makes to other objects and to the queue, sent after the step that asked for them, those to
 * one receiver together. A stub that threw is broken, so the next call makes a new one.
 */
import type { Exchange, ExchangeAnswer, HeldLoan, HeldSlot, LentAnswer, LoanRequest, Settlement } from "./contract.ts";
import { isGroupId } from "../copy/copy-id.ts";
import { writeLine } from "../log.ts";
import type { Env } from "../env.ts";
import type { CopyJob } from "../job/copy-job.ts";
import { Exchanges } from "./exchanges.ts";
import { OWN_REQUESTS } from "./own-gate.ts";
import { Pace } from "./pace.ts";
import type { Outcome } from "../registry/gate.ts";
import type { RegistryHost } from "./registry-host.ts";

/** A host's object that restarts is back within seconds; a slot that cannot be given back runs out by itself in a minute. */
const GIVE_BACK_TRIES = 6;
const GIVE_BACK_PAUSE_MS = 200;
/** A source is told of returned slots and asked for others no more often than this, in milliseconds: each call costs both objects. */
const EXCHANGE_GAP_MS = 4;
/** … and a job of ends, each of which costs it a commit, while it has many more before it. */
const TELL_GAP_MS = 20;
const MANY_LEFT = 24;
/** Messages one `sendBatch` may hold. */
const ORDERS_PER_BATCH = 100;

/** Where the answers go. */
export interface OutboxAnswers {
  /** How many slots a source may lend now, to be told with these requests. */
  roomFor(sourceHost: string, requests: LoanRequest[]): number;
  exchanged(sourceHost: string, requests: LoanRequest[], answer: ExchangeAnswer | undefined): void;
  lentAnswered(borrower: string, loanId: string, answer: LentAnswer): void;
  slotsTold(job: string, held: HeldSlot[]): void;
  loansTold(borrower: string, loans: HeldLoan[] | null): void;
  acknowledged(ids: string[]): void;
}

export class Outbox {
  #env: Env;
  #host: string;
  #answers: OutboxAnswers;
  #waitUntil: (promise: Promise<unknown>) => void;
  #registries = new Map<string, DurableObjectStub<RegistryHost>>();
  #flushing = false;
  /** Those that let something go before long. */
  readonly #waitedFor = new Set<Pace>();
  readonly #exchangePace = new Pace(EXCHANGE_GAP_MS);
  readonly #tellPace = new Pace(TELL_GAP_MS);
  #orders: string[] = [];
  #sending = false;
  #exchanges = new Exchanges();
  #settlements = new Map<string, Settlement[]>();
  /** Of the jobs that are to be told of ends: those that have much before them still. */
  readonly #busyJobs = new Set<string>();
  /** Jobs that are being told of ends: what ends meanwhile is told together after that. */
  #telling = new Set<string>();
  #progress = new Map<string, { id: string; bytes: number }[]>();
  #warnings = new Map<string, string[]>();

  constructor(env: Env, host: string, answers: OutboxAnswers, waitUntil: (promise: Promise<unknown>) => void) {
    this.#env = env;
    this.#host = host;
    this.#answers = answers;
    this.#waitUntil = waitUntil;
  }

  order(lane: string): void {
    this.#orders.push(lane);
    this.#flushSoon();
  }

  giveBack(sourceHost: string, id: string, outcome: Outcome): void {
    this.#exchanges.giveBack(sourceHost, id, outcome);
    this.#flushSoon();
  }

  borrow(sourceHost: string, request: LoanRequest): void {
    this.#exchanges.borrow(sourceHost, request);
    this.#flushSoon();
  }

  tellRoom(sourceHost: string): void {
    this.#exchanges.tellRoom(sourceHost);
    this.#flushSoon();
  }

  /** @param left Offers of the job that are still to be acknowledged. */
  settle(job: string, settlement: Settlement, left: number): void {
    push(this.#settlements, job, settlement);
    if (left >= MANY_LEFT) {
      this.#busyJobs.add(job);
    } else {
      this.#busyJobs.delete(job);
    }
    this.#flushSoon();
  }

  warn(job: string, message: string): void {
    push(this.#warnings, job, message);
    this.#flushSoon();
  }

  progress(job: string, progress: { id: string; bytes: number }): void {
    push(this.#progress, job, progress);
    this.#flushSoon();
  }

  keep(sourceHost: string, ids: string[]): void {
    this.#call(sourceHost, (registry) => registry.keep(ids));
  }

  /** Without an answer the job has some seconds to come back by itself; so has a group, which reads a few manifests. */
  askSlots(job: string): void {
    if (!isGroupId(job) && job !== OWN_REQUESTS) {
      this.#tell(job, async (stub) => this.#answers.slotsTold(job, await stub.slotsAt(this.#host)));
    }
  }

  /** Without an answer it is asked again. */
  askLoans(borrower: string): void {
    this.#call(borrower, async (registry) => {
      this.#answers.loansTold(borrower, await registry.loansOf(this.#host));
    });
  }

  /** Without an answer nobody knows whether the slot was taken: it is kept, claimed when it is asked for again, or runs out. */
  lend(borrower: string, loanId: string): void {
    this.#call(borrower, async (registry) => {
      this.#answers.lentAnswered(borrower, loanId, await registry.lent(loanId));
    });
  }

  #flushSoon(): void {
    if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => this.#flush());
    }
  }

  /** Whether a receiver may be told something now; if not, all that waits is looked at again when it may. */
  #mayTell(receiver: string, pace: Pace): boolean {
    const waitMs = pace.wait(receiver, Date.now());
    if (waitMs > 0 && !this.#waitedFor.has(pace)) {
      this.#waitedFor.add(pace);
      setTimeout(() => {
        this.#waitedFor.delete(pace);
        this.#flush();
      }, waitMs);
    }
    return waitMs === 0;
  }

  #flush(): void {
    this.#flushing = false;
    this.#sendOrders();
    for (const sourceHost of this.#exchanges.sources()) {
      if (this.#mayTell(sourceHost, this.#exchangePace)) {
        const { returns, requests } = this.#exchanges.take(sourceHost);
        this.#exchange(sourceHost, returns, requests, 1);
      }
    }
    for (const job of this.#settlements.keys()) {
      this.#settle(job);
    }
    for (const [job, messages] of drain(this.#warnings)) {
      // A group reads manifests for its copies, and is nobody's job.
      const told = isGroupId(job) ? this.#env.GROUPS.getByName(job) : this.#env.JOBS.getByName(job);
      this.#waitUntil(told.warned(messages).catch((error: unknown) => this.#log(`call to job ${job} failed`, error)));
    }
    for (const [job, progress] of drain(this.#progress)) {
      this.#tell(job, (stub) => stub.progressed(progress));
    }
  }

  /** One call at a time to each job: what ends while it is told goes together with the next. */
  #settle(job: string): void {
    const settlements = this.#settlements.get(job);
    if (settlements === undefined || this.#telling.has(job)) {
      return;
    }
    if (this.#busyJobs.has(job) && !this.#mayTell(job, this.#tellPace)) {
      return;
    }
    this.#busyJobs.delete(job);
    this.#settlements.delete(job);
    this.#telling.add(job);
    this.#tell(
      job,
      async (stub) => {
        await stub.settled(settlements);
        this.#answers.acknowledged(settlements.map((settlement) => settlement.id));
      },
      () => {
        this.#telling.delete(job);
        this.#settle(job);
      },
    );
  }

  /** Giving back twice does no harm, so it is repeated until it was heard. */
  #exchange(sourceHost: string, returns: Exchange["returns"], requests: LoanRequest[], tries: number): void {
    const room = this.#answers.roomFor(sourceHost, requests);
    const exchange: Exchange = { borrower: this.#host, room, returns, requests };
    this.#call(
      sourceHost,
      async (registry) => this.#answers.exchanged(sourceHost, requests, await registry.exchange(exchange)),
      () => {
        this.#answers.exchanged(sourceHost, requests, undefined);
        if (returns.length > 0 && tries < GIVE_BACK_TRIES) {
          const pauseMs = GIVE_BACK_PAUSE_MS * 2 ** (tries - 1);
          this.#waitUntil(sleep(pauseMs).then(() => this.#exchange(sourceHost, returns, [], tries + 1)));
        }
      },
    );
  }

  /** One send at a time: each takes one of the object's connections, and what comes meanwhile goes together. */
  #sendOrders(): void {
    if (this.#orders.length === 0 || this.#sending) {
      return;
    }
    this.#sending = true;
    const sent = this.#send(this.#orders.splice(0, ORDERS_PER_BATCH)).finally(() => {
      this.#sending = false;
      this.#sendOrders();
    });
    this.#waitUntil(sent);
  }

  /** An order that is not sent is missed: the host sends for another lane before long. Never rejects. */
  async #send(lanes: string[]): Promise<void> {
    const messages = lanes.map((lane) => ({ body: { v: 1 as const, host: this.#host, lane } }));
    const [only] = messages;
    try {
      await (messages.length === 1 && only !== undefined
        ? this.#env.LANES.send(only.body)
        : this.#env.LANES.sendBatch(messages));
    } catch (error) {
      this.#log("work order not sent", error);
    }
  }

  /**
   * The first call after a restart of the other object always fails, so each is made once more, through a new stub: at
   * once, so that what is given back later cannot overtake what was asked for. Each may be made twice.
   */
  #call(
    host: string,
    call: (registry: DurableObjectStub<RegistryHost>) => Promise<unknown>,
    failed?: () => void,
  ): void {
    const attempt = async (): Promise<unknown> => {
      const registry = this.#registries.get(host) ?? this.#env.REGISTRIES.getByName(host);
      this.#registries.set(host, registry);
      try {
        return await call(registry);
      } catch (error) {
        if (this.#registries.get(host) === registry) {
          this.#registries.delete(host);
        }
        throw error;
      }
    };
    this.#waitUntil(
      attempt()
        .catch(attempt)
        .catch((error: unknown) => {
          this.#log(`call to ${host} failed`, error);
          failed?.();
        }),
    );
  }

  #tell(job: string, call: (stub: DurableObjectStub<CopyJob>) => Promise<unknown>, after?: () => void): void {
    this.#waitUntil(
      call(this.#env.JOBS.getByName(job))
        .catch((error: unknown) => this.#log(`call to job ${job} failed`, error))
        .finally(after),
    );
  }

  #log(event: string, error: unknown): void {
    writeLine({ msg: event, host: this.#host, error: error instanceof Error ? error.message : String(error) });
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) {
    map.set(key, [value]);
  } else {
    list.push(value);
  }
}

function drain<K, V>(map: Map<K, V>): [K, V][] {
  const all = [...map];
  map.clear();
  return all;
}

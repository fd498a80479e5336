/**
 * A random history of one host: callers come, get slots, give them back once or twice, break off or vanish; the host's
 * object restarts, the clock jumps. Every rule that must hold after each step is checked against the rows it has written.
 */
import type { SmallRequest, Transfer, TransferResult } from "../../src/host/contract.ts";
import { LEASE_MS } from "../../src/host/leases.ts";
import { ownerOf } from "../../src/host/owners.ts";
import { LANE_WIDTH } from "../../src/host/seats.ts";
import type { Outcome } from "../../src/registry/gate.ts";
import { RecordedHost } from "./recorded-host.ts";
import type { Random } from "./model.ts";

const JOBS = ["j0", "j1", "j2"] as const;
const KINDS = ["head", "manifest", "query"] as const;
const SOURCES = ["here", "there"] as const;
/** More rounds than any history needs to come to its end: twice what a blob may be tried. */
const MOST_ROUNDS = 150;
const FAILURE = {
  code: "unavailable",
  side: "target",
  host: "here",
  operation: "copy blob",
  retryable: true,
  message: "injected",
} as const;

export class History {
  readonly host: RecordedHost;
  readonly violations: string[] = [];
  readonly #random: Random;
  readonly #slots: number;
  #count = 0;
  /** Small requests: who waits for which, who holds which. */
  readonly #waiting = new Map<string, string>();
  readonly #held = new Map<string, string>();
  /** Transfers that lanes have, by lease; the lane of each. */
  readonly #running = new Map<string, { transfer: Transfer; lane: string }>();
  readonly #lanes = new Set<string>();
  /** Offers that must come to an end. */
  readonly #owed = new Set<string>();
  readonly #ended = new Map<string, object>();
  readonly #told: string[] = [];
  /** Loans out of this host: asked for and not given back. */
  readonly #loans = new Map<string, "waiting" | "held">();
  /** Held when the host was restarted, and not told since; the end of the time to, milliseconds since the epoch. */
  readonly #untoldLoans = new Map<string, number>();
  readonly #finished: (() => void)[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#slots = 1 + this.#below(4);
    this.host = new RecordedHost({
      reqConcurrent: this.#slots,
      maxWaitMs: this.#chance(0.5) ? 500 : 60_000,
      quotaReserve: this.#chance(0.3) ? 10 : 0,
      random,
    });
  }

  step(): void {
    this.#pick([
      () => this.#arrive(),
      () => this.#arrive(),
      () => this.#offer(),
      () => this.#offer(),
      () => this.#borrow(),
      () => this.#answerSource(),
      () => this.#answerSource(),
      () => this.#lane(),
      () => this.#finish(this.#outcome()),
      () => this.#finish(this.#outcome()),
      () => this.#release(this.#outcome()),
      () => this.#release(this.#outcome()),
      () => this.#returnLoan(),
      () => this.#answerLend(this.#chance(0.7)),
      () => this.#again(),
      () => this.#cancel(),
      () => this.#leave(),
      () => this.host.pass(this.#below(5_000)),
      () => this.#expire(),
      () => void (this.host.now += this.#below(3_600_000)),
      () => void (this.host.now -= this.#below(10_000)),
      () => this.#restart(),
      () => this.#tellLoans(),
      () => this.host.tidy(),
    ])();
    this.#listen();
    this.#check();
  }

  /** Everybody behaves from now on: what is still owed after that was lost. */
  end(): void {
    const { host } = this;
    for (let round = 0; round < MOST_ROUNDS && !this.#quiet(); round++) {
      this.#lane();
      host.asked.splice(0).forEach((asked) => host.answer({ lease: "x" }, asked));
      this.#listen();
      while (this.#running.size > 0) {
        this.#finish({ class: "ok" }, { kind: "copied" });
        this.#listen();
      }
      while (this.#held.size > 0) {
        this.#release({ class: "ok" });
        this.#listen();
      }
      // The other host has room again.
      for (const id of host.exchange({}).lent) {
        host.giveBack(id);
        this.#loans.delete(id);
      }
      while (host.lent.length > 0) {
        this.#answerLend(true);
      }
      while ([...this.#loans.values()].includes("held")) {
        this.#returnLoan("held");
        this.#listen();
      }
      this.#acknowledge();
      this.#check();
      host.pass(round % 10 === 9 ? LEASE_MS * 60 : 1_000);
      this.#listen();
    }
    for (const lane of this.#lanes) {
      host.scheduler.leave(lane, host.now);
    }
    this.#acknowledge();
    // A call that was lost may have left a slot that runs out by itself, on a clock that has gone back a little.
    host.pass(2 * LEASE_MS);
    for (const id of [...this.#owed, ...this.#waiting.keys(), ...host.leases.keys(), ...host.offers.keys()]) {
      this.#violated(`${id} is left over`);
    }
    const dueAtMs = host.scheduler.nextTickAtMs(host.now);
    if (dueAtMs !== undefined) {
      this.#violated(`there is nothing to do, and it wants to be woken in ${dueAtMs - host.now} ms`);
    }
  }

  // --- what may happen ------------------------------------------------------------------------------------------------

  #arrive(): void {
    const job = this.#one(JOBS);
    const id = `small-${++this.#count}`;
    this.#waiting.set(id, job);
    const more: Partial<SmallRequest> = this.#chance(0.2) ? { background: true } : {};
    this.host.request(id, { session: job, kind: this.#one(KINDS), ...more });
  }

  #offer(): void {
    const name = this.#chance(0.2) ? "shared" : `blob-${++this.#count}`;
    const sizeBytes = 1 + this.#below(10_000_000);
    const more = this.#chance(0.2) ? { background: true } : {};
    const id = `${this.#one(JOBS)}:${++this.#count}`;
    // One job each, so that each may be withdrawn alone.
    const offer = this.host.offer(name, { job: id, sizeBytes, sourceHost: this.#one(SOURCES), ...more });
    this.#owed.add(offer.id);
  }

  #borrow(): void {
    const id = `loan-${++this.#count}#1.1`;
    const answer = this.host.borrow(id, { starving: this.#chance(0.2), background: this.#chance(0.2) });
    if (answer !== undefined && !("refused" in answer)) {
      this.#loans.set(id, "lease" in answer ? "held" : "waiting");
    }
  }

  #answerSource(): void {
    const { host } = this;
    const asked = this.#take(host.asked);
    if (asked !== undefined) {
      const answers = [
        { lease: "x" },
        { lease: "x" },
        { queued: true },
        { queued: true, heldBack: true },
        undefined,
      ] as const;
      const answer = this.#one(answers);
      host.answer(answer, asked);
      if (answer !== undefined && "queued" in answer && this.#chance(0.7)) {
        this.#listen();
        host.scheduler.lent(asked.request.id, host.now);
        this.#listen();
        host.scheduler.lent(asked.request.id, host.now);
      }
    }
  }

  #lane(): void {
    for (const lane of this.host.ordered.splice(0)) {
      this.#lanes.add(lane);
      this.host.joinLane(lane, LANE_WIDTH);
    }
  }

  #finish(target: Outcome, result?: TransferResult): void {
    const [lease] = [...this.#running.keys()].slice(result === undefined ? this.#below(this.#running.size) : 0);
    const running = this.#running.get(lease ?? "");
    if (lease === undefined || running === undefined) {
      return;
    }
    this.#running.delete(lease);
    const results: readonly [TransferResult, ...TransferResult[]] = [
      { kind: "copied" },
      { kind: "mounted" },
      { kind: "returned" },
      { kind: "failed", error: FAILURE },
    ];
    const report = { result: result ?? this.#one(results), target };
    this.host.report(running.transfer, report);
    this.#finished.push(() => this.host.report(running.transfer, report));
    if (this.#lanes.has(running.lane)) {
      this.host.seat(running.lane);
    }
  }

  #release(outcome: Outcome): void {
    const id = this.#one([...this.#held.keys()]);
    if (id !== undefined) {
      this.#held.delete(id);
      this.host.release(id, outcome);
      this.#finished.push(() => this.host.release(id, outcome));
    }
  }

  #returnLoan(state?: "held"): void {
    const ids = [...this.#loans].filter(([, each]) => state === undefined || each === state).map(([id]) => id);
    const id = this.#one(ids);
    if (id !== undefined) {
      this.#loans.delete(id);
      const giveBack = (): void => this.host.giveBack(id);
      giveBack();
      this.#finished.push(giveBack);
    }
  }

  #answerLend(taken: boolean): void {
    const lent = this.host.lent.shift();
    if (lent !== undefined) {
      const wanted = taken && this.#loans.has(lent.id);
      if (wanted) {
        this.#loans.set(lent.id, "held");
      } else {
        this.#loans.delete(lent.id);
      }
      const answer = wanted ? "taken" : this.#one(["full", "unwanted"] as const);
      this.host.scheduler.lentAnswered(lent.borrower, lent.id, answer, this.host.now);
    }
  }

  /** Something that was over is told once more. */
  #again(): void {
    this.#one(this.#finished)?.();
    this.#listen();
    this.#acknowledge();
  }

  #cancel(): void {
    const id = this.#one([...this.#owed]);
    const job = this.host.offers.get(id ?? "")?.job;
    if (id !== undefined && job !== undefined) {
      this.#owed.delete(id);
      this.host.scheduler.withdraw(job, this.host.now);
    }
  }

  #leave(): void {
    const lane = this.#one([...this.#lanes]);
    if (lane !== undefined && this.#chance(0.5)) {
      this.#lanes.delete(lane);
      this.#forget(({ lane: other }) => other === lane);
      this.host.scheduler.leave(lane, this.host.now);
      return;
    }
    const job = this.#one(JOBS);
    for (const smalls of [this.#waiting, this.#held]) {
      [...smalls].filter(([, of]) => of === job).forEach(([id]) => smalls.delete(id));
    }
    this.host.scheduler.leave(job, this.host.now);
  }

  /** Nobody renews for longer than a lease lasts. */
  #expire(): void {
    this.host.pass(LEASE_MS + 1);
    this.#listen();
    for (const [lease, { lane }] of this.#running) {
      const lost = this.host.scheduler.renew(lane, [{ lease, bytes: 1 }], this.host.now).lost.length > 0;
      if (!lost && !this.host.leases.has(lease)) {
        this.#violated(`${lease} was renewed and is not there`);
      }
    }
    this.#forgetLost();
  }

  /** Those who hear that they have waited too long give up what they had. */
  #forgetLost(): void {
    [...this.#held.keys()].filter((id) => !this.host.leases.has(id)).forEach((id) => this.#held.delete(id));
    this.#forget(({ transfer }) => !this.host.leases.has(transfer.lease));
    [...this.#loans]
      .filter(([id, state]) => state === "held" && !this.#isLent(id))
      .forEach(([id]) => this.#loans.delete(id));
  }

  /** All sessions break. Who still lives comes back with what it holds, and asks again for what it waits for. */
  #restart(): void {
    const { host } = this;
    // What has run out is not the restart's doing: it would be there in truth, and above the limit.
    this.#forgetLost();
    const lanes = [...this.#lanes];
    this.#lanes.clear();
    this.#ended.clear();
    host.lent.length = 0;
    host.askedLoans.length = 0;
    this.#untoldLoans.clear();
    for (const [id] of [...this.#loans].filter(([loan, state]) => state === "held" && this.#isLent(loan))) {
      this.#untoldLoans.set(id, host.now + LEASE_MS);
    }
    host.restart();
    this.#listen();
    this.#check();
    for (const lane of lanes) {
      const held = [...this.#running.values()].filter(({ lane: of }) => of === lane).map(({ transfer }) => transfer);
      if (this.#chance(0.7)) {
        this.#lanes.add(lane);
        host.joinLane(lane, LANE_WIDTH - Math.min(LANE_WIDTH, held.length), held);
      } else {
        this.#forget(({ lane: of }) => of === lane);
      }
    }
    for (const job of JOBS) {
      host.joinJob(
        job,
        [...this.#held].filter(([, of]) => of === job).map(([id]) => id),
      );
    }
    for (const [id, session] of this.#waiting) {
      host.request(id, { session });
    }
    for (const [id, state] of this.#loans) {
      const answer = state === "waiting" ? host.borrow(id) : undefined;
      if (answer !== undefined) {
        this.#loans.set(id, "lease" in answer ? "held" : "waiting");
      }
    }
  }

  /** The other host was asked which slots it has of this one, and says so; or it does not know. */
  #tellLoans(): void {
    if (this.host.askedLoans.shift() === undefined) {
      return;
    }
    if (this.#chance(0.3)) {
      this.host.scheduler.loansTold("there", null, this.host.now);
      return;
    }
    const held = [...this.#loans].filter(([, state]) => state === "held");
    const loans = held.map(([id]) => ({ id, job: "k", bytes: 1_000 }));
    this.#untoldLoans.clear();
    this.host.scheduler.loansTold("there", loans, this.host.now);
  }

  // --- what comes of it -----------------------------------------------------------------------------------------------

  #listen(): void {
    const { host } = this;
    for (const id of host.admitted.splice(0)) {
      const session = this.#waiting.get(id);
      if (session === undefined) {
        this.#violated(`${id} was admitted, and does not wait`);
      } else {
        this.#waiting.delete(id);
        this.#held.set(id, session);
      }
    }
    for (const { id } of host.refused.splice(0)) {
      this.#waiting.delete(id);
    }
    for (const { seat, transfer } of host.handed.splice(0)) {
      const lane = seat.slice(0, seat.indexOf("#"));
      if (transfer !== null) {
        if (this.#running.has(transfer.lease)) {
          this.#violated(`${transfer.lease} was handed out twice`);
        }
        this.#running.set(transfer.lease, { transfer, lane });
      }
    }
    for (const settlement of host.settled.splice(0)) {
      if ((this.#ended.get(settlement.id) ?? settlement) !== settlement) {
        this.#violated(`${settlement.id} has ended in two ways`);
      }
      this.#ended.set(settlement.id, settlement);
      this.#owed.delete(settlement.id);
      this.#told.push(settlement.id);
    }
  }

  #check(): void {
    const { host } = this;
    const leases = [...host.leases.values()];
    for (const [name, held] of Map.groupBy(leases, ({ use }) => ownerOf(use))) {
      const slots = host.owners.get(name) ?? 0;
      if (held.length > slots) {
        this.#violated(`${name} has ${held.length} slots, and is written down for ${slots}`);
      }
    }
    const lent = leases.flatMap(({ use }) => (use.type === "loan" ? use.loanId : []));
    // What this host does not know of yet after a restart counts all the same.
    const isUntold = (id: string): boolean => this.#loans.get(id) === "held" && !lent.includes(id);
    const untold = [...this.#untoldLoans].filter(([id, untilMs]) => isUntold(id) && host.now < untilMs);
    if (leases.length + untold.length > this.#slots) {
      this.#violated(`${leases.length} and ${untold.length} slots are taken, of ${this.#slots}`);
    }
    const uses = leases
      // Of a lane that came back for a blob which is no longer its own: it has the slot until it has left off.
      .filter(({ use }) => use.type !== "transfer" || use.offerId !== "")
      .map(({ id, use }) => (use.type === "transfer" ? use.offerId : use.type === "loan" ? use.loanId : id));
    if (new Set(uses).size < uses.length) {
      this.#violated(`two slots for one: ${uses.join(", ")}`);
    }
  }

  #quiet(): boolean {
    const loans = [...this.#loans.keys()].some((id) => this.#isLent(id));
    const owed = this.#owed.size + this.#waiting.size + this.#held.size + this.#running.size + this.host.offers.size;
    // A loan that still waits would be granted later, with nobody left to give it back.
    return owed === 0 && !loans && this.host.scheduler.waiting().waiting.blob === 0;
  }

  #acknowledge(): void {
    this.host.scheduler.acknowledged(this.#told.splice(0));
  }

  #isLent(id: string): boolean {
    return [...this.host.leases.values()].some(({ use }) => use.type === "loan" && use.loanId === id);
  }

  #forget(which: (running: { transfer: Transfer; lane: string }) => boolean): void {
    [...this.#running].filter(([, running]) => which(running)).forEach(([lease]) => this.#running.delete(lease));
  }

  #violated(words: string): void {
    this.violations.push(words);
  }

  #outcome(): Outcome {
    const quota = { limit: 100, remaining: this.#below(30), windowSeconds: 1 + this.#below(60) };
    return (
      this.#one<Outcome>([
        { class: "ok" },
        { class: "ok" },
        { class: "ok", quota },
        { class: "throttled", quota },
        { class: "throttled", retryAfterMs: this.#below(20_000) },
        { class: "refused" },
        { class: "failed" },
        { class: "unused" },
      ]) ?? { class: "ok" }
    );
  }

  // --- chance ---------------------------------------------------------------------------------------------------------

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #take<T>(list: T[]): T | undefined {
    return list.splice(this.#below(list.length), 1)[0];
  }

  #one<T>(list: readonly [T, ...T[]]): T;
  #one<T>(list: readonly T[]): T | undefined;
  #one<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length)];
  }

  #pick(list: readonly (() => void)[]): () => void {
    return list[this.#below(list.length)] ?? (() => undefined);
  }
}

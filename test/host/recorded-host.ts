/**
 * One real scheduler whose port writes down what it is told: rows as a store would keep them, calls as others would get
 * them. Nothing answers by itself; a test plays jobs, lanes and the other hosts, and the clock.
 */
import type {
  BlobOffer,
  Exchange,
  ExchangeAnswer,
  LoanAnswer,
  LoanRequest,
  Settlement,
  SmallRequest,
  Transfer,
  TransferReport,
} from "../../src/host/contract.ts";
import type { Lease } from "../../src/host/leases.ts";
import { Limits, type LimitsSettings } from "../../src/host/limits.ts";
import { POLICIES, type Policy, type PolicyName } from "../../src/host/policy.ts";
import type { SchedulerPort } from "../../src/host/port.ts";
import type { KeptOffer } from "../../src/host/transfers.ts";
import { HostScheduler } from "../../src/host/scheduler.ts";
import type { ErrorDetail } from "../../src/registry/errors.ts";
import type { Outcome } from "../../src/registry/gate.ts";
import { heldSlot } from "../../src/lane/held-slot.ts";
import { copied } from "./transfers.ts";

export interface RecordedOptions extends Partial<LimitsSettings> {
  policy?: PolicyName | Policy;
  maxWaitMs?: number;
  random?: () => number;
  startMs?: number;
}

/** What a borrower can use, where that is not the point. */
const MUCH_ROOM = 1_000;
/** Far more than any history needs. */
const MOST_WAKE_UPS = 100_000;

export class RecordedHost {
  now: number;
  limits: Limits;
  scheduler: HostScheduler;
  readonly host: string;

  /** Rows. */
  readonly offers = new Map<string, KeptOffer>();
  readonly owners = new Map<string, number>();
  /** Answers to those who wait, in their order. */
  readonly admitted: string[] = [];
  readonly refused: { id: string; error: ErrorDetail }[] = [];
  readonly handed: { seat: string; transfer: Transfer | null }[] = [];
  /** Calls to others, in their order. */
  readonly ordered: string[] = [];
  readonly asked: { source: string; request: LoanRequest }[] = [];
  readonly givenBack: { source: string; id: string; outcome: Outcome }[] = [];
  readonly kept: { source: string; ids: string[] }[] = [];
  /** Borrowers that were asked which loans they have. */
  readonly askedLoans: string[] = [];
  /** Jobs that were asked which slots they have. */
  readonly askedSlots: string[] = [];
  readonly lent: { borrower: string; id: string }[] = [];
  /** Sources that were told how much room there is. */
  readonly toldRoom: string[] = [];
  readonly settled: Settlement[] = [];
  readonly toldHeldBack: string[] = [];
  /** Locations of uploads that were to be deleted. */
  readonly abandoned: string[] = [];

  readonly #options: RecordedOptions;
  #ids = 0;
  #timerAtMs = Infinity;
  #wakeUps = 0;

  constructor(options: RecordedOptions = {}) {
    this.#options = options;
    this.host = options.host ?? "here";
    this.now = options.startMs ?? 1_000_000_000;
    this.limits = this.#newLimits();
    this.scheduler = this.#newScheduler();
  }

  // --- a test's hands -------------------------------------------------------------------------------------------------

  /** Passes time; the scheduler is woken when it has asked for it: as its object does, a timer is only ever moved forward. */
  pass(ms: number): void {
    const untilMs = this.now + ms;
    for (;;) {
      const dueAtMs = this.scheduler.nextTickAtMs(this.now);
      if (dueAtMs === undefined) {
        this.#timerAtMs = Infinity;
      } else if (dueAtMs < this.#timerAtMs || this.#timerAtMs < this.now) {
        this.#timerAtMs = dueAtMs;
      }
      if (this.#timerAtMs > untilMs) {
        break;
      }
      this.now = Math.max(this.#timerAtMs, this.now);
      this.#timerAtMs = Infinity;
      this.scheduler.tick(this.now);
      this.#wakeUps += 1;
      if (this.#wakeUps > MOST_WAKE_UPS) {
        throw new Error("the scheduler asks to be woken without end");
      }
    }
    this.now = untilMs;
  }

  /** A restart: all that is left is what was written down. */
  restart(): void {
    this.#timerAtMs = Infinity;
    this.limits = this.#newLimits();
    this.scheduler = this.#newScheduler();
    const owners = [...this.owners].map(([name, slots]) => ({ name, slots }));
    this.scheduler.restore([...this.offers.values()], owners, this.now);
  }

  /** Deletes the rows of owners that have held nothing for a while, as the host's object does every quarter of a second. */
  tidy(): void {
    for (const name of [...this.scheduler.owners.takeIdle(), ...this.scheduler.owners.takeIdle()]) {
      this.owners.delete(name);
    }
  }

  /** A job joins under its own name, which is its session's too. */
  joinJob(name: string, held: string[] = []): void {
    const slots = held.map((lease) => ({ lease, kind: "head" as const, bytes: 0 }));
    this.scheduler.join(name, { name, width: 0, held: slots }, this.now);
  }

  /** A lane joins and takes that many seats, named after it. */
  joinLane(name: string, seats: number, held: Transfer[] = []): void {
    const width = seats + held.length;
    this.scheduler.join(name, { name, width, held: held.map(heldSlot) }, this.now);
    for (let i = 0; i < seats; i++) {
      this.seat(name);
    }
  }

  seat(session: string): void {
    this.scheduler.seat(session, `${session}#${++this.#ids}`, this.now);
  }

  request(id: string, more: Partial<SmallRequest> & { session?: string } = {}): void {
    const { session = "j", ...rest } = more;
    this.scheduler.request(session, { id, kind: "head", bytes: 0, job: session, ...rest }, this.now);
  }

  release(lease: string, outcome: Outcome = { class: "ok" }): void {
    this.scheduler.release(lease, outcome, this.now);
  }

  offer(name: string, more: Partial<BlobOffer> & { job?: string } = {}): BlobOffer {
    const { job = "j", ...rest } = more;
    const offer: BlobOffer = {
      id: `${job}/app@${name}`,
      digest: name,
      sizeBytes: 1_000,
      targetRepository: "app",
      sourceHost: this.host,
      sourceRepository: "base",
      mayExist: false,
      since: this.now,
      ...rest,
    };
    this.scheduler.offer(job, [offer], this.now);
    return offer;
  }

  /** Another host asks for a slot; it could use many. */
  borrow(id: string, more: Partial<LoanRequest> = {}): LoanAnswer | undefined {
    const request = { id, borrower: "there", job: "k", bytes: 1_000, jobBytesLeft: 1_000, since: this.now };
    return this.exchange({ requests: [{ ...request, starving: false, ...more }] }).answers[0];
  }

  giveBack(id: string, outcome: Outcome = { class: "ok" }): void {
    this.exchange({ returns: [{ id, outcome }] });
  }

  exchange(more: Partial<Exchange>): ExchangeAnswer {
    const exchange = { borrower: "there", room: MUCH_ROOM, returns: [], requests: [], ...more };
    return this.scheduler.exchange(exchange, this.now);
  }

  /** The source answers what it was asked, by default first; undefined: it could not be reached. */
  answer(answer: LoanAnswer | undefined, asked = this.asked[0]): void {
    if (asked === undefined) {
      throw new Error("no source was asked for anything");
    }
    const { source, request } = asked;
    const exchanged = answer === undefined ? undefined : { answers: [answer], lent: [] };
    this.scheduler.exchanged(source, [request], exchanged, this.now);
  }

  report(transfer: Transfer, more: Partial<TransferReport> = {}): void {
    this.scheduler.report({ ...copied(transfer), ...more }, this.now);
  }

  /** Slots in use, by lease. */
  get leases(): Map<string, Lease> {
    return new Map([...this.scheduler.leases].map((lease) => [lease.id, lease]));
  }

  /** Transfers that lanes were given so far. */
  get transfers(): Transfer[] {
    return this.handed.flatMap(({ transfer }) => transfer ?? []);
  }

  /** Lanes' seats that were sent home so far. */
  get sentHome(): string[] {
    return this.handed.filter(({ transfer }) => transfer === null).map(({ seat }) => seat);
  }

  // --- inside ---------------------------------------------------------------------------------------------------------

  #newLimits(): Limits {
    const { reqConcurrent = 0, reqPerSec = 0, quotaReserve = 0 } = this.#options;
    return new Limits({ host: this.host, reqConcurrent, reqPerSec, quotaReserve });
  }

  #newScheduler(): HostScheduler {
    const { policy = "drayage", maxWaitMs = 600_000 } = this.#options;
    const settings = { host: this.host, maxWaitMs, policy: typeof policy === "string" ? POLICIES[policy] : policy };
    return new HostScheduler(settings, this.limits, this.#port());
  }

  #deleteOffers(ids: string[]): void {
    for (const id of ids) {
      this.offers.delete(id);
    }
  }

  #port(): SchedulerPort {
    return {
      newId: () => `n${++this.#ids}`,
      random: this.#options.random ?? (() => 0),
      putOffers: (job, offers) => {
        for (const offer of offers) {
          this.offers.set(offer.id, { job, offer, attempts: 0, cuts: 0 });
        }
      },
      putTries: (id, { attempts, cuts }) => {
        const row = this.offers.get(id);
        if (row !== undefined) {
          Object.assign(row, { attempts, cuts });
        }
      },
      putHandover: (offerId, kept) => {
        const row = this.offers.get(offerId);
        if (row !== undefined && kept === null) {
          delete row.kept;
        } else if (row !== undefined && kept !== null) {
          row.kept = kept;
        }
      },
      abandon: (_repository, { location }) => this.abandoned.push(location),
      deleteOffers: (ids) => this.#deleteOffers(ids),
      deleteOffersLater: (ids) => this.#deleteOffers(ids),
      putOwner: ({ name, slots }) => this.owners.set(name, slots),
      putKnown: () => undefined,
      known: () => [],
      order: (lane) => this.ordered.push(lane),
      borrow: (source, request) => this.asked.push({ source, request }),
      giveBack: (source, id, outcome) => this.givenBack.push({ source, id, outcome }),
      tellRoom: (source) => this.toldRoom.push(source),
      keep: (source, ids) => this.kept.push({ source, ids }),
      askSlots: (job) => this.askedSlots.push(job),
      askLoans: (borrower) => this.askedLoans.push(borrower),
      lend: (borrower, id) => this.lent.push({ borrower, id }),
      settle: (_job, settlement) => this.settled.push(settlement),
      heldBack: (job) => this.toldHeldBack.push(job),
      hand: (seat, transfer) => this.handed.push({ seat, transfer }),
      admit: (id) => this.admitted.push(id),
      refuse: (id, error) => this.refused.push({ id, error }),
    };
  }
}

/** Carries the calls between hosts, in order and without loss, until there are none left. */
export function carryCalls(...hosts: RecordedHost[]): void {
  const named = (name: string): RecordedHost | undefined => hosts.find(({ host }) => host === name);
  for (let carried = true; carried;) {
    carried = false;
    for (const host of hosts) {
      const { scheduler, now } = host;
      const exchange = (source: string, requests: LoanRequest[], returns: Exchange["returns"]): void => {
        const room = scheduler.roomFor(source, requests, now);
        const other = named(source)?.scheduler;
        scheduler.exchanged(
          source,
          requests,
          other?.exchange({ borrower: host.host, room, returns, requests }, now),
          now,
        );
        carried = true;
      };
      for (const { source, request } of host.asked.splice(0)) {
        exchange(source, [request], []);
      }
      for (const { borrower, id } of host.lent.splice(0)) {
        const answer = named(borrower)?.scheduler.lent(id, now) ?? "unwanted";
        scheduler.lentAnswered(borrower, id, answer, now);
        carried = true;
      }
      for (const { source, id, outcome } of host.givenBack.splice(0)) {
        exchange(source, [], [{ id, outcome }]);
      }
      for (const source of host.toldRoom.splice(0)) {
        exchange(source, [], []);
      }
      for (const borrower of host.askedLoans.splice(0)) {
        scheduler.loansTold(borrower, named(borrower)?.scheduler.loansOf(host.host) ?? null, now);
        carried = true;
      }
    }
  }
}

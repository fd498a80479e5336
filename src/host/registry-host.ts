/**
 * The Durable Object of one registry host: where every copy, lane and caller meets. Thin: each call is one synchronous
 * step of the scheduler, its rows written in the same breath; what leaves goes through the outbox afterwards.
 */
import { DurableObject } from "cloudflare:workers";
import { writeLine } from "../log.ts";
import { clientReach, hostSettings, isLocal, queueSettings } from "../config.ts";
import type { Env } from "../env.ts";
import { type CatalogPage, listRepositories } from "../registry/catalog.ts";
import { ConnectionBudget } from "../registry/connection-budget.ts";
import { CopyError } from "../registry/errors.ts";
import type { Authorization, AuthorizationRequest } from "../registry/gate.ts";
import type { HostClient } from "../registry/host-client.ts";
import { updateManifest } from "../registry/manifest-update.ts";
import { TokenSource } from "../registry/token.ts";
import { createWire, type WireInit } from "../registry/wire.ts";
import type {
  BlobOffer,
  Exchange,
  ExchangeAnswer,
  HeldLoan,
  HeldSlot,
  HostSnapshot,
  Joiner,
  LentAnswer,
  LoanRequest,
  Progress,
  ReferrerAddition,
  RegistryHostRpc,
  Transfer,
  TransferReport,
} from "./contract.ts";
import { deleteUpload } from "./abandoned-uploads.ts";
import { FallbackTags } from "./fallback-tags.ts";
import { Arrivals } from "./arrivals.ts";
import { keychainOf } from "./keychain.ts";
import { GREATEST_LOCAL_LIMIT } from "./concurrency.ts";
import { LateRows } from "./late-rows.ts";
import { Limits } from "./limits.ts";
import { Outbox } from "./outbox.ts";
import { ownClient } from "./own-client.ts";
import { OWN_REQUESTS, OwnGate } from "./own-gate.ts";
import { MAX_WAIT_MS, POLICIES } from "./policy.ts";
import { learnedProfile, settingsInForce } from "./profile.ts";
import type { SeenQuota } from "./quota.ts";
import { HostScheduler } from "./scheduler.ts";
import { Session, type SessionHost } from "./session.ts";
import { HostStore } from "./store.ts";
import { UploadManners } from "./upload-manners.ts";

/** The watchdog's round while anything is going on: it re-sends what was lost and writes down what was learned. */
const ALARM_MS = 20_000;

/**
 * Connections of this object for its own requests: all its events share six. The others are the token endpoint's and the
 * queue's, which requests wait for: they must not wait for one another.
 */
const OWN_CONNECTIONS = 3;

interface Waiter<T> {
  resolve: (value: T) => void;
  reject: (error: Error) => void;
}

export class RegistryHost extends DurableObject<Env> implements RegistryHostRpc {
  #host: string;
  #store: HostStore;
  #limits: Limits;
  #outbox: Outbox;
  #scheduler: HostScheduler;
  #uploads: UploadManners;
  #budget = new ConnectionBudget(OWN_CONNECTIONS);
  #tokens: TokenSource | undefined;
  #fallbackTags: FallbackTags | undefined;
  #ownGate: OwnGate | undefined;
  #seats = new Map<string, Waiter<Transfer | null>>();
  #requests = new Map<string, Waiter<string>>();
  /** Of those who have joined and not left: others are given no transfers. */
  readonly #sessions = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #timerAtMs = Infinity;
  #lateRows: LateRows;
  readonly #arrivals = new Arrivals(() => this.#step(() => undefined));
  #alarmAtMs = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#host = ctx.id.name ?? "";
    const { policy, maxWaitMs } = queueSettings(env);
    const now = Date.now();
    this.#store = new HostStore(ctx.storage);
    const limits = { ...hostSettings(env, this.#host), ...(isLocal(env) ? { greatest: GREATEST_LOCAL_LIMIT } : {}) };
    this.#limits = new Limits(limits, this.#store.limits(), this.#store.minutes(now));
    this.#uploads = new UploadManners(hostSettings(env, this.#host), this.#store.uploadLesson());
    this.#outbox = this.#newOutbox();
    const settings = { host: this.#host, maxWaitMs: maxWaitMs ?? MAX_WAIT_MS, policy: POLICIES[policy] };
    this.#scheduler = new HostScheduler(settings, this.#limits, this.#newPort());
    this.#lateRows = new LateRows(this.#store, this.#limits, this.#scheduler);
    this.#scheduler.restore(this.#store.offers(), this.#store.owners(), now);
    // Of the object's own requests none is under way any more.
    this.#scheduler.slotsTold(OWN_REQUESTS, [], now);
    this.#arm(now);
  }

  // --- called by lanes and jobs -------------------------------------------------------------------------------------

  async join(who: Joiner): Promise<Session> {
    const id = crypto.randomUUID();
    this.#sessions.add(id);
    this.#step((now) => this.#scheduler.join(id, who, now));
    return new Session(id, this.#sessionHost);
  }

  async offer(job: string, offers: BlobOffer[]): Promise<void> {
    this.#step((now) => this.#scheduler.offer(job, offers, now));
  }

  async withdraw(job: string): Promise<void> {
    this.#step((now) => this.#scheduler.withdraw(job, now));
  }

  async addReferrer(addition: ReferrerAddition): Promise<void> {
    this.#fallbackTags ??= this.#newFallbackTags();
    return this.#fallbackTags.add(addition);
  }

  async listRepositories(cursor: string | null): Promise<CatalogPage> {
    return listRepositories(this.#ownClient("source"), cursor);
  }

  // --- called by other hosts ----------------------------------------------------------------------------------------

  async exchange(exchange: Exchange): Promise<ExchangeAnswer> {
    return this.#step((now) => this.#scheduler.exchange(exchange, now));
  }

  async keep(ids: string[]): Promise<void> {
    this.#step((now) => this.#scheduler.keep(ids, now));
  }

  async loansOf(sourceHost: string): Promise<HeldLoan[] | null> {
    return this.#step(() => this.#scheduler.loansOf(sourceHost));
  }

  async lent(id: string): Promise<LentAnswer> {
    return this.#step((now) => this.#scheduler.lent(id, now));
  }

  async snapshot(): Promise<HostSnapshot> {
    const now = Date.now();
    const { limit, pausedUntilMs, pauseReason, quota } = this.#limits;
    return {
      host: this.#host,
      ...this.#scheduler.waiting(),
      active: this.#scheduler.active(),
      lanes: this.#scheduler.lanes(now),
      limit,
      pause: pausedUntilMs > now ? { until: timeText(pausedUntilMs), reason: pauseReason } : null,
      quota: quota === null ? null : quotaView(quota, this.#limits.heldBackUntilMs(now)),
      lastHour: this.#limits.lastHour(now),
      totalOutcomes: this.#limits.totalOutcomes(),
      learned: learnedProfile(this.#limits.snapshot(), this.#store.knownCount()),
      uploads: this.#uploads.shape(now),
      settings: settingsInForce(hostSettings(this.env, this.#host), queueSettings(this.env)),
    };
  }

  async forget(): Promise<HostSnapshot> {
    this.#step((now) => {
      this.#limits.forget();
      this.#store.forgetLearned();
      this.#uploads.forget();
      this.#scheduler.tick(now);
    });
    return this.snapshot();
  }

  override async alarm(): Promise<void> {
    this.#alarmAtMs = 0;
    this.#step((now) => {
      this.#scheduler.tick(now);
      this.#lateRows.write(now);
      this.#store.trimKnown();
      this.#store.trimHandovers(now);
    });
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  /** One step of the scheduler, and after it whatever the new state needs to be woken for. */
  #step<T>(step: (now: number) => T): T {
    const now = Date.now();
    // What came before goes before.
    this.#arrivals.take(now);
    const result = step(now);
    this.#lateRows.afterStep(now);
    this.#arm(now);
    return result;
  }

  /** A timer for what is due soon, an alarm for what must survive this object; neither when nothing is going on. */
  #arm(now: number): void {
    const dueAtMs = this.#scheduler.nextTickAtMs(now);
    if (dueAtMs === undefined) {
      clearTimeout(this.#timer);
      this.#timerAtMs = Infinity;
      return;
    }
    if (dueAtMs < this.#timerAtMs || this.#timerAtMs <= now) {
      clearTimeout(this.#timer);
      this.#timerAtMs = dueAtMs;
      this.#timer = setTimeout(
        () => {
          this.#timerAtMs = Infinity;
          this.#step((later) => this.#scheduler.tick(later));
        },
        Math.max(0, dueAtMs - now),
      );
    }
    if (this.#alarmAtMs <= now && this.#scheduler.busy) {
      this.#alarmAtMs = now + ALARM_MS;
      this.ctx.waitUntil(this.ctx.storage.setAlarm(this.#alarmAtMs));
    }
  }

  #sessionHost: SessionHost = {
    next: (session, report) =>
      this.#arrivals.add((now) => {
        if (report !== undefined) {
          this.#report(report, now);
        }
        if (!this.#sessions.has(session)) {
          return null;
        }
        const seat = crypto.randomUUID();
        return new Promise<Transfer | null>((resolve, reject) => {
          this.#seats.set(seat, { resolve, reject });
          this.#scheduler.seat(session, seat, now);
        });
      }),
    report: (report) => this.#arrivals.add((now) => this.#report(report, now)),
    retire: (session) => this.#step((now) => this.#scheduler.retire(session, now)),
    renew: (session, progress) => {
      const renewal = this.#step((now) => this.#scheduler.renew(session, progress, now));
      this.#forward(progress);
      return renewal;
    },
    acquire: async (session, request) =>
      new Promise((resolve, reject) => {
        this.#requests.set(request.id, { resolve, reject });
        this.#step((now) => this.#scheduler.request(session, request, now));
      }),
    release: (lease, outcome) => this.#step((now) => this.#scheduler.release(lease, outcome, now)),
    authorize: (request) => this.#authorize(request),
    leave: (session) => {
      this.#sessions.delete(session);
      this.#step((now) => this.#scheduler.leave(session, now));
    },
  };

  #report(report: TransferReport, now: number): void {
    // Before the blob is handed out again: the next lane is to know.
    this.#learn(report, now);
    this.#scheduler.report(report, now);
  }

  #learn({ learned }: TransferReport, now: number): void {
    const lesson = learned === undefined ? undefined : this.#uploads.learn(learned, now);
    if (lesson !== undefined) {
      this.#store.putUploadLesson(lesson);
    }
  }

  #forward(progress: Progress[]): void {
    for (const { lease, bytes } of progress) {
      const of = this.#scheduler.offerOfLease(lease);
      if (of !== undefined) {
        this.#outbox.progress(of.job, { id: of.offerId, bytes });
      }
    }
  }

  async #authorize(request: AuthorizationRequest): Promise<Authorization | null> {
    this.#tokens ??= this.#newTokens();
    return this.#tokens.authorize(request);
  }

  #newTokens(): TokenSource {
    const common = {
      side: "target" as const,
      fetch: (url: string, init: WireInit) => fetch(url, init),
      now: () => Date.now(),
      log: writeLine,
      refusalOf: clientReach(this.env, this.#host),
    };
    const wire = createWire({ ...common, host: this.#host });
    const credentials = keychainOf(this.env, { ...common, wire, host: this.#host });
    return new TokenSource({ ...common, settings: hostSettings(this.env, this.#host), credentials });
  }

  #newFallbackTags(): FallbackTags {
    const client = this.#ownClient("target");
    return new FallbackTags(this.#host, (...update) => updateManifest(client, ...update));
  }

  #ownClient(side: "source" | "target"): HostClient {
    this.#ownGate ??= this.#newOwnGate();
    return ownClient(this.env, this.#host, side, this.#ownGate, this.#budget);
  }

  #newOwnGate(): OwnGate {
    return new OwnGate(crypto.randomUUID(), this.#sessionHost, () => crypto.randomUUID());
  }

  #newOutbox(): Outbox {
    const answers = {
      roomFor: (sourceHost: string, requests: LoanRequest[]) =>
        this.#scheduler.roomFor(sourceHost, requests, Date.now()),
      exchanged: (sourceHost: string, requests: LoanRequest[], exchanged: ExchangeAnswer | undefined) =>
        this.#step((now) => this.#scheduler.exchanged(sourceHost, requests, exchanged, now)),
      slotsTold: (job: string, held: HeldSlot[]) => this.#step((now) => this.#scheduler.slotsTold(job, held, now)),
      loansTold: (borrower: string, loans: HeldLoan[] | null) =>
        this.#step((now) => this.#scheduler.loansTold(borrower, loans, now)),
      lentAnswered: (borrower: string, loanId: string, lent: LentAnswer) =>
        this.#step((now) => this.#scheduler.lentAnswered(borrower, loanId, lent, now)),
      acknowledged: (ids: string[]) => this.#step(() => this.#scheduler.acknowledged(ids)),
    };
    return new Outbox(this.env, this.#host, answers, (promise) => this.ctx.waitUntil(promise));
  }

  #newPort(): ConstructorParameters<typeof HostScheduler>[2] {
    const store = this.#store;
    const outbox = this.#outbox;
    return {
      newId: () => crypto.randomUUID(),
      random: () => Math.random(),
      putOffers: (job, offers) => store.putOffers(job, offers),
      putTries: (id, tries) => store.putTries(id, tries),
      putHandover: (offerId, kept) => store.putHandover(offerId, kept),
      deleteOffers: (ids) => store.deleteOffers(ids),
      deleteOffersLater: (ids) => store.deleteOffersLater(ids),
      putOwner: (owner) => store.putOwner(owner),
      putKnown: (repository, digest, now) => store.putKnown(repository, digest, now),
      known: (digest) => store.known(digest),
      abandon: (repository, handover) =>
        this.ctx.waitUntil(
          deleteUpload(
            this.env,
            this.#host,
            { repository, handover },
            (request) => this.#authorize(request),
            this.#budget,
          ),
        ),
      order: (lane) => outbox.order(lane),
      borrow: (sourceHost, request) => outbox.borrow(sourceHost, request),
      giveBack: (sourceHost, loanId, outcome) => outbox.giveBack(sourceHost, loanId, outcome),
      tellRoom: (sourceHost) => outbox.tellRoom(sourceHost),
      keep: (sourceHost, loanIds) => outbox.keep(sourceHost, loanIds),
      askSlots: (job) => outbox.askSlots(job),
      askLoans: (borrower) => outbox.askLoans(borrower),
      lend: (borrower, loanId) => outbox.lend(borrower, loanId),
      settle: (job, settlement, left) => outbox.settle(job, settlement, left),
      heldBack: (job) => outbox.warn(job, this.#limits.heldBackNotice(this.#limits.heldBackUntilMs(Date.now()) ?? 0)),
      hand: (seat, transfer) =>
        answer(this.#seats, seat, transfer && { ...transfer, shape: this.#uploads.shape(Date.now()) }),
      admit: (requestId, lease) => answer(this.#requests, requestId, lease),
      refuse: (requestId, error) => {
        this.#requests.get(requestId)?.reject(new CopyError(error));
        this.#requests.delete(requestId);
      },
    };
  }
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}

function quotaView({ seenAtMs, ...quota }: SeenQuota, heldBackUntilMs: number | undefined): HostSnapshot["quota"] {
  const heldBackUntil = heldBackUntilMs === undefined ? null : timeText(heldBackUntilMs);
  return { ...quota, seenAt: timeText(seenAtMs), heldBackUntil };
}

function answer<T>(waiters: Map<string, Waiter<T>>, id: string, value: T): void {
  waiters.get(id)?.resolve(value);
  waiters.delete(id);
}

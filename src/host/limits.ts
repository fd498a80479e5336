/**
 * What this host lets through now: concurrency that adapts, backoff, rate, quota. The one place that every grant and every
 * outcome passes; the parts know nothing of each other.
 */
import { Backoff, LONGEST_PAUSE_MS, MAX_REFUSING_MS, type BackoffState } from "./backoff.ts";
import { Concurrency, type ConcurrencyState } from "./concurrency.ts";
import { OutcomeLog, type Counts, type Minute } from "./outcomes.ts";
import { heldBackUntil, seenQuota, type SeenQuota } from "./quota.ts";
import { Rate } from "./rate.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { Outcome, OutcomeClass, RequestKind } from "../registry/gate.ts";

/** What of it is worth keeping over a restart. */
export interface LimitsState {
  backoff: BackoffState;
  concurrency: ConcurrencyState;
  quota: SeenQuota | null;
  /** When the configured rate lets the next request go, milliseconds since the epoch; missing where an older version wrote. */
  rateOpensAtMs?: number;
}

export interface LimitsSettings {
  host: string;
  /** 0: no cap. */
  reqConcurrent: number;
  /** Most requests at once that are tried without a cap; missing: `GREATEST_LIMIT`. */
  greatest?: number;
  /** 0: no cap. */
  reqPerSec: number;
  /** Requests of the host's quota that background copies leave to others; 0: none. */
  quotaReserve: number;
}

/** The circumstances of an outcome. */
export interface OutcomeContext {
  /** When the slot was granted, milliseconds since the epoch. */
  startedAt: number;
  /** Slots in use when the outcome arrived, its own included. */
  active: number;
  /** Slots in use when the slot was granted, its own included; missing where that was before a restart. */
  sentAmong?: number;
  /** It was a small request. */
  small: boolean;
  /** More would have been sent at once, had the limit allowed it. */
  wanted: boolean;
}

export class Limits {
  #settings: LimitsSettings;
  #concurrency: Concurrency;
  #backoff: Backoff;
  #quota: SeenQuota | null;
  #rate: Rate;
  #log: OutcomeLog;

  /** @param minutes The counts of the last hour, as they were kept. */
  constructor(settings: LimitsSettings, state?: LimitsState, minutes: readonly Minute[] = []) {
    this.#settings = settings;
    this.#concurrency = newConcurrency(settings, state?.concurrency);
    this.#backoff = new Backoff(state?.backoff);
    this.#quota = state?.quota ?? null;
    this.#rate = new Rate(settings.reqPerSec, state?.rateOpensAtMs);
    this.#log = new OutcomeLog(minutes);
  }

  snapshot(): LimitsState {
    return {
      backoff: this.#backoff.snapshot(),
      concurrency: this.#concurrency.snapshot(),
      quota: this.#quota,
      rateOpensAtMs: this.#rate.opensAtMs(),
    };
  }

  /** Forgets what the host has taught, as if it were met for the first time. The counts are history and stay. */
  forget(): void {
    this.#concurrency = newConcurrency(this.#settings);
    this.#backoff = new Backoff();
    this.#quota = null;
  }

  /** Requests at once that are allowed now, and why, as a sentence. */
  get limit(): { slots: number; reason: string } {
    return { slots: this.#concurrency.limit, reason: this.#concurrency.reason };
  }

  get blobSlots(): number {
    return this.#concurrency.blobSlots();
  }

  /** Slots in all, those for small requests included. */
  get totalSlots(): number {
    return this.#concurrency.totalSlots();
  }

  get pausedUntilMs(): number {
    return this.#backoff.pausedUntil();
  }

  /** Why the host is paused, as half a sentence; "" when nothing is the matter. */
  get pauseReason(): string {
    return this.#backoff.reason;
  }

  get quota(): SeenQuota | null {
    return this.#quota;
  }

  lastHour(now: number): Counts {
    return this.#log.lastHour(now);
  }

  /** What became of all grants there ever were. */
  totalOutcomes(): Record<OutcomeClass, number> {
    return this.#log.total();
  }

  /** Whether anything was granted or booked since the counts were last taken to be written down. */
  get hasNews(): boolean {
    return this.#log.hasChanged;
  }

  /** The counts that are to be written down. */
  takeChangedMinutes(): Minute[] {
    return this.#log.takeChanged();
  }

  /** When the next request may go, as far as pause and rate are concerned. */
  opensAtMs(now: number): number {
    return Math.max(now, this.#backoff.opensAt(), this.#rate.opensAtMs());
  }

  /** Until when background requests are held back to keep the reserve of the quota; undefined: they may go. */
  heldBackUntilMs(now: number): number | undefined {
    return heldBackUntil(this.#quota, this.#settings.quotaReserve, now);
  }

  /** What a background copy is told that waits for the quota, as a sentence. */
  heldBackNotice(untilMs: number): string {
    const { host, quotaReserve } = this.#settings;
    const left = `${this.#quota?.remaining ?? 0} of ${this.#quota?.limit ?? 0}`;
    return (
      `${host} has ${left} requests left of its rate limit, and ${quotaReserve} are kept back (quota_reserve): this ` +
      `background copy waits until ${new Date(untilMs).toISOString()}, or until the registry shows that there are more.`
    );
  }

  admitsBlob(used: number, now: number): boolean {
    return used < this.#concurrency.blobSlots() && this.#admits(used, now);
  }

  admitsSmall(used: number, now: number): boolean {
    return used < this.#concurrency.totalSlots() && this.#admits(used, now);
  }

  /** A request may go before long: it has its place in the configured rate until {@link giveBack}. */
  reserve(now: number): void {
    this.#rate.reserve(now);
  }

  giveBack(): void {
    this.#rate.giveBack();
  }

  granted(kind: RequestKind, now: number): void {
    this.#rate.reserve(now);
    this.#backoff.sent(now);
    this.#log.granted(kind, now);
  }

  outcome(outcome: Outcome, { wanted, ...booking }: OutcomeContext, now: number, random: number): void {
    this.#log.booked(outcome.class, now);
    this.#quota = seenQuota(this.#quota, outcome.quota, now);
    switch (outcome.class) {
      case "ok":
        this.#backoff.succeeded(now);
        this.#concurrency.succeeded(now, wanted, booking);
        break;
      case "throttled":
        this.#backoff.throttled(now, outcome.retryAfterMs, random, booking.startedAt);
        this.#concurrency.refused(now, booking);
        break;
      case "refused":
        this.#failed(outcome, booking.startedAt, now, random);
        // A host that does not take even one connection is down, or has closed an idle one: that says nothing of how
        // many it would bear.
        if (booking.active > 1) {
          this.#concurrency.refused(now, booking);
        }
        break;
      case "failed":
        this.#failed(outcome, booking.startedAt, now, random);
        break;
      case "unused":
        break;
    }
  }

  /** Until when the host wants to be left alone, if that is longer than anyone should wait. */
  givesUpUntil(now: number): number | undefined {
    return this.#backoff.givesUpUntil(now);
  }

  gaveUp(retryAtMs: number, now: number): ErrorDetail {
    const { host } = this.#settings;
    const at = new Date(retryAtMs).toISOString();
    const refusingMs = this.#backoff.refusingMs(now);
    const message =
      refusingMs >= MAX_REFUSING_MS
        ? `${host} has answered nothing but 429 for ${Math.round(refusingMs / 60_000)} minutes, though it was asked ever ` +
          `more rarely, at last every ${LONGEST_PAUSE_MS / 1000} s. Try the copy again after ${at}.`
        : `${host} asks to be left alone until ${at}. Try the copy again then.`;
    return {
      code: "rate_limited",
      side: "target",
      host,
      operation: "wait for the registry",
      status: 429,
      retryAt: retryAtMs,
      retryable: false,
      message,
    };
  }

  /** A host in trouble (503) may say itself when it will be back: then that counts, and not our own guess. */
  #failed({ retryAfterMs }: Outcome, startedAt: number, now: number, random: number): void {
    if (retryAfterMs !== undefined && retryAfterMs > 0) {
      this.#backoff.throttled(now, retryAfterMs, random, startedAt);
    } else {
      this.#backoff.failed(now, random, startedAt);
    }
  }

  #admits(used: number, now: number): boolean {
    return this.opensAtMs(now) <= now && !(this.#backoff.trial && used > 0);
  }
}

function newConcurrency(settings: LimitsSettings, state?: ConcurrencyState): Concurrency {
  const { reqConcurrent: cap, greatest } = settings;
  return new Concurrency({ cap, ...(greatest === undefined ? {} : { greatest }) }, state);
}

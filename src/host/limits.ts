/**
 * What this host lets through now: concurrency that adapts, backoff, rate, quota. The one place that every outcome
 * passes; the parts know nothing of each other.
 */
import { Backoff, type BackoffState } from "./backoff.ts";
import { Concurrency, type ConcurrencyState } from "./concurrency.ts";
import { Rate } from "./rate.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type { Outcome, OutcomeClass, Quota } from "../registry/gate.ts";

/** What of it is worth keeping over a restart. */
export interface LimitsState {
  backoff: BackoffState;
  concurrency: ConcurrencyState;
  quota: Quota | null;
}

export interface LimitsSettings {
  host: string;
  /** 0: no cap. */
  reqConcurrent: number;
  /** 0: no cap. */
  reqPerSec: number;
}

/** The circumstances of an outcome. */
export interface OutcomeContext {
  /** When the slot was granted, milliseconds since the epoch. */
  startedAt: number;
  /** Slots in use when the outcome arrived, its own included. */
  active: number;
  /** It was a small request. */
  small: boolean;
  /** More would have been sent at once, had the limit allowed it. */
  wanted: boolean;
}

export class Limits {
  readonly concurrency: Concurrency;
  readonly backoff: Backoff;
  readonly outcomes: Record<OutcomeClass, number> = { ok: 0, throttled: 0, refused: 0, failed: 0, unused: 0 };
  quota: Quota | null;
  #rate: Rate;
  #host: string;

  constructor(settings: LimitsSettings, state?: LimitsState) {
    this.#host = settings.host;
    this.concurrency = new Concurrency({ cap: settings.reqConcurrent }, state?.concurrency);
    this.backoff = new Backoff(state?.backoff);
    this.quota = state?.quota ?? null;
    this.#rate = new Rate(settings.reqPerSec);
  }

  snapshot(): LimitsState {
    return { backoff: this.backoff.snapshot(), concurrency: this.concurrency.snapshot(), quota: this.quota };
  }

  get blobSlots(): number {
    return this.concurrency.blobSlots();
  }

  get pausedUntilMs(): number {
    return this.backoff.pausedUntil();
  }

  /** When the next request may go, as far as pause and rate are concerned. */
  opensAtMs(now: number): number {
    return Math.max(now, this.backoff.pausedUntil(), this.#rate.opensAtMs());
  }

  admitsBlob(used: number, now: number): boolean {
    return used < this.concurrency.blobSlots() && this.#admits(used, now);
  }

  admitsSmall(used: number, now: number): boolean {
    return used < this.concurrency.totalSlots() && this.#admits(used, now);
  }

  granted(now: number): void {
    this.#rate.reserve(now);
  }

  outcome(outcome: Outcome, { wanted, ...booking }: OutcomeContext, now: number, random: number): void {
    this.outcomes[outcome.class] += 1;
    this.quota = outcome.quota ?? this.quota;
    switch (outcome.class) {
      case "ok":
        this.backoff.succeeded(now);
        this.concurrency.succeeded(now, wanted, booking);
        break;
      case "throttled":
        this.backoff.throttled(now, outcome.retryAfterMs, random, booking.startedAt);
        this.concurrency.refused(now, booking);
        break;
      case "refused":
        this.backoff.failed(now, random, booking.startedAt);
        // A host that does not take even one connection is down, or has closed an idle one: that says nothing of how
        // many it would bear.
        if (booking.active > 1) {
          this.concurrency.refused(now, booking);
        }
        break;
      case "failed":
        this.backoff.failed(now, random, booking.startedAt);
        break;
      case "unused":
        break;
    }
  }

  /** Until when the host wants to be left alone, if that is longer than anyone should wait. */
  givesUpUntil(now: number): number | undefined {
    return this.backoff.givesUpUntil(now);
  }

  gaveUp(retryAtMs: number): ErrorDetail {
    const at = new Date(retryAtMs).toISOString();
    return {
      code: "rate_limited",
      side: "target",
      host: this.#host,
      operation: "wait for the registry",
      status: 429,
      retryAt: retryAtMs,
      retryable: false,
      message: `${this.#host} asks to be left alone until ${at}. Try the copy again then.`,
    };
  }

  #admits(used: number, now: number): boolean {
    return this.opensAtMs(now) <= now && !(this.backoff.trial && used > 0);
  }
}

/**
 * How long a host is left alone after a failure: one pause per host, shared by every job and lane.
 *
 * A failure pauses 0.1 s, doubling to 30 s, with jitter; five successes in a row take one step back. `Retry-After` is
 * honoured exactly, up to a cap. Failures of requests that were under way together count once: what failed once for many
 * is one failure of the host. It waits for nothing itself: who may go, and when, is the scheduler's matter.
 */

/** First pause, in milliseconds: a hiccup costs next to nothing. */
export const FIRST_PAUSE_MS = 100;
/** Longest pause that we choose ourselves, in milliseconds: a host that is back is used again within half a minute. */
export const LONGEST_PAUSE_MS = 30_000;
/** Longest `Retry-After` that is waited for, in milliseconds: beyond it a copy had better fail and say when to come back. */
export const MAX_RETRY_AFTER_MS = 15 * 60 * 1000;
/**
 * A host that has answered nothing but 429 for so long, in milliseconds, is given up as one that asks for as much at once:
 * copies fail, and the next ones find out whether it has relented.
 */
export const MAX_REFUSING_MS = MAX_RETRY_AFTER_MS;
/** Without a request for so long after a pause nothing is known of the host any more, in milliseconds. */
const REFUSING_MEMORY_MS = 2 * 60_000;
/** Successes in a row after which the next pause is one step shorter. */
export const SUCCESSES_PER_STEP = 5;

/**
 * After a pause for a 429 one request goes first; when it has not been refused within this many times what the refusal
 * took, the others follow. At least and at most so long, in milliseconds.
 */
const PROBATION_FACTOR = 2;
const LEAST_PROBATION_MS = 100;
const MOST_PROBATION_MS = 2_000;

/** Part of a pause that is left to chance, so that hosts and callers that failed together do not come back together. */
const JITTER_SHARE = 0.5;
const LAST_STEP = Math.ceil(Math.log2(LONGEST_PAUSE_MS / FIRST_PAUSE_MS)) + 1;
/** From this step on a host is tried with one request at a time. */
const TRIAL_STEP = 3;

/** Everything a {@link Backoff} knows, as plain data. Times in milliseconds since the epoch, 0: none. */
export interface BackoffState {
  step: number;
  successes: number;
  pausedUntil: number;
  /** What the host asked for when that was beyond {@link MAX_RETRY_AFTER_MS}. */
  refusedUntil: number;
  /** When the last pause began: what started before it says nothing new. */
  pausedAt: number;
  cause: "none" | "failed" | "throttled" | "retry-after";
  /** When the 429s began that no success has followed. */
  refusingSince: number;
  /** How long the first request after the pause is waited for; 0: not at all. */
  probationMs: number;
  /** Until when it is waited for. */
  probationUntil: number;
}

const FRESH: BackoffState = {
  step: 0,
  successes: 0,
  pausedUntil: 0,
  refusedUntil: 0,
  pausedAt: 0,
  cause: "none",
  refusingSince: 0,
  probationMs: 0,
  probationUntil: 0,
};

export class Backoff {
  #state: BackoffState;

  /** @param state What {@link snapshot} answered, to go on after a restart; what an older version did not know may be missing. */
  constructor(state: Partial<BackoffState> = {}) {
    this.#state = { ...FRESH, ...state };
  }

  snapshot(): BackoffState {
    return { ...this.#state };
  }

  /** When the host may be asked again, in milliseconds since the epoch; 0: it is not paused. May lie in the past. */
  pausedUntil(): number {
    return this.#state.pausedUntil;
  }

  /** When the next request may go: the pause is over, and the first request after it was not refused. */
  opensAt(): number {
    return Math.max(this.#state.pausedUntil, this.#state.probationUntil);
  }

  /** A request goes out. */
  sent(now: number): void {
    const state = this.#state;
    if (state.probationMs > 0 && now >= state.pausedUntil) {
      state.probationUntil = now + state.probationMs;
      state.probationMs = 0;
    }
  }

  /**
   * The time the host asked for, when that is beyond {@link MAX_RETRY_AFTER_MS} and not yet over: copies should fail and
   * name it. Milliseconds since the epoch; undefined: nothing of the kind.
   */
  givesUpUntil(now: number): number | undefined {
    return this.#state.refusedUntil > now ? this.#state.refusedUntil : undefined;
  }

  /** How long the host has answered nothing but 429, as far as is known, in milliseconds. */
  refusingMs(now: number): number {
    const { refusingSince } = this.#state;
    return refusingSince === 0 ? 0 : now - refusingSince;
  }

  /** Why the host is paused, as half a sentence; "" when nothing is the matter. */
  get reason(): string {
    const { cause, step } = this.#state;
    const inARow = step === 1 ? "a failure" : `${step} failures in a row`;
    if (cause === "retry-after") {
      return "the registry asked for it (Retry-After)";
    }
    if (cause === "throttled") {
      return `too many requests (429), ${inARow}`;
    }
    return cause === "failed" ? inARow : "";
  }

  /** After several failures in a row the host should be tried with one request, not with all that wait. */
  get trial(): boolean {
    return this.#state.step >= TRIAL_STEP && this.#state.successes === 0;
  }

  /**
   * Books a refused connection, a 5xx or a body that broke off.
   * @param random In [0, 1).
   * @param startedAt When the request was sent, if known: one sent before the last pause began does not count again.
   */
  failed(now: number, random: number, startedAt?: number): void {
    this.#fail("failed", now, random, startedAt);
  }

  /** Books a 429. `retryAfterMs`: what `Retry-After` said, in milliseconds from now. */
  throttled(now: number, retryAfterMs: number | undefined, random: number, startedAt?: number): void {
    const state = this.#state;
    if (state.refusingSince === 0 || now - state.pausedUntil > REFUSING_MEMORY_MS) {
      state.refusingSince = now;
    }
    if (retryAfterMs === undefined || retryAfterMs <= 0) {
      this.#fail("throttled", now, random, startedAt);
      this.#giveUpWhenRefusing(now);
      return;
    }
    const until = now + Math.min(retryAfterMs, MAX_RETRY_AFTER_MS);
    state.successes = 0;
    if (until >= state.pausedUntil) {
      state.probationMs = probationOf(now, startedAt);
      state.pausedUntil = until;
      state.pausedAt = now;
      state.cause = "retry-after";
    }
    if (retryAfterMs > MAX_RETRY_AFTER_MS) {
      state.refusedUntil = Math.max(state.refusedUntil, now + retryAfterMs);
    }
    this.#giveUpWhenRefusing(now);
  }

  /** Books an answer that shows the host well. One that arrives during a pause is of an earlier request and says nothing. */
  succeeded(now: number): void {
    const state = this.#state;
    if (now < state.pausedUntil) {
      return;
    }
    state.refusedUntil = 0;
    state.refusingSince = 0;
    if (state.step === 0) {
      this.#state = { ...FRESH };
      return;
    }
    state.successes++;
    if (state.successes < SUCCESSES_PER_STEP) {
      return;
    }
    state.successes = 0;
    state.step--;
    if (state.step === 0) {
      this.#state = { ...FRESH };
    }
  }

  #giveUpWhenRefusing(now: number): void {
    const state = this.#state;
    if (this.refusingMs(now) >= MAX_REFUSING_MS) {
      state.refusedUntil = Math.max(state.refusedUntil, state.pausedUntil);
    }
  }

  #fail(cause: "failed" | "throttled", now: number, random: number, startedAt: number | undefined): void {
    const state = this.#state;
    const known = now < state.pausedUntil || (startedAt !== undefined && startedAt < state.pausedAt);
    if (known) {
      return;
    }
    state.step = Math.min(state.step + 1, LAST_STEP);
    state.successes = 0;
    const longest = Math.min(FIRST_PAUSE_MS * 2 ** (state.step - 1), LONGEST_PAUSE_MS);
    state.pausedUntil = now + longest * (1 - JITTER_SHARE * random);
    state.pausedAt = now;
    state.cause = cause;
    state.probationMs = cause === "throttled" ? probationOf(now, startedAt) : 0;
  }
}

/** A refusal comes at once or not at all: what was sent after it is known to be taken after a little more than it took. */
function probationOf(now: number, startedAt = now): number {
  return Math.min(Math.max((now - startedAt) * PROBATION_FACTOR, LEAST_PROBATION_MS), MOST_PROBATION_MS);
}

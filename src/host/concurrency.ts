/**
 * How many requests at once a host gets: as many as it bears, found out as TCP finds out about a line.
 *
 * It starts at 8 and grows by one with each success (so it doubles with each window) until the host refuses; then it
 * halves, comes back quickly to just below the level that was refused, and tries that level again ever more rarely. A
 * level that is refused right above one that was borne costs that one step only.
 * Pure: it counts, it does not wait. A cap from the configuration is never exceeded.
 */

export const START_LIMIT = 8;
export const LEAST_LIMIT = 1;
/** Beyond this a single registry gains nothing, and one host must not use up everything. */
export const GREATEST_LIMIT = 64;
/**
 * The same where one machine's runtime carries every lane: what 16 at once do not fill, more do not either (measured on
 * loopback and over slow lines), and each transfer takes 2 to 3 MB of the runtime's own memory.
 */
export const GREATEST_LOCAL_LIMIT = 16;

/** Windows of successes below a refused level before it is tried again; doubled each time it is refused again. */
const FIRST_PATIENCE_WINDOWS = 6;
const GREATEST_PATIENCE_WINDOWS = 96;
/** And no sooner than this, in milliseconds, doubled likewise: a fast host would otherwise be tried all the time. */
const LEAST_PATIENCE_MS = 3_000;
/** One window of proof for so many of patience. */
const WINDOWS_PER_PROOF = 4;
/** A level that was refused is tried again only when each refusal has been made up for by so many successes. */
const SUCCESSES_PER_REFUSAL = 20;
/** What a host refused in an outage is not held against it for ever. */
const GREATEST_DEBT = 1_000;
/** And so many times as long after the last refusal as that has cost. */
const TIMES_OF_OUTAGE = 25;
/** How long after a small request a slot is kept for the next, in milliseconds: a copy's small requests come in a row. */
const SMALL_MEMORY_MS = 10_000;
/** How long a request is taken to have lasted when nobody says: longer than most refusals need. */
const ASSUMED_ANSWER_MS = 1000;

/** Everything a {@link Concurrency} knows, as plain data. Times in milliseconds since the epoch, 0: never. */
export interface ConcurrencyState {
  limit: number;
  /** Least level that was refused; 0: none known. */
  ceiling: number;
  halvedAt: number;
  /** Successes towards the next window. */
  successes: number;
  /** Full windows since the last refusal. */
  windows: number;
  /** Windows to wait before the ceiling is tried. */
  patience: number;
  /** Whether anything succeeded since the limit was halved. */
  answered: boolean;
  /** Whether the host ever refused: growth is quick until then. */
  refused: boolean;
  /** When a small request was last booked. */
  smallAt: number;
  /** Whether small requests came lately, so that one slot is kept for the next. */
  reserving: boolean;
  /** The level that was refused last, also when it was borne since; 0: none. */
  refusedLevel: number;
  /** Successes until more than is known to be borne is worth trying: what refusals have cost. */
  debt: number;
  /** When a level was last refused. */
  crossedAt: number;
  /** How long it took after that until the host took a request again. */
  outageMs: number;
  /** Windows for which a level that was refused has been borne since. */
  borneWindows: number;
  /** Whether the last refusal told a level: it was not one of a host that refuses everything. */
  toldLevel: boolean;
  /** Most requests at once that the host has borne for a window since the limit was last halved; 0: not known. */
  borne: number;
}

const FRESH: ConcurrencyState = {
  limit: START_LIMIT,
  ceiling: 0,
  halvedAt: 0,
  successes: 0,
  windows: 0,
  patience: FIRST_PATIENCE_WINDOWS,
  answered: true,
  refused: false,
  smallAt: 0,
  reserving: false,
  refusedLevel: 0,
  toldLevel: false,
  debt: 0,
  crossedAt: 0,
  outageMs: 0,
  borneWindows: 0,
  borne: 0,
};

/** What is known of the request whose outcome is booked. */
export interface Booking {
  /**
   * When it was sent, milliseconds since the epoch. One sent before the limit was halved does not halve it again.
   * Without it a request is taken to have lasted {@link ASSUMED_ANSWER_MS}.
   */
  startedAt?: number;
  /** Requests under way when the outcome came, this one included. Without it as many as the limit allows. */
  active?: number;
  /** Requests under way when it was sent, itself included: what the host saw. Without it {@link active} stands for it. */
  sentAmong?: number;
  /** Whether it was a small request. Without it none is known of, and no slot is kept for them at a level known to be full. */
  small?: boolean;
}

export class Concurrency {
  #state: ConcurrencyState;
  readonly #cap: number;
  readonly #greatest: number;

  /**
   * @param settings `cap`: `req_concurrent` of the configuration, 0: none. `greatest`: where growth ends without a cap.
   * @param state What {@link snapshot} answered, to go on after a restart; what an older version did not know may be missing.
   */
  constructor(settings: { cap: number; greatest?: number } = { cap: 0 }, state: Partial<ConcurrencyState> = {}) {
    this.#cap = settings.cap;
    this.#greatest = settings.greatest ?? GREATEST_LIMIT;
    this.#state = { ...FRESH, ...state };
  }

  snapshot(): ConcurrencyState {
    return { ...this.#state };
  }

  /** Requests at once that the host is thought to bear, under the configured cap. */
  get limit(): number {
    return Math.min(this.#state.limit, this.#most);
  }

  get #most(): number {
    return this.#cap > 0 ? Math.min(this.#cap, GREATEST_LIMIT) : this.#greatest;
  }

  /** Why the limit is what it is, as a sentence for a person. */
  get reason(): string {
    const { limit, ceiling, refused } = this.#state;
    if (this.#cap > 0 && this.#cap <= limit) {
      return `The configuration allows ${this.#cap} at once.`;
    }
    if (ceiling > 0) {
      return `The registry refused ${ceiling} at once.`;
    }
    if (limit >= this.#most) {
      return `${this.#most} at once is the most that is used.`;
    }
    if (refused) {
      return "The registry refused more earlier; the limit grows by one with each window of successes.";
    }
    return "Nothing was refused yet; the limit doubles with each window of successes while more is wanted.";
  }

  /** Slots that any request may use. */
  blobSlots(): number {
    const slots = this.limit;
    const { reserving } = this.#state;
    return reserving && this.#isFull() && this.#cap === 0 ? Math.max(LEAST_LIMIT, slots - 1) : slots;
  }

  /**
   * Slots in all: one more than the limit, which only a small request may use. Not where the configured cap forbids it,
   * nor where the host is known to refuse it: there a blob's slot is kept free while small requests come.
   */
  totalSlots(): number {
    const slots = this.#isFull() ? this.#state.limit : this.#state.limit + 1;
    return this.#cap > 0 ? Math.min(slots, this.#cap) : slots;
  }

  /** Whether one request more than the limit would be refused, as far as is known. */
  #isFull(): boolean {
    const { ceiling, limit } = this.#state;
    return ceiling > 0 && limit + 1 >= ceiling;
  }

  /**
   * Books an answered request.
   * @param wanted Whether more would have been sent at once, had the limit allowed it: growth is tried only where it is used.
   */
  succeeded(now: number, wanted: boolean, booking: Booking = {}): void {
    const state = this.#state;
    this.#noteSmall(now, booking);
    if (this.#isOld(now, booking)) {
      return;
    }
    if (!state.answered) {
      state.outageMs = Math.max(0, (booking.startedAt ?? now - ASSUMED_ANSWER_MS) - state.crossedAt);
      state.answered = true;
    }
    state.debt = Math.max(0, state.debt - 1);
    state.successes++;
    // Successes that arrive together find fewer under way than there were: half of the limit is use enough.
    const grows = wanted && 2 * (booking.active ?? state.limit) >= this.limit;
    if (state.successes >= state.limit) {
      state.successes = 0;
      state.windows++;
      this.#windowPassed(now, grows);
    } else if (grows && this.#mayGrowAtOnce()) {
      this.#grow();
    }
  }

  /** Books a 429 or a refused connection. */
  refused(now: number, booking: Booking = {}): void {
    const state = this.#state;
    state.refused = true;
    state.debt = Math.min(state.debt + SUCCESSES_PER_REFUSAL, GREATEST_DEBT);
    this.#noteSmall(now, booking);
    if (this.#isOld(now, booking)) {
      // Of several that were sent too many each is refused; the one sent among the fewest tells the level best.
      const told = booking.sentAmong ?? Infinity;
      if (state.toldLevel && told > state.limit) {
        state.ceiling = Math.min(state.ceiling, told);
      }
      return;
    }
    const level = Math.max(LEAST_LIMIT, Math.min(this.limit + 1, booking.sentAmong ?? booking.active ?? this.limit));
    // One step beyond what was borne a moment ago: that one step was too much, and nothing else has changed. Nor has it
    // when the host is angry for a while after that.
    const isStep = state.borne > 0 && (level > state.borne || !state.answered);
    // A host that refuses everything says nothing about how much at once it would take.
    state.toldLevel = state.answered || state.ceiling === 0;
    if (state.toldLevel) {
      state.crossedAt = now;
      const again = level === state.refusedLevel || level === state.refusedLevel + 1;
      state.patience = again ? Math.min(state.patience * 2, GREATEST_PATIENCE_WINDOWS) : FIRST_PATIENCE_WINDOWS;
      state.ceiling = level;
      state.refusedLevel = level;
    }
    state.limit = isStep ? state.borne : Math.max(LEAST_LIMIT, Math.floor(level / 2));
    state.borne = isStep ? state.borne : 0;
    state.ceiling = Math.max(state.ceiling, state.limit + 1);
    state.halvedAt = now;
    state.successes = 0;
    state.windows = 0;
    state.borneWindows = 0;
    state.answered = false;
  }

  #noteSmall(now: number, booking: Booking): void {
    const state = this.#state;
    if (booking.small === true) {
      state.smallAt = now;
    }
    state.reserving = state.smallAt > 0 && now - state.smallAt < SMALL_MEMORY_MS;
  }

  #isOld(now: number, booking: Booking): boolean {
    return (booking.startedAt ?? now - ASSUMED_ANSWER_MS) < this.#state.halvedAt;
  }

  #mayGrowAtOnce(): boolean {
    const { ceiling, limit, refused } = this.#state;
    return ceiling > 0 ? limit + 1 < ceiling : !refused;
  }

  #windowPassed(now: number, grows: boolean): void {
    const state = this.#state;
    if (state.ceiling > 0 && state.limit >= state.ceiling) {
      // The level that was refused was borne now: it is no ceiling any more. One that was refused often must last longer.
      state.borneWindows++;
      if (state.borneWindows < Math.floor(state.patience / WINDOWS_PER_PROOF)) {
        return;
      }
      state.ceiling = 0;
    }
    if (!grows) {
      return;
    }
    state.borne = state.limit;
    const patienceMs = (LEAST_PATIENCE_MS * state.patience) / FIRST_PATIENCE_WINDOWS;
    const patient = state.windows < state.patience || now - state.halvedAt < patienceMs;
    const isKnown = state.ceiling > 0 ? !this.#isFull() : !state.refused;
    if (isKnown || (this.#isWorthIt(now) && !(this.#isFull() && patient))) {
      this.#grow();
    }
  }

  /** Trying a level that was refused costs what it has cost the last time: refusals, and time in which nothing was taken. */
  #isWorthIt(now: number): boolean {
    const { debt, crossedAt, outageMs } = this.#state;
    return debt === 0 && now - crossedAt >= outageMs * TIMES_OF_OUTAGE;
  }

  #grow(): void {
    const most = this.#most;
    if (this.#state.limit < most) {
      this.#state.limit++;
    }
  }
}

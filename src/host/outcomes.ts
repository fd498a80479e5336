/**
 * What was granted at a host, and what became of it, over the last hour: counted by the minute, so that what is old falls
 * away by itself. Each minute also carries what came before it, so that the newest one has all that ever was. Pure; whoever
 * keeps the minutes asks for those that have changed.
 */
import type { OutcomeClass, RequestKind } from "../registry/gate.ts";

/** One minute's counts. `minute`: minutes since the epoch. */
export interface Minute {
  minute: number;
  grants: Record<RequestKind, number>;
  outcomes: Record<OutcomeClass, number>;
  /** What became of all grants before this minute. Missing in what was kept before it was counted. */
  before?: Record<OutcomeClass, number>;
}

export type Counts = Pick<Minute, "grants" | "outcomes">;

const MINUTE_MS = 60_000;
/** The running minute and the 59 before it. */
export const MINUTES_KEPT = 60;

export class OutcomeLog {
  readonly #minutes = new Map<number, Minute>();
  /** The latest minute of all; kept however old it is, for what it carries. */
  #newest: Minute | null = null;
  readonly #changed = new Set<number>();

  /** @param minutes What was kept, to go on after a restart. */
  constructor(minutes: readonly Minute[] = []) {
    for (const each of minutes) {
      const minute = { ...nothing(each.minute), ...each };
      this.#minutes.set(each.minute, minute);
      this.#newest = minute.minute > (this.#newest?.minute ?? -1) ? minute : this.#newest;
    }
  }

  granted(kind: RequestKind, now: number): void {
    this.#at(now).grants[kind] += 1;
  }

  booked(outcome: OutcomeClass, now: number): void {
    this.#at(now).outcomes[outcome] += 1;
  }

  /** Sums over the hour that ends now. */
  lastHour(now: number): Counts {
    const { grants, outcomes } = nothing(0);
    const oldest = oldestMinute(now);
    for (const each of this.#minutes.values()) {
      if (each.minute >= oldest) {
        add(grants, each.grants);
        add(outcomes, each.outcomes);
      }
    }
    return { grants, outcomes };
  }

  /** What became of all grants there ever were. */
  total(): Record<OutcomeClass, number> {
    const { outcomes } = nothing(0);
    if (this.#newest !== null) {
      add(outcomes, this.#newest.before ?? outcomes);
      add(outcomes, this.#newest.outcomes);
    }
    return outcomes;
  }

  /** Whether {@link takeChanged} would answer any. */
  get hasChanged(): boolean {
    return this.#changed.size > 0;
  }

  /** The minutes that have changed since this was last asked, to be kept in place of what was kept of them. */
  takeChanged(): Minute[] {
    const changed = [...this.#changed].flatMap((minute) => this.#minutes.get(minute) ?? []);
    this.#changed.clear();
    return changed;
  }

  #at(now: number): Minute {
    // A clock that is set back books into the newest minute: what it carries must not be less than was told.
    const minute = Math.max(Math.floor(now / MINUTE_MS), this.#newest?.minute ?? 0);
    this.#changed.add(minute);
    const known = this.#minutes.get(minute);
    if (known !== undefined) {
      return known;
    }
    const oldest = oldestMinute(now);
    for (const each of this.#minutes.keys()) {
      if (each < oldest) {
        this.#minutes.delete(each);
        this.#changed.delete(each);
      }
    }
    const fresh: Minute = { ...nothing(minute), before: this.total() };
    this.#minutes.set(minute, fresh);
    this.#newest = fresh;
    return fresh;
  }
}

/** The first minute that still counts; earlier ones may be thrown away. */
export function oldestMinute(now: number): number {
  return Math.floor(now / MINUTE_MS) - MINUTES_KEPT + 1;
}

function nothing(minute: number): Required<Omit<Minute, "before">> {
  return {
    minute,
    grants: { head: 0, manifest: 0, query: 0, blob: 0 },
    outcomes: { ok: 0, throttled: 0, refused: 0, failed: 0, unused: 0 },
  };
}

function add<K extends string>(sum: Record<K, number>, more: Record<K, number>): void {
  for (const key in more) {
    sum[key] += more[key];
  }
}

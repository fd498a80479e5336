/**
 * The gate of a client that acts under a slot granted beforehand: it lets every request through at once and remembers
 * how the host took them. It grants nothing and waits for nothing.
 */
import type { Authorization, AuthorizationRequest, Gate, Outcome, OutcomeClass, Slot } from "../registry/gate.ts";

/** From harmless to grave: a transfer of several requests is booked as the gravest thing that happened. */
const GRAVITY: Readonly<Record<OutcomeClass, number>> = { unused: 0, ok: 1, failed: 2, refused: 3, throttled: 4 };

export class HeldGate implements Gate {
  readonly #authorize: (request: AuthorizationRequest) => Promise<Authorization | null>;
  #outcome: Outcome = { class: "unused" };
  #closed = false;

  constructor(authorize: (request: AuthorizationRequest) => Promise<Authorization | null>) {
    this.#authorize = authorize;
  }

  /** How the host took everything so far. */
  get outcome(): Outcome {
    return this.#outcome;
  }

  async acquire(): Promise<Slot> {
    return this.slotAtHand();
  }

  slotAtHand(): Slot {
    return { release: (outcome) => this.record(outcome) };
  }

  authorize(request: AuthorizationRequest): Promise<Authorization | null> {
    return this.#authorize(request);
  }

  /** Books what no request could: a body that broke off after its answer had been counted as a success. */
  record(outcome: Outcome): void {
    if (!this.#closed) {
      this.#outcome = graver(this.#outcome, outcome);
    }
  }

  /** From here on requests fail because we break them off ourselves: nothing more is booked on the host. */
  close(): void {
    this.#closed = true;
  }
}

/** Both outcomes as one: the graver class, the longer pause, the newer quota. */
export function graver(before: Outcome, after: Outcome): Outcome {
  const quota = after.quota ?? before.quota;
  const pauses = [before.retryAfterMs, after.retryAfterMs].filter((ms) => ms !== undefined);
  return {
    class: GRAVITY[after.class] > GRAVITY[before.class] ? after.class : before.class,
    ...(pauses.length > 0 && { retryAfterMs: Math.max(...pauses) }),
    ...(quota !== undefined && { quota }),
  };
}

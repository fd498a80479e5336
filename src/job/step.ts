/** What every part of a run works with: both ends, the ledger and the plan. */
import type { CopyPlan } from "../copy/plan.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { Registry } from "../registry/contract.ts";
import type { EventLog } from "./events.ts";
import type { Ledger } from "./ledger.ts";

export interface StepParts {
  request: CopyRequest;
  source: Registry;
  target: Registry;
  ledger: Ledger;
  events: EventLog;
  plan: CopyPlan;
  /** Before the writes of a step: books the clients' counts and warnings; throws when the run has been stopped. */
  beginStep: () => void;
}

/** Of a part that has requests under way of its own accord. */
export interface PoolParts extends StepParts {
  onError: (error: unknown) => void;
  /** Nothing is under way here any more. */
  onIdle: () => void;
}

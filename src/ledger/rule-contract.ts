/** What others may ask of CopyIndex about rules: the rules, their addresses, their runs. Plain data; crosses RPC. */
import type { Principal } from "../access/contract.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { CopyState, TagTally } from "../job/contract.ts";
import type { HookSettings, RulePlan, Trigger } from "../sync/contract.ts";

/** A rule as the index has it. Times in milliseconds since the epoch. */
export interface RuleEntry {
  name: string;
  /** Counts from 1, up with every change. */
  version: number;
  /** Id of the principal that wrote it last: its copies are made with their scopes. */
  owner: string;
  /** As it was written, as JSON text. */
  body: string;
  plan: RulePlan;
  enabled: boolean;
  /** The rule at whose address its pushes arrive; null: it takes none. */
  hook: string | null;
  /** The next time of its schedule, and when it begins for it; null: there is none. */
  next: { slotMs: number; startMs: number } | null;
  createdAtMs: number;
  changedAtMs: number;
  lastRun: RunEntry | null;
  open: OpenRuns;
}

/** Runs of a rule that have not ended. */
export interface OpenRuns {
  waiting: number;
  running: number;
  /** When the first of those comes due that wait for a time and not for a turn; null: none does. */
  dueMs: number | null;
}

export interface RulePut {
  name: string;
  body: string;
  plan: RulePlan;
  enabled: boolean;
  /** Null: it takes no pushes. */
  push: { from: string } | { settings: HookSettings; pathHash: string } | null;
  by: Principal;
  /** What must be true of the rule that is there, if any. */
  condition: RuleCondition;
  /** Says what would become of it, and changes nothing. */
  dryRun: boolean;
}

export type RuleCondition =
  | { kind: "none" }
  | { kind: "new" }
  /** It must be there; `version` null: whichever. */
  | { kind: "version"; version: number | null };

export type RulePutAnswer =
  /** `newAddress`: the path's hash that was given is now the rule's. */
  | { kind: "created" | "changed" | "unchanged"; rule: RuleEntry; newAddress: boolean }
  /** Somebody else's rule has this name. */
  | { kind: "taken" }
  /** The condition does not hold; the version that is there, or null. */
  | { kind: "stale"; version: number | null }
  /** The rule whose deliveries it would take has no address of its own, or is somebody else's. */
  | { kind: "no-hook" }
  /** Others listen at the address that it would lose. */
  | { kind: "listened"; by: string[] }
  | { kind: "too-many" };

export type RunState = "waiting" | Exclude<CopyState, "accepted"> | "skipped";

export const RUN_STATES: readonly RunState[] = ["waiting", "running", "succeeded", "failed", "cancelled", "skipped"];

/** One copy that a rule made, or would have made. */
export interface RunEntry {
  n: number;
  /** Id of the copy; null: there was none. */
  copy: string | null;
  rule: string;
  /** Of the rule. */
  version: number;
  trigger: Trigger;
  state: RunState;
  source: string;
  target: string;
  /** What was copied; null: several things, or not known. */
  digest: string | null;
  /** Pushes that it answers. */
  events: number;
  atMs: number;
  startedAtMs: number | null;
  endedAtMs: number | null;
  result: RunResult | null;
}

/** How a run ended. Null where there was nothing of the kind. */
export interface RunResult {
  /** A sentence, unless it succeeded. */
  reason: string | null;
  tags: TagTally | null;
  bytesCopied: number | null;
}

/** Where deliveries to an address go. */
export interface HookEntry {
  name: string;
  settings: HookSettings;
  pathHash: string;
  listeners: { rule: string; plan: RulePlan; enabled: boolean }[];
}

/** A copy that a rule wants made. */
export interface Wish {
  rule: string;
  trigger: Trigger;
  request: CopyRequest;
  /** The same in every repetition of one push; null: nothing is. */
  deliveryKey: string | null;
  /** The digest that the sender tells; null: none. */
  hint: string | null;
}

export type WishAnswer =
  /** A copy of its own, at once or when its turn comes. */
  | { kind: "started"; copy: string }
  /** A copy that does the same waits, runs or has run. */
  | { kind: "joined"; copy: string }
  | { kind: "ignored"; reason: string };

export type SurveyAnswer =
  /** `joined`: the rule is at it already. */
  { kind: "started" | "joined" } | { kind: "ignored"; reason: string };

export interface RulesRpc {
  putRule(put: RulePut): Promise<RulePutAnswer>;
  /** Null: there is none, or it is not `owner`'s. */
  findRule(name: string, owner?: string): Promise<RuleEntry | null>;
  /** By name. `cursor`: the name after which the page begins. */
  listRules(query: {
    owner?: string;
    limit: number;
    cursor?: string;
  }): Promise<{ rules: RuleEntry[]; next: string | null }>;
  /** Its waiting runs go with it; copies under way go on. */
  deleteRule(
    name: string,
    condition: RuleCondition,
    owner?: string,
  ): Promise<{ kind: "deleted" | "unknown" } | Extract<RulePutAnswer, { kind: "stale" | "listened" }>>;
  /** Gives the rule's own address another path. Null: there is no such rule; `no-hook`: it has no address of its own. */
  rotateHook(name: string, pathHash: string, owner?: string): Promise<RuleEntry | "no-hook" | null>;
  /**
   * Who has the address of this name with the part of this hash; null: nobody. The same work whether it is the name or the
   * part that is wrong.
   */
  findHook(name: string, pathHash: string): Promise<HookEntry | null>;
  /** Notes wishes durably, and says in their order what becomes of each. */
  wish(wishes: readonly Wish[]): Promise<WishAnswer[]>;
  /** Has the rule's registry asked for its repositories, and a copy made of each that is among the source. */
  wishAll(rule: string): Promise<SurveyAnswer>;
  /** Newest first; null: there is no such rule, or it is not `owner`'s. */
  listRuns(
    rule: string,
    query: { owner?: string; state?: RunState; limit: number; cursor?: number },
  ): Promise<{ runs: RunEntry[]; next: number | null } | null>;
  /** Does what is due. The object's own alarm does the same; this is for when the alarm was lost. */
  tick(): Promise<void>;
}

/** The simulation's figures as machines read them: an array with a row for each scenario and policy. */
import { POLICIES, type PolicyName } from "../../src/host/policy.ts";
import type { Figures } from "./metrics.ts";
import { POLICY_NAMES, run, type Scenario } from "./scenarios.ts";

/** Times are fractions of the time that all bytes need, where the name does not say `Ms`; `rejected` counts 429s. */
export type Row = { scenario: string; slots: number; policy: PolicyName } & Pick<
  Figures,
  "meanCompletion" | "p99Completion" | "makespan" | "smallWaitP99Ms" | "worstWait" | "rejected"
>;

/** A row, and the figures that only the table for people shows beside it. */
export interface Result {
  row: Row;
  more: Pick<Figures, "rejectedLater" | "throughput" | "idle">;
}

/** @param seeds As many as each scenario names, unless given. */
export function resultsOf(scenarios: readonly Scenario[], seeds?: number): Result[] {
  return scenarios.flatMap((scenario) =>
    POLICY_NAMES.map((policy) => {
      const figures = run(scenario, POLICIES[policy], seeds);
      const { meanCompletion, p99Completion, makespan, smallWaitP99Ms, worstWait, rejected } = figures;
      const { rejectedLater, throughput, idle } = figures;
      const of = { scenario: scenario.name, slots: scenario.slots, policy };
      return {
        row: { ...of, meanCompletion, p99Completion, makespan, smallWaitP99Ms, worstWait, rejected },
        more: { rejectedLater, throughput, idle },
      };
    }),
  );
}

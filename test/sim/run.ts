/** The simulation: every policy under every scenario, as a table, or as JSON with `--json`. */
import { POLICIES } from "../../src/host/policy.ts";
import { POLICY_NAMES, run, SCENARIOS } from "./scenarios.ts";

const json = process.argv.includes("--json");

const rows = SCENARIOS.flatMap((scenario) =>
  POLICY_NAMES.map((policy) => ({
    scenario: scenario.name,
    slots: scenario.slots,
    policy,
    ...run(scenario, POLICIES[policy]),
  })),
);

if (json) {
  console.log(JSON.stringify(rows, null, 2));
} else {
  const format = (value: string | number): string | number =>
    typeof value === "string" || Number.isInteger(value) ? value : Number(value.toPrecision(3));
  console.table(rows.map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, format(value)]))));
}

/**
 * The simulation: every policy under every scenario, as a table, or as JSON with `--json`
 * (`npm run --silent sim -- --json`; npm keeps a `--json` without the dashes for itself, but says so in the environment).
 */
import { resultsOf } from "./rows.ts";
import { SCENARIOS } from "./scenarios.ts";

const json = process.argv.includes("--json") || process.env.npm_config_json === "true";

const results = resultsOf(SCENARIOS);

function rounded(value: string | number): string | number {
  if (typeof value === "string") {
    return value;
  }
  return value >= 100 ? Math.round(value) : Math.round(value * 1000) / 1000;
}

if (json) {
  console.log(
    JSON.stringify(
      results.map(({ row }) => row),
      null,
      2,
    ),
  );
} else {
  console.log("Times are fractions of the time that all bytes need, where the name does not say Ms.");
  console.table(
    results.map(({ row, more }) =>
      Object.fromEntries(Object.entries({ ...row, ...more }).map(([key, value]) => [key, rounded(value)])),
    ),
  );
}

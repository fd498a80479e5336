import { expect, test } from "vitest";
import { resultsOf, type Row } from "./rows.ts";
import { POLICY_NAMES, SCENARIOS } from "./scenarios.ts";

const FIELDS = [
  "scenario",
  "slots",
  "policy",
  "meanCompletion",
  "p99Completion",
  "makespan",
  "smallWaitP99Ms",
  "worstWait",
  "rejected",
];

test("each scenario has a row for each policy, with the fields that machines read and no others, all of them numbers", () => {
  const rows = JSON.parse(
    JSON.stringify(
      resultsOf(
        SCENARIOS.filter(({ name }) => name !== "thousand-tags"),
        1,
      ).map(({ row }) => row),
    ),
  );
  for (const row of rows) {
    expect(Object.keys(row)).toEqual(FIELDS);
    const { scenario, policy, ...figures } = row;
    expect(Object.values(figures).every(Number.isFinite), `${scenario}, ${policy}`).toBe(true);
  }
  const names = rows.map(({ scenario, slots, policy }: Row) => `${scenario}/${slots}/${policy}`);
  expect(new Set(names).size).toBe(rows.length);
  expect(rows.length).toBe((SCENARIOS.length - 1) * POLICY_NAMES.length);
});

test.each([
  ["one-image", 3],
  ["one-image", 6],
  ["twenty-images", 3],
  ["twenty-images", 6],
  ["one-huge-layer", 6],
  ["thousand-tags", 6],
  ["hidden-limit", 10],
  ["hidden-rate", 4],
  ["slowing", 6],
  ["two-speeds", 6],
])("%s with %i slots is among the scenarios", (name, slots) => {
  expect(SCENARIOS.filter((scenario) => scenario.name === name && scenario.slots === slots)).toHaveLength(1);
});

import { expect, test } from "vitest";
import { History } from "./history.ts";
import { seeded } from "./model.ts";

const CASES = 3_000;
const MOST_STEPS = 80;

test(`random histories: never above the limit, nothing lost, nothing granted twice, all ends (${CASES} cases)`, () => {
  for (let seed = 1; seed <= CASES; seed++) {
    const random = seeded(seed);
    const history = new History(random);
    const steps = 10 + Math.floor(random() * MOST_STEPS);
    for (let i = 0; i < steps; i++) {
      history.step();
    }
    history.end();
    expect({ seed, violations: history.violations }).toEqual({ seed, violations: [] });
  }
});

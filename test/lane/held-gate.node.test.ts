import { expect, it } from "vitest";
import { graver, HeldGate } from "../../src/lane/held-gate.ts";
import type { OutcomeClass } from "../../src/registry/gate.ts";

it("lets every request through and books the gravest thing that happened", async () => {
  const gate = new HeldGate(async () => null);
  expect(gate.outcome).toEqual({ class: "unused" });
  for (const outcome of ["ok", "throttled", "failed", "ok"] satisfies OutcomeClass[]) {
    const slot = await gate.acquire();
    slot.release({ class: outcome });
  }
  expect(gate.outcome).toEqual({ class: "throttled" });
});

it("books nothing that happens after it was closed", async () => {
  const gate = new HeldGate(async () => null);
  gate.record({ class: "ok" });
  gate.close();
  const slot = await gate.acquire();
  slot.release({ class: "refused" });
  expect(gate.outcome).toEqual({ class: "ok" });
});

it("keeps the longest pause asked for and the newest quota", () => {
  const before = { class: "throttled", retryAfterMs: 5000, quota: { limit: 100, remaining: 9 } } as const;
  const after = { class: "ok", retryAfterMs: 1000, quota: { limit: 100, remaining: 8 } } as const;
  expect(graver(before, after)).toEqual({
    class: "throttled",
    retryAfterMs: 5000,
    quota: { limit: 100, remaining: 8 },
  });
  expect(graver(before, { class: "ok" })).toEqual(before);
});

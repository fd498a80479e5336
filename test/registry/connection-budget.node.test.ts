import { describe, expect, it } from "vitest";
import { ConnectionBudget, CONNECTIONS_PER_INVOCATION } from "../../src/registry/connection-budget.ts";

const signal = new AbortController().signal;

describe("the connection budget", () => {
  it("grants six, then one for each given back, in the order of asking", async () => {
    const budget = new ConnectionBudget();
    const held = await Promise.all(Array.from({ length: CONNECTIONS_PER_INVOCATION }, () => budget.acquire(signal)));
    const order: string[] = [];
    const first = budget.acquire(signal).then(() => order.push("first"));
    const second = budget.acquire(signal).then(() => order.push("second"));
    await Promise.resolve();
    expect(order).toEqual([]);
    held[0]?.();
    await first;
    expect(order).toEqual(["first"]);
    held[1]?.();
    await second;
    expect(order).toEqual(["first", "second"]);
  });

  it("counts a connection given back twice once", async () => {
    const budget = new ConnectionBudget(1);
    const giveBack = await budget.acquire(signal);
    giveBack();
    giveBack();
    await budget.acquire(signal);
    let isGranted = false;
    budget.acquire(signal).then(
      () => (isGranted = true),
      () => {},
    );
    await new Promise(setImmediate);
    expect(isGranted).toBe(false);
  });

  it("lets a cancelled asker go without losing those behind it", async () => {
    const budget = new ConnectionBudget(1);
    const giveBack = await budget.acquire(signal);
    const controller = new AbortController();
    const cancelled = budget.acquire(controller.signal);
    const behind = budget.acquire(signal);
    controller.abort(new Error("enough"));
    await expect(cancelled).rejects.toThrow("enough");
    giveBack();
    await expect(behind).resolves.toBeTypeOf("function");
    await expect(budget.acquire(controller.signal)).rejects.toThrow("enough");
  });
});

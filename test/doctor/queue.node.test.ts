import { expect, it } from "vitest";
import { PROBE_TIMEOUT_MS, queueFinding, roundTripMs, type ProbePorts } from "../../src/doctor/queue.ts";

/** A queue that delivers after so long, on a clock of its own; null: never. */
function queueThatTakes(deliveryMs: number | null): ProbePorts & { looks: number; waitedMs: number } {
  const opened = new Set<string>();
  let sentAtMs: number | null = null;
  const ports = {
    looks: 0,
    waitedMs: 0,
    open: async (id: string) => void opened.add(id),
    send: async ({ probe }: { probe: string }) => {
      sentAtMs = opened.has(probe) ? ports.waitedMs : null;
    },
    cameAtMs: async () => {
      ports.looks += 1;
      const atMs = sentAtMs === null || deliveryMs === null ? null : sentAtMs + deliveryMs;
      return atMs !== null && atMs <= ports.waitedMs ? atMs : null;
    },
    now: () => ports.waitedMs,
    pause: async (ms: number) => {
      ports.waitedMs += ms;
    },
  };
  return ports;
}

it.each([0, 7, 1_234, PROBE_TIMEOUT_MS])("tells that a message took %d ms", async (deliveryMs) => {
  expect(await roundTripMs("one", queueThatTakes(deliveryMs))).toBe(deliveryMs);
});

it.each([["never comes", null] as const, ["comes too late", PROBE_TIMEOUT_MS + 1] as const])(
  "gives up on a message that %s when the time is over, having looked a bounded number of times",
  async (_what, deliveryMs) => {
    const ports = queueThatTakes(deliveryMs);
    expect(await roundTripMs("one", ports)).toBeNull();
    expect(ports.waitedMs).toBe(PROBE_TIMEOUT_MS);
    expect(ports.looks).toBeLessThan(50);
  },
);

it("fails a queue that nobody reads, warns of one that is behind, and says how long one took that is read", () => {
  expect(queueFinding(null, false)).toMatchObject({
    state: "fail",
    message: expect.stringContaining("nobody reads it"),
    fix: expect.stringContaining("queues.consumers"),
  });
  expect(queueFinding(null, true)).toMatchObject({ state: "warn" });
  expect(queueFinding(43, false)).toMatchObject({ state: "ok", message: expect.stringContaining("43 ms"), fix: null });
});

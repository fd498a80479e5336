/**
 * A Worker that runs single transfers, each in an invocation of its own, for tests that must see them in the real
 * runtime: POST a {@link TransferOrder}, read a {@link TransferAnswer}.
 */
import type { Transfer, TransferReport } from "../../../src/host/contract.ts";
import { HeldGate } from "../../../src/lane/held-gate.ts";
import { LANE_TIMES } from "../../../src/lane/lane.ts";
import { LetGo } from "../../../src/lane/letting-go.ts";
import type { Meter } from "../../../src/lane/meter.ts";
import { runTransfer } from "../../../src/lane/transfer.ts";
import { createRegistry } from "../../../src/registry/client.ts";
import { ConnectionBudget } from "../../../src/registry/connection-budget.ts";
import type { HostSettings, Registry } from "../../../src/registry/contract.ts";
import type { TransferAnswer, TransferOrder } from "./orders.ts";

const unhandled: string[] = [];
addEventListener("unhandledrejection", (event) => {
  unhandled.push(String(event.reason));
});

export default {
  async fetch(request: Request): Promise<Response> {
    const order: TransferOrder = await request.json();
    const budget = new ConnectionBudget();
    const meters = order.transfers.map((): Meter => ({ bytes: 0 }));
    const moves = order.transfers.map((transfer, index) =>
      move(transfer, order, budget, meters[index] ?? { bytes: 0 }),
    );
    const reports = await Promise.all(moves);
    const told = meters.map(({ toldHandover }) => toldHandover ?? null);
    // What nobody handles is told after the turn in which it was rejected.
    await scheduler.wait(1);
    return Response.json({ reports, told, unhandled } satisfies TransferAnswer);
  },
} satisfies ExportedHandler;

async function move(
  transfer: Transfer,
  order: TransferOrder,
  budget: ConnectionBudget,
  meter: Meter,
): Promise<TransferReport> {
  const controller = new AbortController();
  const timeUp = new AbortController();
  const { letGo, timeUpAfterBytes = Infinity, portableAfterMs = LANE_TIMES.portableAfterMs } = order;
  const lane = setInterval(() => {
    if (meter.handover !== undefined) {
      meter.toldHandover = meter.handover;
    }
    const gainedBytes = meter.bytes - (transfer.handover?.offsetBytes ?? 0);
    if (letGo !== undefined && gainedBytes >= letGo.afterBytes) {
      controller.abort(new LetGo(letGo.why, "the test lets go"));
    }
    if (gainedBytes >= timeUpAfterBytes) {
      timeUp.abort();
    }
  }, 1);
  const end = (side: "source" | "target", settings: HostSettings): { registry: Registry; gate: HeldGate } => {
    const gate = new HeldGate(async () => null);
    const tools = { gate, budget, fetch: (url: string, init: RequestInit) => fetch(url, init), now: Date.now };
    return {
      gate,
      registry: createRegistry({
        ...tools,
        settings,
        side,
        log: () => undefined,
        refusalOf: () => null,
        maxAttempts: 1,
      }),
    };
  };
  try {
    return await runTransfer(
      transfer,
      end("source", order.source),
      { ...end("target", order.target), settings: order.target },
      {
        signal: controller.signal,
        timeUp: timeUp.signal,
        portableAfterMs,
        meter,
        idleMs: order.idleMs,
        now: Date.now,
        pushable: { has: () => true, add: () => {} },
      },
    );
  } finally {
    clearInterval(lane);
  }
}

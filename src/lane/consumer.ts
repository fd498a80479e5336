/**
 * The queue consumer: every message is a work order for one lane, or a question whether anybody reads the queue. Checks the
 * order, gives the lane what it works with, and acknowledges the message when the lane has ended. Ties the parts together;
 * moves no byte itself.
 */
import * as z from "zod";
import { writeLine } from "../log.ts";
import { clientReach, hostSettings } from "../config.ts";
import type { Env } from "../env.ts";
import type { Transfer, WorkOrder } from "../host/contract.ts";
import { createRegistry } from "../registry/client.ts";
import { ConnectionBudget } from "../registry/connection-budget.ts";
import type { HostSettings, Registry } from "../registry/contract.ts";
import { INDEX_NAME } from "../ledger/contract.ts";
import { errorDetailOf } from "../registry/errors.ts";
import { HeldGate } from "./held-gate.ts";
import { HostLine, type Join } from "./host-line.ts";
import { LANE_TIMES, runLane, type LaneTimes, type TransferRunner } from "./lane.ts";
import { IDLE_TIMEOUT_MS, runTransfer } from "./transfer.ts";

/** A newer deploy will know what to do with a newer order; deploys take this long to reach everywhere. */
const UNKNOWN_VERSION_DELAY_SECONDS = 30;
/** A host's object that was out of reach is back by then; its own alarm sends the order again anyway. */
const FAILED_LANE_DELAY_SECONDS = 5;

const ORDER = z.object({ v: z.literal(1), host: z.string().min(1), lane: z.string().min(1) });
/** Somebody wants to know whether the queue is read (`doctor/queue.ts`). */
const PROBE = z.object({ v: z.literal(1), probe: z.uuid() });
const VERSIONED = z.object({ v: z.number().int().min(2) });

/** Repositories that took an upload of this isolate's; forgotten with it, or when there are too many to keep. */
const PUSHABLE_MAX = 1_000;
const pushableNames = new Set<string>();
const pushable = {
  has: (repository: string): boolean => pushableNames.has(repository),
  add: (repository: string): void => {
    if (pushableNames.size >= PUSHABLE_MAX) {
      pushableNames.clear();
    }
    pushableNames.add(repository);
  },
};

/** Runs one lane per message, and returns when all have ended. Never throws. */
export async function handleQueue(
  batch: MessageBatch,
  env: Env,
  _context: Pick<ExecutionContext, "waitUntil">,
  times: LaneTimes = LANE_TIMES,
): Promise<void> {
  // Connections are counted per invocation, however many lanes share it.
  const budget = new ConnectionBudget();
  await Promise.all(batch.messages.map((message) => handleMessage(message, env, budget, times)));
}

async function handleMessage(message: Message, env: Env, budget: ConnectionBudget, times: LaneTimes): Promise<void> {
  const order = ORDER.safeParse(message.body);
  if (!order.success) {
    const probe = PROBE.safeParse(message.body);
    if (probe.success) {
      await answerProbe(probe.data.probe, env);
      message.ack();
      return;
    }
    const isNewer = VERSIONED.safeParse(message.body).success;
    writeLine({ msg: "work order refused", id: message.id, newer: isNewer, complaint: z.prettifyError(order.error) });
    if (isNewer) {
      message.retry({ delaySeconds: UNKNOWN_VERSION_DELAY_SECONDS });
    } else {
      message.ack();
    }
    return;
  }
  const { host, lane } = order.data;
  const startMs = Date.now();
  try {
    await workLane(order.data, env, budget, times);
    writeLine({ msg: "lane ended", host, lane, ms: Date.now() - startMs });
    message.ack();
  } catch (thrown) {
    writeLine({
      msg: "lane failed",
      host,
      lane,
      ms: Date.now() - startMs,
      error: errorDetailOf(thrown, "run lane").message,
    });
    message.retry({ delaySeconds: FAILED_LANE_DELAY_SECONDS });
  }
}

/** Whoever asked waits for seconds only, so it is tried once. */
async function answerProbe(id: string, env: Env): Promise<void> {
  try {
    await env.INDEX.getByName(INDEX_NAME).probeCame(id);
  } catch (thrown) {
    writeLine(
      { msg: "probe of the queue not answered", error: errorDetailOf(thrown, "answer probe").message },
      "error",
    );
  }
}

/** Runs the lane with clients, sessions and settings as the environment has them. */
async function workLane(order: WorkOrder, env: Env, budget: ConnectionBudget, times: LaneTimes): Promise<void> {
  const targetSettings = hostSettings(env, order.host);
  using sources = new SourceLines((host) => joinWith(env, host), order.lane);

  const client = (settings: HostSettings, side: "source" | "target", gate: HeldGate): Registry =>
    createRegistry({
      settings,
      side,
      gate,
      budget,
      fetch: (url, init) => fetch(url, init),
      now: Date.now,
      log: writeLine,
      // The slots were granted beforehand: a retry here would not wait as long as the host needs. It is the host's turn.
      maxAttempts: 1,
      refusalOf: clientReach(env, settings.host),
    });

  const runner: TransferRunner = async (transfer: Transfer, { target, ...run }) => {
    const { sourceHost } = transfer.offer;
    const sourceLine = sourceHost === order.host ? target : sources.to(sourceHost);
    const sourceGate = new HeldGate((request) => sourceLine.authorize(request));
    const targetGate = new HeldGate((request) => target.authorize(request));
    return runTransfer(
      transfer,
      { gate: sourceGate, registry: client(hostSettings(env, sourceHost), "source", sourceGate) },
      { gate: targetGate, registry: client(targetSettings, "target", targetGate), settings: targetSettings },
      { ...run, idleMs: IDLE_TIMEOUT_MS, now: Date.now, pushable },
    );
  };

  await runLane(order, { join: joinWith(env, order.host), runTransfer: runner, now: Date.now, times });
}

function joinWith(env: Env, host: string): Join {
  // A stub that has thrown is broken for good: every joining makes its own.
  return (who) => env.REGISTRIES.getByName(host).join(who);
}

/** The lines to source hosts, for authorizations only: one per host, opened when first needed. */
class SourceLines {
  readonly #joinWith: (host: string) => Join;
  readonly #name: string;
  readonly #lines = new Map<string, HostLine>();

  constructor(join: (host: string) => Join, name: string) {
    this.#joinWith = join;
    this.#name = name;
  }

  to(host: string): HostLine {
    let line = this.#lines.get(host);
    if (line === undefined) {
      line = new HostLine(this.#joinWith(host), () => ({ name: this.#name, width: 0, held: [] }));
      this.#lines.set(host, line);
    }
    return line;
  }

  [Symbol.dispose](): void {
    for (const line of this.#lines.values()) {
      line[Symbol.dispose]();
    }
  }
}

/**
 * The project's own Worker under chaos: watched for the limits of production, with three doors for the run that torments
 * it. They end a lane in mid-stream, throw an object out of memory, and tell how many lanes there are.
 */
import worker, * as classes from "../../src/index.ts";
import type { Env } from "../../src/env.ts";
import type { WorkOrder } from "../../src/host/contract.ts";
import { trackedClass, trackedHandlers } from "../limits/tracking.worker.ts";

const WHY = "the chaos run ended this";

/** Ends one lane each. */
const lanes = new Map<number, () => void>();
let lanesStarted = 0;

export default trackedHandlers({
  ...worker,

  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/chaos/kill-lane") {
      const all = [...lanes.values()];
      all[Math.floor(Number(searchParams.get("pick")) * all.length)]?.();
      return Response.json({ hit: all.length > 0 });
    }
    if (pathname === "/chaos/evict") {
      return Response.json({ hit: await evict(env, searchParams.get("kind"), searchParams.get("name") ?? "") });
    }
    return worker.fetch(request, env, context);
  },

  /** A lane that is killed ends at once and with an error, as one whose machine went away. */
  async queue(batch: MessageBatch<WorkOrder>, env: Env, context: ExecutionContext): Promise<void> {
    const killed = Promise.withResolvers<never>();
    const lane = lanesStarted++;
    lanes.set(lane, () => killed.reject(new Error(WHY)));
    try {
      await Promise.race([worker.queue(batch, env, context), killed.promise]);
    } finally {
      lanes.delete(lane);
    }
  },
});

async function evict(env: Env, kind: string | null, name: string): Promise<boolean> {
  const spaces: Record<string, { getByName(name: string): unknown }> = {
    job: env.JOBS,
    host: env.REGISTRIES,
    index: env.INDEX,
  };
  const stub = spaces[kind ?? ""]?.getByName(name);
  if (!isEvictable(stub)) {
    return false;
  }
  // The call never comes back: the object is gone.
  await stub.evict().catch(() => undefined);
  return true;
}

function isEvictable(stub: unknown): stub is { evict(): Promise<void> } {
  // A stub answers for every name.
  return stub !== undefined;
}

export const CopyIndex = trackedClass(
  class extends classes.CopyIndex {
    async evict(): Promise<void> {
      this.ctx.abort(WHY);
    }
  },
);
export const CopyJob = trackedClass(
  class extends classes.CopyJob {
    async evict(): Promise<void> {
      this.ctx.abort(WHY);
    }
  },
);
export const RegistryHost = trackedClass(
  class extends classes.RegistryHost {
    async evict(): Promise<void> {
      this.ctx.abort(WHY);
    }
  },
);

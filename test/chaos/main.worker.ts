/**
 * How the chaos run frames the project's own Worker: watched for the limits of production, with doors for the run that
 * strikes it. They end a lane in mid-stream, and throw an object out of memory.
 */
import type worker from "../../src/index.ts";
import type { DurableObject } from "cloudflare:workers";
import type { Env } from "../../src/env.ts";
import { trackedClass, trackedHandlers } from "../limits/tracking.worker.ts";

const WHY = "the chaos run ended this";

type Abortable = Pick<ExecutionContext, "waitUntil"> & Partial<Pick<ExecutionContext, "abort">>;

/** Ends one lane each. */
const lanes = new Map<number, () => void>();
let lanesStarted = 0;

export function handlers(plain: typeof worker): typeof worker {
  return trackedHandlers({
    ...plain,

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
      return plain.fetch(request, env, context);
    },

    /** A lane that is killed ends at once: nothing of it runs on, no `finally` is reached, as when its machine goes away. */
    async queue(batch: MessageBatch, env: Env, context: Abortable): Promise<void> {
      const killed = Promise.withResolvers<void>();
      const lane = lanesStarted++;
      lanes.set(lane, () => {
        lanes.delete(lane);
        killed.resolve();
      });
      // An invocation can be ended from within only.
      void killed.promise.then(() => context.abort?.(WHY));
      try {
        await plain.queue(batch, env, context);
      } finally {
        lanes.delete(lane);
      }
    },
  });
}

export function durableClass<Class extends new (context: DurableObjectState, env: never) => DurableObject>(
  plain: Class,
): Class {
  return trackedClass(plain, { evict: (context) => context.abort(WHY) });
}

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

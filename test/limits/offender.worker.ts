/** A Worker in place of the project's that breaks the limits of production on request, to see that it is found out. */
import { DurableObject } from "cloudflare:workers";
import { trackedClass, trackedHandlers } from "./tracking.worker.ts";

interface OffenderEnv {
  JOBS: DurableObjectNamespace<OffenderObject>;
  LANES: Queue;
}

const MIB = 1024 ** 2;
const kept: Uint8Array[] = [];

const offender = trackedHandlers({
  /** `/within/…` and `/beyond/…` do the same, once below and once above the limit; `?to=` is a server that answers late. */
  async fetch(request: Request, env: OffenderEnv): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const [, side, what] = pathname.split("/");
    const beyond = side === "beyond";
    const to = searchParams.get("to") ?? "";
    if (what === "connections") {
      const asked = Array.from({ length: beyond ? 7 : 6 }, () => fetch(to));
      await Promise.all((await Promise.all(asked)).map((answer) => answer.text()));
    } else if (what === "message") {
      await env.LANES.send("x".repeat(beyond ? 128_000 : 127_000));
    } else if (what === "object-body") {
      await env.JOBS.getByName("offender").push(to, (beyond ? 5 : 4) * MIB);
    } else if (what === "object-stream") {
      await env.JOBS.getByName("offender").pushStream(to);
    } else if (what === "memory") {
      kept.push(...hoard(beyond ? 200 : 1));
    } else if (what === "cpu") {
      await spin(beyond ? 120 : 1);
    }
    return Response.json({ copies: [], next: null });
  },
  async queue(): Promise<void> {},
});

class OffenderObject extends DurableObject {
  async push(to: string, bytes: number): Promise<void> {
    await (await fetch(to, { method: "POST", body: new Uint8Array(bytes) })).text();
  }

  async pushStream(to: string): Promise<void> {
    const { readable, writable } = new IdentityTransformStream();
    const sent = fetch(to, { method: "POST", body: readable });
    await writable.close();
    await (await sent).text();
  }
}

/** Whatever the project's Worker does, this one does instead. */
export function handlers(): typeof offender {
  return offender;
}

export function durableClass(): typeof OffenderObject {
  return trackedClass(class extends OffenderObject {});
}

/** Written to, since untouched memory does not count. */
function hoard(pieces: number): Uint8Array[] {
  return Array.from({ length: pieces }, () => new Uint8Array(MIB).fill(1));
}

async function spin(rounds: number): Promise<void> {
  const bytes = new Uint8Array(8 * MIB);
  for (let round = 0; round < rounds; round++) {
    await crypto.subtle.digest("SHA-512", bytes);
  }
  // The clock stands still while code runs; a timer sets it.
  await scheduler.wait(600);
}

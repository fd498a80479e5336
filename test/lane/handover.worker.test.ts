import { createExecutionContext, createMessageBatch, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, inject, it, vi } from "vitest";
import { handleQueue } from "../../src/lane/consumer.ts";
import type { LaneTimes } from "../../src/lane/lane.ts";
import { blobStatus, noise, pushBlob } from "../job/push.ts";

/** What the registry says to take at once. */
const CHUNK_BYTES = 256 * 1024;
const CHUNKS = 6;
/** A lane whose time is up as soon as it has begun: it leaves off after every chunk. */
const SHORT: LaneTimes = { lifeMs: 15_000, timeUpMs: 1, breakOffMs: 60_000, portableAfterMs: 0 };

afterEach(() => {
  vi.restoreAllMocks();
});

for (const verify of ["stream", "target"] as const) {
  it(`a blob that outlasts its lanes goes through the host from one to the next, with verify = "${verify}"`, async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const { source, chunked: target } = inject("registries");
    const { digest, size } = await pushBlob(source, "handover/source", noise(CHUNKS * CHUNK_BYTES - 7));
    const host = env.REGISTRIES.getByName(target);
    const lane = work({ v: 1, host: target, lane: `lane ${verify}` }, target, verify);
    await expect.poll(async () => (await host.snapshot()).lanes.joined).toBeGreaterThan(0);
    await host.offer("job", [
      {
        id: `job/handover/${verify}@${digest}`,
        digest,
        sizeBytes: size,
        targetRepository: `handover/${verify}`,
        sourceHost: source,
        sourceRepository: "handover/source",
        mayExist: false,
        since: Date.now(),
      },
    ]);
    await expect
      .poll(() => blobStatus(target, `handover/${verify}`, digest), { timeout: 20_000, interval: 100 })
      .toBe(200);
    await lane;
    const requests = linesOf(log.mock.calls).filter(({ host: at, path }) => at === target && path?.includes(verify));
    const methods = requests.map(({ method }) => method);
    expect(methods.filter((method) => method === "POST")).toHaveLength(1);
    expect(methods.filter((method) => method === "PATCH")).toHaveLength(CHUNKS);
    // Every lane but the first asks for the offset.
    expect(methods.filter((method) => method === "GET")).toHaveLength(CHUNKS - 1);
    const rows = await runInDurableObject(host, (_, { storage }) =>
      storage.sql.exec("SELECT offer FROM handovers").toArray(),
    );
    expect(rows).toEqual([]);
    // The location holds state that the registry has signed.
    expect(JSON.stringify(log.mock.calls)).not.toContain("_state");
  });
}

async function work(body: unknown, target: string, verify: "stream" | "target"): Promise<void> {
  const batch = createMessageBatch("drayage-lanes", [{ id: "message", timestamp: new Date(), attempts: 1, body }]);
  const HOSTS = { [target]: { verify, tls: "disabled" } };
  await handleQueue(batch, { ...env, HOSTS }, createExecutionContext(), SHORT);
}

function linesOf(calls: unknown[][]): { host?: string; path?: string; method?: string }[] {
  return calls.flatMap(([line]) => {
    try {
      return [JSON.parse(String(line))];
    } catch {
      return [];
    }
  });
}

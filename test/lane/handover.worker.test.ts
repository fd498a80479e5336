import { createExecutionContext, createMessageBatch, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, inject, it, vi } from "vitest";
import { handleQueue } from "../../src/lane/consumer.ts";
import type { LaneTimes } from "../../src/lane/lane.ts";
import { digestOf } from "../../src/registry/digest.ts";

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
    const bytes = new Uint8Array(CHUNKS * CHUNK_BYTES - 7);
    for (let from = 0; from < bytes.byteLength; from += 65_536) {
      crypto.getRandomValues(bytes.subarray(from, from + 65_536));
    }
    const digest = digestOf(bytes);
    await push(source, "handover/source", digest, bytes);
    const host = env.REGISTRIES.getByName(target);
    const lane = work({ v: 1, host: target, lane: `lane ${verify}` }, target, verify);
    await expect.poll(async () => (await host.snapshot()).lanes.joined).toBeGreaterThan(0);
    await host.offer("job", [
      {
        id: `job/handover/${verify}@${digest}`,
        digest,
        sizeBytes: bytes.byteLength,
        targetRepository: `handover/${verify}`,
        sourceHost: source,
        sourceRepository: "handover/source",
        mayExist: false,
        since: Date.now(),
      },
    ]);
    await expect
      .poll(() => statusOf(target, `handover/${verify}`, digest), { timeout: 20_000, interval: 100 })
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

async function push(host: string, repository: string, digest: string, bytes: Uint8Array): Promise<void> {
  const url = `http://${host}/v2/${repository}/blobs/uploads/?digest=${digest}`;
  const response = await fetch(url, { method: "POST", body: bytes });
  expect(response.status).toBe(201);
}

async function statusOf(host: string, repository: string, digest: string): Promise<number> {
  const response = await fetch(`http://${host}/v2/${repository}/blobs/${digest}`, { method: "HEAD" });
  return response.status;
}

import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, it } from "vitest";
import { handleQueue } from "../../src/lane/consumer.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { digestOf } from "../../src/registry/digest.ts";

describe("a work order", () => {
  const cases: { what: string; body: unknown; retried: boolean }[] = [
    { what: "of a version to come waits for a newer deploy", body: { v: 2, host: "a", plan: {} }, retried: true },
    { what: "without a host is dropped", body: { v: 1, lane: "lane" }, retried: false },
    { what: "with an empty host is dropped", body: { v: 1, host: "", lane: "lane" }, retried: false },
    { what: "that is text is dropped", body: "lane", retried: false },
    { what: "of no version is dropped", body: { host: "a", lane: "lane" }, retried: false },
  ];
  for (const { what, body, retried } of cases) {
    it(what, async () => {
      const result = await consume(body);
      expect(result.explicitAcks).toEqual(retried ? [] : ["message"]);
      expect(result.retryMessages).toMatchObject(retried ? [{ msgId: "message" }] : []);
    });
  }

  it("for a host with nothing to do is done", async () => {
    const result = await consume({ v: 1, host: "registry.example", lane: "lane" });
    expect(result.explicitAcks).toEqual(["message"]);
  });

  it("moves the blobs that are offered to its host", async () => {
    const { source, target } = inject("registries");
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    const digest = digestOf(bytes);
    await push(source, "lane/source", digest, bytes);
    await env.REGISTRIES.getByName(target).offer("job", [
      {
        id: `job/lane/target@${digest}`,
        digest,
        sizeBytes: bytes.byteLength,
        targetRepository: "lane/target",
        sourceHost: source,
        sourceRepository: "lane/source",
        mayExist: false,
        since: Date.now(),
      },
    ]);
    const result = await consume({ v: 1, host: target, lane: "lane" });
    expect(result.explicitAcks).toEqual(["message"]);
    // The order that the host itself has sent may have been quicker.
    await expect.poll(() => statusOf(target, "lane/target", digest)).toBe(200);
  });
});

describe("a question whether the queue is read", () => {
  const index = env.INDEX.getByName(INDEX_NAME);

  it("is answered at the index, once", async () => {
    const id = crypto.randomUUID();
    await index.openProbe(id);
    expect(await index.probeCameAtMs(id)).toBeNull();
    expect((await consume({ v: 1, probe: id })).explicitAcks).toEqual(["message"]);
    const cameAtMs = await index.probeCameAtMs(id);
    expect(cameAtMs).toEqual(expect.any(Number));
    await consume({ v: 1, probe: id });
    expect(await index.probeCameAtMs(id)).toBe(cameAtMs);
  });

  it("that nobody has asked leaves nothing behind", async () => {
    const id = crypto.randomUUID();
    expect((await consume({ v: 1, probe: id })).explicitAcks).toEqual(["message"]);
    expect(await index.probeCameAtMs(id)).toBeNull();
  });
});

async function consume(body: unknown) {
  const batch = createMessageBatch("drayage-lanes", [{ id: "message", timestamp: new Date(), attempts: 1, body }]);
  const context = createExecutionContext();
  await handleQueue(batch, env, context);
  return getQueueResult(batch, context);
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

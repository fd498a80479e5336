import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, it } from "vitest";
import { handleQueue } from "../../src/lane/consumer.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { blobStatus, noise, pushBlob } from "../job/push.ts";

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
    const { digest, size } = await pushBlob(source, "lane/source", noise(60_000));
    await env.REGISTRIES.getByName(target).offer("job", [
      {
        id: `job/lane/target@${digest}`,
        digest,
        sizeBytes: size,
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
    await expect.poll(() => blobStatus(target, "lane/target", digest)).toBe(200);
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

/** What a lane has learned of a host's uploads is remembered by its object, shown, and handed to the next lane. */
import { env } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import type { TransferReport } from "../../src/host/contract.ts";

const HOST = "127.0.0.1:9";

it("a shape that was learned is handed out with the next try, shown, and survives the object", async () => {
  const host = env.REGISTRIES.getByName(HOST);
  {
    using session = await host.join({ name: "lane", width: 1, held: [] });
    await host.offer("job", [
      {
        id: "job/a@sha256:1",
        digest: `sha256:${"1".repeat(64)}`,
        sizeBytes: 10,
        targetRepository: "a",
        sourceHost: HOST,
        sourceRepository: "b",
        mayExist: false,
        since: Date.now(),
      },
    ]);
    const first = await session.next();
    expect(first).toMatchObject({ attempt: 1, shape: { whole: "put", lessons: 0 } });
    if (first?.shape === undefined) {
      throw new Error("no transfer came");
    }
    const learned = { ...first.shape, whole: "patch" as const, lessons: 1, reason: "learned: for the test" };
    const report: TransferReport = {
      lease: first.lease,
      result: {
        kind: "failed",
        error: {
          code: "upload_rejected",
          side: "target",
          host: HOST,
          operation: "upload blob",
          retryable: true,
          message: "no",
        },
      },
      bytes: 0,
      target: { class: "ok" },
      source: { class: "unused" },
      requests: { source: 0, target: 1 },
      warnings: [],
      learned,
    };
    expect(await session.next(report)).toMatchObject({ attempt: 2, shape: learned });
    expect((await host.snapshot()).uploads).toEqual(learned);
  }
  await evictDurableObject(host);
  expect((await env.REGISTRIES.getByName(HOST).snapshot()).uploads).toMatchObject({ whole: "patch", lessons: 1 });
  await env.REGISTRIES.getByName(HOST).withdraw("job");
});

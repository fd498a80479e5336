/** A whole CopyJob against two registries on loopback, through the real RegistryHosts, queue and lanes. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { CopyRequest } from "../../src/copy/request.ts";
import type { CopyJob } from "../../src/job/copy-job.ts";
import { type CopyEvent, type CopyView, KEPT_MS } from "../../src/job/contract.ts";
import { eventsOf } from "./event-stream.ts";
import { HeldNetwork } from "./held-network.ts";
import { pushImage, pushIndex, tagDigest } from "./push.ts";

const { source, target } = inject("registries");
/** Far above what any of these copies takes. */
const PATIENCE_MS = 20_000;

function newCopy(repository: string = crypto.randomUUID()): { id: string; repository: string; request: CopyRequest } {
  const request = {
    source: { host: source, repository, tag: "v1" },
    target: { host: target, repository, tag: "v1" },
  };
  return { id: crypto.randomUUID(), repository, request };
}

async function endOf(id: string): Promise<CopyView> {
  const view = await env.JOBS.getByName(id).view(PATIENCE_MS);
  return view ?? expect.unreachable();
}

async function readEvents(id: string, lastSeq: number): Promise<CopyEvent[]> {
  return eventsOf(await env.JOBS.getByName(id).events(lastSeq));
}

async function alarmOf(id: string): Promise<number | null> {
  return runInDurableObject(env.JOBS.getByName(id), (_job, state) => state.storage.getAlarm());
}

/** Everybody has heard of the copy's end; what is left to do is to clear up, after the time that it is kept. */
async function isAtRest(id: string): Promise<boolean> {
  return ((await alarmOf(id)) ?? 0) > Date.now() + KEPT_MS - PATIENCE_MS;
}

const network = new HeldNetwork();
beforeEach(() => network.begin());
afterEach(() => network.end());

/** The copy moves no blob as long as this holds. */
function holdBlobs(repository: string): void {
  network.holds = (request) => request.startsWith("GET") && request.includes(`/${repository}/blobs/`);
}

describe("a copy", () => {
  test("of an index moves everything, tells it in events, and comes to rest", async () => {
    const { id, repository, request } = newCopy();
    const { digest } = await pushIndex(source, repository);
    const accepted = await env.JOBS.getByName(id).start(id, request);
    expect(accepted).toMatchObject({ id, state: "accepted", source: { reference: `${source}/${repository}:v1` } });
    const view = await endOf(id);
    expect(view).toMatchObject({
      state: "succeeded",
      error: null,
      source: { digest },
      target: { digest },
      blobs: { all: 7, copied: 7, mounted: 0, present: 0 },
      manifests: { all: 3, copied: 3, present: 0 },
    });
    expect(view.bytes.copied).toBe(view.bytes.all);
    expect(view.times.firstByteAt).not.toBeNull();
    expect(view.times.doneAt).not.toBeNull();
    expect(await tagDigest(target, repository, "v1")).toBe(digest);

    const events = await readEvents(id, 0);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1));
    const states = events.flatMap((event) => (event.type === "state" ? [event.data.state] : []));
    expect(states).toEqual(["accepted", "running", "succeeded"]);
    expect(events.at(-1)).toMatchObject({ type: "state", data: { state: "succeeded", target: { digest } } });
    const [last] = await readEvents(id, events.length - 1);
    expect(last).toEqual(events.at(-1));
    await expect.poll(() => isAtRest(id)).toBe(true);
  });

  test("with nothing to do takes one request to each end", async () => {
    const { id, repository, request } = newCopy();
    await pushIndex(source, repository);
    await env.JOBS.getByName(id).start(id, request);
    expect(await endOf(id)).toMatchObject({ state: "succeeded" });
    const again = crypto.randomUUID();
    await env.JOBS.getByName(again).start(again, request);
    expect(await endOf(again)).toMatchObject({
      state: "succeeded",
      requests: { source: 1, target: 1 },
      manifests: { all: 1, copied: 0, present: 1 },
      times: { firstByteAt: null },
    });
  });

  test("takes two requests per new blob at the target, and one at the source", async () => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [5_000, 6_000, 7_000], "v1");
    await env.JOBS.getByName(id).start(id, request);
    const view = await endOf(id);
    // Target: HEAD of the tag, a page of tags, PUT of the manifest. Source: HEAD and GET of the manifest.
    expect(view.requests).toEqual({ source: 2 + 4, target: 3 + 2 * 4 });
  });

  test("started twice is one copy", async () => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [1_000], "v1");
    const stub = env.JOBS.getByName(id);
    const [first, second] = await Promise.all([stub.start(id, request), stub.start(id, request)]);
    expect(second.times.acceptedAt).toBe(first.times.acceptedAt);
    const view = await endOf(id);
    expect(view.blobs.copied).toBe(2);
    expect(await stub.start(id, request)).toEqual(view);
  });

  test("of a source that does not exist fails with the guilty side", async () => {
    const { id, request } = newCopy();
    await env.JOBS.getByName(id).start(id, request);
    expect(await endOf(id)).toMatchObject({
      state: "failed",
      error: { code: "not_found", side: "source", host: source },
      target: { digest: null },
    });
    await expect.poll(() => isAtRest(id)).toBe(true);
  });

  test("keeps its storage for a week after its end, and then none of it", async () => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [1_000], "v1");
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    await endOf(id);
    await expect.poll(() => isAtRest(id)).toBe(true);
    await runDurableObjectAlarm(stub);
    expect(await stub.view(0)).not.toBeNull();
    expect(await isAtRest(id)).toBe(true);
    await runInDurableObject(stub, (_job, { storage }) => {
      storage.sql.exec("UPDATE copy SET done_ms = done_ms - ?", KEPT_MS);
    });
    await runDurableObjectAlarm(stub);
    expect([await stub.view(0), await stub.cancel(), await stub.events(0), await alarmOf(id)]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    const tables = await runInDurableObject(stub, (_job, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
    );
    expect(tables).toEqual([]);
  });

  test("that was never started is unknown", async () => {
    const stub = env.JOBS.getByName(crypto.randomUUID());
    expect([await stub.view(0), await stub.cancel(), await stub.events(0)]).toEqual([null, null, null]);
    await stub.settled([]);
    await stub.progressed([{ id: "x@y", bytes: 1 }]);
  });
});

describe("evictions", () => {
  test.each([1, 2, 4, 6, 9, 12])("after %i events the copy goes on at the next alarm", async (count) => {
    const { id, repository, request } = newCopy();
    const { digest } = await pushIndex(source, repository);
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    await expect
      .poll(() => runInDurableObject(stub, (_job, state) => countEvents(state)), { interval: 1 })
      .toBeGreaterThanOrEqual(count);
    await evictDurableObject(stub);
    await runDurableObjectAlarm(stub);
    const view = await endOf(id);
    expect(view).toMatchObject({ state: "succeeded", blobs: { all: 7 }, manifests: { all: 3 } });
    expect(view.blobs.copied + view.blobs.present).toBe(7);
    expect(await tagDigest(target, repository, "v1")).toBe(digest);
  });

  test("again and again, with the alarm ringing twice each time, still end in one copy", async () => {
    const { id, repository, request } = newCopy();
    const { digest } = await pushIndex(source, repository);
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    for (let round = 0; round < 8; round += 1) {
      await evictDurableObject(stub);
      await Promise.all([runDurableObjectAlarm(stub), runDurableObjectAlarm(stub)]);
    }
    expect(await endOf(id)).toMatchObject({ state: "succeeded" });
    expect(await tagDigest(target, repository, "v1")).toBe(digest);
    const states = (await readEvents(id, 0)).flatMap((event) => (event.type === "state" ? [event.data.state] : []));
    expect(states).toEqual(["accepted", "running", "succeeded"]);
  });

  test("an ended copy is what it was", async () => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [1_000], "v1");
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    const view = await endOf(id);
    const events = await readEvents(id, 0);
    await evictDurableObject(stub);
    expect(await endOf(id)).toEqual(view);
    expect(await readEvents(id, 0)).toEqual(events);
    expect(await stub.cancel()).toEqual(view);
  });
});

describe("a run that ends in something unforeseen", () => {
  /** Every manifest that is to be written down makes the run throw, until the trigger is dropped. */
  async function startBroken(id: string, request: CopyRequest): Promise<DurableObjectStub<CopyJob>> {
    const stub = env.JOBS.getByName(id);
    await runInDurableObject(stub, (_job, { storage }) => {
      storage.sql.exec(
        "CREATE TRIGGER broken BEFORE INSERT ON manifests BEGIN SELECT RAISE(ABORT, 'the disk is on fire'); END",
      );
    });
    await stub.start(id, request);
    return stub;
  }

  function crashesOf(stub: DurableObjectStub<CopyJob>): Promise<number> {
    return runInDurableObject(
      stub,
      (_job, { storage }) => storage.sql.exec<{ crashes: number }>("SELECT crashes FROM copy").one().crashes,
    );
  }

  test("is tried again at the alarm, and the copy succeeds without a trace of it", async () => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [1_000], "v1");
    const stub = await startBroken(id, request);
    await expect.poll(() => crashesOf(stub)).toBe(1);
    expect(await stub.view(0)).toMatchObject({ state: "running", error: null });
    await runInDurableObject(stub, (_job, { storage }) => void storage.sql.exec("DROP TRIGGER broken"));
    await runDurableObjectAlarm(stub);
    expect(await endOf(id)).toMatchObject({ state: "succeeded", error: null, blobs: { copied: 2 } });
  });

  test("is not tried for ever: the copy fails with what it was", async () => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [1_000], "v1");
    const stub = await startBroken(id, request);
    for (let crash = 1; crash < 5; crash += 1) {
      await expect.poll(() => crashesOf(stub)).toBe(crash);
      expect(await alarmOf(id)).not.toBeNull();
      await runDurableObjectAlarm(stub);
    }
    const view = await endOf(id);
    expect(view).toMatchObject({ state: "failed", error: { code: "internal", side: "service" } });
    expect(view.error?.message).toContain("on fire");
    await expect.poll(() => isAtRest(id)).toBe(true);
    expect(await tagDigest(target, repository, "v1")).toBeNull();
  });
});

describe("settlements", () => {
  test("for unknown offers, and twice for one, change nothing", async () => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [1_000], "v1");
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    const view = await endOf(id);
    const blob = (await readEvents(id, 0)).flatMap((event) => (event.type === "blob" ? [event.data.digest] : []))[0];
    const settlement = {
      digest: blob ?? "",
      outcome: "failed" as const,
      bytes: 0,
      requests: { source: 9, target: 9 },
      warnings: ["late"],
    };
    await stub.settled([
      { ...settlement, id: `${id}/${repository}@${blob}` },
      { ...settlement, id: `other/${repository}@${blob}` },
    ]);
    expect(await endOf(id)).toEqual(view);
  });

  test("that failed fail the copy at once with the lane's error, and leave the tag as it was", async () => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [3_000_000, 1_000], "v1");
    const before = await pushImage(target, repository, [10], "v1");
    holdBlobs(repository);
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    await expect
      .poll(() => runInDurableObject(stub, (_job, state) => waitingBlob(state)), { interval: 1 })
      .not.toBeNull();
    const digest = (await runInDurableObject(stub, (_job, state) => waitingBlob(state))) ?? "";
    const error = {
      code: "denied" as const,
      side: "target" as const,
      host: target,
      operation: "upload blob",
      status: 403,
      retryable: false,
      message: "You may not push here.",
    };
    const requests = { source: 1, target: 1 };
    await stub.settled([
      { id: `${id}/${repository}@${digest}`, digest, outcome: "failed", bytes: 0, requests, warnings: [], error },
    ]);
    const view = await endOf(id);
    expect(view).toMatchObject({ state: "failed", error });
    expect(await tagDigest(target, repository, "v1")).toBe(before.digest);
  });
});

describe("cancelling", () => {
  test.each([0, 3, 5])("after %i events is the end: no tag, nothing to do, nothing left at the host", async (count) => {
    const { id, repository, request } = newCopy();
    await pushImage(source, repository, [4_000_000, 4_000_000, 1_000], "v1");
    holdBlobs(repository);
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    await expect
      .poll(() => runInDurableObject(stub, (_job, state) => countEvents(state)), { interval: 1 })
      .toBeGreaterThanOrEqual(count);
    const view = await stub.cancel();
    expect(view).toMatchObject({ state: "cancelled", error: null });
    expect(await tagDigest(target, repository, "v1")).toBeNull();
    expect(await stub.cancel()).toEqual(view);
    await expect.poll(() => isAtRest(id)).toBe(true);
    const events = await readEvents(id, 0);
    expect(events.at(-1)).toMatchObject({ type: "state", data: { state: "cancelled" } });
    await expect.poll(async () => (await env.REGISTRIES.getByName(target).snapshot()).waiting.blob).toBe(0);
    expect(await tagDigest(target, repository, "v1")).toBeNull();
  });
});

describe("cancelling while the root is being pushed", () => {
  /** Cancels while the push is held; it is let go when the copy has heard of it. */
  async function cancelThenLetGo(id: string): Promise<CopyView | null> {
    const stub = env.JOBS.getByName(id);
    const cancelled = stub.cancel();
    expect(await stub.view(0)).toMatchObject({ state: "running" });
    network.letGo();
    return cancelled;
  }

  async function startHeld(): Promise<{ id: string; repository: string; digest: string }> {
    const { id, repository, request } = newCopy();
    const { digest } = await pushImage(source, repository, [1_000], "v1");
    network.holds = (sent) => sent.startsWith("PUT") && sent.endsWith(`/${repository}/manifests/v1`);
    await env.JOBS.getByName(id).start(id, request);
    await expect.poll(() => network.held).toHaveLength(1);
    return { id, repository, digest };
  }

  test("waits for the registry's word: it took the tag, so the copy has succeeded", async () => {
    const { id, repository, digest } = await startHeld();
    expect(await cancelThenLetGo(id)).toMatchObject({ state: "succeeded", target: { digest } });
    expect(await tagDigest(target, repository, "v1")).toBe(digest);
  });

  test("says nothing of the tag when the registry has refused it", async () => {
    const { id, repository } = await startHeld();
    network.answer = async () => new Response("no", { status: 400 });
    expect(await cancelThenLetGo(id)).toMatchObject({ state: "cancelled", error: null, warnings: [] });
    expect(await tagDigest(target, repository, "v1")).toBeNull();
  });

  test("says that the tag is uncertain when the answer to its push was lost", async () => {
    const { id, repository, digest } = await startHeld();
    network.answer = async (send) => {
      await send();
      return new Response("the answer was lost", { status: 502 });
    };
    expect(await cancelThenLetGo(id)).toMatchObject({
      state: "cancelled",
      warnings: [expect.stringContaining(`v1 was on the way to ${target}`)],
    });
    expect(await tagDigest(target, repository, "v1")).toBe(digest);
  });

  test("says so too where the object was thrown out of memory under the push, and nobody waits for the answer", async () => {
    const { id } = await startHeld();
    await runInDurableObject(env.JOBS.getByName(id), (_job, state) => state.abort("gone")).catch(() => undefined);
    expect(await env.JOBS.getByName(id).cancel()).toMatchObject({
      state: "cancelled",
      warnings: [expect.stringContaining(`v1 was on the way to ${target}`)],
    });
  });

  test("does not wait for ever: it ends, sends nothing more, and says that the tag is uncertain", async () => {
    // The lost answer of the test before has paused the host.
    await env.REGISTRIES.getByName(target).forget();
    const { id, repository } = await startHeld();
    const view = await env.JOBS.getByName(id).cancel();
    expect(view).toMatchObject({
      state: "cancelled",
      warnings: [expect.stringContaining(`v1 was on the way to ${target}`)],
    });
    network.letGo();
    expect(network.held).toHaveLength(1);
    expect(await tagDigest(target, repository, "v1")).toBeNull();
  });
});

function countEvents(state: DurableObjectState): number {
  return state.storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM events").one().n;
}

function waitingBlob(state: DurableObjectState): string | null {
  const rows = state.storage.sql.exec<{ digest: string }>("SELECT digest FROM blobs WHERE state = 'waiting'").toArray();
  return rows[0]?.digest ?? null;
}

/** A whole CopyJob over a repository on loopback, through the real RegistryHosts, queue and lanes. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { CopyRequest } from "../../src/copy/request.ts";
import type { CopyEvent, CopyView, TagView } from "../../src/job/contract.ts";
import { eventsOf } from "./event-stream.ts";
import { HeldNetwork } from "./held-network.ts";
import { INDEX_TYPE, MANIFEST_TYPE, noise, pushBlob, type Pushed, pushImage, pushManifest, tagDigest } from "./push.ts";

const { source, target } = inject("registries");
const PATIENCE_MS = 20_000;
const encoder = new TextEncoder();
/** What is said of every copy that does not say which tags it is of. */
const ALL_TAGS: unknown = expect.stringContaining("names no tag");

const network = new HeldNetwork();
beforeEach(() => network.begin());
afterEach(() => network.end());

/** Tags that share a base layer, each with a config and a layer of its own. */
async function pushTags(repository: string, tags: string[], layerBytes = 5_000): Promise<void> {
  const base = await pushBlob(source, repository, noise(20_000));
  for (const tag of tags) {
    const config = await pushBlob(source, repository, encoder.encode(JSON.stringify({ tag, id: crypto.randomUUID() })));
    const layer = await pushBlob(source, repository, noise(layerBytes));
    await pushManifest(source, repository, { config, layers: [base, layer] }, MANIFEST_TYPE, tag);
  }
}

function newCopy(choices: Partial<CopyRequest> = {}): { id: string; repository: string; request: CopyRequest } {
  const repository = crypto.randomUUID();
  const request = { source: { host: source, repository }, target: { host: target, repository }, ...choices };
  return { id: crypto.randomUUID(), repository, request };
}

async function endOf(id: string): Promise<CopyView> {
  return (await env.JOBS.getByName(id).view(PATIENCE_MS)) ?? expect.unreachable();
}

async function copy(request: CopyRequest): Promise<CopyView> {
  const id = crypto.randomUUID();
  await env.JOBS.getByName(id).start(id, request);
  return endOf(id);
}

async function tagsOf(id: string): Promise<TagView[]> {
  return (await env.JOBS.getByName(id).tags({ limit: 1_000 }))?.tags ?? [];
}

async function statesOf(id: string): Promise<string[]> {
  return (await tagsOf(id)).map(({ source: tag, state }) => `${tag} ${state}`);
}

describe("a repository", () => {
  test("is copied whole, each shared layer once, and tells each tag in an event", async () => {
    const { id, repository, request } = newCopy();
    const tags = ["v1", "v2", "v3", "v4"];
    await pushTags(repository, tags);
    await env.JOBS.getByName(id).start(id, request);
    const view = await endOf(id);
    expect(view).toMatchObject({
      state: "succeeded",
      source: { reference: `${source}/${repository}`, digest: null },
      target: { reference: `${target}/${repository}`, digest: null },
      tags: { all: 4, copied: 4, failed: 0 },
      blobs: { all: 9, copied: 9 },
      manifests: { all: 4, copied: 4 },
      // A list and a manifest per tag at the source; a list and a push per tag at the target; 1 and 2 per blob.
      requests: { source: 5 + 9, target: 5 + 2 * 9 },
    });
    for (const tag of tags) {
      expect(await tagDigest(target, repository, tag)).toBe(await tagDigest(source, repository, tag));
    }
    const events = await eventsOf<CopyEvent>(await env.JOBS.getByName(id).events(0));
    expect(events.filter(({ type }) => type === "tags")).toHaveLength(1);
    const told = events.flatMap((event) => (event.type === "tag" ? [event.data.source ?? ""] : []));
    expect(told.toSorted()).toEqual(tags);
  });

  test("with nothing to do costs a list and a HEAD per tag at each end, and reads no manifest", async () => {
    const { repository, request } = newCopy();
    await pushTags(repository, ["v1", "v2", "v3"]);
    await copy(request);
    expect(await copy(request)).toMatchObject({
      state: "succeeded",
      tags: { all: 3, copied: 0, unchanged: 3 },
      requests: { source: 4, target: 4 },
      blobs: { all: 0 },
    });
    const immutable = await copy({ ...request, tags: { immutable: [".*"] } });
    expect(immutable).toMatchObject({ tags: { unchanged: 3 }, requests: { source: 1, target: 1 } });
  });

  test.each([3, 8, 15, 25])("goes on after an eviction behind %i events", async (count) => {
    const { id, repository, request } = newCopy();
    const tags = ["v1", "v2", "v3", "v4", "v5"];
    await pushTags(repository, tags);
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    await expect
      .poll(() => runInDurableObject(stub, (_job, state) => countEvents(state)), { interval: 1 })
      .toBeGreaterThanOrEqual(count);
    await evictDurableObject(stub);
    await runDurableObjectAlarm(stub);
    expect(await endOf(id)).toMatchObject({ state: "succeeded", tags: { all: 5, copied: 5 }, blobs: { all: 11 } });
    for (const tag of tags) {
      expect(await tagDigest(target, repository, tag)).toBe(await tagDigest(source, repository, tag));
    }
  });

  test("that is cancelled says of every tag what became of it", async () => {
    const { id, repository, request } = newCopy();
    await pushTags(repository, ["v1", "v2", "v3"]);
    network.holds = (sent) => sent.startsWith("GET") && sent.endsWith(`/${repository}/manifests/v3`);
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    await expect.poll(() => statesOf(id)).toEqual(["v1 copied", "v2 copied", "v3 waiting"]);
    expect(await stub.cancel()).toMatchObject({ state: "cancelled", error: null, warnings: [ALL_TAGS] });
    expect(await statesOf(id)).toEqual(["v1 copied", "v2 copied", "v3 cancelled"]);
    network.letGo();
    expect(await tagDigest(target, repository, "v2")).toBe(await tagDigest(source, repository, "v2"));
    expect(await tagDigest(target, repository, "v3")).toBeNull();
  });

  test("that is cancelled while a tag is being pushed waits for the answer, and has nothing left to warn of", async () => {
    const { id, repository, request } = newCopy();
    await pushTags(repository, ["v1", "v2"]);
    const isRead = (sent: string): boolean => sent.startsWith("GET") && sent.endsWith(`/${repository}/manifests/v2`);
    network.holds = (sent) => isRead(sent) || (sent.startsWith("PUT") && sent.endsWith(`/${repository}/manifests/v1`));
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    await expect.poll(() => network.held).toHaveLength(2);
    const cancelled = stub.cancel();
    expect(await stub.view(0)).toMatchObject({ state: "running" });
    network.holds = isRead;
    expect(await cancelled).toMatchObject({ state: "cancelled", error: null, warnings: [ALL_TAGS] });
    expect(await statesOf(id)).toEqual(["v1 copied", "v2 cancelled"]);
  });

  test("that is cancelled while its last tag is being pushed, which is then refused, tells that as the tag's failure", async () => {
    const { id, repository, request } = newCopy();
    await pushTags(repository, ["v1"]);
    network.holds = (sent) => sent.startsWith("PUT") && sent.endsWith(`/${repository}/manifests/v1`);
    const stub = env.JOBS.getByName(id);
    await stub.start(id, request);
    await expect.poll(() => network.held).toHaveLength(1);
    const cancelled = stub.cancel();
    expect(await stub.view(0)).toMatchObject({ state: "running" });
    network.answer = async () => new Response(null, { status: 403 });
    network.letGo();
    expect(await cancelled).toMatchObject({ state: "cancelled", error: null, warnings: [ALL_TAGS] });
    expect(await statesOf(id)).toEqual(["v1 failed"]);
  });

  test("that fails with the first tag says of another, which was being pushed, that it is uncertain", async () => {
    const { id, repository, request } = newCopy({ failFast: true });
    await pushTags(repository, ["v1", "v2"]);
    const isPush = (sent: string): boolean => sent.startsWith("PUT") && sent.endsWith(`/${repository}/manifests/v1`);
    network.holds = (sent) => isPush(sent) || (sent.startsWith("GET") && sent.endsWith(`/${repository}/manifests/v2`));
    await env.JOBS.getByName(id).start(id, request);
    await expect.poll(() => network.held).toHaveLength(2);
    network.answer = async () => new Response(null, { status: 404 });
    network.holds = isPush;
    expect(await endOf(id)).toMatchObject({
      state: "failed",
      warnings: [ALL_TAGS, expect.stringContaining(`Failed while v1 was on the way to ${target}`)],
    });
    expect(await statesOf(id)).toEqual(["v1 cancelled", "v2 failed"]);
  });

  test("brings lists of referrers along without taking away what others have listed at the target", async () => {
    const { repository, request } = newCopy();
    const image = await pushImage(source, repository, [1_000], "v1");
    const tag = image.digest.replace(":", "-");
    const config = await pushBlob(source, repository, encoder.encode("{}"));
    await pushBlob(target, repository, encoder.encode("{}"));
    const sign = (host: string, by: string) =>
      pushManifest(host, repository, { config, layers: [], subject: image, annotations: { by } }, MANIFEST_TYPE);
    const list = (host: string, manifests: Pushed[]) => pushManifest(host, repository, { manifests }, INDEX_TYPE, tag);
    const ours = await sign(source, "us");
    const theirs = await sign(target, "them");
    await list(source, [ours]);
    await list(target, [theirs]);
    expect(await copy(request)).toMatchObject({ state: "succeeded", tags: { all: 2, copied: 2 } });
    const answer = await fetch(`http://${target}/v2/${repository}/manifests/${tag}`, {
      headers: { accept: INDEX_TYPE },
    });
    expect(await answer.json()).toMatchObject({ manifests: [{ digest: theirs.digest }, { digest: ours.digest }] });
  });

  test("is paged by state", async () => {
    const { id, repository, request } = newCopy();
    await pushTags(repository, ["v1", "v2", "v3"]);
    await env.JOBS.getByName(id).start(id, request);
    await endOf(id);
    const stub = env.JOBS.getByName(id);
    const first = await stub.tags({ limit: 2, state: "copied" });
    expect(first?.tags.map((tag) => tag.source)).toEqual(["v1", "v2"]);
    const second = await stub.tags({ limit: 2, state: "copied", cursor: first?.next ?? 0 });
    expect(second).toMatchObject({ tags: [{ source: "v3", target: "v3", error: null }], next: null });
    expect(await stub.tags({ limit: 2, state: "failed" })).toEqual({ tags: [], next: null });
    expect(await env.JOBS.getByName(crypto.randomUUID()).tags({ limit: 1 })).toBeNull();
  });
});

describe("a dry run", () => {
  test("of a new repository says what would be copied, and writes nothing", async () => {
    const { id, repository, request } = newCopy({ dryRun: true });
    await pushTags(repository, ["v1", "v2"]);
    await env.JOBS.getByName(id).start(id, request);
    const dry = await endOf(id);
    expect(dry).toMatchObject({
      state: "succeeded",
      dryRun: true,
      target: { digest: null },
      tags: { all: 2, copied: 2 },
      blobs: { all: 5, copied: 5, present: 0 },
    });
    expect(await tagDigest(target, repository, "v1")).toBeNull();
    const real = await copy({ ...request, dryRun: false });
    expect(real).toMatchObject({ dryRun: false, tags: dry.tags, blobs: dry.blobs, bytes: dry.bytes });
    expect(real.requests).toEqual(dry.requests);
  });

  test("looks for blobs that may be there", async () => {
    const { repository, request } = newCopy();
    await pushTags(repository, ["v1", "v2", "v3"]);
    await copy({ ...request, tags: { include: ["v1"] } });
    const dry = await copy({ ...request, dryRun: true });
    expect(dry).toMatchObject({ tags: { copied: 2, unchanged: 1 }, blobs: { all: 5, copied: 4, present: 1 } });
    expect(await tagDigest(target, repository, "v2")).toBeNull();
  });

  test("of a single image moves no tag", async () => {
    const { id, repository } = newCopy();
    await pushImage(source, repository, [1_000], "v1");
    const before = await pushImage(target, repository, [10], "v1");
    const request = {
      source: { host: source, repository, tag: "v1" },
      target: { host: target, repository, tag: "v1" },
      dryRun: true,
    };
    await env.JOBS.getByName(id).start(id, request);
    expect(await endOf(id)).toMatchObject({
      state: "succeeded",
      tags: { all: 1, copied: 1 },
      target: { digest: null },
    });
    expect(await tagDigest(target, repository, "v1")).toBe(before.digest);
  });
});

describe("a single copy", () => {
  test("that skips an existing tag has nothing of its own at the target", async () => {
    const { id, repository } = newCopy();
    await pushImage(source, repository, [1_000], "v1");
    const before = await pushImage(target, repository, [10], "v1");
    await env.JOBS.getByName(id).start(id, {
      source: { host: source, repository, tag: "v1" },
      target: { host: target, repository, tag: "v1" },
      existing: { kind: "skip" },
    });
    expect(await endOf(id)).toMatchObject({ state: "succeeded", tags: { skipped: 1 }, target: { digest: null } });
    expect(await tagsOf(id)).toMatchObject([{ state: "skipped", oldDigest: before.digest }]);
  });

  test("that failed says so of its one name", async () => {
    const { id, repository } = newCopy();
    await env.JOBS.getByName(id).start(id, {
      source: { host: source, repository, tag: "v1" },
      target: { host: target, repository, tag: "v1" },
    });
    const { error } = await endOf(id);
    expect(await tagsOf(id)).toEqual([
      {
        source: "v1",
        target: "v1",
        digest: null,
        derivedDigest: null,
        oldDigest: null,
        state: "failed",
        error,
        reason: null,
      },
    ]);
  });
});

function countEvents(state: DurableObjectState): number {
  return state.storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM events").one().n;
}

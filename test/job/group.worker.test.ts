/** A whole CopyGroup against registries on loopback: its copies run through the real CopyJobs, RegistryHosts, queue and lanes. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, test } from "vitest";
import { copyIdIn, ID_RANDOM_BYTES, newGroupId } from "../../src/copy/copy-id.ts";
import type { CopyRequest } from "../../src/copy/request.ts";
import { ENDED_STATES, KEPT_MS } from "../../src/job/contract.ts";
import type { GroupEvent, GroupView } from "../../src/job/group/contract.ts";
import { GroupLedger } from "../../src/job/group/ledger.ts";
import { untouchedView } from "../../src/job/view.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { formatReference } from "../../src/registry/reference.ts";
import { eventsOf } from "./event-stream.ts";
import { pushImage, pushIndex, tagDigest } from "./push.ts";

const { source, target } = inject("registries");
/** Far above what any of these copies takes. */
const PATIENCE_MS = 20_000;

/** An index of two images with five layers at the source, to be copied to three repositories. */
async function newGroup(changes: Partial<CopyRequest> = {}) {
  const repository = crypto.randomUUID();
  const places = [
    { host: target, repository },
    { host: target, repository: `${repository}/again` },
    { host: target, repository: `${repository}/elsewhere` },
  ];
  const id = newGroupId(Date.now(), crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
  const requests = places.map((place): CopyRequest => ({
    source: { host: source, repository, tag: "v1" },
    target: { ...place, tag: "v1" },
    ...changes,
  }));
  return { id, repository, places, requests, group: () => env.GROUPS.getByName(id) };
}

async function endOf(id: string): Promise<GroupView> {
  const view = await env.GROUPS.getByName(id).view(PATIENCE_MS);
  return view ?? expect.unreachable();
}

async function readEvents(id: string, lastSeq = 0): Promise<GroupEvent[]> {
  return eventsOf(await env.GROUPS.getByName(id).events(lastSeq));
}

const digestsAt = (places: readonly { host: string; repository: string }[]) =>
  Promise.all(places.map(({ host, repository }) => tagDigest(host, repository, "v1")));

describe("a group of copies", () => {
  test("brings one source to all targets, and asks the source for each manifest once", async () => {
    const { id, repository, places, requests, group } = await newGroup();
    const { digest } = await pushIndex(source, repository);
    const accepted = await group().start(id, requests);
    expect(accepted).toMatchObject({ id, state: "accepted", source: { reference: `${source}/${repository}:v1` } });
    const view = await endOf(id);
    expect(view).toMatchObject({
      state: "succeeded",
      error: null,
      source: { digest },
      tags: { all: 3, copied: 3 },
      blobs: { all: 21 },
      manifests: { all: 9, copied: 9 },
    });
    expect(view.copies.map(({ state, target: { digest: at } }) => [state, at])).toEqual(
      Array.from({ length: 3 }, () => ["succeeded", digest]),
    );
    expect(view.blobs.copied + view.blobs.mounted).toBe(21);
    expect(await digestsAt(places)).toEqual([digest, digest, digest]);
    // HEAD of the tag, GET of three manifests. The copies themselves have asked for blobs only.
    const ofCopies = view.copies.reduce((sum, { requests: { source: asked } }) => sum + asked, 0);
    expect(view.requests.source - ofCopies).toBe(4);
    expect(ofCopies).toBe(view.blobs.copied);
  });

  test("shows each copy as an ordinary one that knows its group", async () => {
    const { id, repository, requests, group } = await newGroup();
    await pushIndex(source, repository);
    const { copies } = await group().start(id, requests);
    await endOf(id);
    expect(copies.map((copy) => copy.id)).toEqual([0, 1, 2].map((place) => copyIdIn(id, place)));
    for (const copy of copies) {
      expect(await env.JOBS.getByName(copy.id).view(0)).toMatchObject({ group: id, state: "succeeded" });
    }
  });

  test("tells in events when each copy begins and ends", async () => {
    const { id, repository, requests, group } = await newGroup();
    await pushIndex(source, repository);
    await group().start(id, requests);
    const events = await readEvents(id);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1));
    const states = events.flatMap((event) => (event.type === "state" ? [event.data.state] : []));
    expect(states).toEqual(["accepted", "running", "succeeded"]);
    for (const place of [0, 1, 2]) {
      const ofCopy = events.flatMap((event) =>
        event.type === "copy" && event.data.id === copyIdIn(id, place) ? [event.data.state] : [],
      );
      expect(ofCopy).toEqual(["running", "succeeded"]);
    }
    expect(await readEvents(id, events.length - 1)).toEqual(events.slice(-1));
  });

  test("started twice is one group", async () => {
    const { id, repository, requests, group } = await newGroup();
    await pushIndex(source, repository);
    const [first, second] = await Promise.all([group().start(id, requests), group().start(id, requests)]);
    expect(second.times.acceptedAt).toBe(first.times.acceptedAt);
    const view = await endOf(id);
    expect(view.copies).toHaveLength(3);
    expect(await group().start(id, requests)).toEqual(view);
  });

  test("fails when one copy fails, and the others are made all the same", async () => {
    const { id, repository, places, requests, group } = await newGroup({ existing: { kind: "fail" } });
    const { digest } = await pushIndex(source, repository);
    const other = await pushImage(target, `${repository}/again`, [100], "v1");
    await group().start(id, requests);
    const view = await endOf(id);
    expect(view.state).toBe("failed");
    expect(view.copies.map(({ state }) => state)).toEqual(["succeeded", "failed", "succeeded"]);
    expect(view.error?.message).toMatch(`1 of 3 copies failed, to ${target}/${repository}/again:v1: `);
    expect(view.error).toMatchObject({ code: "denied", host: target });
    expect(await digestsAt(places)).toEqual([digest, other.digest, digest]);
  });

  test("of a source that does not exist asks for it once, and every copy says so", async () => {
    const { id, requests, group } = await newGroup();
    await group().start(id, requests);
    const view = await endOf(id);
    expect(view.copies.map(({ error }) => [error?.code, error?.side])).toEqual(
      Array.from({ length: 3 }, () => ["not_found", "source"]),
    );
    expect(view).toMatchObject({ state: "failed", error: { code: "not_found", side: "source", host: source } });
  });

  test("is cancelled with all its copies", async () => {
    const { id, repository, places, requests, group } = await newGroup();
    await pushIndex(source, repository);
    await group().start(id, requests);
    const view = await group().cancel();
    expect(view).toMatchObject({ state: "cancelled", error: null });
    expect(view?.copies.map(({ state }) => state)).toEqual(["cancelled", "cancelled", "cancelled"]);
    expect(await digestsAt(places)).toEqual([null, null, null]);
    expect((await readEvents(id)).at(-1)).toMatchObject({ type: "state", data: { state: "cancelled" } });
  });

  test("that is cancelled before its copies were started says so of each in the list", async () => {
    const { id, places, requests, group } = await newGroup();
    const by = { id: "root", limits: {}, budget: "root" };
    const copies = requests.map((request, place) => ({ id: copyIdIn(id, place), request }));
    const index = env.INDEX.getByName(INDEX_NAME);
    await index.registerGroup({
      id,
      source: `${source}/${places[0]?.repository}:v1`,
      fingerprint: "",
      hosts: [],
      by,
      copies: copies.map((copy) => ({ id: copy.id, target: formatReference(copy.request.target) })),
    });
    // It was thrown out of memory as soon as it had written them down.
    await runInDurableObject(group(), (_group, { storage }) => {
      const views = copies.map((copy) => ({ ...copy, view: untouchedView(copy.id, copy.request, 1_000) }));
      new GroupLedger(storage.sql).create(id, views, 1_000);
    });
    expect(await group().cancel()).toMatchObject({ state: "cancelled" });
    expect((await index.findGroup(id)).map(({ state }) => state)).toEqual(["cancelled", "cancelled", "cancelled"]);
  });

  test("whose copies cannot be started fails after an hour, in the list too", async () => {
    const { id, requests, group } = await newGroup();
    await runInDurableObject(group(), async (instance) => {
      const start = () => Promise.reject(new Error("overloaded"));
      Reflect.set(instance, "env", { ...env, JOBS: { getByName: () => ({ start }) } });
    });
    await group().start(id, requests);
    await runDurableObjectAlarm(group());
    expect((await group().view(0))?.state).toBe("accepted");
    await runInDurableObject(group(), (_group, { storage }) => {
      storage.sql.exec("UPDATE copy_group SET accepted_ms = accepted_ms - ?", 61 * 60_000);
    });
    await runDurableObjectAlarm(group());
    const view = await group().view(0);
    expect(view).toMatchObject({ state: "failed", error: { operation: "start copy" } });
    expect(view?.copies.map(({ state }) => state)).toEqual(["failed", "failed", "failed"]);
    const record = await runInDurableObject(env.INDEX.getByName(INDEX_NAME), (_index, { storage }) =>
      storage.sql.exec("SELECT state FROM copies WHERE id = ?", copyIdIn(id, 0)).toArray(),
    );
    expect(record).toEqual([{ state: "failed" }]);
  });

  test("thrown out of memory again and again still comes to its end", async () => {
    const { id, repository, places, requests, group } = await newGroup();
    const { digest } = await pushIndex(source, repository);
    await group().start(id, requests);
    let deaths = 0;
    for (let ended = false; !ended; deaths += 1) {
      // A request to a registry, so that theirs get their turn; whatever they ask the group at that moment breaks off.
      await tagDigest(source, repository, "v1");
      await runInDurableObject(group(), (_group, state) => state.abort("gone")).catch(() => undefined);
      const states = await Promise.all(
        requests.map(async (_request, place) => (await env.JOBS.getByName(copyIdIn(id, place)).view(0))?.state),
      );
      ended = states.every((state) => state !== undefined && ENDED_STATES.includes(state));
      // What its death has cut off: starts, and words of ends.
      await runDurableObjectAlarm(group());
    }
    expect(deaths).toBeGreaterThan(3);
    const view = await endOf(id);
    expect(view.state).toBe("succeeded");
    expect(await digestsAt(places)).toEqual([digest, digest, digest]);
  });

  test("reads a manifest that it has let go once more for all members that ask for its digest", async () => {
    const { id, repository, requests, group } = await newGroup();
    const { digest } = await pushIndex(source, repository);
    // Copies that nobody starts: the group does not end under the questions.
    await runInDurableObject(group(), (_group, { storage }) => {
      const copies = requests.map((request, place) => {
        const copy = { id: copyIdIn(id, place), request: { ...request, group: id } };
        return { ...copy, view: untouchedView(copy.id, copy.request, Date.now()) };
      });
      new GroupLedger(storage.sql).create(id, copies, Date.now());
    });
    const requestsOf = async () => (await group().view(0))?.requests.source;
    const first = await group().manifest(digest);
    expect(first).toMatchObject({ kind: "read", value: { digest } });
    expect(await requestsOf()).toBe(1);
    await runInDurableObject(group(), (_group, { storage }) => {
      storage.sql.exec("DELETE FROM manifests; DELETE FROM pieces;");
    });
    expect(await Promise.all([group().manifest(digest), group().manifest(digest)])).toEqual([first, first]);
    expect(await group().manifest(digest)).toEqual(first);
    expect(await requestsOf()).toBe(2);
  });

  test("keeps its storage for a week after its end, its manifests no longer than that, and then none of it", async () => {
    const { id, repository, requests, group } = await newGroup();
    await pushIndex(source, repository);
    await group().start(id, requests);
    await endOf(id);
    const kept = await runInDurableObject(group(), (_group, { storage }) =>
      ["manifests", "pieces", "names"].map((table) => storage.sql.exec(`SELECT * FROM ${table}`).toArray().length),
    );
    expect(kept).toEqual([0, 0, 0]);
    await runDurableObjectAlarm(group());
    expect(await group().view(0)).not.toBeNull();
    await runInDurableObject(group(), (_group, { storage }) => {
      storage.sql.exec("UPDATE copy_group SET done_ms = done_ms - ?", KEPT_MS);
    });
    await runDurableObjectAlarm(group());
    expect([await group().view(0), await group().cancel(), await group().events(0)]).toEqual([null, null, null]);
  });
});

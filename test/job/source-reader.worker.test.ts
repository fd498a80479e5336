/** What a group reads for its copies, on the SQLite of a CopyGroup and a registry in memory. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { KeptManifests } from "../../src/job/group/kept-manifests.ts";
import { SourceReader } from "../../src/job/group/source-reader.ts";
import { MemoryRegistry } from "./memory-registry.ts";
import { MANIFEST_TYPE } from "./push.ts";

const FROM = { host: "source.test", repository: "app" };

interface World {
  registry: MemoryRegistry;
  kept: KeptManifests;
  reader: SourceReader;
  /** Requests that were booked. */
  booked: () => number;
  digest: string;
  /** How often it has joined the host, and left it. */
  sessions: { opened: number; closed: number };
}

/** A reader of a registry with one image under `v1`. */
function withReader(work: (world: World) => Promise<void>, maxBytes?: number): Promise<void> {
  return runInDurableObject(env.GROUPS.getByName(crypto.randomUUID()), async (_group, { storage }) => {
    const registry = new MemoryRegistry(FROM.host);
    const { digest } = registry.keep({ schemaVersion: 2 }, MANIFEST_TYPE, "v1");
    const kept = new KeptManifests(storage.sql, maxBytes);
    let requests = 0;
    const sessions = { opened: 0, closed: 0 };
    const reader = new SourceReader({
      repository: FROM.repository,
      kept,
      places: [FROM],
      open: () => {
        sessions.opened += 1;
        registry.usage.requests = 0;
        return { source: registry, close: () => (sessions.closed += 1) };
      },
      onRead: (more) => (requests += more),
    });
    await work({ registry, kept, reader, booked: () => requests, digest, sessions });
  });
}

describe("a group's reader", () => {
  test("looks at a tag once and reads its manifest once, however many ask at once", () =>
    withReader(async ({ registry, reader, booked, digest }) => {
      const heads = await Promise.all([1, 2, 3].map(() => reader.head("v1")));
      expect(heads).toEqual(
        Array.from({ length: 3 }, () => ({ kind: "read", value: expect.objectContaining({ digest }) })),
      );
      const manifests = await Promise.all([reader.manifest(digest), reader.manifest(digest), reader.manifest("v1")]);
      expect(manifests).toEqual(
        Array.from({ length: 3 }, () => ({ kind: "read", value: { ...registry.manifests.get(digest), from: FROM } })),
      );
      expect(registry.log).toEqual(["HEAD v1", `GET ${digest}`]);
      expect(booked()).toBe(registry.usage.requests);
    }));

  test("asks once where some want to know what a tag stands for, and others the manifest itself", () =>
    withReader(async ({ registry, reader, digest }) => {
      const [manifest, head] = await Promise.all([reader.manifest("v1"), reader.head("v1")]);
      expect([manifest, head]).toMatchObject([{ value: { digest } }, { value: { digest } }]);
      expect(registry.log).toEqual(["GET v1"]);
    }));

  test("gives all the same image, though the tag has moved meanwhile", () =>
    withReader(async ({ registry, reader, digest }) => {
      await reader.head("v1");
      registry.keep({ schemaVersion: 2, annotations: { new: "yes" } }, MANIFEST_TYPE, "v1");
      expect(await reader.head("v1")).toMatchObject({ value: { digest } });
      expect(await reader.manifest("v1")).toMatchObject({ value: { digest } });
    }));

  test("passes a failure of the source to all who wait, and asks again for the next", () =>
    withReader(async ({ registry, reader, digest }) => {
      registry.before = () => {
        throw registry.error("unavailable", "source.test is out of order");
      };
      const answers = await Promise.all([reader.manifest(digest), reader.manifest(digest)]);
      expect(answers).toMatchObject(
        Array.from({ length: 2 }, () => ({ kind: "failed", error: { code: "unavailable", host: FROM.host } })),
      );
      expect(registry.log).toHaveLength(1);
      registry.before = () => {};
      expect(await reader.manifest(digest)).toMatchObject({ kind: "read" });
    }));

  test("says of what does not exist that it does not, and leaves it open", () =>
    withReader(async ({ registry, reader }) => {
      expect(await reader.head("v2")).toEqual({ kind: "read", value: null });
      const { digest } = registry.keep({ schemaVersion: 2, annotations: { v: "2" } }, MANIFEST_TYPE, "v2");
      expect(await reader.head("v2")).toMatchObject({ value: { digest } });
    }));

  test("says so too to those who only look while others read", () =>
    withReader(async ({ registry, reader }) => {
      const [manifest, head] = await Promise.all([reader.manifest("v2"), reader.head("v2")]);
      expect(manifest).toMatchObject({ kind: "failed", error: { code: "not_found" } });
      expect(head).toEqual({ kind: "read", value: null });
      expect(registry.log).toEqual(["GET v2"]);
    }));

  test("leaves the host after a while without reads, not under one, and joins again for the next", () =>
    withReader(async ({ registry, reader, booked, digest, sessions }) => {
      const answer = Promise.withResolvers<void>();
      registry.before = () => answer.promise;
      const read = reader.manifest(digest);
      reader.rest();
      reader.rest();
      answer.resolve();
      expect(await read).toMatchObject({ value: { digest } });
      reader.rest();
      expect(sessions).toEqual({ opened: 1, closed: 0 });
      reader.rest();
      expect(sessions).toEqual({ opened: 1, closed: 1 });
      reader.rest();
      expect(await reader.head("v1")).toMatchObject({ value: { digest } });
      reader.rest();
      expect(sessions).toEqual({ opened: 2, closed: 1 });
      expect(booked()).toBe(2);
    }));

  test("leaves it to each copy where it is itself what fails, and when it has been closed", () =>
    withReader(async ({ registry, reader, digest }) => {
      registry.before = () => {
        throw new Error("the disk is on fire");
      };
      expect(await reader.manifest(digest)).toBeNull();
      registry.before = () => {};
      reader.close();
      expect([await reader.manifest(digest), await reader.head("v1")]).toEqual([null, null]);
    }));
});

describe("manifests that are kept", () => {
  test("are none that came after the end", () =>
    withReader(async ({ registry, kept, reader, digest }) => {
      const answer = Promise.withResolvers<void>();
      registry.before = () => answer.promise;
      const reads = [reader.manifest(digest), reader.head("v1")];
      reader.close();
      kept.clear();
      answer.resolve();
      expect(await Promise.all(reads)).toMatchObject([{ value: { digest } }, { value: { digest } }]);
      expect([kept.manifest(digest), kept.head(digest), kept.head("v1")]).toEqual([null, null, null]);
    }));

  test("are whole beyond what a row may hold", () =>
    withReader(async ({ kept }) => {
      const bytes = new Uint8Array(2_500_000).map((_, at) => at % 251);
      const manifest = { digest: `sha256:${"a".repeat(64)}`, mediaType: MANIFEST_TYPE, bytes, from: FROM };
      kept.keep(manifest);
      kept.keep(manifest);
      expect(kept.manifest(manifest.digest)).toEqual(manifest);
    }));

  test("go when there are too many bytes of them, the oldest first, and are read again", () =>
    withReader(async ({ registry, reader, digest }) => {
      await reader.manifest("v1");
      const second = registry.keep({ schemaVersion: 2, annotations: { v: "2" } }, MANIFEST_TYPE, "v2");
      await reader.manifest("v2");
      registry.log.length = 0;
      expect(await reader.manifest("v1")).toMatchObject({ kind: "read", value: { digest } });
      expect(registry.log).toEqual([`GET ${digest}`]);
      expect(await reader.manifest(second.digest)).toMatchObject({ kind: "read", value: { digest: second.digest } });
    }, 60));

  test("that have gone are read once more for all who ask by the digest, as they were first asked for", () =>
    withReader(async ({ registry, reader, digest }) => {
      await reader.manifest(digest);
      await reader.manifest(registry.keep({ schemaVersion: 2, annotations: { v: "2" } }, MANIFEST_TYPE).digest);
      registry.log.length = 0;
      const together = await Promise.all([reader.manifest(digest), reader.manifest(digest)]);
      expect([...together, await reader.manifest(digest)]).toEqual(
        Array.from({ length: 3 }, () => ({ kind: "read", value: { ...registry.manifests.get(digest), from: FROM } })),
      );
      expect(registry.log).toEqual([`GET ${digest}`]);
    }, 60));
});

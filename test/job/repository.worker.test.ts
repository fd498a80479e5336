/** A run of a repository's copy against registries in memory, with its real ledger inside a real object. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { CopyRequest } from "../../src/copy/request.ts";
import type { BlobOffer, ReferrerAddition } from "../../src/host/contract.ts";
import { EventLog } from "../../src/job/events.ts";
import { Ledger } from "../../src/job/ledger.ts";
import { CopyRun } from "../../src/job/run.ts";
import { CopyError, errorDetailOf } from "../../src/registry/errors.ts";
import { blob, image, INDEX, MANIFEST } from "./images.ts";
import { MemoryRegistry } from "./memory-registry.ts";

const REQUEST: CopyRequest = {
  source: { host: "src.example", repository: "app" },
  target: { host: "dst.example", repository: "mirror" },
};

const ARRIVED = { id: "", outcome: "copied" as const, bytes: 0, requests: { source: 1, target: 2 }, warnings: [] };

/** What becomes of an offer: a failure's code, or how the blob came there. Undefined: it is left waiting. */
type Fate = (name: string) => "copied" | "present" | "denied" | "unavailable" | undefined;

class Bench {
  readonly source = new MemoryRegistry("src.example");
  readonly target = new MemoryRegistry("dst.example");
  readonly offers: BlobOffer[] = [];
  readonly listed: ReferrerAddition[] = [];
  readonly ledger: Ledger;
  readonly sql: SqlStorage;
  fate: Fate = () => "copied";
  run: CopyRun | null = null;

  constructor(sql: SqlStorage, request: CopyRequest) {
    this.sql = sql;
    this.ledger = new Ledger(sql);
    this.ledger.create("j1", request, 1_000_000);
    this.ledger.run();
  }

  /** A run to its end; blobs meet the fate that is set. Null: it ended well. */
  async copy() {
    const request = this.ledger.record()?.request ?? REQUEST;
    const run = new CopyRun({
      id: "j1",
      request,
      ledger: this.ledger,
      events: new EventLog(this.sql, () => 1_000_000, false),
      source: this.source,
      target: this.target,
      now: () => 1_000_000,
      addReferrer: async (addition) => void this.listed.push(addition),
      sendOffers: async (offers) => {
        this.offers.push(...offers);
        queueMicrotask(() => this.#settle(run, offers));
      },
    });
    this.run = run;
    return run.toEnd().then(
      () => null,
      (error: unknown) => errorDetailOf(error),
    );
  }

  #settle(run: CopyRun, offers: BlobOffer[]): void {
    for (const { digest, id } of offers) {
      const outcome = this.fate(digest.slice("sha256:".length).replace(/^0+/, ""));
      const requests = { source: 1, target: 2 };
      const settled = { id, digest, bytes: 0, requests, warnings: [] };
      if (outcome === "denied" || outcome === "unavailable") {
        const { detail } = this.target.error(outcome, "not this one");
        if (this.ledger.blobs.settle({ ...settled, outcome: "failed", error: detail }) !== null) {
          run.blobFailed(digest, detail);
        }
      } else if (outcome !== undefined) {
        this.ledger.blobs.settle({ ...settled, outcome });
        run.arrived([digest]);
      }
    }
  }

  get offered(): string[] {
    return this.offers.map(({ digest }) => digest.slice("sha256:".length).replace(/^0+/, "")).toSorted();
  }

  /** `tag state`, in the order of the list. */
  get states(): string[] {
    return this.ledger.tags
      .page({ limit: 1_000 })
      .tags.map(({ source, target, state }) => `${source ?? target} ${state}`);
  }

  get warnings(): string[] {
    return new EventLog(this.sql, () => 0, false).warnings();
  }
}

let jobs = 0;
function inJob(request: Partial<CopyRequest>, body: (bench: Bench) => Promise<void>): Promise<void> {
  const stub = env.JOBS.getByName(`repository-${(jobs += 1)}`);
  return runInDurableObject(stub, (_job, state) => body(new Bench(state.storage.sql, { ...REQUEST, ...request })));
}

async function calm(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) {
    await Promise.resolve();
  }
}

describe("a repository that the target does not have", () => {
  test("is copied with each shared blob once, one read and one push per tag, and no look at the target's tags", () =>
    inJob({}, async (bench) => {
      bench.source.keep(image("a", "c"), MANIFEST, "v1");
      bench.source.keep(image("b", "c"), MANIFEST, "v2");
      expect(await bench.copy()).toBeNull();
      expect(bench.offered).toEqual(["a", "b", "c"]);
      expect(bench.offers.every(({ mayExist }) => !mayExist)).toBe(true);
      expect(bench.source.log).toEqual(["TAGS", "GET v1", "GET v2"]);
      expect(bench.target.log).toEqual(["TAGS", "PUT v1", "PUT v2"]);
      expect(bench.target.tags).toEqual(bench.source.tags);
      expect(bench.ledger.tags.tally()).toMatchObject({ all: 2, copied: 2, failed: 0 });
    }));

  test("says that a name without a tag means all of them", () =>
    inJob({}, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1", "v2");
      await bench.copy();
      expect(bench.warnings).toEqual([expect.stringContaining("all its tags are copied: 2")]);
    }));

  test("two tags of one manifest are one push each, and the manifest counts once", () =>
    inJob({}, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1", "latest");
      expect(await bench.copy()).toBeNull();
      expect(bench.target.log.filter((line) => line.startsWith("PUT"))).toEqual(["PUT v1", "PUT latest"]);
      expect(bench.ledger.sums().manifests).toEqual({ all: 1, copied: 1, present: 0 });
    }));

  test("Docker Hub counts reads: tags are compared by HEAD, and one image of two tags is read once", () =>
    inJob({ source: { host: "docker.io", repository: "library/app" } }, async (bench) => {
      const { digest } = bench.source.keep(image("a"), MANIFEST, "v1", "latest");
      expect(await bench.copy()).toBeNull();
      expect(bench.source.log.toSorted()).toEqual([`GET ${digest}`, "HEAD latest", "HEAD v1", "TAGS"]);
    }));

  test("a tag that is also another one's child is pushed once, by its tag", () =>
    inJob({}, async (bench) => {
      const child = bench.source.keep(image("a"), MANIFEST, "amd64");
      bench.source.keep({ schemaVersion: 2, manifests: [child] }, INDEX, "v1");
      expect(await bench.copy()).toBeNull();
      expect(bench.target.log).toEqual(["TAGS", "PUT amd64", "PUT v1"]);
    }));

  test("only a window of its tags is open at a time, however many there are", () =>
    inJob({}, async (bench) => {
      for (let at = 0; at < 200; at += 1) {
        bench.source.keep(image(`a${at}`), MANIFEST, `v${at}`);
      }
      const held: string[] = [];
      bench.fate = (name) => (held.push(name), undefined);
      void bench.copy();
      for (let turn = 0; turn < 20; turn += 1) {
        await calm();
      }
      expect(bench.source.log.filter((line) => line.startsWith("GET"))).toHaveLength(64);
      for (const name of held.slice(0, 10)) {
        bench.ledger.blobs.settle({ ...ARRIVED, digest: blob(name).digest });
        bench.run?.arrived([blob(name).digest]);
      }
      await calm();
      await calm();
      expect(bench.source.log.filter((line) => line.startsWith("GET"))).toHaveLength(74);
      bench.run?.stop(new Error("over"));
    }));

  test("what is attached is asked for once for all tags of an image, and kept for thousands of others only", () =>
    inJob({ attached: { referrers: {} } }, async (bench) => {
      const asked: string[] = [];
      bench.source.listReferrers = async (_repository, digest) => {
        asked.push(digest);
        return { referrers: [], from: "api", warnings: [] };
      };
      const kept = [0, 1].map((at) => bench.source.keep(image(`a${at}`), MANIFEST, `v${at}`));
      for (let at = 2; at < 2_002; at += 1) {
        bench.source.keep(image(`a${at}`), MANIFEST, `v${at}`);
        if (at === 1_000) {
          bench.source.keep(image("a1"), MANIFEST, "again-soon");
        }
      }
      bench.source.keep(image("a0"), MANIFEST, "again-late");
      expect(await bench.copy()).toBeNull();
      expect(bench.ledger.tags.tally()).toMatchObject({ all: 2_004, copied: 2_004 });
      expect(kept.map(({ digest }) => asked.filter((each) => each === digest).length)).toEqual([2, 1]);
    }));

  test("pages of tags are followed at both ends", () =>
    inJob({}, async (bench) => {
      bench.source.pageTags = 2;
      for (let at = 0; at < 5; at += 1) {
        bench.source.keep(image(`a${at}`), MANIFEST, `v${at}`);
      }
      expect(await bench.copy()).toBeNull();
      expect(bench.source.log.filter((line) => line === "TAGS")).toHaveLength(3);
      expect(bench.target.tags.size).toBe(5);
    }));

  test("a source that does not exist fails, and so do lists that cannot be read", () =>
    inJob({}, async (bench) => {
      expect(await bench.copy()).toMatchObject({ code: "not_found", side: "source", operation: "list tags" });
      bench.source.before = () => {
        throw bench.source.error("denied", "no list for you");
      };
      expect(await bench.copy()).toMatchObject({ message: "no list for you" });
    }));
});

describe("a repository that the target has in part", () => {
  /** Five tags at the source; the target has three of them, one with another digest. */
  function begin(bench: Bench): void {
    for (const tag of ["v1", "v2", "v3", "v4", "v5"]) {
      bench.source.keep(image(tag.slice(1), "f"), MANIFEST, tag);
    }
    bench.target.keep(image("1", "f"), MANIFEST, "v1");
    bench.target.keep(image("2", "f"), MANIFEST, "v2");
    bench.target.keep(image("e"), MANIFEST, "v3");
  }

  test("equal tags cost a HEAD at each end, new ones none at the target", () =>
    inJob({}, async (bench) => {
      begin(bench);
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual(["v1 unchanged", "v2 unchanged", "v3 copied", "v4 copied", "v5 copied"]);
      const heads = bench.target.log.filter((line) => line.startsWith("HEAD v"));
      expect(heads.toSorted()).toEqual(["HEAD v1", "HEAD v2", "HEAD v3"]);
      expect(bench.source.log.filter((line) => line.startsWith("GET"))).toHaveLength(3);
    }));

  test("tags that never change are not asked for", () =>
    inJob({ tags: { immutable: ["v[13]"] } }, async (bench) => {
      begin(bench);
      expect(await bench.copy()).toBeNull();
      expect(bench.states.slice(0, 3)).toEqual(["v1 unchanged", "v2 unchanged", "v3 unchanged"]);
      expect(bench.target.log.filter((line) => line.startsWith("HEAD v"))).toEqual(["HEAD v2"]);
    }));

  test("skip leaves every tag alone that is there, and asks nothing of it", () =>
    inJob({ existing: { kind: "skip" } }, async (bench) => {
      begin(bench);
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual(["v1 skipped", "v2 skipped", "v3 skipped", "v4 copied", "v5 copied"]);
      expect(bench.target.log.filter((line) => line.startsWith("HEAD v"))).toEqual([]);
    }));

  test("fail names the tag that is there with another digest; the others are copied", () =>
    inJob({ existing: { kind: "fail" } }, async (bench) => {
      begin(bench);
      expect(await bench.copy()).toMatchObject({
        code: "denied",
        message: expect.stringContaining("1 of 5 tags failed, v3"),
      });
      expect(bench.states).toEqual(["v1 unchanged", "v2 unchanged", "v3 failed", "v4 copied", "v5 copied"]);
    }));

  test("backup gives the old image its own tag before the tag moves", () =>
    inJob({ existing: { kind: "backup", tag: "{tag}-{date}" } }, async (bench) => {
      begin(bench);
      const old = bench.target.tags.get("v3");
      expect(await bench.copy()).toBeNull();
      const written = bench.target.log.filter((line) => line.startsWith("PUT"));
      expect(written).toEqual(expect.arrayContaining(["PUT v3-1970-01-01", "PUT v3"]));
      expect(written.indexOf("PUT v3-1970-01-01")).toBeLessThan(written.indexOf("PUT v3"));
      expect(bench.target.tags.get("v3-1970-01-01")).toBe(old);
    }));

  test("a backup's name may have the one platform that is asked for", () =>
    inJob(
      {
        existing: { kind: "backup", tag: "{tag}-{platform}" },
        platforms: { wanted: ["linux/amd64"], index: "sparse" },
      },
      async (bench) => {
        begin(bench);
        const old = bench.target.tags.get("v3");
        expect(await bench.copy()).toBeNull();
        expect(bench.target.tags.get("v3-linux-amd64")).toBe(old);
      },
    ));

  test("a target without a list is asked for each tag", () =>
    inJob({}, async (bench) => {
      begin(bench);
      bench.target.before = (operation) => {
        if (operation === "TAGS") {
          throw bench.target.error("denied", "no lists");
        }
      };
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual(["v1 unchanged", "v2 unchanged", "v3 copied", "v4 copied", "v5 copied"]);
    }));

  test("deep looks below equal tags, and writes only what was missing", () =>
    inJob({ deep: true, tags: { include: ["v[12]"] } }, async (bench) => {
      begin(bench);
      bench.fate = (name) => (name === "2" ? "copied" : "present");
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual(["v1 unchanged", "v2 copied"]);
      expect(bench.target.log.filter((line) => line.startsWith("PUT"))).toEqual([]);
      expect(bench.ledger.sums().blobs).toEqual({ all: 3, copied: 1, mounted: 0, present: 2 });
    }));
});

describe("choosing and naming", () => {
  test("names at the target follow the template", () =>
    inJob({ targetTag: "app-{tag}", tags: { exclude: ["v2"] } }, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1", "v2");
      expect(await bench.copy()).toBeNull();
      expect([...bench.target.tags.keys()]).toEqual(["app-v1"]);
    }));

  test("a name with the digest in it is found out by asking", () =>
    inJob({ targetTag: "{tag}-{short}" }, async (bench) => {
      const { digest } = bench.source.keep(image("a"), MANIFEST, "v1");
      const name = `v1-${digest.slice(7, 19)}`;
      bench.target.keep(image("e"), MANIFEST, "other");
      expect(await bench.copy()).toBeNull();
      expect(bench.target.tags.get(name)).toBe(digest);
      expect(bench.ledger.tags.page({ limit: 1 }).tags[0]).toMatchObject({ source: "v1", target: name });
    }));

  test("the newest by creation, as annotations, configs and the images of an index tell it", () =>
    inJob({ tags: { latest: { count: 2, by: "creation" } } }, async (bench) => {
      const created = "org.opencontainers.image.created";
      bench.source.keep({ ...image("a"), annotations: { [created]: "2020-01-01T00:00:00Z" } }, MANIFEST, "old");
      bench.source.configs.set(blob("b").digest, new TextEncoder().encode('{"created":"2022-01-01T00:00:00Z"}'));
      const child = bench.source.keep(image("b"), MANIFEST);
      bench.source.keep({ manifests: [child] }, INDEX, "newer");
      bench.source.configs.set(blob("c").digest, new TextEncoder().encode('{"created":"2024-01-01T00:00:00Z"}'));
      bench.source.keep(image("c"), MANIFEST, "newest");
      bench.source.configs.set(blob("d").digest, new TextEncoder().encode('{"created":"0001-01-01T00:00:00Z"}'));
      bench.source.keep(image("d"), MANIFEST, "undated");
      expect(await bench.copy()).toBeNull();
      expect([...bench.target.tags.keys()].toSorted()).toEqual(["newer", "newest"]);
      expect(bench.warnings.join()).toContain("undated");
    }));

  test("nothing chosen is no failure, but is told", () =>
    inJob({ tags: { include: ["x"] } }, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1");
      expect(await bench.copy()).toBeNull();
      expect(bench.warnings).toEqual([expect.stringContaining("None of the 1 tags")]);
    }));
});

describe("failures", () => {
  function keepThree(bench: Bench): void {
    bench.source.keep(image("a", "f"), MANIFEST, "v1");
    bench.source.keep(image("b", "f"), MANIFEST, "v2");
    bench.source.keep(image("c"), MANIFEST, "v3");
  }

  test("a blob that fails takes only the tags along that need it, and the copy says so", () =>
    inJob({}, async (bench) => {
      keepThree(bench);
      bench.fate = (name) => (name === "f" ? "denied" : "copied");
      expect(await bench.copy()).toMatchObject({
        code: "denied",
        side: "target",
        message: "2 of 3 tags failed, the first of them v1: not this one",
      });
      expect(bench.states).toEqual(["v1 failed", "v2 failed", "v3 copied"]);
      expect([...bench.target.tags.keys()]).toEqual(["v3"]);
    }));

  test("a blob that many tags need is one failure: it does not count as a registry that is down", () =>
    inJob({}, async (bench) => {
      for (const name of ["1", "2", "3", "4", "5", "6"]) {
        bench.source.keep(image(name, "f"), MANIFEST, `v${name}`);
      }
      bench.source.keep(image("c"), MANIFEST, "without");
      bench.fate = (name) => (name === "f" ? "unavailable" : undefined);
      const copied = bench.copy();
      await calm();
      expect(bench.states.filter((state) => state.endsWith("failed"))).toHaveLength(6);
      const { digest } = blob("c");
      bench.ledger.blobs.settle({ ...ARRIVED, digest });
      bench.run?.arrived([digest]);
      expect(await copied).toMatchObject({ message: expect.stringContaining("6 of 7 tags failed") });
      expect(bench.states.at(-1)).toBe("without copied");
    }));

  test("a tag that has failed while the target's refusal of it was waited out is not written any more", () =>
    inJob({}, async (bench) => {
      vi.useFakeTimers();
      onTestFinished(() => void vi.useRealTimers());
      bench.source.keep(image("a", "f"), MANIFEST, "v1");
      bench.source.keep(image("b", "f"), MANIFEST, "v2");
      let offers = 0;
      bench.fate = (name) => {
        offers += name === "f" ? 1 : 0;
        return name === "b" ? undefined : offers > 1 ? "denied" : "copied";
      };
      bench.target.before = (operation) => {
        if (operation === "PUT v1" || (operation === "PUT v2" && offers === 1)) {
          throw bench.target.error("content_missing", "a blob is not here");
        }
      };
      const copied = bench.copy();
      await calm();
      await vi.advanceTimersByTimeAsync(2_500);
      const { digest } = blob("b");
      bench.ledger.blobs.settle({ ...ARRIVED, digest });
      bench.run?.arrived([digest]);
      await vi.advanceTimersByTimeAsync(10_000);
      expect(await copied).toMatchObject({ code: "denied", message: expect.stringContaining("2 of 2 tags failed") });
      expect([...bench.target.tags.keys()]).toEqual([]);
    }));

  test("a manifest that cannot be read, or pushed, is its own tag's failure", () =>
    inJob({}, async (bench) => {
      keepThree(bench);
      bench.source.before = (operation) => {
        if (operation === "GET v1") {
          throw bench.source.error("manifest_invalid", "damaged");
        }
      };
      bench.target.before = (operation) => {
        if (operation === "PUT v2") {
          throw bench.target.error("denied", "v2 is immutable");
        }
      };
      expect(await bench.copy()).toMatchObject({ message: expect.stringContaining("2 of 3 tags failed") });
      expect(bench.states).toEqual(["v1 failed", "v2 failed", "v3 copied"]);
    }));

  test("an image that is refused by its digest, with its name on the way, has failed once; the others go on", () =>
    inJob({ attached: { referrers: {} } }, async (bench) => {
      const child = bench.source.keep(image("a"), MANIFEST);
      bench.source.keep({ schemaVersion: 2, mediaType: INDEX, manifests: [child] }, INDEX, "index");
      bench.source.tags.set("child", child.digest);
      bench.source.keep(image("f"), MANIFEST, "other");
      bench.fate = (name) => (name === "f" ? undefined : "copied");
      const [list, byDigest, byName] = [1, 2, 3].map(() => Promise.withResolvers<void>());
      bench.source.before = (operation) => (operation === `REFERRERS ${child.digest}` ? list?.promise : undefined);
      bench.target.before = (operation) =>
        operation === `PUT ${child.digest}`
          ? byDigest?.promise
          : operation === "PUT child"
            ? byName?.promise
            : undefined;
      const copied = bench.copy();
      await calm();
      list?.resolve();
      await calm();
      expect(bench.target.log.slice(-2)).toEqual([`PUT ${child.digest}`, "PUT child"]);
      byDigest?.reject(bench.target.error("denied", "not here"));
      await calm();
      byName?.resolve();
      await calm();
      expect(bench.states).toEqual(["index failed", "child failed", "other planned"]);
      const { digest } = blob("f");
      bench.ledger.blobs.settle({ ...ARRIVED, digest });
      bench.run?.arrived([digest]);
      expect(await copied).toMatchObject({ code: "denied", message: expect.stringContaining("2 of 3 tags failed") });
      expect(bench.states).toEqual(["index failed", "child failed", "other copied"]);
    }));

  test("a list of what is attached that could not be had fails its tag, and is asked for again by the next", () =>
    inJob({ attached: { digestTags: true } }, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1");
      bench.source.keep(image("b"), MANIFEST, "v2");
      const second = Promise.withResolvers<void>();
      let lists = 0;
      bench.source.before = (operation) => {
        lists += operation === "TAGS" ? 1 : 0;
        if (operation === "TAGS" && lists === 2) {
          throw bench.source.error("unavailable", "out of order");
        }
        return operation === "GET v2" ? second.promise : undefined;
      };
      const copied = bench.copy();
      await calm();
      expect(bench.states).toEqual(["v1 failed", "v2 waiting"]);
      second.resolve();
      expect(await copied).toMatchObject({ code: "unavailable" });
      expect(bench.states).toEqual(["v1 failed", "v2 copied"]);
      expect(lists).toBe(3);
    }));

  test("what only failed tags needed is not offered again, until another tag needs it", () =>
    inJob({}, async (bench) => {
      bench.source.keep(image("a", "b"), MANIFEST, "bad");
      bench.source.keep(image("c"), MANIFEST, "good");
      bench.source.keep(image("d", "b"), MANIFEST, "late");
      const held = Promise.withResolvers<void>();
      bench.source.before = (operation) => (operation === "GET late" ? held.promise : undefined);
      bench.fate = (name) => (name === "a" ? "denied" : undefined);
      const end = bench.copy();
      await calm();
      expect(bench.states).toEqual(["bad failed", "good planned", "late waiting"]);
      bench.offers.length = 0;
      await bench.run?.offerAgain();
      bench.run?.offerElsewhere([blob("b").digest, blob("c").digest]);
      await calm();
      expect(bench.offered).toEqual(["c", "c"]);
      bench.offers.length = 0;
      held.resolve();
      await calm();
      expect(bench.offered).toEqual(["b", "d"]);
      bench.run?.stop(bench.source.error("cancelled", "over"));
      expect(await end).toMatchObject({ code: "cancelled" });
    }));

  test("once nothing new may be sent no other tag is pushed, and of those under way only unclear answers are uncertain", () =>
    inJob({}, async (bench) => {
      const tags = ["v1", "v2", "v3", "v4", "v5", "v6", "v7"];
      tags.forEach((tag, at) => bench.source.keep(image(`a${at}`), MANIFEST, tag));
      const [first, others] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const errorOf = (code: "denied" | "connection" | "unavailable") => bench.target.error(code, "no").detail;
      bench.target.before = async (operation) => {
        if (operation.startsWith("PUT")) {
          await (operation === "PUT v1" ? first : others).promise;
        }
        if (operation === "PUT v2") {
          throw new CopyError({ ...errorOf("denied"), status: 403 });
        } else if (operation === "PUT v3") {
          throw new CopyError(errorOf("connection"));
        } else if (operation === "PUT v4") {
          throw new CopyError({ ...errorOf("unavailable"), status: 502 });
        }
      };
      const end = bench.copy();
      await calm();
      expect(bench.run?.unclearNames).toEqual(tags.slice(0, 6));
      bench.run?.refuse(bench.target.error("cancelled", "over"));
      first.resolve();
      await calm();
      expect(bench.run?.unclearNames).toEqual(tags.slice(1, 6));
      others.resolve();
      expect(await end).toMatchObject({ code: "cancelled" });
      expect(bench.run?.unclearNames).toEqual(["v3", "v4"]);
      expect(bench.target.log.filter((line) => line.startsWith("PUT"))).toHaveLength(6);
    }));

  test("once nothing new may be sent what stands still for that is not told to refer to itself", () =>
    inJob({}, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1");
      const child = bench.source.keep(image("b"), MANIFEST);
      bench.source.keep({ schemaVersion: 2, manifests: [child] }, INDEX, "v2");
      const [byName, byDigest] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      bench.target.before = (operation) =>
        operation === "PUT v1" ? byName.promise : operation.startsWith("PUT sha256:") ? byDigest.promise : undefined;
      const copied = bench.copy();
      await calm();
      bench.run?.refuse(bench.target.error("cancelled", "over"));
      byDigest.reject(bench.target.error("cancelled", "over"));
      await calm();
      byName.resolve();
      expect(await copied).toMatchObject({ code: "cancelled" });
      await calm();
      expect(bench.states).toEqual(["v1 copied", "v2 planned"]);
    }));

  test("once nothing new may be sent a backup that is being made is waited for like a tag", () =>
    inJob({ existing: { kind: "backup", tag: "{tag}-old" } }, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1");
      bench.target.keep(image("b"), MANIFEST, "v1");
      const answer = Promise.withResolvers<void>();
      bench.target.before = (operation) => (operation === "PUT v1-old" ? answer.promise : undefined);
      const copied = bench.copy();
      await calm();
      expect(bench.run?.unclearNames).toEqual(["v1-old"]);
      bench.run?.refuse(bench.target.error("cancelled", "over"));
      answer.resolve();
      expect(await copied).toMatchObject({ code: "cancelled" });
      expect(bench.run?.unclearNames).toEqual([]);
      expect(bench.target.log.filter((line) => line.startsWith("PUT"))).toEqual(["PUT v1-old"]);
    }));

  test("with failFast the first one ends the copy", () =>
    inJob({ failFast: true }, async (bench) => {
      keepThree(bench);
      bench.fate = (name) => (name === "f" ? "denied" : undefined);
      expect(await bench.copy()).toMatchObject({ message: expect.stringContaining("tags failed") });
      expect(bench.target.tags.size).toBe(0);
    }));

  test("credentials that are refused end the copy at once: the next tag would fare no better", () =>
    inJob({}, async (bench) => {
      keepThree(bench);
      bench.target.before = (operation) => {
        if (operation.startsWith("PUT")) {
          throw bench.target.error("unauthorized", "log in first");
        }
      };
      expect(await bench.copy()).toMatchObject({ code: "unauthorized" });
      expect(bench.target.log.filter((line) => line.startsWith("PUT")).length).toBeLessThanOrEqual(3);
    }));

  test("what only the service has done wrong is no tag's failure", () =>
    inJob({}, async (bench) => {
      keepThree(bench);
      bench.source.before = (operation) => {
        if (operation === "GET v2") {
          throw new Error("a bug");
        }
      };
      expect(await bench.copy()).toMatchObject({ code: "internal", message: "a bug" });
      expect(bench.states).not.toContain("v2 failed");
    }));

  test("an index that refers to itself fails alone", () =>
    inJob({}, async (bench) => {
      keepThree(bench);
      const loop = { ...blob("abc"), mediaType: INDEX, digest: `blake3:${"0".repeat(64)}` };
      const bytes = new TextEncoder().encode(JSON.stringify({ manifests: [{ ...loop, size: 200 }] }));
      const padded = new Uint8Array(200).fill(32);
      padded.set(bytes);
      bench.source.manifests.set(loop.digest, { digest: loop.digest, mediaType: INDEX, bytes: padded });
      bench.source.tags.set("loop", loop.digest);
      expect(await bench.copy()).toMatchObject({ message: expect.stringContaining("loop") });
      expect(bench.states).toEqual(["v1 copied", "v2 copied", "v3 copied", "loop failed"]);
    }));
});

describe("a list of referrers under its fallback tag", () => {
  const tag = `sha256-${"5".repeat(64)}`;
  const subject = { mediaType: MANIFEST, digest: `sha256:${"5".repeat(64)}`, size: 10 };
  const sign = (at: MemoryRegistry, name: string) => at.keep({ ...image(name), subject }, MANIFEST);
  const list = (at: MemoryRegistry, ...entries: object[]) =>
    at.keep({ schemaVersion: 2, mediaType: INDEX, manifests: entries }, INDEX, tag);

  test("takes nothing away from the target's: what that lacks is added to it", () =>
    inJob({}, async (bench) => {
      const known = sign(bench.source, "a");
      const more = { ...sign(bench.source, "b"), artifactType: "a/sig", annotations: { by: "us" } };
      list(bench.source, known, more);
      const there = list(bench.target, known, sign(bench.target, "c"));
      bench.target.subject = "said";
      expect(await bench.copy()).toBeNull();
      expect(bench.target.tags.get(tag)).toBe(there.digest);
      expect(bench.target.manifests.has(more.digest)).toBe(true);
      expect(bench.listed).toEqual([{ repository: "mirror", subject: subject.digest, entry: more }]);
      expect(bench.ledger.tags.view(1)).toMatchObject({ state: "copied", derivedDigest: there.digest });
    }));

  test.each<[string, (target: MemoryRegistry) => void]>([
    ["has none", () => {}],
    ["has some of it", (target) => void list(target, sign(target, "a"))],
    ["has an image there", (target) => void target.keep(image("d"), MANIFEST, tag)],
  ])("is written as it is where the target %s", (_name, prepare) =>
    inJob({}, async (bench) => {
      const { digest } = list(bench.source, sign(bench.source, "a"), sign(bench.source, "b"));
      prepare(bench.target);
      bench.target.subject = "said";
      expect(await bench.copy()).toBeNull();
      expect(bench.target.tags.get(tag)).toBe(digest);
      expect(bench.listed).toEqual([]);
    }),
  );

  test("is written as it is under another name", () =>
    inJob({ targetTag: "of-{tag}" }, async (bench) => {
      const { digest } = list(bench.source, sign(bench.source, "a"));
      list(bench.target, sign(bench.target, "c"));
      bench.target.tags.set(`of-${tag}`, bench.target.tags.get(tag) ?? "");
      await bench.copy();
      expect(bench.target.tags.get(`of-${tag}`)).toBe(digest);
    }));

  test("is not touched in a dry run", () =>
    inJob({ dryRun: true }, async (bench) => {
      list(bench.source, sign(bench.source, "a"));
      list(bench.target, sign(bench.target, "c"));
      bench.target.putManifest = async () => ({ subject: "" });
      expect(await bench.copy()).toBeNull();
      expect(bench.listed).toEqual([]);
    }));
});

describe("going on after an eviction", () => {
  test("what is done stays done, what was under way goes on, what had failed has failed", () =>
    inJob({}, async (bench) => {
      for (const tag of ["v1", "v2", "v3"]) {
        bench.source.keep(image(tag.slice(1), `f${tag.slice(1)}`), MANIFEST, tag);
      }
      bench.fate = (name) => (name === "f2" ? undefined : name === "3" ? "denied" : "copied");
      void bench.copy();
      await calm();
      bench.run?.stop(new CopyError(bench.source.error("cancelled", "evicted").detail));
      expect(bench.states).toEqual(["v1 copied", "v2 planned", "v3 failed"]);
      const before = { source: bench.source.log.length, target: bench.target.log.length };
      bench.fate = () => "copied";
      bench.offers.length = 0;
      expect(await bench.copy()).toMatchObject({ message: expect.stringContaining("1 of 3 tags failed, v3") });
      expect(bench.offered).toEqual(["f2"]);
      expect(bench.source.log).toHaveLength(before.source);
      expect(bench.target.log.slice(before.target)).toEqual(["PUT v2"]);
    }));

  test("a name of what is at the target by its digest already gets its own name, however soon it may be written", () =>
    inJob({ targetTag: "x-{short}" }, async (bench) => {
      const child = bench.source.keep(image("a"), MANIFEST, "child");
      bench.source.keep(
        { schemaVersion: 2, manifests: [child, bench.source.keep(image("b"), MANIFEST)] },
        INDEX,
        "index",
      );
      bench.fate = (name) => (name === "b" ? undefined : "copied");
      const opened = Promise.withResolvers<void>();
      bench.source.before = (operation) => (operation === "HEAD child" ? opened.promise : undefined);
      const copied = bench.copy();
      await calm();
      expect(bench.target.log).toContain(`PUT ${child.digest}`);
      opened.resolve();
      for (let turn = 0; turn < 100; turn += 1) {
        await Promise.resolve();
        bench.run?.arrived([]);
      }
      const name = `x-${child.digest.slice("sha256:".length, "sha256:".length + 12)}`;
      expect(bench.target.tags.get(name)).toBe(child.digest);
      expect(bench.states).toEqual(["child copied", "index planned"]);
      bench.run?.stop(bench.target.error("cancelled", "over"));
      await copied;
    }));

  test("two names of an image that had not been read yet are one read", () =>
    inJob({}, async (bench) => {
      const { digest } = bench.source.keep(image("a"), MANIFEST, "v1", "v2");
      bench.ledger.opened(null, "unknown");
      bench.ledger.tags.add(
        ["v1", "v2"].map((name) => ({ source: name, target: name, held: null, state: "waiting" as const })),
      );
      [1, 2].forEach((id) => bench.ledger.tags.planned(id, digest, `v${id}`, null));
      expect(await bench.copy()).toBeNull();
      expect(bench.source.log).toEqual([`GET ${digest}`]);
      expect(bench.target.log).toEqual(["PUT v1", "PUT v2"]);
      expect(bench.ledger.manifests.tally()).toEqual({ all: 1, copied: 1, present: 0 });
    }));

  test("a blob that failed meanwhile fails its tags", () =>
    inJob({}, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1");
      bench.fate = () => undefined;
      void bench.copy();
      await calm();
      bench.run?.stop(new Error("evicted"));
      const { detail } = bench.target.error("denied", "no room");
      const requests = { source: 1, target: 1 };
      const { digest } = blob("a");
      bench.ledger.blobs.settle({ id: "", digest, outcome: "failed", bytes: 0, requests, warnings: [], error: detail });
      expect(await bench.copy()).toMatchObject({ message: "1 of 1 tags failed, v1: no room" });
    }));
});

test("a backup that would have the name of what is overwritten fails the tag, and nothing is overwritten", () =>
  inJob({ existing: { kind: "backup", tag: "{tag}" } }, async (bench) => {
    bench.source.keep(image("a"), MANIFEST, "v1");
    const { digest } = bench.target.keep(image("b"), MANIFEST, "v1");
    expect(await bench.copy()).toMatchObject({ message: expect.stringContaining("the tag that is to be overwritten") });
    expect(bench.target.tags.get("v1")).toBe(digest);
  }));

test("a backup that would have the name of another tag of the copy fails its tag, and the other is what it is at the source", () =>
  inJob({ existing: { kind: "backup", tag: "{tag}-old" } }, async (bench) => {
    bench.source.keep(image("a"), MANIFEST, "v1");
    const { digest } = bench.source.keep(image("b"), MANIFEST, "v1-old");
    const { digest: before } = bench.target.keep(image("c"), MANIFEST, "v1");
    expect(await bench.copy()).toMatchObject({
      message: expect.stringContaining("gives v1-old, which this copy writes"),
    });
    expect(bench.states).toEqual(["v1 failed", "v1-old copied"]);
    expect([bench.target.tags.get("v1"), bench.target.tags.get("v1-old")]).toEqual([before, digest]);
  }));

describe("pruning", () => {
  function keepSome(bench: Bench): void {
    bench.source.keep(image("a"), MANIFEST, "v1");
    bench.target.keep(image("a"), MANIFEST, "v1");
    bench.target.keep(image("b"), MANIFEST, "gone1", "gone2", `sha256-${"0".repeat(64)}.sig`);
  }

  test("is dry unless told otherwise: tags are named and stay", () =>
    inJob({ prune: { maxTags: 10, dryRun: true } }, async (bench) => {
      keepSome(bench);
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual(["v1 unchanged", "gone1 obsolete", "gone2 obsolete"]);
      expect(bench.target.log.filter((line) => line.startsWith("DELETE"))).toEqual([]);
      expect(bench.ledger.tags.tally()).toMatchObject({ all: 1, obsolete: 2, deleted: 0 });
    }));

  test("removes them by name, but nothing that belongs to a digest", () =>
    inJob({ prune: { maxTags: 2, dryRun: false } }, async (bench) => {
      keepSome(bench);
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual(["v1 unchanged", "gone1 deleted", "gone2 deleted"]);
      expect([...bench.target.tags.keys()]).toEqual(["v1", `sha256-${"0".repeat(64)}.sig`]);
    }));

  test("once nothing new may be sent waits for the answer to what it removes just then, and removes nothing more", () =>
    inJob({ prune: { maxTags: 2, dryRun: false } }, async (bench) => {
      keepSome(bench);
      const answer = Promise.withResolvers<void>();
      bench.target.before = (operation) => (operation === "DELETE gone1" ? answer.promise : undefined);
      const copied = bench.copy();
      await calm();
      expect(bench.run?.committing).toBe(true);
      expect(bench.run?.unclearNames).toEqual(["the removal of gone1"]);
      bench.run?.refuse(bench.source.error("cancelled", "over"));
      answer.resolve();
      expect(await copied).toMatchObject({ code: "cancelled" });
      expect(bench.states).toEqual(["v1 unchanged", "gone1 deleted", "gone2 obsolete"]);
      expect(bench.run?.unclearNames).toEqual([]);
    }));

  test("removes no backup that was made of an old image", () =>
    inJob(
      { existing: { kind: "backup", tag: "{tag}-{date}" }, prune: { maxTags: 9, dryRun: false } },
      async (bench) => {
        keepSome(bench);
        bench.target.keep(image("c"), MANIFEST, "v1-2025-12-31", "elsewhen-2020-01-01");
        expect(await bench.copy()).toBeNull();
        expect(bench.states).toEqual(["v1 unchanged", "gone1 deleted", "gone2 deleted"]);
        expect([...bench.target.tags.keys()]).toEqual(expect.arrayContaining(["v1-2025-12-31", "elsewhen-2020-01-01"]));
      },
    ));

  test("is refused where the target is the source's own repository", () =>
    inJob(
      {
        target: { host: "src.example", repository: "app" },
        targetTag: "m-{tag}",
        prune: { maxTags: 9, dryRun: false },
      },
      async (bench) => {
        keepSome(bench);
        expect(await bench.copy()).toMatchObject({
          code: "invalid_request",
          message: expect.stringContaining("prune"),
        });
        expect(bench.target.log).toEqual([]);
      },
    ));

  test.each([
    ["there are too many", { maxTags: 1, dryRun: false }, () => {}, "at most 1 may be removed"],
    [
      "the registry deletes no tags",
      { maxTags: 9, dryRun: false },
      (bench: Bench) => void (bench.target.deletes = false),
      "does not delete by tag",
    ],
  ])("removes none when %s, and says so", (_name, rule, prepare, message) =>
    inJob({ prune: rule }, async (bench) => {
      keepSome(bench);
      prepare(bench);
      expect(await bench.copy()).toMatchObject({ side: "target", message: expect.stringContaining(message) });
      expect(bench.target.tags.has("gone1")).toBe(true);
    }),
  );

  test.each([
    ["a tag failed", { tags: {} }, (bench: Bench) => void bench.source.keep(image("f"), MANIFEST, "bad")],
    ["nothing was chosen", { tags: { include: ["nothing"] } }, () => {}],
  ])("removes none when %s", (_name, request, prepare) =>
    inJob({ ...request, prune: { maxTags: 9, dryRun: false } }, async (bench) => {
      keepSome(bench);
      prepare(bench);
      bench.fate = () => "denied";
      await bench.copy();
      expect(bench.target.log.filter((line) => line.startsWith("DELETE"))).toEqual([]);
    }),
  );

  test("needs the target's list", () =>
    inJob({ prune: { maxTags: 9, dryRun: false } }, async (bench) => {
      keepSome(bench);
      bench.target.before = (operation) => {
        if (operation === "TAGS") {
          throw bench.target.error("denied", "no lists");
        }
      };
      expect(await bench.copy()).toMatchObject({ message: "no lists" });
    }));
});

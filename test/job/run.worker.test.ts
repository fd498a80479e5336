/** A run of a copy against registries in memory, with its real ledger inside a real object. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { BlobOffer, ReferrerAddition } from "../../src/host/contract.ts";
import { EventLog } from "../../src/job/events.ts";
import { Ledger } from "../../src/job/ledger.ts";
import { CopyRun } from "../../src/job/run.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";
import { INDEX, MANIFEST } from "./images.ts";
import { MemoryRegistry } from "./memory-registry.ts";

const BASE_REQUEST = {
  source: { host: "src.example", repository: "app", tag: "v1" },
  target: { host: "dst.example", repository: "mirror", tag: "v1" },
};

function blob(letter: string, size = 10) {
  return { mediaType: "application/x", digest: `sha256:${letter.repeat(64)}`, size };
}

function image(config: string, ...layers: string[]) {
  return { schemaVersion: 2, mediaType: MANIFEST, config: blob(config), layers: layers.map((letter) => blob(letter)) };
}

class Bench {
  readonly source = new MemoryRegistry("src.example");
  readonly target = new MemoryRegistry("dst.example");
  readonly offers: BlobOffer[] = [];
  readonly listed: ReferrerAddition[] = [];
  readonly ledger: Ledger;
  readonly sql: SqlStorage;
  nowMs = 1_000_000;

  constructor(sql: SqlStorage, request = BASE_REQUEST) {
    this.sql = sql;
    this.ledger = new Ledger(sql);
    this.ledger.create("j1", request, this.nowMs);
    this.ledger.run();
  }

  /** A run as after a start, or after an eviction: only the ledger lives on. */
  run(): CopyRun {
    return new CopyRun({
      id: "j1",
      request: this.ledger.record()?.request ?? BASE_REQUEST,
      ledger: this.ledger,
      events: new EventLog(this.sql, () => this.nowMs, false),
      source: this.source,
      target: this.target,
      now: () => this.nowMs,
      addReferrer: async (addition) => void this.listed.push(addition),
      sendOffers: async (offers) => void this.offers.push(...offers),
    });
  }

  /** As RegistryHost would tell it. */
  settle(run: CopyRun, letters: string, outcome: "copied" | "mounted" | "present" = "copied"): void {
    const digests = letters.split("").map((letter) => blob(letter).digest);
    for (const digest of digests) {
      this.ledger.blobs.settle({
        id: "",
        digest,
        outcome,
        bytes: 10,
        requests: { source: 1, target: 2 },
        warnings: [],
        firstByteAt: this.nowMs + 5,
      });
    }
    run.arrived(digests);
  }

  get offered(): string {
    return this.offers.map(({ digest }) => digest.charAt(7)).join("");
  }

  get manifestEvents(): string[] {
    return this.sql
      .exec<{ state: string }>("SELECT data ->> 'state' AS state FROM events WHERE type = 'manifest' ORDER BY seq")
      .toArray()
      .map(({ state }) => state);
  }
}

let jobs = 0;
function inJob(request: typeof BASE_REQUEST | undefined, body: (bench: Bench) => Promise<void>): Promise<void> {
  const stub = env.JOBS.getByName(`run-${(jobs += 1)}`);
  return runInDurableObject(stub, (_job, state) => body(new Bench(state.storage.sql, request)));
}

/** Lets everything run that waits for no timer. */
async function calm(): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) {
    await Promise.resolve();
  }
}

async function failureOf(run: Promise<void>) {
  return run.then(
    () => expect.unreachable(),
    (error: unknown) => errorDetailOf(error),
  );
}

describe("beginning", () => {
  test("equal digests end after one request to each end", () =>
    inJob(undefined, async (bench) => {
      bench.source.keep(image("a", "b"), MANIFEST, "v1");
      bench.target.keep(image("a", "b"), MANIFEST, "v1");
      await bench.run().toEnd();
      expect(bench.source.log).toEqual(["HEAD v1"]);
      expect(bench.target.log).toEqual(["HEAD v1"]);
      expect(bench.ledger.sums().manifests).toEqual({ all: 1, copied: 0, present: 1 });
      expect(bench.offers).toEqual([]);
    }));

  test.each([undefined, true])("in the background (%s): every blob that is offered says so", (background) =>
    inJob({ ...BASE_REQUEST, ...(background === true ? { background } : {}) }, async (bench) => {
      bench.source.keep(image("a", "b"), MANIFEST, "v1");
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      expect(bench.offers.map((offer) => offer.background)).toEqual([background, background]);
      bench.settle(run, "ab");
      await end;
    }),
  );

  test("a new repository: its blobs go out without a look at the target", () =>
    inJob(undefined, async (bench) => {
      const { digest } = bench.source.keep(image("a", "b", "b"), MANIFEST, "v1");
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      expect(bench.offers).toEqual(
        ["a", "b"].map((letter) => ({
          id: `j1/mirror@${blob(letter).digest}`,
          digest: blob(letter).digest,
          sizeBytes: 10,
          targetRepository: "mirror",
          sourceHost: "src.example",
          sourceRepository: "app",
          mayExist: false,
          since: bench.nowMs,
        })),
      );
      expect(bench.target.log).toEqual(["HEAD v1", "TAGS"]);
      bench.settle(run, "ab");
      await end;
      expect(bench.source.log).toEqual(["HEAD v1", `GET ${digest}`]);
      expect(bench.target.log).toEqual(["HEAD v1", "TAGS", "PUT v1"]);
      expect(bench.target.tags.get("v1")).toBe(digest);
    }));

  test.each(["a repository that exists", "a repository that cannot be listed"])("%s: blobs may be there", (name) =>
    inJob(undefined, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1");
      bench.target.keep(image("z"), MANIFEST, "other");
      if (name.includes("cannot")) {
        bench.target.before = (operation) => {
          if (operation === "TAGS") {
            throw bench.target.error("denied", "no listing");
          }
        };
      }
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      expect(bench.offers.map(({ mayExist }) => mayExist)).toEqual([true]);
      bench.settle(run, "a", "present");
      await end;
    }),
  );

  test("a source that does not exist, and a target without rights, fail before anything is offered", () =>
    inJob(undefined, async (bench) => {
      expect(await failureOf(bench.run().toEnd())).toMatchObject({ code: "not_found", side: "source" });
      bench.source.keep(image("a"), MANIFEST, "v1");
      bench.target.before = () => {
        throw bench.target.error("denied", "no rights here");
      };
      expect(await failureOf(bench.run().toEnd())).toMatchObject({ code: "denied", message: "no rights here" });
      expect(bench.offers).toEqual([]);
    }));

  test("a source named by its digest is read without asking for its tag", () => {
    const { digest } = new MemoryRegistry("src.example").keep(image("a"), MANIFEST);
    const request = { ...BASE_REQUEST, source: { ...BASE_REQUEST.source, digest } };
    return inJob(request, async (bench) => {
      bench.source.keep(image("a"), MANIFEST);
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      bench.settle(run, "a");
      await end;
      expect(bench.source.log).toEqual([`GET ${digest}`]);
    });
  });

  test("a manifest that the target holds under another name only gets the tag", () =>
    inJob(undefined, async (bench) => {
      const { digest } = bench.source.keep(image("a", "b"), MANIFEST, "v1");
      bench.target.keep(image("z"), MANIFEST, "v1");
      bench.target.keep(image("a", "b"), MANIFEST, "older");
      await bench.run().toEnd();
      expect(bench.offers).toEqual([]);
      expect(bench.target.log).toEqual(["HEAD v1", `HEAD ${digest}`, "PUT v1"]);
      expect(bench.ledger.sums().blobs).toEqual({ all: 2, copied: 0, mounted: 0, present: 2 });
    }));
});

describe("an index", () => {
  function keepIndex(bench: Bench) {
    const one = bench.source.keep(image("a", "b"), MANIFEST);
    const two = bench.source.keep(image("c", "b"), MANIFEST);
    const root = bench.source.keep({ schemaVersion: 2, manifests: [one, two] }, INDEX, "v1");
    return { one, two, root };
  }

  test("children are pushed by digest as their blobs come, the tag last", () =>
    inJob(undefined, async (bench) => {
      const { one, two, root } = keepIndex(bench);
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      expect(bench.offered).toBe("abc");
      bench.settle(run, "cb");
      await calm();
      expect(bench.target.log.slice(2)).toEqual([`PUT ${two.digest}`]);
      bench.settle(run, "a");
      await end;
      expect(bench.target.log.slice(2)).toEqual([`PUT ${two.digest}`, `PUT ${one.digest}`, "PUT v1"]);
      expect([...bench.target.manifests.keys()].toSorted()).toEqual([one.digest, two.digest, root.digest].toSorted());
      expect(bench.target.manifests.get(root.digest)?.bytes).toEqual(bench.source.manifests.get(root.digest)?.bytes);
      expect(bench.ledger.sums()).toMatchObject({
        blobs: { all: 3, copied: 3, mounted: 0, present: 0 },
        bytes: { all: 30, copied: 30, mounted: 0, present: 0 },
        manifests: { all: 3, copied: 3, present: 0 },
        blobRequests: { source: 3, target: 6 },
        firstByteMs: bench.nowMs + 5,
      });
    }));

  test("blobs of the first child go out while the second is still being read", () =>
    inJob(undefined, async (bench) => {
      const { two } = keepIndex(bench);
      const held = Promise.withResolvers<void>();
      bench.source.before = (operation) => (operation === `GET ${two.digest}` ? held.promise : undefined);
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      expect(bench.offered).toBe("ab");
      held.resolve();
      await calm();
      expect(bench.offered).toBe("abc");
      bench.settle(run, "abc");
      await end;
    }));

  test("a child that the target has is neither read nor are its blobs sent", () =>
    inJob(undefined, async (bench) => {
      const { one, two, root } = keepIndex(bench);
      bench.target.keep(image("a", "b"), MANIFEST);
      bench.target.keep(image("z"), MANIFEST, "v1");
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      expect(bench.offered).toBe("cb");
      expect(bench.offers.every(({ mayExist }) => mayExist)).toBe(true);
      bench.settle(run, "cb");
      await end;
      expect(bench.source.log).toEqual(["HEAD v1", `GET ${root.digest}`, `GET ${two.digest}`]);
      expect(bench.target.log).not.toContain(`PUT ${one.digest}`);
      expect(bench.ledger.sums().manifests).toEqual({ all: 3, copied: 2, present: 1 });
    }));

  test.each<
    [name: string, entry: { mediaType?: string }, isThere: boolean, refusal: "unavailable" | null, asked: string[]]
  >([
    ["found among the blobs", {}, true, null, ["HEAD"]],
    ["found nowhere by a look", {}, false, null, ["HEAD", "GET"]],
    ["whose type says nothing", { mediaType: "" }, true, null, ["GET"]],
    ["over which the registry breaks down", { mediaType: "" }, true, "unavailable", ["GET", "HEAD"]],
  ])("an entry of an index that is no manifest, %s, is copied as a blob", (_name, more, isThere, refusal, asked) =>
    inJob(undefined, async (bench) => {
      const root = bench.source.keep({ manifests: [{ ...blob("d"), ...more }] }, INDEX, "v1");
      const { digest } = blob("d");
      if (isThere) {
        bench.source.blobs.add(digest);
      }
      bench.source.before = (operation) => {
        if (operation === `GET ${digest}` && refusal !== null) {
          throw bench.source.error(refusal, "500");
        }
      };
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      expect(bench.offered).toBe("d");
      bench.settle(run, "d");
      await end;
      expect(bench.target.log.slice(2)).toEqual(["PUT v1"]);
      const log = ["HEAD v1", `GET ${root.digest}`, ...asked.map((method) => `${method} ${digest}`)];
      expect(bench.source.log).toEqual(log);
    }),
  );

  test.each([
    ["a child that is missing at the source", { ...blob("d"), mediaType: MANIFEST }, "not_found"],
    ["a child of another size than the index says", null, "size_mismatch"],
  ])("%s fails the copy, without a tag", (_name, entry, code) =>
    inJob(undefined, async (bench) => {
      const child = { ...bench.source.keep(image("a"), MANIFEST), size: 7 };
      bench.source.keep({ manifests: [entry ?? child] }, INDEX, "v1");
      expect(await failureOf(bench.run().toEnd())).toMatchObject({ code });
      expect(bench.target.tags.size).toBe(0);
    }),
  );
});

describe("going on after an eviction", () => {
  test("nothing that the ledger holds is read or pushed again", () =>
    inJob(undefined, async (bench) => {
      const one = bench.source.keep(image("a"), MANIFEST);
      const two = bench.source.keep(image("b", "c"), MANIFEST);
      bench.source.keep({ manifests: [one, two] }, INDEX, "v1");
      const first = bench.run();
      first.toEnd().catch(() => {});
      await calm();
      bench.settle(first, "ab");
      await calm();
      first.stop(new Error("evicted"));
      const readBefore = bench.source.log.length;
      const pushedBefore = bench.target.log.length;
      bench.offers.length = 0;

      const second = bench.run();
      const end = second.toEnd();
      await calm();
      expect(bench.offered).toBe("c");
      bench.settle(second, "c");
      await end;
      expect(bench.source.log).toHaveLength(readBefore);
      expect(bench.target.log.slice(pushedBefore)).toEqual([`PUT ${two.digest}`, "PUT v1"]);
    }));

  test("manifests that were not read yet are read then", () =>
    inJob(undefined, async (bench) => {
      const one = bench.source.keep(image("a"), MANIFEST);
      bench.source.keep({ manifests: [one] }, INDEX, "v1");
      bench.source.before = (operation) =>
        operation === `GET ${one.digest}` ? new Promise<void>(() => {}) : undefined;
      const first = bench.run();
      first.toEnd().catch(() => {});
      await calm();
      first.stop(new Error("evicted"));
      expect(bench.offers).toEqual([]);
      bench.source.before = () => {};
      const second = bench.run();
      const end = second.toEnd();
      await calm();
      expect(bench.offered).toBe("a");
      bench.settle(second, "a");
      await end;
      expect(bench.target.tags.get("v1")).toBe(bench.source.tags.get("v1"));
    }));

  test("a step that was only half written down is made whole", () =>
    inJob(undefined, async (bench) => {
      const { digest } = bench.source.keep(image("a", "b"), MANIFEST, "v1");
      bench.target.keep(image("a", "b"), MANIFEST);
      bench.ledger.opened(digest, "holds_tag");
      const first = bench.run();
      first.toEnd().catch(() => {});
      await calm();
      first.stop(new Error("evicted"));
      bench.sql.exec("DELETE FROM blobs");
      bench.offers.length = 0;
      const second = bench.run();
      const end = second.toEnd();
      await calm();
      expect(bench.offered).toBe("ab");
      bench.settle(second, "ab");
      await end;
      expect(bench.target.log).toEqual(["PUT v1"]);
    }));

  test("a manifest in several pieces comes back whole", () =>
    inJob(undefined, async (bench) => {
      const padded = { ...image("a"), annotations: { padding: "x".repeat(2_500_000) } };
      const { digest } = bench.source.keep(padded, MANIFEST, "v1");
      const first = bench.run();
      first.toEnd().catch(() => {});
      await calm();
      first.stop(new Error("evicted"));
      const second = bench.run();
      const end = second.toEnd();
      bench.settle(second, "a");
      await end;
      expect(digestOf(bench.target.manifests.get(digest)?.bytes ?? new Uint8Array())).toBe(digest);
    }));

  test("what has moved lately is not offered again", () =>
    inJob(undefined, async (bench) => {
      bench.source.keep(image("a", "b"), MANIFEST, "v1");
      const run = bench.run();
      run.toEnd().catch(() => {});
      await calm();
      bench.offers.length = 0;
      await run.offerAgain(20_000);
      expect(bench.offered).toBe("");
      bench.nowMs += 30_000;
      run.moved(blob("a").digest);
      await run.offerAgain(20_000);
      expect(bench.offered).toBe("b");
      run.stop(new Error("over"));
    }));
});

describe("ending", () => {
  test("a copy that ended while it waited pushes no tag", () =>
    inJob(undefined, async (bench) => {
      bench.source.keep(image("a"), MANIFEST, "v1");
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      bench.ledger.end("cancelled", null, bench.nowMs);
      bench.settle(run, "a");
      expect(await failureOf(end)).toMatchObject({ code: "cancelled" });
      expect(bench.target.log).not.toContain("PUT v1");
    }));

  test("it is told that the root is being pushed, and before that it is not", () =>
    inJob(undefined, async (bench) => {
      const held = Promise.withResolvers<void>();
      bench.source.keep(image("a"), MANIFEST, "v1");
      bench.target.before = (operation) => (operation === "PUT v1" ? held.promise : undefined);
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      expect(run.committing).toBe(false);
      bench.settle(run, "a");
      await calm();
      expect(run.committing).toBe(true);
      held.resolve();
      await end;
    }));

  test("a stopped run writes nothing more, whatever still comes in", () =>
    inJob(undefined, async (bench) => {
      const held = Promise.withResolvers<void>();
      bench.source.keep(image("a"), MANIFEST, "v1");
      bench.source.before = (operation) => (operation.startsWith("GET") ? held.promise : undefined);
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      run.stop(new Error("cancelled by the user"));
      held.resolve();
      await expect(end).rejects.toThrow("cancelled by the user");
      await calm();
      expect(bench.manifestEvents).toEqual([]);
      expect(bench.offers).toEqual([]);
    }));

  test("the registry's refusal of a manifest is the error of the run", () =>
    inJob(undefined, async (bench) => {
      bench.source.keep({ manifests: [] }, INDEX, "v1");
      bench.target.before = (operation) => {
        if (operation === "PUT v1") {
          throw bench.target.error("denied", "tags are immutable");
        }
      };
      expect(await failureOf(bench.run().toEnd())).toMatchObject({ message: "tags are immutable" });
    }));

  test("a subject that the target does not list: the host is asked to list it", () =>
    inJob(undefined, async (bench) => {
      const { digest } = bench.source.keep({ ...image("a"), subject: blob("5") }, MANIFEST, "v1");
      const run = bench.run();
      const end = run.toEnd();
      await calm();
      bench.settle(run, "a");
      await end;
      expect(bench.listed).toMatchObject([
        { repository: "mirror", subject: blob("5").digest, entry: { digest, mediaType: MANIFEST } },
      ]);
    }));
});

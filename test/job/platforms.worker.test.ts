/** Copies for chosen platforms, and with what is attached, against registries in memory. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { CopyRequest } from "../../src/copy/request.ts";
import type { BlobOffer, ReferrerAddition } from "../../src/host/contract.ts";
import { EventLog } from "../../src/job/events.ts";
import { Ledger } from "../../src/job/ledger.ts";
import { CopyRun } from "../../src/job/run.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";
import { image, INDEX, MANIFEST } from "./images.ts";
import { MemoryRegistry } from "./memory-registry.ts";

const REQUEST: CopyRequest = {
  source: { host: "src.example", repository: "app", tag: "v1" },
  target: { host: "dst.example", repository: "mirror", tag: "v1" },
};

function about(subject: { digest: string; size: number; mediaType: string }, name: string, artifactType = "a/sig") {
  return { ...image(name), artifactType, subject };
}

class Bench {
  readonly source = new MemoryRegistry("src.example");
  readonly target = new MemoryRegistry("dst.example");
  readonly offers: BlobOffer[] = [];
  readonly listed: ReferrerAddition[] = [];
  readonly ledger: Ledger;
  readonly #sql: SqlStorage;
  /** Runs before a blob is at the target. */
  onOffer: () => void = () => {};
  #copies = 0;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.ledger = new Ledger(sql);
    this.target.subject = "said";
  }

  /** A new copy to its end, with an empty ledger. Null: it ended well. */
  async copy(choices: Partial<CopyRequest>) {
    for (const table of ["copy", "manifests", "manifest_pieces", "blobs", "events", "tags"]) {
      this.#sql.exec(`DELETE FROM ${table}`);
    }
    this.#copies += 1;
    this.source.log.length = 0;
    this.target.log.length = 0;
    this.offers.length = 0;
    const request = { ...REQUEST, ...choices };
    this.ledger.create(`j${this.#copies}`, request, 1_000_000);
    this.ledger.run();
    return this.run(request);
  }

  async run(request: CopyRequest) {
    const run: CopyRun = new CopyRun({
      id: `j${this.#copies}`,
      request,
      ledger: this.ledger,
      events: new EventLog(this.#sql, () => 1_000_000, false),
      source: this.source,
      target: this.target,
      now: () => 1_000_000,
      addReferrer: async (addition) => void this.listed.push(addition),
      sendOffers: async (offers) => {
        this.onOffer();
        this.offers.push(...offers);
        queueMicrotask(() => {
          for (const { id, digest } of offers) {
            const requests = { source: 1, target: 2 };
            this.ledger.blobs.settle({ id, digest, outcome: "copied", bytes: 10, requests, warnings: [] });
          }
          run.arrived(offers.map(({ digest }) => digest));
        });
      },
    });
    const ended = await run.toEnd().then(
      () => null,
      (error: unknown) => errorDetailOf(error),
    );
    run.stop(new Error("over"));
    return ended;
  }

  get offered(): string[] {
    return this.offers.map(({ digest }) => digest.replace(/^sha256:0*/, "")).toSorted();
  }

  /** An index of two platforms, with an attestation of the first. */
  keepIndex(...tags: string[]) {
    const amd = this.source.keep(image("a", "b"), MANIFEST);
    const arm = this.source.keep(image("c", "b"), MANIFEST);
    const proof = this.source.keep(image("d"), MANIFEST);
    const annotations = {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": amd.digest,
    };
    const manifests = [
      { ...amd, platform: { os: "linux", architecture: "amd64" } },
      { ...arm, platform: { os: "linux", architecture: "arm64" } },
      { ...proof, platform: { os: "unknown", architecture: "unknown" }, annotations },
    ];
    const root = this.source.keep({ schemaVersion: 2, mediaType: INDEX, manifests }, INDEX, ...tags);
    return { amd, arm, proof, root };
  }
}

let jobs = 0;
function inJob(body: (bench: Bench) => Promise<void>): Promise<void> {
  const stub = env.JOBS.getByName(`platforms-${(jobs += 1)}`);
  return runInDurableObject(stub, (_job, state) => body(new Bench(state.storage.sql)));
}

const AMD = (index: "sparse" | "rewrite" | "single") => ({ platforms: { wanted: ["linux/amd64"], index } });

describe("platforms", () => {
  test("a sparse index keeps its digest, and only what was chosen goes before it; a second copy asks twice", () =>
    inJob(async (bench) => {
      const { amd, proof, root } = bench.keepIndex("v1");
      expect(await bench.copy(AMD("sparse"))).toBeNull();
      expect(bench.offered).toEqual(["a", "b", "d"]);
      expect([...bench.target.manifests.keys()].toSorted()).toEqual([amd.digest, proof.digest, root.digest].toSorted());
      expect(bench.target.tags.get("v1")).toBe(root.digest);
      expect(await bench.copy(AMD("sparse"))).toBeNull();
      expect([bench.source.log, bench.target.log]).toEqual([["HEAD v1"], ["HEAD v1"]]);
    }));

  test("a target that takes no sparse index: the error says what to do", () =>
    inJob(async (bench) => {
      bench.keepIndex("v1");
      bench.target.before = (operation) => {
        if (operation === "PUT v1") {
          throw bench.target.error("manifest_invalid", "manifest unknown");
        }
      };
      const error = await bench.copy(AMD("sparse"));
      expect(error?.message).toMatch(/--index rewrite.*--index single.*manifest unknown/);
    }));

  test("a rewritten index has a digest of its own, and a second copy reads the index alone", () =>
    inJob(async (bench) => {
      const { amd, arm, root } = bench.keepIndex("v1");
      expect(await bench.copy(AMD("rewrite"))).toBeNull();
      const row = bench.ledger.tags.get(1);
      const written = bench.target.tags.get("v1") ?? "";
      expect(row).toMatchObject({ state: "copied", digest: root.digest, derived: written });
      expect(written).not.toBe(root.digest);
      const text = new TextDecoder().decode(bench.target.manifests.get(written)?.bytes);
      expect(text).toContain(amd.digest);
      expect(text).not.toContain(arm.digest);
      expect(await bench.copy(AMD("rewrite"))).toBeNull();
      expect(bench.source.log).toEqual(["HEAD v1", `GET ${root.digest}`]);
      expect(bench.target.log).toEqual(["HEAD v1"]);
      expect(bench.ledger.tags.get(1)).toMatchObject({ state: "unchanged", digest: root.digest, derived: written });
    }));

  test("a single image gets the tag, also in a repository's copy of tags that are new", () =>
    inJob(async (bench) => {
      const { amd } = bench.keepIndex("v1", "v2");
      expect(await bench.copy(AMD("single"))).toBeNull();
      expect(bench.target.tags.get("v1")).toBe(amd.digest);
      expect(bench.target.manifests.size).toBe(1);
      const source = { host: "src.example", repository: "app" };
      const target = { host: "dst.example", repository: "mirror" };
      expect(await bench.copy({ ...AMD("single"), source, target })).toBeNull();
      expect(Object.fromEntries(bench.target.tags)).toEqual({ v1: amd.digest, v2: amd.digest });
      expect(bench.ledger.tags.tally()).toMatchObject({ all: 2, copied: 1, unchanged: 1 });
    }));

  test.each(["sparse", "rewrite", "single"] as const)("a platform that is missing (%s): nothing is written", (index) =>
    inJob(async (bench) => {
      bench.keepIndex("v1");
      const error = await bench.copy({ platforms: { wanted: ["linux/s390x"], index } });
      expect(error).toMatchObject({ code: "not_found", side: "source" });
      expect(error?.message).toContain("app:v1 has no image for linux/s390x; there are linux/amd64, linux/arm64");
      expect(bench.target.manifests.size).toBe(0);
    }),
  );

  test("what is no index is copied whatever its platform", () =>
    inJob(async (bench) => {
      const { digest } = bench.source.keep(image("a"), MANIFEST, "v1");
      expect(await bench.copy(AMD("rewrite"))).toBeNull();
      expect(bench.target.tags.get("v1")).toBe(digest);
    }));
});

describe("referrers", () => {
  const ALL = { attached: { referrers: {} } };

  test("of the image, its children and one another, after their subjects and before the tag", () =>
    inJob(async (bench) => {
      const { amd, root } = bench.keepIndex("v1");
      const sbom = bench.source.keep(about(amd, "e", "a/sbom"), MANIFEST);
      const sigOfSbom = bench.source.keep(about(sbom, "f"), MANIFEST);
      const sig = bench.source.keep(about(root, "1f"), MANIFEST);
      let listedBefore = false;
      bench.onOffer = () => {
        listedBefore ||= bench.offers.length === 0 && bench.source.log.some((line) => line.startsWith("REFERRERS"));
      };
      expect(await bench.copy(ALL)).toBeNull();
      expect(listedBefore).toBe(false);
      const puts = bench.target.log.filter((line) => line.startsWith("PUT"));
      const order = [amd, sbom, sigOfSbom].map(({ digest }) => puts.indexOf(`PUT ${digest}`));
      expect(order).toEqual(order.toSorted((one, other) => one - other));
      expect(order).not.toContain(-1);
      expect(puts.indexOf(`PUT ${root.digest}`)).toBeLessThan(puts.indexOf(`PUT ${sig.digest}`));
      expect(puts.at(-1)).toBe("PUT v1");
      expect([...bench.target.manifests.keys()].toSorted()).toEqual([...bench.source.manifests.keys()].toSorted());
      expect(bench.listed).toEqual([]);
    }));

  test("nothing to do: lists only, and no manifest of the source is read", () =>
    inJob(async (bench) => {
      const { amd, root } = bench.keepIndex("v1");
      bench.source.keep(about(amd, "e"), MANIFEST);
      expect(await bench.copy(ALL)).toBeNull();
      expect(await bench.copy(ALL)).toBeNull();
      expect(bench.source.log.filter((line) => line.startsWith("GET"))).toEqual([]);
      expect(bench.source.log.filter((line) => line.startsWith("REFERRERS"))).toHaveLength(5);
      expect(bench.target.log).toEqual(["HEAD v1", `GET ${root.digest}`, `REFERRERS ${amd.digest}`]);
      expect(bench.ledger.tags.get(1)?.state).toBe("unchanged");
    }));

  test("a new signature of an old image comes along", () =>
    inJob(async (bench) => {
      const root = bench.source.keep(image("a"), MANIFEST, "v1");
      expect(await bench.copy(ALL)).toBeNull();
      const sig = bench.source.keep(about(root, "e"), MANIFEST);
      expect(await bench.copy(ALL)).toBeNull();
      expect(bench.target.manifests.has(sig.digest)).toBe(true);
      expect(bench.offered).toEqual(["e"]);
      expect(bench.ledger.tags.get(1)?.state).toBe("copied");
    }));

  test("only those of a type, on every level", () =>
    inJob(async (bench) => {
      const root = bench.source.keep(image("a"), MANIFEST, "v1");
      const sig = bench.source.keep(about(root, "e"), MANIFEST);
      bench.source.keep(about(root, "f", "a/sbom"), MANIFEST);
      expect(await bench.copy({ attached: { referrers: { artifactTypes: ["a/sig"] } } })).toBeNull();
      expect([...bench.target.manifests.keys()].toSorted()).toEqual([root.digest, sig.digest].toSorted());
    }));

  test("a registry that keeps no list: its host is asked to list them, before the tag is written", () =>
    inJob(async (bench) => {
      bench.target.subject = null;
      const root = bench.source.keep(image("a"), MANIFEST, "v1");
      const sig = bench.source.keep(about(root, "e"), MANIFEST);
      bench.target.before = (operation) => {
        if (operation === "PUT v1") {
          expect(bench.listed).toHaveLength(1);
        }
      };
      expect(await bench.copy(ALL)).toBeNull();
      expect(bench.listed).toMatchObject([
        { repository: "mirror", subject: root.digest, entry: { digest: sig.digest, artifactType: "a/sig" } },
      ]);
    }));

  test("one that cannot be copied fails its tag and no other", () =>
    inJob(async (bench) => {
      const root = bench.source.keep(image("a"), MANIFEST, "v1");
      bench.source.keep(image("b"), MANIFEST, "v2");
      const sig = bench.source.keep(about(root, "e"), MANIFEST);
      bench.target.before = (operation) => {
        if (operation === `PUT ${sig.digest}`) {
          throw bench.target.error("denied", "no signatures here");
        }
      };
      const source = { host: "src.example", repository: "app" };
      const target = { host: "dst.example", repository: "mirror" };
      const error = await bench.copy({ ...ALL, source, target });
      expect(error?.message).toMatch(/v1: no signatures here/);
      expect([...bench.target.tags.keys()]).toEqual(["v2"]);
    }));

  test("of an index that was made anew none, of its images all", () =>
    inJob(async (bench) => {
      const { amd, root } = bench.keepIndex("v1");
      const sig = bench.source.keep(about(amd, "e"), MANIFEST);
      const ofIndex = bench.source.keep(about(root, "f"), MANIFEST);
      expect(await bench.copy({ ...ALL, ...AMD("rewrite") })).toBeNull();
      expect(bench.target.manifests.has(sig.digest)).toBe(true);
      expect(bench.target.manifests.has(ofIndex.digest)).toBe(false);
    }));

  test("two tags of one image", () =>
    inJob(async (bench) => {
      const root = bench.source.keep(image("a"), MANIFEST, "v1", "v2");
      const sig = bench.source.keep(about(root, "e"), MANIFEST);
      const source = { host: "src.example", repository: "app" };
      const target = { host: "dst.example", repository: "mirror" };
      expect(await bench.copy({ ...ALL, source, target })).toBeNull();
      expect(bench.target.log.filter((line) => line === `PUT ${sig.digest}`)).toHaveLength(1);
      expect([...bench.target.tags.values()]).toEqual([root.digest, root.digest]);
    }));
});

test("what refers to another image is listed before it has its own name, and has none where it cannot be listed", () =>
  inJob(async (bench) => {
    const subject = bench.source.keep(image("a"), MANIFEST);
    const sig = bench.source.keep(about(subject, "e"), MANIFEST, "v1");
    bench.target.subject = null;
    expect(await bench.copy({})).toBeNull();
    expect(bench.target.log).toEqual(["HEAD v1", "TAGS", `PUT ${sig.digest}`, "PUT v1"]);
    expect(bench.listed.map(({ entry }) => entry.digest)).toEqual([sig.digest]);
    bench.target.tags.clear();
    bench.target.manifests.clear();
    bench.listed.push = () => {
      throw bench.target.error("denied", "no lists here");
    };
    expect(await bench.copy({})).toMatchObject({ code: "denied" });
    expect(bench.target.tags.has("v1")).toBe(false);
  }));

describe("digest tags", () => {
  test("of the image and its children become names of their own; lists of referrers do not", () =>
    inJob(async (bench) => {
      const { amd, root } = bench.keepIndex("v1");
      const names = [`${fallbackTagOf(root.digest)}.sig`, `${fallbackTagOf(amd.digest)}.att`];
      names.forEach((name, at) => bench.source.keep(image(`e${at}`), MANIFEST, name));
      bench.source.keep({ manifests: [] }, INDEX, fallbackTagOf(root.digest));
      bench.source.keep(image("f"), MANIFEST, `sha256-${"9".repeat(64)}.sig`);
      expect(await bench.copy({ attached: { digestTags: true } })).toBeNull();
      expect([...bench.target.tags.keys()].toSorted()).toEqual(["v1", ...names].toSorted());
      expect(bench.ledger.record()?.root).toBe(root.digest);
      expect(bench.ledger.tags.tally()).toMatchObject({ all: 3, copied: 3 });
    }));

  test("go before the image's own name, signatures of signatures too, however they hang together", () =>
    inJob(async (bench) => {
      const main = bench.source.keep(image("a"), MANIFEST, "v1");
      const sig = bench.source.keep(image("e"), MANIFEST, `${fallbackTagOf(main.digest)}.sig`);
      bench.source.keep(about(sig, "f"), MANIFEST, `${fallbackTagOf(sig.digest)}.sig`);
      bench.source.keep({ manifests: [main] }, INDEX, `${fallbackTagOf(main.digest)}.sbom`);
      bench.source.tags.set(`${fallbackTagOf(main.digest)}.same`, main.digest);
      expect(await bench.copy({ attached: { digestTags: true } })).toBeNull();
      expect(Object.fromEntries(bench.target.tags)).toEqual(Object.fromEntries(bench.source.tags));
      expect(bench.target.log.at(-1)).toBe("PUT v1");
    }));

  test("that turn out to be at the target do not fail the copy with a push that was under way for them", () =>
    inJob(async (bench) => {
      const main = bench.source.keep(image("a"), MANIFEST, "v1");
      const [first, second, third] = ["one", "two", "three"].map((end) => `${fallbackTagOf(main.digest)}.${end}`);
      const child = bench.source.keep(image("b"), MANIFEST);
      const bundle = bench.source.keep({ schemaVersion: 2, manifests: [child] }, INDEX, first ?? "", second ?? "");
      bench.source.keep(image("c"), MANIFEST, third ?? "");
      const answers = { child: Promise.withResolvers<void>(), second: Promise.withResolvers<void>() };
      const last = Promise.withResolvers<void>();
      bench.target.before = async (operation) => {
        if (operation === `PUT ${child.digest}`) {
          // Another copy has brought all of it meanwhile.
          bench.target.manifests.set(bundle.digest, await bench.source.getManifest("app", bundle.digest));
          bench.target.tags.set(second ?? "", bundle.digest);
          answers.second.resolve();
          await answers.child.promise;
        } else if (operation === `HEAD ${second}`) {
          await answers.second.promise;
        } else if (operation === `PUT ${first}`) {
          setTimeout(() => answers.child.reject(bench.target.error("denied", "not this one")));
          setTimeout(() => last.resolve(), 5);
        } else if (operation === `PUT ${third}`) {
          await last.promise;
        }
      };
      expect(await bench.copy({ attached: { digestTags: true } })).toBeNull();
      expect(bench.target.tags.get("v1")).toBe(main.digest);
    }));

  test("are opened beside an image that fills the window by itself", () =>
    inJob(async (bench) => {
      const layers = Array.from({ length: 10_001 }, (_, at) => `b${at.toString(16)}`);
      const main = bench.source.keep(image("a", ...layers), MANIFEST, "v1");
      bench.source.keep(image("e"), MANIFEST, `${fallbackTagOf(main.digest)}.sig`, `${fallbackTagOf(main.digest)}.att`);
      expect(await bench.copy({ attached: { digestTags: true } })).toBeNull();
      expect(bench.target.tags.size).toBe(3);
    }));

  test("keep their names in a repository's copy that gives its tags others", () =>
    inJob(async (bench) => {
      const main = bench.source.keep(image("a"), MANIFEST, "v1");
      const sig = `${fallbackTagOf(main.digest)}.sig`;
      bench.source.keep(image("e"), MANIFEST, sig);
      const source = { host: "src.example", repository: "app" };
      const target = { host: "dst.example", repository: "mirror" };
      const attached = { digestTags: true };
      for (const targetTag of ["m-{tag}", "{tag}-{short}"]) {
        bench.target.tags.clear();
        expect(await bench.copy({ attached, source, target, targetTag })).toBeNull();
        expect([...bench.target.tags.keys()]).toContain(sig);
        expect(bench.target.tags.size).toBe(2);
      }
    }));

  test("that cannot be copied leave the image's own name at the target as it was", () =>
    inJob(async (bench) => {
      const main = bench.source.keep(image("a"), MANIFEST, "v1");
      const sig = `${fallbackTagOf(main.digest)}.sig`;
      bench.source.keep(image("e"), MANIFEST, sig);
      const old = bench.target.keep(image("b"), MANIFEST, "v1");
      bench.target.before = (operation) => {
        if (operation === `PUT ${sig}`) {
          throw bench.target.error("denied", "no signatures here");
        }
      };
      expect(await bench.copy({ attached: { digestTags: true } })).toMatchObject({ code: "denied" });
      expect(bench.target.tags.get("v1")).toBe(old.digest);
    }));

  test("a copy of a repository takes each once, and leaves lists of referrers out when it brings those itself", () =>
    inJob(async (bench) => {
      const root = bench.source.keep(image("a"), MANIFEST, "v1");
      const sig = `${fallbackTagOf(root.digest)}.sig`;
      bench.source.keep(image("e"), MANIFEST, sig);
      bench.source.keep({ manifests: [] }, INDEX, fallbackTagOf(root.digest));
      const source = { host: "src.example", repository: "app" };
      const target = { host: "dst.example", repository: "mirror" };
      const attached = { referrers: {}, digestTags: true };
      expect(await bench.copy({ attached, source, target, tags: { include: ["v.*"] } })).toBeNull();
      expect([...bench.target.tags.keys()]).toEqual(["v1", sig]);
      expect(await bench.copy({ attached, source, target })).toBeNull();
      expect(bench.ledger.tags.tally()).toMatchObject({ all: 2, unchanged: 2 });
    }));
});

/** Copies of chosen media types, against registries in memory: what is left out, at which cost, and what is said of it. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { CopyRequest } from "../../src/copy/request.ts";
import { EventLog } from "../../src/job/events.ts";
import { Ledger } from "../../src/job/ledger.ts";
import { CopyRun } from "../../src/job/run.ts";
import { copyView } from "../../src/job/view.ts";
import type { ManifestHead } from "../../src/registry/contract.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";
import { INDEX, MANIFEST } from "./images.ts";
import { MemoryRegistry } from "./memory-registry.ts";

const DOCKER = "application/vnd.docker.distribution.manifest.v2+json";

const REPOSITORY: CopyRequest = {
  source: { host: "src.example", repository: "app" },
  target: { host: "dst.example", repository: "mirror" },
};
const IMAGE: CopyRequest = {
  source: { host: "src.example", repository: "app", tag: "v1" },
  target: { host: "dst.example", repository: "mirror", tag: "v1" },
};

function image(name: string, mediaType = MANIFEST) {
  const digest = `sha256:${name.padStart(64, "0")}`;
  return { schemaVersion: 2, mediaType, config: { mediaType: "application/x", digest, size: 10 }, layers: [] };
}

/** One that does not say in the answer to a HEAD what it is of. */
class SilentRegistry extends MemoryRegistry {
  override async headManifest(repository: string, reference: string): Promise<ManifestHead | null> {
    const head = await super.headManifest(repository, reference);
    return head && { ...head, mediaType: "" };
  }
}

class Bench {
  readonly source: MemoryRegistry;
  readonly target = new MemoryRegistry("dst.example");
  readonly ledger: Ledger;
  readonly #request: CopyRequest;
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage, request: CopyRequest, source: MemoryRegistry) {
    this.source = source;
    this.#sql = sql;
    this.#request = request;
    this.ledger = new Ledger(sql);
    this.ledger.create("j1", request, 1_000_000);
    this.ledger.run();
  }

  /** Puts an index `i`, an image `m` and a Docker image `d` at the source, all but `i` at the target too where they are `known`. */
  stock(known: readonly string[] = []): void {
    const child = this.source.keep(image("a"), MANIFEST);
    const all = {
      i: [{ schemaVersion: 2, mediaType: INDEX, manifests: [child] }, INDEX],
      m: [image("b"), MANIFEST],
      d: [image("c", DOCKER), DOCKER],
    } as const;
    for (const [tag, [body, mediaType]] of Object.entries(all)) {
      this.source.keep(body, mediaType, tag);
      if (known.includes(tag)) {
        this.target.keep(body, mediaType, tag);
      }
    }
  }

  /** Null: it ended well. */
  async copy() {
    const run: CopyRun = new CopyRun({
      id: "j1",
      request: this.#request,
      ledger: this.ledger,
      events: new EventLog(this.#sql, () => 1_000_000, false),
      source: this.source,
      target: this.target,
      now: () => 1_000_000,
      addReferrer: async () => {},
      sendOffers: async (offers) =>
        queueMicrotask(() => {
          for (const { id, digest } of offers) {
            const requests = { source: 1, target: 2 };
            this.ledger.blobs.settle({ id, digest, outcome: "copied", bytes: 10, requests, warnings: [] });
          }
          run.arrived(offers.map(({ digest }) => digest));
        }),
    });
    const ended = await run.toEnd().then(
      () => null,
      (error: unknown) => errorDetailOf(error),
    );
    run.stop(new Error("over"));
    return ended;
  }

  get states(): Record<string, string> {
    const { tags } = this.ledger.tags.page({ limit: 100 });
    return Object.fromEntries(tags.map(({ source, state }) => [source ?? "", state]));
  }

  get warnings(): string[] {
    return new EventLog(this.#sql, () => 0, false).warnings();
  }

  get view() {
    const { tags } = this.ledger;
    const record = this.ledger.record();
    return record && copyView(record, this.ledger.sums(), tags.tally(), tags.get(1), record.requests, this.warnings);
  }

  reads(): string[] {
    return this.source.log.filter((line) => line.startsWith("GET ")).toSorted();
  }
}

let jobs = 0;
function inJob(
  request: CopyRequest,
  body: (bench: Bench) => Promise<void>,
  source = new MemoryRegistry("src.example"),
): Promise<void> {
  const stub = env.JOBS.getByName(`media-types-${(jobs += 1)}`);
  return runInDurableObject(stub, (_instance, state) => body(new Bench(state.storage.sql, request, source)));
}

describe("a repository of which media types are chosen", () => {
  test("leaves out the tags that stand for others, without reading them, and says which and why", () =>
    inJob({ ...REPOSITORY, tags: {}, mediaTypes: [INDEX, DOCKER] }, async (bench) => {
      bench.stock();
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual({ i: "copied", m: "skipped", d: "copied" });
      expect([...bench.target.tags.keys()].toSorted()).toEqual(["d", "i"]);
      expect(bench.source.log).toContain("HEAD m");
      expect(bench.reads()).not.toContain("GET m");
      const [left] = bench.ledger.tags.page({ limit: 100, state: "skipped" }).tags;
      expect(left).toMatchObject({
        source: "m",
        target: "m",
        digest: bench.source.tags.get("m"),
        error: null,
        reason: `its media type ${MANIFEST} is not among those that were asked for`,
      });
      expect(bench.ledger.tags.tally()).toMatchObject({ all: 3, copied: 2, skipped: 1, failed: 0 });
      expect(bench.warnings).toEqual(["1 tag left out for the media type: m."]);
    }));

  test("children of an index are copied whatever they are", () =>
    inJob({ ...REPOSITORY, tags: {}, mediaTypes: [INDEX] }, async (bench) => {
      bench.stock();
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual({ i: "copied", m: "skipped", d: "skipped" });
      expect(bench.target.manifests.size).toBe(2);
    }));

  test("where nothing is to do takes a HEAD at each end and reads nothing, left out or not", () =>
    inJob({ ...REPOSITORY, tags: {}, mediaTypes: [INDEX, DOCKER] }, async (bench) => {
      bench.stock(["i", "d"]);
      expect(await bench.copy()).toBeNull();
      expect(bench.states).toEqual({ i: "unchanged", m: "skipped", d: "unchanged" });
      expect(bench.source.log.toSorted()).toEqual(["HEAD d", "HEAD i", "HEAD m", "TAGS"]);
      expect(bench.target.log.toSorted()).toEqual(["HEAD d", "HEAD i", "TAGS"]);
    }));

  test("reads the manifest where a HEAD does not say what it is of, but not of what the target has", () =>
    inJob(
      { ...REPOSITORY, tags: {}, mediaTypes: [DOCKER] },
      async (bench) => {
        bench.stock(["i"]);
        expect(await bench.copy()).toBeNull();
        expect(bench.states).toEqual({ i: "unchanged", m: "skipped", d: "copied" });
        expect(bench.reads()).toEqual(
          [bench.source.tags.get("m"), bench.source.tags.get("d")].map((d) => `GET ${d}`).toSorted(),
        );
      },
      new SilentRegistry("src.example"),
    ));

  test("asks for no platform of an index that is left out", () =>
    inJob(
      {
        ...REPOSITORY,
        tags: { include: ["i"] },
        mediaTypes: [MANIFEST],
        platforms: { wanted: ["linux/amd64"], index: "rewrite" },
      },
      async (bench) => {
        bench.stock();
        expect(await bench.copy()).toBeNull();
        expect(bench.states).toEqual({ i: "skipped" });
        expect(bench.reads()).toEqual([]);
      },
    ));

  test("removes no tag for its media type", () =>
    inJob({ ...REPOSITORY, mediaTypes: [INDEX], tags: {}, prune: { maxTags: 10, dryRun: false } }, async (bench) => {
      bench.stock(["m", "d"]);
      bench.target.keep(image("e"), MANIFEST, "old");
      expect(await bench.copy()).toBeNull();
      expect([...bench.target.tags.keys()].toSorted()).toEqual(["d", "i", "m"]);
    }));

  test("has with digest_tags what is named after a digest, whatever it is; without them that is a tag as others", async () => {
    for (const digestTags of [true, false]) {
      const attached = digestTags ? { attached: { digestTags } } : {};
      await inJob({ ...REPOSITORY, tags: {}, mediaTypes: [INDEX], ...attached }, async (bench) => {
        bench.stock();
        const signature = `${fallbackTagOf(bench.source.tags.get("i") ?? "")}.sig`;
        bench.source.keep(image("f"), MANIFEST, signature);
        expect(await bench.copy()).toBeNull();
        expect(bench.states[signature]).toBe(digestTags ? "copied" : "skipped");
      });
    }
  });

  test("names the first few of many", () =>
    inJob({ ...REPOSITORY, tags: {}, mediaTypes: [INDEX] }, async (bench) => {
      for (let at = 0; at < 7; at += 1) {
        bench.source.keep(image(`${at}`), MANIFEST, `v${at}`);
      }
      expect(await bench.copy()).toBeNull();
      expect(bench.warnings).toEqual(["7 tags left out for the media type: v0, v1, v2, v3, v4 and others."]);
    }));
});

describe("one image of another media type", () => {
  test.each(["tag", "digest"] as const)(
    "named by its %s is left alone: the copy succeeds with a warning and no digest at the target",
    (by) => {
      const digest = digestOf(new TextEncoder().encode(JSON.stringify(image("b"))));
      const name = by === "tag" ? "m" : digest;
      return inJob({ ...IMAGE, source: { ...REPOSITORY.source, [by]: name }, mediaTypes: [INDEX] }, async (bench) => {
        bench.stock();
        expect(await bench.copy()).toBeNull();
        expect(bench.target.tags.size).toBe(0);
        expect(bench.source.log).toEqual([`HEAD ${name}`]);
        expect(bench.target.log).toEqual(["HEAD v1"]);
        expect(bench.warnings).toEqual([
          `src.example/app${by === "tag" ? ":" : "@"}${name} was left out and nothing copied: ` +
            `its media type ${MANIFEST} is not among those that were asked for.`,
        ]);
        bench.ledger.end("succeeded", null, 1_000_000);
        expect(bench.view).toMatchObject({
          state: "succeeded",
          source: { digest },
          target: { digest: null },
          tags: { all: 1, skipped: 1, copied: 0 },
          error: null,
        });
      });
    },
  );

  test("of a chosen type is copied", () =>
    inJob({ ...IMAGE, source: { ...IMAGE.source, tag: "i" }, mediaTypes: [INDEX] }, async (bench) => {
      bench.stock();
      expect(await bench.copy()).toBeNull();
      expect(bench.target.tags.get("v1")).toBe(bench.source.tags.get("i"));
      expect(bench.warnings).toEqual([]);
    }));
});

/**
 * A copy that is evicted, at each of its steps: before a request has had its effect, and after it but before the answer. The
 * next run ends as if nothing had happened, and leaves nothing twice. Against registries in memory, with the real ledger.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { CopyRequest } from "../../src/copy/request.ts";
import type { BlobOffer, ReferrerAddition } from "../../src/host/contract.ts";
import { EventLog } from "../../src/job/events.ts";
import { Ledger } from "../../src/job/ledger.ts";
import { CopyRun } from "../../src/job/run.ts";
import type { Manifest, ReferrerList } from "../../src/registry/contract.ts";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";
import { image, INDEX, MANIFEST } from "./images.ts";
import { MemoryRegistry } from "./memory-registry.ts";

const ACCEPTED_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
/** Long enough for a name that has the time in it to change. */
const AWAY_MS = 90_000;

type Moment = "before" | "after";

/** Where a run is broken off: at its step number `step`, counted from 1. */
interface Break {
  step: number;
  moment: Moment;
}

/** Counts what a run asks of the world, and breaks it off. */
class Steps {
  readonly #at: Break | null;
  readonly #reached = Promise.withResolvers<void>();
  count = 0;

  constructor(at: Break | null) {
    this.#at = at;
  }

  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  async take<T>(effect: () => Promise<T>): Promise<T> {
    this.count += 1;
    const breaks = this.count === this.#at?.step;
    if (breaks && this.#at?.moment === "before") {
      return this.#hang();
    }
    const result = await effect();
    return breaks ? this.#hang() : result;
  }

  #hang(): Promise<never> {
    this.#reached.resolve();
    return new Promise(() => {});
  }
}

/** A registry whose every answer is a step; without an API for referrers it lists what its host has been told. */
class SteppedRegistry extends MemoryRegistry {
  readonly lists = new Map<string, string[]>();
  steps = new Steps(null);
  readonly #hasApi: boolean;

  constructor(host: string, hasApi: boolean) {
    super(host);
    this.#hasApi = hasApi;
    this.subject = hasApi ? "said" : null;
  }

  override headManifest(...args: Parameters<MemoryRegistry["headManifest"]>) {
    return this.steps.take(() => super.headManifest(...args));
  }
  override getManifest(...args: Parameters<MemoryRegistry["getManifest"]>) {
    return this.steps.take(() => super.getManifest(...args));
  }
  override putManifest(repository: string, reference: string, manifest: Manifest) {
    return this.steps.take(() => super.putManifest(repository, reference, manifest));
  }
  override listTags(...args: Parameters<MemoryRegistry["listTags"]>) {
    return this.steps.take(() => super.listTags(...args));
  }
  override deleteTag(...args: Parameters<MemoryRegistry["deleteTag"]>) {
    return this.steps.take(() => super.deleteTag(...args));
  }
  override async listReferrers(repository: string, digest: string): Promise<ReferrerList | null> {
    return this.steps.take(async () => {
      const list = await super.listReferrers(repository, digest);
      const listed = this.lists.get(digest) ?? [];
      const referrers = list?.referrers.filter((each) => this.#hasApi || listed.includes(each.digest)) ?? [];
      return { referrers, from: this.#hasApi ? "api" : "tag", warnings: [] };
    });
  }

  addReferrer({ subject, entry }: ReferrerAddition): Promise<void> {
    return this.steps.take(async () => {
      const listed = this.lists.get(subject) ?? [];
      this.lists.set(subject, listed.includes(entry.digest) ? listed : [...listed, entry.digest]);
    });
  }
}

type Kept = ReturnType<MemoryRegistry["keep"]>;

/** An index of two platforms under each tag; what is attached to the first image, to the index, and to what is attached. */
function fill(source: MemoryRegistry, tags: string[]): void {
  for (const [at, tag] of tags.entries()) {
    const amd = source.keep(image(`a${at}`, "b"), MANIFEST);
    const arm = source.keep(image(`c${at}`, "b"), MANIFEST);
    const of = (entry: Kept, architecture: string) => ({ ...entry, platform: { os: "linux", architecture } });
    const index = source.keep({ manifests: [of(amd, "amd64"), of(arm, "arm64")] }, INDEX, tag);
    const about = (subject: Kept, name: string) =>
      source.keep({ ...image(name), artifactType: "a/b", subject }, MANIFEST);
    about(about(amd, `d${at}`), `e${at}`);
    about(index, `f${at}`);
    source.keep(image(`1a${at}`), MANIFEST, `${fallbackTagOf(index.digest)}.sig`);
    source.keep(image(`1b${at}`), MANIFEST, `${fallbackTagOf(amd.digest)}.att`);
  }
}

const ONE = {
  source: { host: "src.example", repository: "app", tag: "v1" },
  target: { host: "dst.example", repository: "mirror", tag: "v1" },
};
const ALL = {
  source: { host: "src.example", repository: "app" },
  target: { host: "dst.example", repository: "mirror" },
};
const ATTACHED = { referrers: {}, digestTags: true };
const AMD = { wanted: ["linux/amd64"] };
const VERSIONS = { include: ["v.*"] };

interface Scenario {
  request: CopyRequest;
  /** Whether the target lists referrers by itself. */
  hasApi?: boolean;
  /** What the target has beforehand. */
  before?: (target: MemoryRegistry) => void;
}

const SCENARIOS: Record<string, Scenario> = {
  "an index written anew": { request: { ...ONE, platforms: { ...AMD, index: "rewrite" } } },
  "one image of an index": { request: { ...ONE, platforms: { ...AMD, index: "single" } } },
  "a sparse index": { request: { ...ONE, platforms: { ...AMD, index: "sparse" } } },
  "what is attached, at a target with the API": { request: { ...ONE, attached: ATTACHED }, hasApi: true },
  "what is attached, at a target without it": { request: { ...ONE, attached: ATTACHED } },
  "what is attached to an index written anew": {
    request: { ...ONE, attached: ATTACHED, platforms: { ...AMD, index: "rewrite" } },
  },
  "a repository with all of it": {
    request: { ...ALL, tags: VERSIONS, attached: ATTACHED, platforms: { ...AMD, index: "rewrite" } },
  },
  "a repository that keeps what it overwrites, and removes what is not chosen": {
    request: {
      ...ALL,
      tags: VERSIONS,
      existing: { kind: "backup", tag: "{tag}-{date}-{time}" },
      prune: { maxTags: 2, dryRun: false },
    },
    before: (target) => {
      target.keep(image("2a"), MANIFEST, "v1", "old-1");
      target.keep(image("2b"), MANIFEST, "v2", "old-2");
    },
  },
};

/** What there is in the end, for a comparison; `steps`: how many it took. */
interface Ending {
  tags: unknown;
  manifests: string[];
  lists: unknown;
  rows: unknown;
  tally: unknown;
}

async function copy(sql: SqlStorage, { request, hasApi = false, before }: Scenario, at: Break | null) {
  for (const table of ["copy", "manifests", "manifest_pieces", "blobs", "events", "tags"]) {
    sql.exec(`DELETE FROM ${table}`);
  }
  const source = new SteppedRegistry("src.example", true);
  const target = new SteppedRegistry("dst.example", hasApi);
  fill(source, ["v1", "v2", "v3"]);
  before?.(target);
  const ledger = new Ledger(sql);
  ledger.create("j1", request, ACCEPTED_MS);
  ledger.run();
  const steps = new Steps(at);
  const first = await runOnce(sql, request, source, target, steps, ACCEPTED_MS);
  if (first === "broken off") {
    await runOnce(sql, request, source, target, new Steps(null), ACCEPTED_MS + AWAY_MS);
  }
  const events = sql
    .exec<{ target: string }>("SELECT data ->> 'target' AS target FROM events WHERE type = 'tag' ORDER BY target")
    .toArray();
  const { tags, next } = ledger.tags.page({ limit: 1_000 });
  expect(next).toBeNull();
  const ending: Ending = {
    tags: Object.fromEntries(target.tags),
    manifests: [...target.manifests.keys()].toSorted(),
    lists: Object.fromEntries([...target.lists].map(([subject, list]) => [subject, list.toSorted()])),
    rows: tags.map(({ source: from, target: to, state }) => [from, to, state].join(" ")).toSorted(),
    tally: { ...ledger.tags.tally(), told: events.map((event) => event.target) },
  };
  return { ending, steps: steps.count, end: first };
}

/** A run until it ends, or until it is broken off: then nothing of it goes on. */
async function runOnce(
  sql: SqlStorage,
  request: CopyRequest,
  source: SteppedRegistry,
  target: SteppedRegistry,
  steps: Steps,
  nowMs: number,
): Promise<"ended" | "broken off"> {
  source.steps = steps;
  target.steps = steps;
  const ledger = new Ledger(sql);
  let isOver = false;
  const run: CopyRun = new CopyRun({
    id: "j1",
    request,
    ledger,
    events: new EventLog(sql, () => nowMs, false),
    source,
    target,
    now: () => nowMs,
    addReferrer: (addition) => target.addReferrer(addition),
    sendOffers: (offers) =>
      steps.take(async () => {
        queueMicrotask(() => {
          if (!isOver) {
            settle(ledger, run, offers);
          }
        });
      }),
  });
  const end = await Promise.race([
    run.toEnd().then(() => "ended" as const),
    steps.reached.then(() => "broken off" as const),
  ]);
  isOver = true;
  run.stop(new Error("over"));
  return end;
}

function settle(ledger: Ledger, run: CopyRun, offers: BlobOffer[]): void {
  for (const { id, digest } of offers) {
    const requests = { source: 1, target: 2 };
    ledger.blobs.settle({ id, digest, outcome: "copied", bytes: 10, requests, warnings: [] });
  }
  run.arrived(offers.map(({ digest }) => digest));
}

test.each(Object.entries(SCENARIOS))("%s ends as if nothing had happened", (name, scenario) =>
  runInDurableObject(env.JOBS.getByName(`resume ${name}`), async (_job, { storage: { sql } }) => {
    const whole = await copy(sql, scenario, null);
    expect(whole).toMatchObject({ end: "ended", ending: { tally: { failed: 0 } } });
    for (const moment of ["before", "after"] as const) {
      for (let step = 1; step <= whole.steps; step += 1) {
        const { end, ending } = await copy(sql, scenario, { step, moment });
        const where = `broken off ${moment} step ${step} of ${whole.steps}`;
        expect(end, where).toBe("broken off");
        expect(ending, where).toEqual(whole.ending);
      }
    }
  }),
);

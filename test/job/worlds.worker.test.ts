/**
 * Copies of many small repositories between registries in memory, with the real ledger: with evictions, failures and a
 * cancellation at any moment. Whatever happens, the copy ends, children come first, and what is told of a name is true.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { CopyRequest } from "../../src/copy/request.ts";
import type { BlobOffer } from "../../src/host/contract.ts";
import type { TagView } from "../../src/job/contract.ts";
import { EventLog } from "../../src/job/events.ts";
import { Ledger } from "../../src/job/ledger.ts";
import { CopyRun } from "../../src/job/run.ts";
import { CopyError, type ErrorDetail, errorDetailOf } from "../../src/registry/errors.ts";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";
import { type Random, seeded } from "../sim/random.ts";
import { image, INDEX, MANIFEST } from "./images.ts";
import { MemoryRegistry } from "./memory-registry.ts";

const WORLDS = 200;
const TABLES = ["copy", "manifests", "manifest_pieces", "blobs", "events", "tags"];

/** How likely it is that a request fails, that it is the object's last one, and that the copy is cancelled at it. */
interface Troubles {
  failure?: number;
  eviction?: number;
  cancellation?: number;
}

type Kept = ReturnType<MemoryRegistry["keep"]>;

interface Body {
  manifests?: Kept[];
}

class World {
  readonly source = new MemoryRegistry("src.example");
  readonly target = new MemoryRegistry("dst.example");
  readonly request: CopyRequest;
  /** Tags of the target before the copy. */
  readonly before: ReadonlyMap<string, string>;
  readonly faults: string[] = [];
  readonly #random: Random;
  readonly #troubles: Troubles;
  readonly #sql: SqlStorage;
  readonly #ledger: Ledger;
  /** Counts lives of the object: what belongs to an earlier one is not heard any more. */
  #life = 0;
  lives = 0;
  isCancelled = false;
  unclear: string[] = [];
  #evict: () => void = () => {};
  #run: CopyRun | null = null;

  constructor(sql: SqlStorage, seed: number, troubles: Troubles) {
    this.#random = seeded(seed);
    this.#troubles = troubles;
    this.#fill();
    this.before = new Map(this.target.tags);
    this.request = this.#anyRequest();
    TABLES.forEach((table) => sql.exec(`DELETE FROM ${table}`));
    this.#sql = sql;
    this.#ledger = new Ledger(sql);
    this.#ledger.create("j1", this.request, 1_000_000);
    this.#ledger.run();
  }

  get rows(): TagView[] {
    return this.#ledger.tags.page({ limit: 1_000 }).tags;
  }

  /** Null: it ended well. */
  async copy(): Promise<ErrorDetail | null> {
    for (;;) {
      const ended = await this.#live();
      if (ended !== "evicted") {
        return ended;
      }
    }
  }

  async #live(): Promise<ErrorDetail | "evicted" | null> {
    const life = (this.#life += 1);
    this.lives += 1;
    const evicted = Promise.withResolvers<"evicted">();
    for (const registry of [this.source, this.target]) {
      registry.before = (operation) => this.#meet(registry, life, operation);
    }
    const run = new CopyRun({
      id: "j1",
      request: this.request,
      ledger: this.#ledger,
      events: new EventLog(this.#sql, () => 1_000_000, false),
      source: this.source,
      target: this.target,
      now: () => 1_000_000,
      addReferrer: () => this.#meet(this.target, life, "list"),
      sendOffers: async (offers) => offers.forEach((offer) => void this.#bring(offer, life)),
    });
    this.#run = run;
    this.#evict = () => {
      this.#life += 1;
      run.stop(this.target.error("cancelled", "evicted"));
      evicted.resolve("evicted");
    };
    const ended = run.toEnd().then(
      () => null,
      (error: unknown) => errorDetailOf(error),
    );
    const how = await Promise.race([evicted.promise, ended]);
    this.unclear = run.unclearNames;
    this.#life += 1;
    run.stop(this.target.error("cancelled", "over"));
    return how;
  }

  /** What becomes of a request, or of a blob. */
  async #meet(registry: MemoryRegistry, life: number, operation: string): Promise<void> {
    const { failure = 0, eviction = 0, cancellation = 0 } = this.#troubles;
    await this.#pass(6);
    if (life !== this.#life || this.isCancelled) {
      throw registry.error("cancelled", "nobody is there");
    }
    if (this.#random() < failure) {
      throw new CopyError({
        ...registry.error(this.#any(["denied", "not_found", "unavailable"]), "no").detail,
        status: 403,
      });
    }
    if (this.#random() < cancellation) {
      this.isCancelled = true;
      const over = registry.error("cancelled", "over");
      if (this.#run?.committing !== true) {
        this.#run?.stop(over);
        throw over;
      }
      this.#run.refuse(over);
      if (!/^(?:PUT|DELETE)/.test(operation)) {
        throw over;
      }
      await this.#pass(30);
    }
    if (this.#random() < eviction) {
      this.#evict();
      throw registry.error("cancelled", "nobody is there");
    }
  }

  async #bring({ id, digest }: BlobOffer, life: number): Promise<void> {
    await this.#pass(40);
    const run = this.#run;
    if (life !== this.#life || run === null) {
      return;
    }
    const settled = { id, digest, bytes: 0, requests: { source: 1, target: 2 }, warnings: [] };
    if (this.#random() >= (this.#troubles.failure ?? 0)) {
      this.#ledger.blobs.settle({ ...settled, outcome: "copied" });
      run.arrived([digest]);
      return;
    }
    const { detail } = this.target.error("denied", "not this one");
    if (this.#ledger.blobs.settle({ ...settled, outcome: "failed", error: detail }) !== null) {
      run.blobFailed(digest, detail);
    }
  }

  #fill(): void {
    const { source, target } = this;
    const all: Kept[] = [];
    for (let at = 3 + this.#below(7); at > 0; at -= 1) {
      const about = all.length > 0 && this.#random() < 0.35 ? { subject: this.#any(all), artifactType: "a/b" } : {};
      const children = all.filter(() => this.#random() < 0.35);
      const layers = ["b1", "b2", "b3"].filter(() => this.#random() < 0.4);
      const isIndex = children.length > 0 && this.#random() < 0.5;
      const body = isIndex ? { schemaVersion: 2, manifests: children, at } : image(`a${at}`, ...layers);
      const signed = all.length > 0 && this.#random() < 0.3 ? [`${fallbackTagOf(this.#any(all).digest)}.sig`] : [];
      const tags = [`v${at}`, `w${at}`].slice(this.#below(3));
      all.push(source.keep({ ...body, ...about }, isIndex ? INDEX : MANIFEST, ...tags, ...signed));
    }
    source.tags.set("v0", this.#any(all).digest);
    target.subject = this.#random() < 0.5 ? "said" : null;
    for (const [tag, digest] of source.tags) {
      const chance = this.#random();
      if (chance < 0.1) {
        this.#give(digest);
        target.tags.set(tag, digest);
      } else if (chance < 0.2) {
        target.keep(image(`c${this.#below(9)}`), MANIFEST, tag);
      }
    }
    target.keep(image("d"), MANIFEST, "gone");
    const put = target.putManifest.bind(target);
    target.putManifest = async (repository, reference, manifest) => {
      const answer = await put(repository, reference, manifest);
      const { manifests = [] }: Body = JSON.parse(new TextDecoder().decode(manifest.bytes));
      const missing = manifests.filter(({ digest }) => !target.manifests.has(digest));
      this.faults.push(...missing.map(({ digest }) => `${reference} came before its child ${digest}`));
      return answer;
    };
  }

  /** The target has this, and all below it. */
  #give(digest: string): void {
    const manifest = this.source.manifests.get(digest);
    if (manifest !== undefined) {
      const { manifests = [] }: Body = JSON.parse(new TextDecoder().decode(manifest.bytes));
      manifests.forEach((child) => this.#give(child.digest));
      this.target.manifests.set(digest, manifest);
    }
  }

  #anyRequest(): CopyRequest {
    const tag = this.#any([...this.source.tags.keys()]);
    const named = this.#random() < 0.5 ? { tag } : {};
    const isWhole = !("tag" in named);
    const often = <T extends object>(choice: T): T | object => (this.#random() < 0.5 ? choice : {});
    return {
      source: { host: "src.example", repository: "app", ...named },
      target: { host: "dst.example", repository: "mirror", ...named },
      attached: { ...often({ referrers: {} }), ...often({ digestTags: true }) },
      ...this.#any<Partial<CopyRequest>>([
        {},
        { existing: { kind: "skip" } },
        { existing: { kind: "backup", tag: "{tag}-old" } },
      ]),
      ...often({ deep: true }),
      ...(isWhole ? often({ prune: { maxTags: 9, dryRun: false } }) : {}),
    };
  }

  async #pass(turns: number): Promise<void> {
    for (let left = this.#below(turns); left > 0; left -= 1) {
      await Promise.resolve();
    }
  }

  #any<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] ?? expect.unreachable();
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }
}

/** What is told of a copy that has ended, and is not so. */
function liesOf(world: World, error: ErrorDetail | null): string[] {
  const { source, target, before, rows, request, unclear, isCancelled } = world;
  const lies = [...world.faults];
  if (error?.code === "internal") {
    lies.push(error.message);
  }
  for (const { source: from, target: to, state, derivedDigest, error: why } of rows) {
    const name = to ?? "";
    const [has, had] = [target.tags.get(name), before.get(name)];
    const isThere = has === (derivedDigest ?? source.tags.get(from ?? ""));
    const isOpen = ["waiting", "planned", "failed"].includes(state);
    // An object that was evicted does not know whether what it sent has come; who fails may have written it before that.
    const isKnown =
      world.lives === 1 && isCancelled && state !== "failed" && !unclear.some((each) => each.endsWith(name));
    if (
      ((state === "copied" || state === "unchanged") && !isThere) ||
      ((state === "skipped" || (isOpen && isKnown)) && has !== had) ||
      (state === "obsolete" && isKnown && has === undefined) ||
      (state === "deleted" && has !== undefined) ||
      (isOpen && error === null) ||
      why?.message.includes("refers to itself") === true
    ) {
      lies.push(`${name} is told as ${state}: ${has}, before ${had}`);
    }
  }
  const { tag } = request.source;
  if (
    tag !== undefined &&
    error !== null &&
    !isCancelled &&
    target.tags.get(tag) !== before.get(tag) &&
    world.lives === 1
  ) {
    lies.push(`${tag} was written though the copy failed`);
  }
  return lies;
}

test.each<[string, Troubles]>([
  ["without any trouble", {}],
  ["evicted", { eviction: 0.05 }],
  ["with failures", { failure: 0.05 }],
  ["cancelled", { cancellation: 0.05 }],
  ["with all of it", { eviction: 0.03, failure: 0.03, cancellation: 0.03 }],
])("a copy %s ends, and tells the truth", (name, troubles) =>
  runInDurableObject(env.JOBS.getByName(`worlds-${name}`), async (_job, { storage }) => {
    for (let seed = 1; seed <= WORLDS; seed += 1) {
      const world = new World(storage.sql, seed, troubles);
      const error = await world.copy();
      expect({ seed, lies: liesOf(world, error) }).toEqual({ seed, lies: [] });
      if (troubles.failure === undefined && !world.isCancelled) {
        expect({ seed, error }).toEqual({ seed, error: null });
      }
    }
  }),
);

/**
 * One copy under one fault, by a service that is shared by all of them and whose time limits are turned down: what the
 * registries are, how they misbehave, how the copy ended and what it has left behind. Judges nothing.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { Home, until, type Running } from "../e2e/command.ts";
import type { Distribution } from "../limits/distribution.ts";
import { LimitWatch } from "../limits/watch.ts";
import { startRegistry, type FaultRule, type RegistryOptions, type TestRegistry } from "../registry-server/server.ts";
import { compareStores, memoryStore } from "../support/compare.ts";
import { digestOf, multiPlatformImage, type Sample } from "../support/sample-image.ts";
import { seed } from "./seed.ts";

const MIB = 1024 ** 2;
const FROM = "team/app";
export const TO = "mirror/app";
/** One small layer, and one that is cut in its midst. */
export const LAYERS: readonly number[] = [20_000, 3 * MIB];
/** Who may push where a registry asks. */
export const USER = { name: "somebody", password: "right-word" };
const COPY_LIMIT_MS = 90_000;
const WAIT_SECONDS = 5;
const CLOSE_LIMIT_MS = 6_000;

export interface Trial {
  what: string;
  source?: RegistryOptions;
  target?: RegistryOptions;
  /** Faults that need to know the registries; also called for what is to happen while the copy runs. */
  prepare?: (source: TestRegistry, target: TestRegistry) => FaultRules;
  /** It has to fail, at that side, in these words; missing: the copy has to come through. */
  fails?: { side: "source" | "target"; says: RegExp[] };
  /** So many uploads may be left at most, since the registry alone knows of them. */
  unknownUploads?: number;
  /** Nobody listens at the target before so many milliseconds have passed. */
  lateMs?: number;
  /** The target is another repository of the source. */
  oneHost?: true;
  /** The tags of a repository are copied. */
  all?: true;
}

export interface FaultRules {
  source?: FaultRule[];
  target?: FaultRule[];
}

export interface Outcome {
  state: string;
  error: { code: string; side: string; message: string } | null;
  /** What is wrong at the target, were the copy to be whole; empty: it is. */
  missing: string[];
  /** What must never be: bytes under a digest that they do not have, a tag of a copy that did not succeed. */
  damage: string[];
  uploadsLeft: number;
  /** Whether there was a fault at all. */
  isStruck: boolean;
}

const Copy = z.looseObject({
  id: z.string(),
  state: z.string(),
  error: z.looseObject({ code: z.string(), side: z.string(), message: z.string() }).nullable(),
});
const ENDED: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

export class Trials implements AsyncDisposable {
  readonly #home: Home;
  readonly #running: Running;
  readonly #watch: LimitWatch;
  readonly #logins: Record<string, { user: string; password: string }> = {};
  #written: Promise<void> = Promise.resolve();
  #url = "";
  #token = "";

  private constructor(distribution: Distribution, home: Home) {
    this.#home = home;
    this.#watch = new LimitWatch(distribution.processes);
    this.#running = home.spawn("serve", "--port", "0");
  }

  static async start(distribution: Distribution): Promise<Trials> {
    const trials = new Trials(distribution, await Home.create({}, distribution.command));
    trials.#url = await trials.#running.printed(/listens on (http:[\d./:]+)/);
    trials.#token = (await readFile(join(trials.#home.folder, ".local/state/drayage/token"), "utf8")).trim();
    return trials;
  }

  get peakBytes(): number {
    return this.#watch.peakBytes;
  }

  /** Limits of production that were broken since the last call. */
  violations() {
    return this.#watch.take();
  }

  async run(trial: Trial): Promise<Outcome> {
    const sample = multiPlatformImage({ seed: trial.what, layerBytes: [...LAYERS] });
    await using source = await startRegistry(trial.source);
    await using other = await startRegistry(trial.target);
    const target = trial.oneHost ? source : other;
    const late = trial.lateMs === undefined ? null : comeLate(target, trial.lateMs);
    seed(source, FROM, sample);
    const rules = trial.prepare?.(source, target);
    source.faults.add(...(rules?.source ?? []));
    target.faults.add(...(rules?.target ?? []));
    for (const { host } of [source, target]) {
      this.#logins[host] = { user: USER.name, password: USER.password };
    }
    await this.#login();
    const name = trial.all ? "" : `:${sample.tag}`;
    const { state, error } = await this.#copy(`${source.host}/${FROM}${name}`, `${target.host}/${TO}${name}`);
    await using come = await late;
    // Transfers of a copy that has failed are called back, which takes a moment.
    await until(
      "uploads to be closed",
      () => (target.openUploads().length === 0 ? true : undefined),
      CLOSE_LIMIT_MS,
    ).catch(() => undefined);
    const end = come ?? target;
    const compared = await compareStores(memoryStore(source, FROM), memoryStore(end, TO), [sample.tag]);
    return {
      state,
      error,
      missing: compared.problems,
      damage: damageAt(end, sample, state),
      uploadsLeft: end.openUploads().length,
      isStruck: isStruck(trial, [...source.requests, ...end.requests]),
    };
  }

  /** Others read the file meanwhile. */
  async #login(): Promise<void> {
    const auths = Object.entries(this.#logins).map(([host, { user, password }]) => {
      return [host, { auth: Buffer.from(`${user}:${password}`).toString("base64") }] as const;
    });
    const file = join(this.#home.folder, ".docker/config.json");
    const text = JSON.stringify({ auths: Object.fromEntries(auths) });
    // In the order of the calls: each file knows more than the one before.
    const before = this.#written;
    const write = async (): Promise<void> => {
      await before;
      await writeFile(`${file}.new`, text);
      await rename(`${file}.new`, file);
    };
    this.#written = write();
    await this.#written;
  }

  async #copy(source: string, target: string): Promise<z.infer<typeof Copy>> {
    const deadline = performance.now() + COPY_LIMIT_MS;
    let copy = await this.#ask("/v1/copies", { method: "POST", body: JSON.stringify({ source, target }) });
    while (!ENDED.has(copy.state) && performance.now() < deadline) {
      copy = await this.#ask(`/v1/copies/${copy.id}?wait=${WAIT_SECONDS}`, {});
    }
    return copy;
  }

  async #ask(path: string, init: { method?: string; body?: string }): Promise<z.infer<typeof Copy>> {
    const headers = { authorization: `Bearer ${this.#token}`, "content-type": "application/json" };
    const answer = await fetch(`${this.#url}${path}`, { ...init, headers });
    return Copy.parse(await answer.json());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    await this.#running[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }
}

/** Closes a registry, and opens an empty one in its place after a while. */
async function comeLate(registry: TestRegistry, ms: number): Promise<TestRegistry> {
  const { host } = registry;
  await registry.close();
  await new Promise((wake) => setTimeout(wake, ms));
  return startRegistry({ port: Number(host.split(":")[1]) });
}

/** Manners of a registry show in no request of their own. */
function isStruck({ source, target, prepare, lateMs }: Trial, requests: TestRegistry["requests"]): boolean {
  const rules = [...(source?.rules ?? []), ...(target?.rules ?? [])];
  const needsNone = rules.length === 0 || prepare !== undefined || lateMs !== undefined;
  return needsNone || requests.some(({ fault }) => fault !== undefined);
}

function damageAt(target: TestRegistry, sample: Sample, state: string): string[] {
  const { blobs, repositories } = target.storage;
  const wrong = [...blobs]
    .filter(([digest, { pieces }]) => pieces === null || digestOf(Buffer.concat(pieces)) !== digest)
    .map(([digest]) => `blob ${digest} has other bytes`);
  const isTagged = state !== "succeeded" && repositories.get(TO)?.tags.has(sample.tag) === true;
  return [...wrong, ...(isTagged ? ["the copy did not succeed, yet its tag is there"] : [])];
}

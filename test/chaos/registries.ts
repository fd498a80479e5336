/** The registries of a chaos run: two of the project's own, which break as they are told, and Debian's, which does not. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { seed as store } from "../faults/seed.ts";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { diskStore, memoryStore, type Store } from "../support/compare.ts";
import { startDockerRegistry, type DockerRegistry } from "../support/docker-registry.ts";
import { pushSample, type Sample } from "../support/sample-image.ts";
import { excuseOf, storyOf, type Death } from "./leftovers.ts";

export type RegistryName = "north" | "south" | "debian";

export class Registries implements AsyncDisposable {
  readonly north: TestRegistry;
  readonly south: TestRegistry;
  readonly debian: DockerRegistry;
  /** Digests whose bytes are damaged on their way from a registry now and then. */
  readonly damagedOnce = { north: new Set<string>(), south: new Set<string>() };
  readonly #rotten = new Set<string>();

  private constructor(north: TestRegistry, south: TestRegistry, debian: DockerRegistry) {
    this.north = north;
    this.south = south;
    this.debian = debian;
  }

  static async open(): Promise<Registries> {
    return new Registries(...(await Promise.all([startRegistry(), startRegistry(), startDockerRegistry()])));
  }

  get hosts(): string[] {
    return [this.north.host, this.south.host, this.debian.host];
  }

  get own(): TestRegistry[] {
    return [this.north, this.south];
  }

  host(name: RegistryName): string {
    return this[name].host;
  }

  store(name: RegistryName, repository: string): Store {
    return name === "debian" ? diskStore(this.debian.root, repository) : memoryStore(this[name], repository);
  }

  async put(name: RegistryName, repository: string, sample: Sample): Promise<void> {
    if (name === "debian") {
      await pushSample(this.debian.host, repository, sample);
    } else {
      store(this[name], repository, sample);
    }
  }

  /** Changes a byte of every blob that a registry has of this sample, for good. */
  rot(name: Exclude<RegistryName, "debian">, { blobs }: Sample): void {
    for (const [digest, bytes] of blobs) {
      const rotten = Buffer.from(bytes);
      rotten.writeUInt8(rotten.readUInt8(0) ^ 0xff, 0);
      this[name].storage.blobs.set(digest, { sizeBytes: rotten.length, pieces: [rotten] });
      this.#rotten.add(`${this[name].host} blob ${digest}`);
    }
  }

  /** Every upload session that the project's own registries still have. */
  get openUploads(): number {
    return this.own.reduce((sum, registry) => sum + registry.openUploads().length, 0);
  }

  /** The same, by whether anybody could have closed it: one line each, and how many nobody could, by the reason. */
  leftovers(deaths: readonly Death[]): { closable: string[]; excused: Record<string, number> } {
    const closable: string[] = [];
    const excused: Record<string, number> = {};
    for (const registry of this.own) {
      const { host, requests } = registry;
      for (const upload of registry.openUploads()) {
        const excuse = excuseOf(upload, requests, deaths);
        if (excuse === null) {
          closable.push(`${host}/${storyOf(upload, requests, deaths)}`);
        } else {
          excused[excuse] = (excused[excuse] ?? 0) + 1;
        }
      }
    }
    return { closable, excused };
  }

  /**
   * Everything any registry holds whose bytes are not those that its digest names, whether a tag leads there or not; but
   * what was let rot on purpose.
   */
  async damaged(): Promise<string[]> {
    const damaged: string[] = [];
    for (const { host, storage } of this.own) {
      for (const [digest, { pieces }] of storage.blobs) {
        if (sha256(pieces ?? []) !== digest) {
          damaged.push(`${host} blob ${digest}`);
        }
      }
      for (const { manifests } of storage.repositories.values()) {
        const wrong = [...manifests].filter(([digest, { bytes }]) => sha256([bytes]) !== digest);
        damaged.push(...wrong.map(([digest]) => `${host} manifest ${digest}`));
      }
    }
    const folder = join(this.debian.root, "docker/registry/v2/blobs/sha256");
    for (const path of await readdir(folder, { recursive: true }).catch(() => [])) {
      const hex = /^..\/([0-9a-f]{64})\/data$/.exec(path)?.[1];
      if (hex !== undefined && sha256([await readFile(join(folder, path))]) !== `sha256:${hex}`) {
        damaged.push(`${this.debian.host} sha256:${hex}`);
      }
    }
    return damaged.filter((line) => !this.#rotten.has(line));
  }

  /** How often each fault has struck. */
  faultsStruck(): Record<string, number> {
    const struck: Record<string, number> = {};
    for (const { fault } of this.own.flatMap(({ requests }) => requests)) {
      if (fault !== undefined) {
        struck[fault] = (struck[fault] ?? 0) + 1;
      }
    }
    return struck;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.north.close(), this.south.close(), this.debian.close()]);
  }
}

function sha256(pieces: Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const piece of pieces) {
    hash.update(piece);
  }
  return `sha256:${hash.digest("hex")}`;
}

/**
 * Debian's registry, which has no referrers API, and the project's own, which may have it, beside a user's home: each can be
 * the source and the target of a copy.
 */
import { startRegistry, type RegistryOptions, type TestRegistry } from "../registry-server/server.ts";
import { diskStore, memoryStore, type Store } from "../support/compare.ts";
import { startDockerRegistry, type DockerRegistry } from "../support/docker-registry.ts";
import { Home } from "./command.ts";

export type Kind = "plain" | "own";

/** Every source with every target. */
export const EACH_WAY: readonly (readonly [from: Kind, to: Kind])[] = [
  ["plain", "plain"],
  ["plain", "own"],
  ["own", "plain"],
  ["own", "own"],
];

export class PlainAndOwn implements AsyncDisposable {
  readonly plain: DockerRegistry;
  readonly own: TestRegistry;
  readonly home: Home;

  private constructor(plain: DockerRegistry, own: TestRegistry, home: Home) {
    this.plain = plain;
    this.own = own;
    this.home = home;
  }

  /** @param options Of the project's own registry. */
  static async start(options: RegistryOptions): Promise<PlainAndOwn> {
    return new PlainAndOwn(...(await Promise.all([startDockerRegistry(), startRegistry(options), Home.create()])));
  }

  hostOf(kind: Kind): string {
    return this[kind].host;
  }

  storeOf(kind: Kind, repository: string): Store {
    return kind === "plain" ? diskStore(this.plain.root, repository) : memoryStore(this.own, repository);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.plain.close(), this.own.close(), this.home[Symbol.asyncDispose]()]);
  }
}

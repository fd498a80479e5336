/** Two of Debian's registries, a user's home, and what most tests ask of them. */
import { describe, expect, inject } from "vitest";
import type { CopyView } from "../../src/job/contract.ts";
import { compareStores, diskStore } from "../support/compare.ts";
import { startDockerRegistry, type DockerRegistry, type DockerRegistryOptions } from "../support/docker-registry.ts";
import { Home, copyOf, type Credentials } from "./command.ts";
import { logSettled, requestsOf, type LoggedRequest } from "./registry-log.ts";

/** A suite that needs Debian's registry; left out where that is not installed (`e2e.setup.ts` says so). */
export const describeWithRegistry = describe.skipIf(inject("withoutRegistry"));

export interface Requests {
  source: LoggedRequest[];
  target: LoggedRequest[];
}

export class Pair implements AsyncDisposable {
  readonly source: DockerRegistry;
  readonly target: DockerRegistry;
  readonly home: Home;

  private constructor(source: DockerRegistry, target: DockerRegistry, home: Home) {
    this.source = source;
    this.target = target;
    this.home = home;
  }

  /** @param login Credentials for both registries. */
  static async start(
    options: { source?: DockerRegistryOptions; target?: DockerRegistryOptions; login?: Credentials } = {},
  ): Promise<Pair> {
    const [source, target] = await Promise.all([
      startDockerRegistry(options.source),
      startDockerRegistry(options.target),
    ]);
    const { login } = options;
    const home = await Home.create(login === undefined ? {} : { [source.host]: login, [target.host]: login });
    return new Pair(source, target, home);
  }

  /** Copies with `--json` and expects it to succeed. `from` and `to` begin with the repository. */
  async copy(from: string, to: string, ...options: string[]): Promise<{ view: CopyView; requests: Requests }> {
    const before = { source: requestsOf(this.source).length, target: requestsOf(this.target).length };
    const names = [`${this.source.host}/${from}`, `${this.target.host}/${to}`];
    const ended = await this.home.run("copy", "--json", ...options, ...names);
    expect(ended, ended.stdout).toMatchObject({ status: 0, stderr: "" });
    await Promise.all([logSettled(this.source), logSettled(this.target)]);
    const requests = {
      source: requestsOf(this.source).slice(before.source),
      target: requestsOf(this.target).slice(before.target),
    };
    return { view: copyOf(ended), requests };
  }

  /** Expects every manifest and blob of a tag to be in the target's storage, byte for byte. */
  async expectWhole(from: string, to: string, tags: string[]): Promise<void> {
    const compared = await compareStores(diskStore(this.source.root, from), diskStore(this.target.root, to), tags);
    expect(compared.problems).toEqual([]);
    expect(compared.blobs).toBeGreaterThan(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.source.close(), this.target.close(), this.home[Symbol.asyncDispose]()]);
  }
}

/** Copies that are interrupted, and services that are killed: nothing open is left, nothing is lost. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { compareStores, diskStore, memoryStore } from "../support/compare.ts";
import { startDockerRegistry, type DockerRegistry } from "../support/docker-registry.ts";
import { pushSample, singleImage, type Sample } from "../support/sample-image.ts";
import { Home, copyOf, until } from "./command.ts";
import { kindOf, logSettled, requestsOf } from "./registry-log.ts";
import { describeWithRegistry } from "./pair.ts";

/** The killed process's lanes have to be given up first, and the job to be woken, which takes half a minute. */
const RESUMED_WITHIN_MS = 100_000;
/** With what goes before and after. */
const TEST_LIMIT_MS = 240_000;

/** The upload sessions that the registry still has open for a repository. */
async function openUploads(registry: DockerRegistry, repository: string): Promise<string[]> {
  const folder = join(registry.root, "docker/registry/v2/repositories", repository, "_uploads");
  return readdir(folder).catch(() => []);
}

describeWithRegistry("a copy that is broken off", () => {
  let source: TestRegistry;
  let target: DockerRegistry;
  let home: Home;
  let sample: Sample;

  beforeEach(async () => {
    [source, target, home] = await Promise.all([startRegistry(), startDockerRegistry(), Home.create()]);
    sample = singleImage({ seed: "broken off", layerBytes: [3_000_000, 2_000_000, 1000] });
    await pushSample(source.host, "app/slow", sample);
  });
  afterEach(async () => {
    await Promise.all([source.close(), target.close(), home[Symbol.asyncDispose]()]);
  });

  /** Every blob of the source begins and does not end. */
  function stallBlobs(): void {
    source.faults.add({ match: { method: "GET", path: /\/blobs\// }, action: { type: "stall", afterBytes: 100_000 } });
  }

  /** Some bytes are on their way: an upload is open at the target. */
  async function underWay(): Promise<void> {
    await until("an open upload", async () =>
      (await openUploads(target, "mirror/slow")).length > 0 ? true : undefined,
    );
  }

  async function expectWhole(): Promise<void> {
    const compared = await compareStores(memoryStore(source, "app/slow"), diskStore(target.root, "mirror/slow"), [
      "v1",
    ]);
    expect(compared.problems).toEqual([]);
  }

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("is cancelled by %s and leaves no upload open and no tag behind", async (signal, status) => {
    await using honest = await startRegistry();
    stallBlobs();
    await using copy = home.spawn("copy", "--json", `${source.host}/app/slow:v1`, `${honest.host}/mirror/slow:v1`);
    await until("open uploads", () => (honest.openUploads().length > 1 ? true : undefined));
    copy.signal(signal);
    const ended = await copy.ended;
    expect(ended.status).toBe(status);
    expect(copyOf(ended).state).toBe("cancelled");
    expect(honest.openUploads()).toEqual([]);
    expect(honest.storage.manifestIn("mirror/slow", "v1")).toBeUndefined();
  });

  it("is cancelled by Ctrl-C and has asked Debian's registry to close every upload", async () => {
    stallBlobs();
    await using copy = home.spawn("copy", "--json", `${source.host}/app/slow:v1`, `${target.host}/mirror/slow:v1`);
    await underWay();
    copy.signal("SIGINT");
    expect((await copy.ended).status).toBe(130);
    await logSettled(target);
    // Distribution 2.8 refuses to close a session whose PUT broke off (the session's signed state names the offset from
    // before) and purges it in time: asking is all that can be done.
    const closed = requestsOf(target).filter((request) => kindOf(request) === "DELETE upload");
    for (const id of await openUploads(target, "mirror/slow")) {
      expect(closed.map(({ uri }) => uri).join("\n")).toContain(id);
    }
    expect(await diskStore(target.root, "mirror/slow").tag("v1")).toBeNull();
  });

  it("is made by a service that keeps running, which the command finds by itself", async () => {
    await using serve = home.spawn("serve", "--port", "0");
    const url = await serve.printed(/listens on (http:[\d./:]+)/);
    const ended = await home.run(
      "copy",
      "--json",
      "--server",
      url,
      `${source.host}/app/slow:v1`,
      `${target.host}/mirror/slow:v1`,
    );
    expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: 0 });
    await expectWhole();
  });

  it("goes on and ends right when serve is killed and started again", { timeout: TEST_LIMIT_MS }, async () => {
    stallBlobs();
    await using first = home.spawn("serve", "--port", "0");
    const address = await first.printed(/listens on (http:[\d./:]+)/);
    await using client = home.spawn(
      "copy",
      "--server",
      address,
      `${source.host}/app/slow:v1`,
      `${target.host}/mirror/slow:v1`,
    );
    await underWay();
    first.signal("SIGKILL");
    await first.ended;
    source.faults.clear();
    // Whoever watched the copy has lost it: its service is gone.
    expect((await client.ended).status).toBe(1);

    const askedBefore = requestsOf(target).length;
    await using second = home.spawn("serve", "--port", "0");
    await second.printed(/listens on (http:[\d./:]+)/);
    const store = diskStore(target.root, "mirror/slow");
    await until("the tag at the target", async () => (await store.tag("v1")) ?? undefined, RESUMED_WITHIN_MS);
    await expectWhole();
    expect(requestsOf(target).length).toBeGreaterThan(askedBefore);
  });
});

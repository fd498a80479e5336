/** A target that has an index, but not all it refers to: recognised, and made whole with `--deep`, as a dry run foretells. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { compareStores, memoryStore } from "../support/compare.ts";
import { multiPlatformImage, pushSample, type Sample } from "../support/sample-image.ts";
import { copyOf } from "./command.ts";
import { describeWithRegistry } from "./pair.ts";
import { PlainAndOwn, type Kind } from "./plain-and-own.ts";

/** What a damaged target lacks: the first image of the index, and the last layer of the second. */
interface Damage {
  manifest: string;
  blob: string;
}

describeWithRegistry("a target that is not whole", () => {
  let source: TestRegistry;
  let both: PlainAndOwn;
  beforeAll(async () => {
    [source, both] = await Promise.all([startRegistry(), PlainAndOwn.start({ checkReferences: false })]);
  });
  afterAll(async () => {
    await Promise.all([source.close(), both[Symbol.asyncDispose]()]);
  });

  async function damage(kind: Kind, repository: string, { manifest, blob }: Damage): Promise<void> {
    if (kind === "own") {
      const there = both.own.storage.repository(repository);
      expect([there.manifests.delete(manifest), there.blobs.delete(blob)]).toEqual([true, true]);
      return;
    }
    const folder = join(both.plain.root, "docker/registry/v2/repositories", repository);
    const pathOf = (digest: string): string => digest.replace(":", "/");
    await rm(join(folder, "_manifests/revisions", pathOf(manifest)), { recursive: true });
    await rm(join(folder, "_layers", pathOf(blob)), { recursive: true });
  }

  function damageOf({ manifests, blobs }: Sample): Damage {
    const [first, second] = manifests;
    // The last blob that the second image alone has.
    const blob = [...blobs.keys()].findLast(
      (digest) => second?.bytes.includes(digest) && !first?.bytes.includes(digest),
    );
    return { manifest: first?.digest ?? "", blob: blob ?? "" };
  }

  it.each(["plain", "own"] as const)("%s: is made whole, and nothing that is there is sent", async (kind) => {
    const repository = `app/${kind}`;
    const image = multiPlatformImage({ tag: "v1", seed: repository, attestations: false, layerBytes: [900, 500] });
    await pushSample(source.host, repository, image);
    const copy = async (...options: string[]) =>
      copyOf(
        await both.home.run(
          "copy",
          "--json",
          ...options,
          `${source.host}/${repository}:v1`,
          `${both.hostOf(kind)}/${repository}:v1`,
        ),
      );
    const compared = async () =>
      (await compareStores(memoryStore(source, repository), both.storeOf(kind, repository), ["v1"])).problems;
    await copy();
    await damage(kind, repository, damageOf(image));
    expect(await compared()).toHaveLength(2);

    // The tag has the digest that it should have: as far as a usual copy is concerned there is nothing to do.
    expect(await copy()).toMatchObject({
      state: "succeeded",
      tags: { unchanged: 1 },
      requests: { source: 1, target: 1 },
    });
    expect(await compared()).toHaveLength(2);

    const blobs = { all: image.blobs.size, copied: 1, mounted: 0, present: image.blobs.size - 1 };
    expect(await copy("--deep", "--dry-run")).toMatchObject({ state: "succeeded", tags: { copied: 1 }, blobs });
    expect(await compared()).toHaveLength(2);

    expect(await copy("--deep")).toMatchObject({
      state: "succeeded",
      tags: { copied: 1 },
      blobs,
      manifests: { all: 3, copied: 1, present: 2 },
    });
    expect(await compared()).toEqual([]);
    expect(await copy("--deep")).toMatchObject({
      tags: { unchanged: 1 },
      blobs: { copied: 0, present: image.blobs.size },
    });
  });

  it("a sparse index is completed", async () => {
    const image = multiPlatformImage({ tag: "v1", seed: "sparse", platforms: ["linux/amd64", "linux/arm64"] });
    await pushSample(source.host, "app/sparse", image);
    const names = [`${source.host}/app/sparse:v1`, `${both.own.host}/app/sparse:v1`];
    const copy = async (...options: string[]) => copyOf(await both.home.run("copy", "--json", ...options, ...names));
    expect(await copy("--platform", "linux/arm64")).toMatchObject({ target: { digest: image.digest } });
    expect(both.own.storage.repository("app/sparse").manifests.size).toBe(3);

    expect(await copy("--deep")).toMatchObject({ state: "succeeded", tags: { copied: 1 }, manifests: { copied: 2 } });
    const { problems } = await compareStores(memoryStore(source, "app/sparse"), memoryStore(both.own, "app/sparse"), [
      "v1",
    ]);
    expect(problems).toEqual([]);
  });
});

/** `drayage copy` of a whole repository between two of Debian's registries: what arrives, and what is asked for it. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { diskStore } from "../support/compare.ts";
import { multiPlatformImage, pushSample, type Sample } from "../support/sample-image.ts";
import { countsOf } from "./registry-log.ts";
import { Pair, describeWithRegistry } from "./pair.ts";

const Results = z.looseObject({
  results: z.array(z.looseObject({ source: z.string().nullable(), target: z.string().nullable(), state: z.string() })),
});

function resultsOf(stdout: string): Record<string, string> {
  const { results } = Results.parse(JSON.parse(stdout));
  return Object.fromEntries(results.map(({ source, target, state }) => [source ?? target ?? "", state]));
}

describeWithRegistry("a repository between plain registries", () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.start();
  });
  afterAll(async () => pair[Symbol.asyncDispose]());

  /** An index of one image for each tag; all of a repository share their first layer. */
  function sampleOf(repository: string, tag: string, change = ""): Sample {
    const platforms = [`linux/${tag.replaceAll(".", "-")}${change}`];
    return multiPlatformImage({ seed: repository, tag, platforms, attestations: false });
  }

  async function pushTags(repository: string, tags: string[], change = ""): Promise<void> {
    for (const tag of tags) {
      await pushSample(pair.source.host, repository, sampleOf(repository, tag, change));
    }
  }

  it("brings every tag, each shared blob once, and has nothing to do the second time", async () => {
    const tags = Array.from({ length: 12 }, (_, at) => `v1.${at}`);
    await pushTags("app/many", tags);
    const first = await pair.copy("app/many", "mirror/many");
    expect(first.view).toMatchObject({ state: "succeeded", tags: { all: 12, copied: 12 } });
    await pair.expectWhole("app/many", "mirror/many", tags);
    const uploads = countsOf(first.requests.target)["PUT upload"];
    expect(uploads).toBe(first.view.blobs.all);
    expect(countsOf(first.requests.source)["GET blob"]).toBe(first.view.blobs.all);
    expect(countsOf(first.requests.target)["PUT manifest"]).toBe(24);
    const blobsOfEach = sampleOf("app/many", "v1.0").blobs.size;
    expect(first.view.blobs.all).toBe(12 * (blobsOfEach - 1) + 1);
    expect(first.view.requests).toEqual({
      source: first.requests.source.length,
      target: first.requests.target.length,
    });

    const second = await pair.copy("app/many", "mirror/many");
    expect(second.view.tags).toMatchObject({ all: 12, unchanged: 12 });
    expect(countsOf(second.requests.source)).toEqual({ "GET tag": 1, "HEAD manifest": 12 });
    expect(countsOf(second.requests.target)).toEqual({ "GET tag": 1, "HEAD manifest": 12 });
  });

  it("copies the tags that are chosen, under the names of the template, and prints what became of each", async () => {
    await pushTags("app/chosen", ["v1.0.0", "v1.1.0", "v2.0.0", "v2.0.0-rc.1", "nightly"]);
    const ended = await pair.home.run(
      "copy",
      "--json",
      `${pair.source.host}/app/chosen`,
      `${pair.target.host}/mirror/chosen`,
      "--semver",
      ">=1.1",
      "--exclude",
      ".*-rc.*",
      "--target-tag",
      "app-{tag}",
    );
    expect(ended, ended.stdout).toMatchObject({ status: 0, stderr: "" });
    expect(resultsOf(ended.stdout)).toEqual({ "v1.1.0": "copied", "v2.0.0": "copied" });
    const store = diskStore(pair.target.root, "mirror/chosen");
    expect(await store.tag("app-v2.0.0")).not.toBeNull();
    expect(await store.tag("app-v1.0.0")).toBeNull();
  });

  it("says in a dry run what it would do, and does nothing", async () => {
    await pushTags("app/dry", ["v1", "v2"]);
    const dry = await pair.home.run(
      "copy",
      "--dry-run",
      `${pair.source.host}/app/dry`,
      `${pair.target.host}/mirror/dry`,
    );
    expect(dry).toMatchObject({ status: 0, stdout: "" });
    expect(dry.stderr).toMatch(/Would copy .*2 tags \(2 copied\)/);
    expect(dry.stderr).toMatch(/warning: .*all its tags are copied: 2/);
    expect(await diskStore(pair.target.root, "mirror/dry").tag("v1")).toBeNull();
  });

  it("keeps the old image under a tag of its own when asked to", async () => {
    await pushTags("app/kept", ["v1"]);
    await pair.copy("app/kept", "mirror/kept");
    const old = await diskStore(pair.target.root, "mirror/kept").tag("v1");
    await pushTags("app/kept", ["v1"], "changed");
    const ended = await pair.home.run(
      "copy",
      "--quiet",
      `${pair.source.host}/app/kept`,
      `${pair.target.host}/mirror/kept`,
      "--existing",
      "backup",
      "--backup-tag",
      "{tag}-old",
    );
    expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
    const store = diskStore(pair.target.root, "mirror/kept");
    expect(await store.tag("v1-old")).toBe(old);
    expect(await store.tag("v1")).not.toBe(old);
  });

  it("says of a registry that deletes no tags that it does not, and leaves them", async () => {
    await pushTags("app/pruned", ["v1", "gone"]);
    await pair.copy("app/pruned", "mirror/pruned");
    const prune = (mode: string) =>
      pair.home.run(
        "copy",
        "--json",
        `${pair.source.host}/app/pruned`,
        `${pair.target.host}/mirror/pruned`,
        "--tags",
        "v.*",
        "--prune",
        mode,
      );
    const dry = await prune("dry");
    expect(resultsOf(dry.stdout)).toEqual({ v1: "unchanged", gone: "obsolete" });
    const real = await prune("delete");
    expect(real.status).toBe(1);
    expect(JSON.parse(real.stdout)).toMatchObject({
      state: "failed",
      error: { operation: "prune tags", message: expect.stringContaining("does not delete by tag") },
    });
    expect(await diskStore(pair.target.root, "mirror/pruned").tag("gone")).not.toBeNull();
  });

  it("goes on with the other tags when one fails, and ends with status 1", async () => {
    await pushTags("app/broken", ["v1", "v2", "v3"]);
    const hex = sampleOf("app/broken", "v2").digest.slice("sha256:".length);
    await rm(join(pair.source.root, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex), { recursive: true });
    const ended = await pair.home.run(
      "copy",
      "--json",
      `${pair.source.host}/app/broken`,
      `${pair.target.host}/mirror/broken`,
    );
    expect(ended.status).toBe(1);
    expect(resultsOf(ended.stdout)).toEqual({ v1: "copied", v2: "failed", v3: "copied" });
    await pair.expectWhole("app/broken", "mirror/broken", ["v1", "v3"]);
  });

  it.each([
    ["a tag at the target", ["copy", "SOURCE", "TARGET:v1"], /names a single image/],
    ["two opposite wishes", ["copy", "SOURCE", "TARGET", "--keep-going", "--fail-fast"], /opposite/],
    ["a faulty expression", ["copy", "SOURCE", "TARGET", "--tags", "("], /--tags: is not a valid/],
    ["a policy that is none", ["copy", "SOURCE", "TARGET", "--existing", "maybe"], /overwrite, skip, fail, backup/],
  ])("refuses %s with status 2", async (_what, args, words) => {
    const names: Record<string, string> = { SOURCE: `${pair.source.host}/app/x`, TARGET: `${pair.target.host}/app/x` };
    const ended = await pair.home.run(
      ...args.map((arg) => arg.replace(/^(SOURCE|TARGET)/, (name) => names[name] ?? name)),
    );
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toMatch(words);
  });
});

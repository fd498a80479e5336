/** Copies of chosen media types between two of Debian's registries: what arrives, what is left out, and by which requests. */
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { diskStore } from "../support/compare.ts";
import { multiPlatformImage, pushSample, singleImage } from "../support/sample-image.ts";
import { describeWithRegistry, Pair } from "./pair.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
const DOCKER = "application/vnd.docker.distribution.manifest.v2+json";

const Results = z.object({
  results: z.array(z.object({ source: z.string(), state: z.string(), reason: z.string().nullable() })),
});

describeWithRegistry("copies of chosen media types", () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.start();
    for (const sample of [
      multiPlatformImage({ seed: "types", tag: "index" }),
      singleImage({ seed: "types 2", tag: "image" }),
      singleImage({ seed: "types 3", tag: "docker", docker: true }),
    ]) {
      await pushSample(pair.source.host, "app", sample);
    }
  });
  afterAll(async () => pair[Symbol.asyncDispose]());

  it("leave out the other tags of a repository, and take HEADs alone where nothing is to do", async () => {
    const options = ["--media-type", INDEX, "--media-type", DOCKER, "--tags", ".*"];
    const first = await pair.copy("app", "some", ...options);
    expect(first.view.tags).toMatchObject({ all: 3, copied: 2, skipped: 1, failed: 0 });
    expect(first.view.warnings).toEqual(["1 tag left out for the media type: image."]);
    await pair.expectWhole("app", "some", ["index", "docker"]);
    expect(await diskStore(pair.target.root, "some").tag("image")).toBeNull();

    const again = await pair.copy("app", "some", ...options);
    expect(again.view.tags).toMatchObject({ unchanged: 2, skipped: 1 });
    for (const requests of [again.requests.source, again.requests.target]) {
      const reads = requests.filter(({ method, uri }) => method !== "HEAD" && !uri.includes("/tags/list"));
      expect(reads).toEqual([]);
    }
  });

  it("say of each tag why it was left out", async () => {
    const names = [`${pair.source.host}/app`, `${pair.target.host}/why`];
    const ended = await pair.home.run("copy", "--json", "--dry-run", "--media-type", DOCKER, ...names);
    expect(ended.status, ended.stdout).toBe(0);
    const { results } = Results.parse(JSON.parse(ended.stdout));
    expect(results.find(({ source }) => source === "index")).toMatchObject({
      state: "skipped",
      reason: `its media type ${INDEX} is not among those that were asked for`,
    });
    expect(results.find(({ source }) => source === "docker")).toMatchObject({ state: "copied", reason: null });
  });

  it("leave one image alone that is of another, and say so", async () => {
    const names = [`${pair.source.host}/app:image`, `${pair.target.host}/one:image`];
    const ended = await pair.home.run("copy", "--media-type", INDEX, ...names);
    expect(ended, ended.stderr).toMatchObject({ status: 0, stdout: "" });
    expect(ended.stderr).toMatch(/^warning: .*app:image was left out and nothing copied: its media type /m);
    expect(ended.stderr).toMatch(/^Nothing copied: .*app:image → .*one:image \(skipped, /m);
    expect(await diskStore(pair.target.root, "one").tag("image")).toBeNull();
  });

  it("are refused when a media type is none, before anything is asked", async () => {
    const names = [`${pair.source.host}/app`, `${pair.target.host}/none`];
    const ended = await pair.home.run("copy", "--media-type", "index", ...names);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toContain("must be a media type without parameters");
  });
});

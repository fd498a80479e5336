/** What a copy asks of registries and sends, to the request: nothing to do, one tag of many changed, one layer changed. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RecordedRequest } from "../registry-server/recorder.ts";
import { startRegistry } from "../registry-server/server.ts";
import { Builder, pushSample, type Sample } from "../support/sample-image.ts";
import { copyOf } from "./command.ts";
import { describeWithRegistry, Pair } from "./pair.ts";
import { countsOf } from "./registry-log.ts";

const TAGS = Array.from({ length: 100 }, (_, at) => `v${at}`);

/** Images of one base layer, a config and a layer of their own. */
function imageOf(repository: string, tag: string, change = ""): Sample {
  const builder = new Builder({ tag, seed: repository, layerBytes: [5000, 700] });
  builder.image(`linux/${tag}${change}`, false);
  return builder.finish();
}

/** An image of five layers, the last of which has this many bytes. */
function layered(repository: string, lastBytes: number): Sample {
  const builder = new Builder({ tag: "v1", seed: repository, layerBytes: [9000, 4000, 3000, 2000, lastBytes] });
  builder.image("linux/amd64", false);
  return builder.finish();
}

function sizesOf(sample: Sample, other: Sample): number[] {
  return [...sample.blobs].filter(([digest]) => !other.blobs.has(digest)).map(([, bytes]) => bytes.length);
}

describeWithRegistry("requests of copies", () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.start();
    for (const tag of TAGS) {
      await pushSample(pair.source.host, "app/hundred", imageOf("app/hundred", tag));
    }
  });
  afterAll(async () => pair[Symbol.asyncDispose]());

  it("of 100 tags: each shared blob once, then a HEAD each, then of the one that changed what is new in it", async () => {
    const first = await pair.copy("app/hundred", "mirror/hundred");
    expect(first.view).toMatchObject({ state: "succeeded", tags: { all: 100, copied: 100 } });
    expect(countsOf(first.requests.source)).toEqual({ "GET tag": 1, "GET manifest": 100, "GET blob": 201 });
    expect(countsOf(first.requests.target)).toEqual({
      "GET tag": 1,
      "POST upload": 201,
      "PUT upload": 201,
      "PUT manifest": 100,
    });

    const second = await pair.copy("app/hundred", "mirror/hundred");
    expect(second.view.tags).toMatchObject({ all: 100, unchanged: 100 });
    const heads = { "GET tag": 1, "HEAD manifest": 100 };
    expect(countsOf(second.requests.source)).toEqual(heads);
    expect(countsOf(second.requests.target)).toEqual(heads);

    for (const [option, value, state] of [
      ["--immutable", "v.*", "unchanged"],
      ["--existing", "skip", "skipped"],
    ] as const) {
      const listed = await pair.copy("app/hundred", "mirror/hundred", option, value);
      expect(listed.view.tags).toMatchObject({ all: 100, [state]: 100 });
      expect(countsOf(listed.requests.source)).toEqual({ "GET tag": 1 });
      expect(countsOf(listed.requests.target)).toEqual({ "GET tag": 1 });
    }

    const [before, after] = [imageOf("app/hundred", "v17"), imageOf("app/hundred", "v17", "changed")];
    await pushSample(pair.source.host, "app/hundred", after);
    const third = await pair.copy("app/hundred", "mirror/hundred");
    expect(third.view.tags).toMatchObject({ all: 100, copied: 1, unchanged: 99 });
    expect(countsOf(third.requests.source)).toEqual({ ...heads, "GET manifest": 1, "GET blob": 2 });
    expect(countsOf(third.requests.target)).toEqual({
      "GET tag": 1,
      // The tags, and the manifest by its digest.
      "HEAD manifest": 101,
      "HEAD blob": 3,
      "POST upload": 2,
      "PUT upload": 2,
      "PUT manifest": 1,
    });
    expect(third.view.blobs).toEqual({ all: 3, copied: 2, mounted: 0, present: 1 });
    expect(third.view.bytes.copied).toBe(sizesOf(after, before).reduce((sum, size) => sum + size, 0));
    await pair.expectWhole("app/hundred", "mirror/hundred", TAGS);
  });

  it("of one image of which a layer has changed: that layer, the config that names it, and the manifest", async () => {
    const [before, after] = [layered("app/layer", 1000), layered("app/layer", 1100)];
    await pushSample(pair.source.host, "app/layer", before);
    await pair.copy("app/layer:v1", "mirror/layer:v1");
    await pushSample(pair.source.host, "app/layer", after);

    const { view, requests } = await pair.copy("app/layer:v1", "mirror/layer:v1");
    const isNew = sizesOf(after, before);
    expect(isNew).toHaveLength(2);
    expect(view.blobs).toEqual({ all: 6, copied: 2, mounted: 0, present: 4 });
    expect(view.bytes.copied).toBe(isNew.reduce((sum, size) => sum + size, 0));
    expect(countsOf(requests.source)).toEqual({ "HEAD manifest": 1, "GET manifest": 1, "GET blob": 2 });
    expect(countsOf(requests.target)).toEqual({
      "HEAD manifest": 2,
      "HEAD blob": 6,
      "POST upload": 2,
      "PUT upload": 2,
      "PUT manifest": 1,
    });
    await pair.expectWhole("app/layer", "mirror/layer", ["v1"]);
  });

  it("of tags that are listed in pages: one for each page", async () => {
    await using source = await startRegistry({ tagPageSize: 40 });
    await using target = await startRegistry({ tagPageSize: 30 });
    for (const tag of TAGS) {
      await pushSample(source.host, "app/pages", imageOf("app/pages", tag));
      await pushSample(target.host, "app/pages", imageOf("app/pages", tag));
    }
    const before = { source: source.requests.length, target: target.requests.length };
    const names = [`${source.host}/app/pages`, `${target.host}/app/pages`];
    const view = copyOf(await pair.home.run("copy", "--json", "--immutable", ".*", ...names));
    expect(view.tags).toMatchObject({ all: 100, unchanged: 100 });
    const paths = (requests: RecordedRequest[]) => requests.map(({ method, path }) => `${method} ${path}`);
    const page = "GET /v2/app/pages/tags/list";
    expect(paths(source.requests.slice(before.source))).toEqual(Array.from({ length: 3 }, () => page));
    expect(paths(target.requests.slice(before.target))).toEqual(Array.from({ length: 4 }, () => page));
  });
});

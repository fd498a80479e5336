/** `drayage copy` between two of Debian's registries: what arrives, and what is asked for it. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { diskStore } from "../support/compare.ts";
import { everyKind, multiPlatformImage, pushSample, singleImage } from "../support/sample-image.ts";
import { countsOf, kindOf } from "./registry-log.ts";
import { Pair, describeWithRegistry } from "./pair.ts";

describeWithRegistry("a copy between plain registries", () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.start();
  });
  afterAll(async () => pair[Symbol.asyncDispose]());

  it.each(everyKind("e2e").map((sample) => [sample.tag, sample] as const))(
    "brings every manifest and blob of %s, byte for byte",
    async (tag, sample) => {
      await pushSample(pair.source.host, "app/kinds", sample);
      const { view } = await pair.copy(`app/kinds:${tag}`, `mirror/${tag}:${tag}`);
      await pair.expectWhole("app/kinds", `mirror/${tag}`, [tag]);
      expect(view).toMatchObject({
        state: "succeeded",
        source: { digest: sample.digest },
        target: { digest: sample.digest },
        manifests: { all: sample.manifests.length },
        blobs: { all: sample.blobs.size },
        bytes: { all: sample.blobBytes },
        error: null,
      });
    },
  );

  it("copies by digest, under the tag that the target names", async () => {
    const sample = singleImage({ seed: "by digest" });
    await pushSample(pair.source.host, "app/digest", sample);
    await pair.copy(`app/digest@${sample.digest}`, "mirror/digest:pinned");
    expect(await diskStore(pair.target.root, "mirror/digest").tag("pinned")).toBe(sample.digest);
  });

  it("gives the target no tag when neither side names one", async () => {
    const sample = singleImage({ seed: "digest to digest" });
    await pushSample(pair.source.host, "app/digests", sample);
    await pair.copy(`app/digests@${sample.digest}`, `mirror/digests@${sample.digest}`);
    const store = diskStore(pair.target.root, "mirror/digests");
    expect(await store.manifest(sample.digest)).not.toBeNull();
    expect(await store.tag("latest")).toBeNull();
  });

  it("sends each new blob with two requests, POST and PUT, and the tag last", async () => {
    const sample = multiPlatformImage({ seed: "counted" });
    await pushSample(pair.source.host, "app/counted", sample);
    const { view, requests } = await pair.copy("app/counted:v1", "mirror/counted:v1");

    const counts = countsOf(requests.target);
    expect(counts["POST upload"]).toBe(sample.blobs.size);
    expect(counts["PUT upload"]).toBe(sample.blobs.size);
    expect(counts["HEAD blob"] ?? 0).toBe(0);
    expect(counts["PATCH upload"] ?? 0).toBe(0);
    expect(countsOf(requests.source)["GET blob"]).toBe(sample.blobs.size);

    const last = requests.target.at(-1);
    expect(last === undefined ? "" : kindOf(last)).toBe("PUT manifest");
    expect(last?.uri).toBe("/v2/mirror/counted/manifests/v1");
    expect(view.requests).toEqual({ source: requests.source.length, target: requests.target.length });
  });

  it("makes two requests in all when there is nothing to do", async () => {
    const sample = multiPlatformImage({ seed: "nothing to do" });
    await pushSample(pair.source.host, "app/same", sample);
    await pair.copy("app/same:v1", "mirror/same:v1");

    const { view, requests } = await pair.copy("app/same:v1", "mirror/same:v1");
    expect(view.state).toBe("succeeded");
    expect(view.requests).toEqual({ source: 1, target: 1 });
    expect(requests.source.map(kindOf)).toEqual(["HEAD manifest"]);
    expect(requests.target.map(kindOf)).toEqual(["HEAD manifest"]);
  });

  it("does not send again what the target repository holds", async () => {
    const [first, second] = [
      multiPlatformImage({ seed: "grows", tag: "v1" }),
      multiPlatformImage({ seed: "grows", tag: "v2", platforms: ["linux/amd64", "linux/arm64/v8", "linux/s390x"] }),
    ];
    await pushSample(pair.source.host, "app/grows", first);
    await pushSample(pair.source.host, "app/grows", second);
    await pair.copy("app/grows:v1", "mirror/grows:v2");

    const { view, requests } = await pair.copy("app/grows:v2", "mirror/grows:v2");
    const fresh = [...second.blobs.keys()].filter((digest) => !first.blobs.has(digest));
    expect(fresh.length).toBeGreaterThan(0);
    expect(countsOf(requests.target)["PUT upload"]).toBe(fresh.length);
    expect(countsOf(requests.source)["GET blob"]).toBe(fresh.length);
    // A child manifest that the target holds is not walked: its blobs are there and do not count.
    expect(view.blobs).toMatchObject({ copied: fresh.length, mounted: 0, present: view.blobs.all - fresh.length });
    await pair.expectWhole("app/grows", "mirror/grows", ["v2"]);
  });

  it("mounts blobs within one registry and moves no byte", async () => {
    const sample = multiPlatformImage({ seed: "mounted" });
    await pushSample(pair.source.host, "app/mounted", sample);
    const host = pair.source.host;
    const ended = await pair.home.run("copy", "--json", `${host}/app/mounted:v1`, `${host}/elsewhere/mounted:v2`);
    expect(ended).toMatchObject({ status: 0 });
    expect(JSON.parse(ended.stdout)).toMatchObject({
      blobs: { all: sample.blobs.size, copied: 0, mounted: sample.blobs.size, present: 0 },
      bytes: { copied: 0 },
    });
    expect(await diskStore(pair.source.root, "elsewhere/mounted").tag("v2")).toBe(sample.digest);
  });

  it("prints plain lines when no terminal listens, and nothing with --quiet", async () => {
    const sample = singleImage({ seed: "lines" });
    await pushSample(pair.source.host, "app/lines", sample);
    const [source, target] = [`${pair.source.host}/app/lines:v1`, `${pair.target.host}/mirror/lines`];
    const plain = await pair.home.run("copy", source, `${target}:plain`);
    expect(plain).toMatchObject({ status: 0, stdout: "" });
    expect(plain.stderr).toContain(`${target}:plain`);
    expect(plain.stderr).not.toContain("\u001b");
    const quiet = await pair.home.run("copy", "--quiet", source, `${target}:quiet`);
    expect(quiet).toEqual({ status: 0, stdout: "", stderr: "" });
  });
});

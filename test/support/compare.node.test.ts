import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { compareStores, httpStore, memoryStore } from "./compare.ts";
import { multiPlatformImage, nestedIndex, pushSample, unknownArtifact } from "./sample-image.ts";

const SAMPLE = multiPlatformImage({ layerBytes: [2000, 500] });

describe("comparing a copy", () => {
  let source: TestRegistry;
  let target: TestRegistry;
  beforeEach(async () => {
    [source, target] = await Promise.all([startRegistry(), startRegistry()]);
    await Promise.all([pushSample(source.host, "from", SAMPLE), pushSample(target.host, "to", SAMPLE)]);
  });
  afterEach(() => Promise.all([source.close(), target.close()]));

  async function problems(): Promise<string[]> {
    const inMemory = await compareStores(memoryStore(source, "from"), memoryStore(target, "to"));
    const overHttp = await compareStores(httpStore(source.host, "from"), httpStore(target.host, "to"));
    expect(overHttp).toEqual(inMemory);
    return inMemory.problems;
  }

  /** A layer of the sample, as the target has it. */
  function someBlob(): { digest: string; bytes: Buffer } {
    const [digest = "", bytes = Buffer.alloc(0)] = [...SAMPLE.blobs].find(([, { length }]) => length > 2000) ?? [];
    return { digest, bytes };
  }

  test("a whole copy has no problems, and everything is counted once", async () => {
    const result = await compareStores(memoryStore(source, "from"), memoryStore(target, "to"));
    const { length: manifests } = SAMPLE.manifests;
    expect(result).toEqual({ problems: [], tags: 1, manifests, blobs: SAMPLE.blobs.size, blobBytes: SAMPLE.blobBytes });
    expect(await problems()).toEqual([]);
  });

  test("a blob with one other byte", async () => {
    const { digest, bytes } = someBlob();
    const other = Buffer.from(bytes);
    other.writeUInt8(other.readUInt8(100) ^ 1, 100);
    target.storage.blobs.set(digest, { sizeBytes: other.length, pieces: [other] });
    expect(await problems()).toEqual([`blob ${digest} has other bytes at the target`]);
  });

  test("a blob that is cut short", async () => {
    const { digest, bytes } = someBlob();
    target.storage.blobs.set(digest, { sizeBytes: 10, pieces: [bytes.subarray(0, 10)] });
    expect(await problems()).toEqual([`blob ${digest} has 10 bytes at the target, not ${bytes.length}`]);
  });

  test("a blob that is there, but not in the repository", async () => {
    const { digest } = someBlob();
    target.storage.repository("to").blobs.delete(digest);
    expect(await problems()).toEqual([`blob ${digest} is not at the target`]);
  });

  test("a child manifest that is missing", async () => {
    const digest = SAMPLE.manifests[0]?.digest ?? "";
    target.storage.repository("to").manifests.delete(digest);
    expect(await problems()).toEqual([`manifest ${digest} is missing`]);
  });

  test("a tag that stands for something else", async () => {
    const other = unknownArtifact();
    await pushSample(target.host, "to", other);
    expect(await problems()).toEqual([`tag v1 is ${other.digest}, not ${SAMPLE.digest}`]);
  });

  test("what is behind a nested index is looked at too", async () => {
    const nested = nestedIndex({ tag: "nested" });
    await Promise.all([pushSample(source.host, "from", nested), pushSample(target.host, "to", nested)]);
    const digest = nested.manifests[0]?.digest ?? "";
    target.storage.repository("to").manifests.delete(digest);
    expect(await problems()).toEqual([`manifest ${digest} is missing`]);
  });

  test("nothing to compare is a problem", async () => {
    const { problems: found } = await compareStores(memoryStore(source, "none"), memoryStore(target, "to"));
    expect(found).toEqual(["the source has no tags"]);
  });
});

import { describe, expect, test } from "vitest";
import type { SharedReader } from "../../src/job/group/contract.ts";
import { createShared } from "../../src/job/group/shared-source.ts";
import { MemoryRegistry } from "./memory-registry.ts";
import { MANIFEST_TYPE } from "./push.ts";

const MIRROR = { host: "mirror.test", repository: "hub/app" };
const OTHER = { host: "other.test", repository: "hub/app" };
const SOURCE = { host: "source.test", repository: "app" };

/** The source as the copy reads it by itself, with one image under `v1`. */
function own() {
  const registry = new MemoryRegistry(SOURCE.host);
  const { digest } = registry.keep({ schemaVersion: 2 }, MANIFEST_TYPE, "v1");
  const manifest = registry.manifests.get(digest) ?? expect.unreachable();
  return { registry, digest, manifest };
}

const NOBODY: SharedReader = { head: async () => null, manifest: async () => null };
const GONE: SharedReader = {
  head: () => Promise.reject(new Error("The object was thrown out of memory.")),
  manifest: () => Promise.reject(new Error("The object was thrown out of memory.")),
};

describe("a copy of a group", () => {
  test("asks the source nothing that the group has read", async () => {
    const { registry, digest, manifest } = own();
    const { bytes, mediaType } = manifest;
    const source = createShared(registry, [SOURCE], {
      head: async () => ({ kind: "read", value: { digest, mediaType, sizeBytes: bytes.byteLength } }),
      manifest: async () => ({ kind: "read", value: { ...manifest, from: SOURCE } }),
    });
    expect(await source.headManifest("app", "v1")).toMatchObject({ digest });
    expect(await source.getManifest("app", digest)).toEqual(manifest);
    expect(registry.log).toEqual([]);
  });

  test.each([
    ["has ended", NOBODY],
    ["cannot be reached", GONE],
  ])("reads for itself where the group %s", async (_, reader) => {
    const { registry, digest, manifest } = own();
    const source = createShared(registry, [SOURCE], reader);
    expect(await source.headManifest("app", "v1")).toMatchObject({ digest });
    expect(await source.getManifest("app", digest)).toEqual(manifest);
    expect(registry.log).toEqual(["HEAD v1", `GET ${digest}`]);
  });

  test("takes the source's no from the group, and does not ask again", async () => {
    const { registry } = own();
    const error = registry.error("not_found", "v2 is not here").detail;
    const failed = async () => ({ kind: "failed" as const, error });
    const source = createShared(registry, [SOURCE], { head: failed, manifest: failed });
    await expect(source.headManifest("app", "v2")).rejects.toMatchObject({ detail: error });
    await expect(source.getManifest("app", "v2")).rejects.toMatchObject({ detail: error });
    expect(registry.log).toEqual([]);
  });

  test.each([
    ["its second place", [MIRROR, OTHER, SOURCE], OTHER, 1],
    ["the source, which is the last", [MIRROR, SOURCE], SOURCE, 1],
    ["a place that this copy does not read from", [OTHER, SOURCE], MIRROR, undefined],
    ["the only one", [SOURCE], SOURCE, undefined],
  ])("numbers the place that has sent a manifest as its own: %s", async (_, places, from, place) => {
    const { registry, digest, manifest } = own();
    const reader: SharedReader = { ...NOBODY, manifest: async () => ({ kind: "read", value: { ...manifest, from } }) };
    expect((await createShared(registry, places, reader).getManifest("app", digest)).place).toBe(place);
  });
});

import { describe, expect, it } from "vitest";
import { rewriteIndex } from "../../src/copy/index-rewrite.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { DOCKER_MANIFEST_LIST, OCI_INDEX } from "../../src/registry/media-types.ts";

const INDEX = {
  schemaVersion: 2,
  "org.example.first": { kept: [1, 2, 3.5, null] },
  mediaType: OCI_INDEX,
  artifactType: "application/x",
  manifests: [
    { mediaType: "m", digest: "sha256:a", size: 1, platform: { os: "linux", architecture: "amd64" } },
    { mediaType: "m", digest: "sha256:b", size: 2, "org.example.unknown": true },
    { mediaType: "m", digest: "sha256:c", size: 3, annotations: { ä: "ö" } },
  ],
  subject: { mediaType: "m", digest: "sha256:s", size: 4 },
  annotations: { note: "kept" },
};

function manifest(document: object, mediaType = OCI_INDEX, indent = 2) {
  const bytes = new TextEncoder().encode(JSON.stringify(document, null, indent));
  return { digest: digestOf(bytes), mediaType, bytes };
}

const read = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

describe("an index with some of its entries", () => {
  it("keeps everything else, known or not, and the order of all", () => {
    const rewritten = rewriteIndex(manifest(INDEX), new Set([2, 0]));
    const expected = { ...INDEX, manifests: [INDEX.manifests[0], INDEX.manifests[2]] };
    expect(new TextDecoder().decode(rewritten.bytes)).toBe(JSON.stringify(expected));
    expect(rewritten.digest).toBe(digestOf(rewritten.bytes));
    expect(rewritten.mediaType).toBe(OCI_INDEX);
  });

  it("has the same digest however the original was written", () => {
    const keep = new Set([1]);
    expect(rewriteIndex(manifest(INDEX, OCI_INDEX, 3), keep).digest).toBe(rewriteIndex(manifest(INDEX), keep).digest);
  });

  it("is the original, byte for byte, when all is kept", () => {
    const whole = manifest(INDEX);
    expect(rewriteIndex(whole, new Set([0, 1, 2]))).toBe(whole);
  });

  it("may have none", () => {
    expect(read(rewriteIndex(manifest(INDEX), new Set()).bytes)).toEqual({ ...INDEX, manifests: [] });
  });

  it("stays Docker's, and in the algorithm it was named by", () => {
    const list = manifest({ ...INDEX, mediaType: DOCKER_MANIFEST_LIST }, DOCKER_MANIFEST_LIST);
    const rewritten = rewriteIndex({ ...list, digest: digestOf(list.bytes, "sha512") }, new Set([0]));
    expect(rewritten.mediaType).toBe(DOCKER_MANIFEST_LIST);
    expect(rewritten.digest).toBe(digestOf(rewritten.bytes, "sha512"));
  });

  it("cannot be made of an image", () => {
    expect(() => rewriteIndex(manifest({ config: {}, layers: [] }), new Set([0]))).toThrow(TypeError);
  });
});

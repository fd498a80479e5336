import { describe, expect, it } from "vitest";
import { planPlatforms, type PlatformPlan } from "../../src/copy/platform-plan.ts";
import type { PlatformSelection } from "../../src/copy/request.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/registry/media-types.ts";

const AT = { host: "r.example", name: "a:v1" };
const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const child = (letter: string, architecture: string, more: object = {}) => ({
  mediaType: OCI_MANIFEST,
  digest: digest(letter),
  size: 5,
  platform: { os: "linux", architecture },
  ...more,
});

const ATTESTATION = child("1", "unknown", {
  platform: { os: "unknown", architecture: "unknown" },
  annotations: { "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest("a") },
});
const DOCUMENT = {
  schemaVersion: 2,
  mediaType: OCI_INDEX,
  manifests: [child("a", "amd64"), child("b", "arm64"), child("a", "amd64"), ATTESTATION],
};
const BYTES = new TextEncoder().encode(JSON.stringify(DOCUMENT));
const INDEX = { digest: digestOf(BYTES), mediaType: OCI_INDEX, bytes: BYTES };

const plan = (index: PlatformSelection["index"], ...wanted: string[]): PlatformPlan =>
  planPlatforms(INDEX, { wanted, index }, AT);

const A = { digest: digest("a"), sizeBytes: 5, mediaType: OCI_MANIFEST };
const ONE = { ...A, digest: digest("1") };
const B = { ...A, digest: digest("b") };

describe("a copy for chosen platforms", () => {
  it("pushes the index as it is, with fewer children before it", () => {
    expect(plan("sparse", "linux/amd64")).toEqual({
      kind: "index",
      index: INDEX,
      children: [A, ONE],
      isSparse: true,
      isRewritten: false,
    });
  });

  it("pushes an index of what was chosen, with a digest of its own", () => {
    const made = plan("rewrite", "linux/amd64");
    expect(made).toMatchObject({ kind: "index", children: [A, ONE], isSparse: false, isRewritten: true });
    const { manifests } = DOCUMENT;
    const text = JSON.stringify({ ...DOCUMENT, manifests: [manifests[0], manifests[2], manifests[3]] });
    expect(made.kind === "index" && new TextDecoder().decode(made.index.bytes)).toBe(text);
    expect(made.kind === "index" && made.index.digest).toBe(digestOf(new TextEncoder().encode(text)));
  });

  it("pushes the one image", () => {
    expect(plan("single", "linux/arm64/v8")).toEqual({ kind: "image", image: B });
  });

  it.each(["sparse", "rewrite"] as const)("is a whole copy when nothing is left out (%s)", (index) => {
    expect(plan(index, "linux/arm64", "linux/amd64")).toEqual({
      kind: "index",
      index: INDEX,
      children: [A, B, ONE],
      isSparse: false,
      isRewritten: false,
    });
  });

  it.each([
    ["sparse", ["linux/amd64", "linux/s390x"]],
    ["rewrite", ["linux/s390x"]],
    ["single", ["linux/s390x"]],
  ] as const)("fails where a platform is missing (%s), and lists those there are", (index, wanted) => {
    expect(() => plan(index, ...wanted)).toThrow(
      "r.example/a:v1 has no image for linux/s390x; there are linux/amd64, linux/arm64.",
    );
  });

  it.each([[], ["linux/amd64", "linux/arm64"]])("takes one platform for a single image (%j)", (...wanted) => {
    expect(() => plan("single", ...wanted)).toThrow(TypeError);
  });
});

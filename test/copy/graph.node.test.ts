import { describe, expect, test } from "vitest";
import { parseManifest } from "../../src/copy/graph.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
const DIGEST = digest("e");

function digest(letter: string): string {
  return `sha256:${letter.repeat(64)}`;
}

function entry(letter: string, size = 10, more: object = {}) {
  return { mediaType: "application/x", digest: digest(letter), size, ...more };
}

function parse(body: unknown, mediaType = "") {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return parseManifest({ host: "src.example", digest: DIGEST, mediaType, bytes: new TextEncoder().encode(text) });
}

function failureOf(body: unknown, mediaType = "") {
  try {
    parse(body, mediaType);
  } catch (error) {
    return errorDetailOf(error);
  }
  throw new Error("it was accepted");
}

describe("what a manifest refers to", () => {
  const cases: [name: string, mediaType: string, body: object, kind: string, children: string, blobs: string][] = [
    ["an OCI image", MANIFEST, { config: entry("a"), layers: [entry("b"), entry("c")] }, "manifest", "", "abc"],
    ["a Docker image", DOCKER_MANIFEST, { config: entry("a"), layers: [entry("b")] }, "manifest", "", "ab"],
    ["an image without layers", MANIFEST, { config: entry("a") }, "manifest", "", "a"],
    ["a blob named twice", MANIFEST, { config: entry("a"), layers: [entry("b"), entry("b")] }, "manifest", "", "ab"],
    ["an OCI index", INDEX, { manifests: [entry("a"), entry("b")] }, "index", "ab", ""],
    ["an empty index", INDEX, { manifests: [] }, "index", "", ""],
    ["a Docker list", DOCKER_LIST, { manifests: [entry("a")] }, "index", "a", ""],
    ["an unknown type with manifests", "application/x.list", { manifests: [entry("a")] }, "index", "a", ""],
    ["an unknown type with layers", "application/x.thing", { layers: [entry("b")] }, "manifest", "", "b"],
    ["an artifact manifest with blobs", "application/x.art", { blobs: [entry("b"), entry("c")] }, "manifest", "", "bc"],
    ["an unknown type with neither", "application/x.odd", { hello: 1 }, "opaque", "", ""],
  ];
  test.each(cases)("%s", (_name, mediaType, body, kind, children, blobs) => {
    const graph = parse({ schemaVersion: 2, ...body }, mediaType);
    expect(graph.kind).toBe(kind);
    expect(graph.mediaType).toBe(mediaType);
    expect(graph.children.map((child) => child.digest)).toEqual(children.split("").map(digest));
    expect(graph.blobs.map((blob) => blob.digest)).toEqual(blobs.split("").map(digest));
    expect(graph.warnings).toEqual([]);
  });

  test("what is null is not there, as Go reads it", () => {
    const body = { mediaType: null, config: entry("a"), layers: null, subject: null, annotations: null };
    expect(parse(body, MANIFEST)).toMatchObject({ kind: "manifest", mediaType: MANIFEST, blobs: [{ sizeBytes: 10 }] });
    expect(parse(body, MANIFEST)).not.toHaveProperty("subject");
  });

  test("the subject is told apart from what has to be there first", () => {
    const graph = parse({ config: entry("a"), layers: [], subject: entry("d") }, MANIFEST);
    expect(graph.subject).toBe(digest("d"));
    expect(graph.blobs.map((blob) => blob.digest)).toEqual([digest("a")]);
    expect(graph.children).toEqual([]);
  });

  test("sizes are kept, an empty blob is one", () => {
    const graph = parse({ config: entry("a", 2), layers: [entry("b", 0)] }, MANIFEST);
    expect(graph.blobs.map((blob) => blob.sizeBytes)).toEqual([2, 0]);
  });

  test("digests of unknown algorithms are taken as they are", () => {
    const odd = "blake9+x:AbC_=-1";
    const graph = parse({ config: entry("a"), layers: [{ ...entry("b"), digest: odd }] }, MANIFEST);
    expect(graph.blobs[1]?.digest).toBe(odd);
  });
});

describe("the media type it is pushed under", () => {
  const image = { config: entry("a") };
  const cases: [name: string, contentType: string, body: object, expected: string][] = [
    ["the body's, whatever the header says", INDEX, { ...image, mediaType: DOCKER_MANIFEST }, DOCKER_MANIFEST],
    ["the header's without its parameters", `${MANIFEST}; charset=utf-8`, image, MANIFEST],
    ["an image by its looks when the header says nothing", "application/json", image, MANIFEST],
    ["an index by its looks when the header says nothing", "text/plain", { manifests: [] }, INDEX],
  ];
  test.each(cases)("%s", (_name, contentType, body, expected) => {
    expect(parse(body, contentType).mediaType).toBe(expected);
  });
});

describe("layers that must not be distributed are left out with a warning", () => {
  const cases: [name: string, layer: object][] = [
    ["OCI", { mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" }],
    ["Docker's foreign layers", { mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }],
    ["layers with urls", { urls: ["https://elsewhere.example/layer"] }],
  ];
  test.each(cases)("%s", (_name, more) => {
    const graph = parse({ config: entry("a"), layers: [entry("b", 10, more), entry("c")] }, MANIFEST);
    expect(graph.blobs.map((blob) => blob.digest)).toEqual([digest("a"), digest("c")]);
    expect(graph.warnings).toEqual([expect.stringContaining(digest("b"))]);
  });

  test.each([
    "application/vnd.acme.foreign.words",
    "application/vnd.acme.nondistributable.v1",
    "application/vnd.oci.image.layer.v1.tar+gzip",
  ])("a layer of the type %s is a layer like any other", (mediaType) => {
    const graph = parse({ config: entry("a"), layers: [entry("b", 10, { mediaType })] }, MANIFEST);
    expect(graph.blobs).toHaveLength(2);
    expect(graph.warnings).toEqual([]);
  });

  test("an empty list of urls is no reason", () => {
    const graph = parse({ config: entry("a"), layers: [entry("b", 10, { urls: [] })] }, MANIFEST);
    expect(graph.blobs).toHaveLength(2);
    expect(graph.warnings).toEqual([]);
  });
});

describe("what is refused, with the digest and the fault in the message", () => {
  const cases: [name: string, mediaType: string, body: unknown, says: string][] = [
    ["no JSON", MANIFEST, "<html>", "is not JSON"],
    ["a list", MANIFEST, [], "is not a JSON object"],
    ["an index without manifests", INDEX, {}, "without a list of manifests"],
    ["an image without a config", MANIFEST, { layers: [] }, "without a config"],
    ["an index with layers", INDEX, { manifests: [], layers: [] }, "has a config or layers"],
    ["an image with manifests", MANIFEST, { config: entry("a"), manifests: [] }, "has a list of manifests"],
    ["layers that are no list", MANIFEST, { config: entry("a"), layers: {} }, "layers that is not a list"],
    ["a layer that is no object", MANIFEST, { config: entry("a"), layers: ["x"] }, "layers[0]"],
    ["a short digest", MANIFEST, { config: { digest: "sha256:abc", size: 1 } }, "config without a valid digest"],
    ["a digest with a path", MANIFEST, { config: { digest: "sha256:../x", size: 1 } }, "config without a valid digest"],
    ["a missing size", MANIFEST, { config: { digest: digest("a") } }, "without a valid size"],
    ["a negative size", MANIFEST, { config: entry("a", -1) }, "without a valid size"],
    ["a size beyond safe integers", MANIFEST, { config: entry("a", 2 ** 53) }, "without a valid size"],
    ["a size in text", MANIFEST, { config: { digest: digest("a"), size: "1" } }, "without a valid size"],
    ["one blob with two sizes", MANIFEST, { config: entry("a", 1), layers: [entry("a", 2)] }, "with two sizes"],
    ["a mediaType that is a number", MANIFEST, { mediaType: 1, config: entry("a") }, "mediaType"],
  ];
  test.each(cases)("%s", (_name, mediaType, body, says) => {
    const detail = failureOf(body, mediaType);
    expect(detail).toMatchObject({ code: "manifest_invalid", side: "source", host: "src.example", retryable: false });
    expect(detail.message).toContain(DIGEST);
    expect(detail.message).toContain(says);
  });

  test.each([
    ["by its type", "application/vnd.docker.distribution.manifest.v1+prettyjws", { schemaVersion: 1 }],
    ["by its looks", "application/json", { schemaVersion: 1, fsLayers: [], history: [] }],
  ])("schema 1 %s", (_name, mediaType, body) => {
    const detail = failureOf(body, mediaType);
    expect(detail).toMatchObject({ code: "unsupported", side: "source" });
    expect(detail.message).toContain("schema 1");
  });
});

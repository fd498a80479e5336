/** Odd but legal: documents that registries hold and few tests have. Each is read for what it needs, and refused for nothing. */
import { describe, expect, test } from "vitest";
import { parseManifest, type ManifestGraph } from "../../src/copy/graph.ts";
import { digestOf } from "../../src/registry/digest.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";
const EMPTY = {
  mediaType: "application/vnd.oci.empty.v1+json",
  digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
  size: 2,
  data: "e30=",
};

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const sha512 = (letter: string): string => `sha512:${letter.repeat(128)}`;

const config = (mediaType = "application/vnd.oci.image.config.v1+json") => ({
  mediaType,
  digest: digest("c"),
  size: 7,
});
const layer = (letter: string, more: object = {}) => ({ mediaType: LAYER, digest: digest(letter), size: 10, ...more });
const image = (letter: string, more: object = {}) => ({
  mediaType: MANIFEST,
  digest: digest(letter),
  size: 9,
  ...more,
});

function parse(body: object, contentType: string, includeForeign = false): ManifestGraph {
  const bytes = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, ...body }));
  return parseManifest({
    host: "src.example",
    digest: digestOf(bytes),
    mediaType: contentType,
    bytes,
    ...(includeForeign && { includeForeign }),
  });
}

/** `c`, `a`: the letter of a digest; `{}`: the empty descriptor; what has more letters is itself. */
function named(descriptors: readonly { digest: string }[]): string[] {
  return descriptors.map((each) => {
    const encoded = each.digest.slice(each.digest.indexOf(":") + 1);
    const isLetter = new Set(encoded).size === 1;
    return each.digest === EMPTY.digest ? "{}" : isLetter ? encoded.charAt(0) : each.digest;
  });
}

describe("what an image or artifact needs", () => {
  const table: [name: string, type: string, body: object, blobs: string[], sizes: number[]][] = [
    [
      "an artifact without layers, whose only layer is the empty descriptor",
      MANIFEST,
      { mediaType: MANIFEST, artifactType: "application/x", config: EMPTY, layers: [EMPTY] },
      ["{}"],
      [2],
    ],
    [
      "an artifact with no layers at all",
      MANIFEST,
      { artifactType: "application/x", config: EMPTY, layers: [] },
      ["{}"],
      [2],
    ],
    ["layers that are null, as Go writes none", MANIFEST, { config: EMPTY, layers: null }, ["{}"], [2]],
    [
      "content within the descriptor: the blob is needed all the same",
      MANIFEST,
      { config: config(), layers: [layer("a", { data: "aGVsbG8=" })] },
      ["c", "a"],
      [7, 10],
    ],
    [
      "a blob of no bytes",
      MANIFEST,
      { config: config(), layers: [layer("a"), layer("b", { size: 0 })] },
      ["c", "a", "b"],
      [7, 10, 0],
    ],
    [
      "a blob named four times",
      MANIFEST,
      { config: config(), layers: [layer("a"), layer("b"), layer("b"), layer("a")] },
      ["c", "a", "b"],
      [7, 10, 10],
    ],
    [
      "one blob as config and as layer",
      MANIFEST,
      { config: config(), layers: [{ ...config(), mediaType: LAYER }] },
      ["c"],
      [7],
    ],
    ["zstd", MANIFEST, { config: config(), layers: [layer("a", { mediaType: `${LAYER}+zstd` })] }, ["c", "a"], [7, 10]],
    [
      "a helm chart",
      MANIFEST,
      {
        config: config("application/vnd.cncf.helm.config.v1+json"),
        layers: [layer("a", { mediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip" })],
      },
      ["c", "a"],
      [7, 10],
    ],
    [
      "WebAssembly",
      MANIFEST,
      {
        config: config("application/vnd.wasm.config.v0+json"),
        layers: [layer("a", { mediaType: "application/wasm" })],
      },
      ["c", "a"],
      [7, 10],
    ],
    [
      "a cosign signature",
      MANIFEST,
      {
        config: config(),
        layers: [
          layer("a", {
            mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
            annotations: { "dev.cosignproject.cosign/signature": "MEU=" },
          }),
        ],
      },
      ["c", "a"],
      [7, 10],
    ],
    [
      "types that nobody knows",
      MANIFEST,
      {
        artifactType: "x/y",
        config: config("x/z"),
        layers: [layer("a", { mediaType: "?" }), layer("b", { mediaType: undefined })],
      },
      ["c", "a", "b"],
      [7, 10, 10],
    ],
    [
      "fields that nobody knows",
      MANIFEST,
      { config: config(), layers: [layer("a", { "org.example": [] })], "org.example": {} },
      ["c", "a"],
      [7, 10],
    ],
    [
      "sha512",
      MANIFEST,
      { config: { ...config(), digest: sha512("c") }, layers: [layer("a", { digest: sha512("a") }), layer("a")] },
      ["c", "a", "a"],
      [7, 10, 10],
    ],
    [
      "the withdrawn artifact manifest",
      "application/vnd.oci.artifact.manifest.v1+json",
      { artifactType: "x/y", blobs: [layer("a"), layer("b")] },
      ["a", "b"],
      [10, 10],
    ],
    [
      "Docker's image",
      DOCKER_MANIFEST,
      {
        mediaType: DOCKER_MANIFEST,
        config: config("application/vnd.docker.container.image.v1+json"),
        layers: [layer("a", { mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip" })],
      },
      ["c", "a"],
      [7, 10],
    ],
  ];
  test.each(table)("%s", (_name, type, body, blobs, sizes) => {
    const graph = parse(body, type);
    expect(graph).toMatchObject({ kind: "manifest", mediaType: type, children: [], warnings: [] });
    expect(named(graph.blobs)).toEqual(blobs);
    expect(graph.blobs.map(({ sizeBytes }) => sizeBytes)).toEqual(sizes);
  });
});

describe("what an index needs", () => {
  const table: [name: string, type: string, body: object, children: string[]][] = [
    ["nothing", INDEX, { mediaType: INDEX, manifests: [] }, []],
    ["an index within it", INDEX, { manifests: [image("a", { mediaType: INDEX }), image("b")] }, ["a", "b"]],
    [
      "an entry named twice, for one platform or two",
      INDEX,
      { manifests: [image("a"), image("a", { platform: { os: "linux", architecture: "arm" } }), image("b")] },
      ["a", "b"],
    ],
    [
      "entries of a type nobody knows, or of none",
      INDEX,
      { manifests: [image("a", { mediaType: "x/y" }), image("b", { mediaType: undefined })] },
      ["a", "b"],
    ],
    [
      "attestations",
      INDEX,
      {
        manifests: [
          image("a", { platform: { os: "linux", architecture: "amd64" } }),
          image("b", {
            platform: { os: "unknown", architecture: "unknown" },
            annotations: {
              "vnd.docker.reference.digest": digest("a"),
              "vnd.docker.reference.type": "attestation-manifest",
            },
          }),
        ],
      },
      ["a", "b"],
    ],
    [
      "Docker's list",
      DOCKER_LIST,
      { mediaType: DOCKER_LIST, manifests: [image("a", { mediaType: DOCKER_MANIFEST })] },
      ["a"],
    ],
    ["artifacts only", INDEX, { artifactType: "x/y", manifests: [image("a", { artifactType: "x/z" })] }, ["a"]],
    ["children by sha512", INDEX, { manifests: [image("a", { digest: sha512("a") })] }, ["a"]],
    ["config and layers that are null", INDEX, { manifests: [image("a")], config: null, layers: null }, ["a"]],
  ];
  test.each(table)("%s", (_name, type, body, children) => {
    const graph = parse(body, type);
    expect(graph).toMatchObject({ kind: "index", mediaType: type, blobs: [], warnings: [] });
    expect(named(graph.children)).toEqual(children);
  });

  test("its subject is not among what must be there first", () => {
    const graph = parse({ manifests: [image("a")], subject: image("b") }, INDEX);
    expect(graph.subject).toBe(digest("b"));
    expect(named(graph.children)).toEqual(["a"]);
  });
});

describe("documents without a mediaType", () => {
  test.each<[string, object, string, string]>([
    ["an image, by the header", { config: config(), layers: [] }, MANIFEST, MANIFEST],
    ["an index, by the header", { manifests: [] }, INDEX, INDEX],
    ["Docker's image, by the header", { config: config(), layers: [] }, DOCKER_MANIFEST, DOCKER_MANIFEST],
    ["an image, by its looks", { config: config(), layers: [] }, "", MANIFEST],
    ["an index, by its looks", { manifests: [] }, "application/octet-stream", INDEX],
    ["an image whose own type is empty", { mediaType: "", config: config(), layers: [] }, MANIFEST, MANIFEST],
  ])("%s", (_name, body, contentType, expected) => {
    expect(parse(body, contentType).mediaType).toBe(expected);
  });
});

describe("layers that are elsewhere", () => {
  const elsewhere = { urls: ["https://elsewhere.example/layer.tgz"] };
  const table: [name: string, layer: object][] = [
    [
      "Docker's foreign layer",
      layer("a", { mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", ...elsewhere }),
    ],
    [
      "a foreign layer without addresses",
      layer("a", { mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }),
    ],
    [
      "a nondistributable layer",
      layer("a", { mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" }),
    ],
    [
      "a nondistributable layer in zstd",
      layer("a", { mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd" }),
    ],
    ["a layer with addresses", layer("a", elsewhere)],
  ];
  test.each(table)("%s is left out with a word, or taken when asked for", (_name, foreign) => {
    const body = { config: config(), layers: [foreign, layer("b")] };
    const left = parse(body, MANIFEST);
    expect(named(left.blobs)).toEqual(["c", "b"]);
    expect(left.warnings).toEqual([expect.stringContaining(digest("a"))]);
    const taken = parse(body, MANIFEST, true);
    expect(named(taken.blobs)).toEqual(["c", "a", "b"]);
    expect(taken.warnings).toEqual([]);
  });
});

test("a manifest of nearly 4 MiB is read like any other", () => {
  const annotations = Object.fromEntries(Array.from({ length: 3000 }, (_, at) => [`k${at}`, "x".repeat(1300)]));
  const graph = parse({ config: config(), layers: [layer("a")], annotations }, MANIFEST);
  expect(named(graph.blobs)).toEqual(["c", "a"]);
});

test("an index whose list is null, as Go writes an empty one, is an empty index", () => {
  for (const mediaType of [INDEX, ""]) {
    expect(parse({ manifests: null }, mediaType)).toMatchObject({ kind: "index", children: [], blobs: [] });
  }
});

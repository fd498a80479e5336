/**
 * Odd but legal: one sample of each shape that registries hold and few tests have, each under a tag of its own. What a copy
 * should make of them is not decided here; which of them Debian's registry (distribution 2.8) does not take is said.
 */
import { createHash } from "node:crypto";
import {
  Builder,
  digestOf,
  dockerListImage,
  doubledBlobImage,
  MEDIA_TYPES,
  multiPlatformImage,
  nestedIndex,
  noise,
  singleImage,
  tarGz,
  unknownArtifact,
  zeroByteBlobImage,
  type Sample,
  type SampleDescriptor,
} from "./sample-image.ts";

export interface OddSample {
  sample: Sample;
  /** Debian's registry has no place for it. */
  onlyOwn?: boolean;
}

const EMPTY_JSON = Buffer.from("{}");

/** Registries take manifests of up to 4 MiB; this one is just below, in indented JSON. */
const BIG_ANNOTATIONS = 3000;
const BIG_VALUE_BYTES = 960;

/** @param seed Two sets with the same seed are the same, byte for byte. */
export function oddSamples(seed: string): OddSample[] {
  const build = (tag: string, fill: (builder: Builder) => void): Sample => {
    const builder = new Builder({ tag, seed, layerBytes: [4000, 900] });
    fill(builder);
    return builder.finish();
  };
  const options = (tag: string) => ({ tag, seed, layerBytes: [4000, 900] });
  return [
    { sample: unknownArtifact(options("artifact")) },
    { sample: build("artifact-empty-layer", (b) => artifact(b, [emptyDescriptor(b)])) },
    { sample: build("artifact-without-layers", (b) => artifact(b, [])) },
    { sample: build("content-in-descriptor", contentInDescriptor) },
    { sample: zeroByteBlobImage(options("zero-bytes")) },
    { sample: doubledBlobImage(options("blob-named-twice")) },
    { sample: build("config-is-a-layer", configIsLayer) },
    { sample: nestedIndex(options("nested-index")) },
    { sample: build("empty-index", (b) => b.index([])) },
    { sample: build("empty-index-within", (b) => b.index([b.index([]), b.image("linux/amd64", false)])) },
    { sample: build("entry-named-twice", entryNamedTwice) },
    { sample: multiPlatformImage(options("attestations")) },
    { sample: build("image-without-type", imageWithoutType) },
    { sample: build("index-without-type", indexWithoutType) },
    { sample: singleImage({ ...options("docker"), docker: true }) },
    { sample: dockerListImage(options("docker-list")) },
    { sample: build("zstd", zstd) },
    { sample: build("plain-tar", (b) => ofLayer(b, "application/vnd.oci.image.layer.v1.tar", noise(seed, 10_240))) },
    { sample: build("helm", helm) },
    { sample: build("wasm", wasm) },
    { sample: build("cosign", (b) => ofLayer(b, "application/vnd.dev.cosign.simplesigning.v1+json", EMPTY_JSON)) },
    { sample: build("unknown-fields", unknownFields) },
    { sample: build("big-manifest", bigManifest) },
    { sample: singleImage(options("t".repeat(128))) },
    { sample: build("entry-of-unknown-type", entryOfUnknownType) },
    { sample: build("blobs-by-sha512", blobsBySha512) },
    { sample: build("children-by-sha512", childrenBySha512), onlyOwn: true },
  ];
}

/** An image with a layer that is not at the source, one that is although it need not be, and one like any other. */
export function foreignImage(seed: string): { sample: Sample; elsewhere: string; here: string } {
  const builder = new Builder({ tag: "foreign", seed, layerBytes: [2000] });
  const elsewhere = digestOf(noise(`${seed}/elsewhere`, 1000));
  const urls = ["http://127.0.0.1:9/layer.tgz"];
  const mediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
  const here = builder.blob(
    tarGz(`${seed}/here`, 1000).bytes,
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  );
  const layers = builder.layers("windows/amd64");
  builder.manifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: builder.config("windows/amd64", layers),
    layers: [{ mediaType, digest: elsewhere, size: 1000, urls }, { ...here, urls }, ...layers],
  });
  return { sample: builder.finish(), elsewhere, here: here.digest };
}

function emptyDescriptor(builder: Builder): SampleDescriptor & { data: string } {
  return { ...builder.blob(EMPTY_JSON, MEDIA_TYPES.empty), data: EMPTY_JSON.toString("base64") };
}

function artifact(builder: Builder, layers: SampleDescriptor[]): void {
  builder.manifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    artifactType: "application/vnd.example.none",
    config: emptyDescriptor(builder),
    layers,
    annotations: { seed: builder.seed },
  });
}

function ofLayer(builder: Builder, mediaType: string, bytes: Buffer): void {
  image(builder, builder.config("linux/amd64", []), [builder.blob(bytes, mediaType)]);
}

function image(builder: Builder, config: object, layers: object[], more: object = {}): SampleDescriptor {
  return builder.manifest({ schemaVersion: 2, mediaType: MEDIA_TYPES.manifest, config, layers, ...more });
}

function contentInDescriptor(builder: Builder): void {
  const bytes = Buffer.from(`${builder.seed}: hello\n`);
  const layer = { ...builder.blob(bytes, "text/plain"), data: bytes.toString("base64") };
  image(builder, emptyDescriptor(builder), [layer], { artifactType: "application/vnd.example.inline" });
}

function configIsLayer(builder: Builder): void {
  const config = builder.blob(Buffer.from(JSON.stringify({ seed: builder.seed })), MEDIA_TYPES.config);
  image(builder, config, [{ ...config, mediaType: "application/json" }]);
}

function entryNamedTwice(builder: Builder): void {
  const amd64 = { ...builder.image("linux/amd64", false), platform: { os: "linux", architecture: "amd64" } };
  const other = { ...amd64, platform: { os: "linux", architecture: "amd64", variant: "v2" } };
  builder.index([amd64, other, amd64]);
}

function imageWithoutType(builder: Builder): void {
  const layers = builder.layers("linux/amd64");
  const content = { schemaVersion: 2, config: builder.config("linux/amd64", layers), layers };
  builder.document(content, MEDIA_TYPES.manifest);
}

function indexWithoutType(builder: Builder): void {
  const platform = { os: "linux", architecture: "amd64" };
  const content = { schemaVersion: 2, manifests: [{ ...builder.image("linux/amd64", false), platform }] };
  builder.document(content, MEDIA_TYPES.index);
}

function zstd(builder: Builder): void {
  const bytes = zstdFrame(noise(`${builder.seed}/zstd`, 30_000));
  const layer = builder.blob(bytes, "application/vnd.oci.image.layer.v1.tar+zstd");
  image(builder, builder.config("linux/amd64", []), [layer]);
}

function helm(builder: Builder): void {
  const chart = { name: "chart", version: "1.0.0", apiVersion: "v2", description: builder.seed };
  const config = builder.blob(Buffer.from(JSON.stringify(chart)), "application/vnd.cncf.helm.config.v1+json");
  const { bytes } = tarGz(`${builder.seed}/chart`, 700);
  image(builder, config, [builder.blob(bytes, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")]);
}

function wasm(builder: Builder): void {
  const config = builder.blob(
    Buffer.from(JSON.stringify({ architecture: "wasm", os: "wasip1", seed: builder.seed })),
    "application/vnd.wasm.config.v0+json",
  );
  const module = Buffer.concat([Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]), noise(`${builder.seed}/wasm`, 500)]);
  image(builder, config, [builder.blob(module, "application/wasm")]);
}

function unknownFields(builder: Builder): void {
  const layers = builder.layers("linux/amd64").map((layer) => ({ ...layer, "org.example.odd": [null, 1.5e3] }));
  image(builder, builder.config("linux/amd64", []), layers, { "org.example.odd": { "": "\u00e9\u2028" } });
}

function bigManifest(builder: Builder): void {
  const layers = builder.layers("linux/amd64");
  const annotations = Object.fromEntries(
    Array.from({ length: BIG_ANNOTATIONS }, (_, at) => {
      return [`k${at}`, noise(`${builder.seed}/big/${at}`, BIG_VALUE_BYTES).toString("base64")];
    }),
  );
  image(builder, builder.config("linux/amd64", layers), layers, { annotations });
}

/** An index may name anything; what is no manifest is kept as a blob. */
function entryOfUnknownType(builder: Builder): void {
  const thing = builder.blob(Buffer.from(`${builder.seed}: no manifest\n`), "text/vnd.example.note");
  builder.index([builder.image("linux/amd64", false), thing]);
}

function blobsBySha512(builder: Builder): void {
  const config = builder.blob(Buffer.from(JSON.stringify({ seed: builder.seed })), MEDIA_TYPES.config, sha512Of);
  image(builder, config, [builder.blob(tarGz(`${builder.seed}/sha512`, 5000).bytes, MEDIA_TYPES.layer, sha512Of)]);
}

function childrenBySha512(builder: Builder): void {
  const layers = builder.layers("linux/amd64");
  const content = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: builder.config("linux/amd64", layers),
    layers,
    annotations: { named: "by sha512" },
  };
  builder.index([builder.document(content, MEDIA_TYPES.manifest, sha512Of)]);
}

function sha512Of(bytes: Uint8Array): string {
  return `sha512:${createHash("sha512").update(bytes).digest("hex")}`;
}

/** A frame of Zstandard (RFC 8878) with one raw block: nothing is compressed, and every reader takes it. */
function zstdFrame(content: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xfd2fb528, 0);
  // Single segment, and the size of the content in eight bytes.
  header.writeUInt8(0xe0, 4);
  header.writeBigUInt64LE(BigInt(content.length), 5);
  // The last block, raw: its size above three bits.
  header.writeUIntLE((content.length << 3) | 1, 13, 3);
  return Buffer.concat([header, content]);
}

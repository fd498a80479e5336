/**
 * Sample images and artifacts, small and the same at every run: builds them in memory (`Sample`) and pushes them to any
 * registry (`pushSample`). Layers are valid tar archives in gzip. What is copied and compared is not decided here.
 */
import { createCipheriv, createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { RegistryWriter, type PushTarget } from "./registry-writer.ts";

export type { PushTarget } from "./registry-writer.ts";

export const MEDIA_TYPES = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  empty: "application/vnd.oci.empty.v1+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  inToto: "application/vnd.in-toto+json",
} as const;

export interface SampleDescriptor {
  mediaType: string;
  digest: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
  platform?: { os: string; architecture: string; variant?: string };
}

export interface SampleManifest {
  digest: string;
  mediaType: string;
  bytes: Buffer;
}

/** Everything one tag needs. */
export interface Sample {
  tag: string;
  /** Children before parents; the last one is what the tag stands for. */
  manifests: SampleManifest[];
  blobs: Map<string, Buffer>;
  /** Of the manifest the tag stands for. */
  digest: string;
  mediaType: string;
  /** All blobs together. */
  blobBytes: number;
}

export interface SampleOptions {
  tag?: string;
  /** Two samples with the same seed and sizes have the same layers. */
  seed?: string;
  /** About how large each layer is, compressed. */
  layerBytes?: number[];
}

const EMPTY_JSON = Buffer.from("{}");
const CREATED = "2026-01-02T03:04:05Z";

/** One image for one platform. */
export function singleImage(options: SampleOptions & { docker?: boolean } = {}): Sample {
  const builder = new Builder(options);
  builder.image("linux/amd64", options.docker ?? false);
  return builder.finish();
}

/** An index of images for several platforms, the first layer shared by all, each with its attestation manifest. */
export function multiPlatformImage(
  options: SampleOptions & { platforms?: string[]; attestations?: boolean } = {},
): Sample {
  const builder = new Builder(options);
  const entries = (options.platforms ?? ["linux/amd64", "linux/arm64/v8"]).flatMap((platform) => {
    const image = { ...builder.image(platform, false), platform: platformOf(platform) };
    return options.attestations === false ? [image] : [image, builder.attestation(image)];
  });
  builder.index(entries);
  return builder.finish();
}

/** A docker schema 2 manifest list of two images. */
export function dockerListImage(options: SampleOptions = {}): Sample {
  const builder = new Builder(options);
  const entries = ["linux/amd64", "linux/arm64/v8"].map((platform) => ({
    ...builder.image(platform, true),
    platform: platformOf(platform),
  }));
  builder.index(entries, MEDIA_TYPES.dockerList);
  return builder.finish();
}

/** An artifact of media types nobody knows, with the empty config, given as `data` too. */
export function unknownArtifact(options: SampleOptions = {}): Sample {
  const builder = new Builder(options);
  const config = { ...builder.blob(EMPTY_JSON, MEDIA_TYPES.empty), data: EMPTY_JSON.toString("base64") };
  const layer = builder.blob(Buffer.from(`${builder.seed}: hello\n`), "application/vnd.example.unheard-of");
  const annotations = { "org.opencontainers.image.title": "hello.txt" };
  const artifactType = "application/vnd.example.thing";
  builder.manifest({ ...ociManifest(config, [{ ...layer, annotations }]), artifactType });
  return builder.finish();
}

/** An image with a layer of zero bytes. */
export function zeroByteBlobImage(options: SampleOptions = {}): Sample {
  const builder = new Builder(options);
  const zero = builder.blob(Buffer.alloc(0), MEDIA_TYPES.layer);
  builder.manifest(ociManifest(builder.config("linux/amd64", []), [...builder.layers("linux/amd64"), zero]));
  return builder.finish();
}

/** An image that names the same blobs twice. */
export function doubledBlobImage(options: SampleOptions = {}): Sample {
  const builder = new Builder(options);
  const layers = builder.layers("linux/amd64");
  builder.manifest(ociManifest(builder.config("linux/amd64", layers), [...layers, ...layers.toReversed()]));
  return builder.finish();
}

/** An index that names an index and an image, both of which share an image. */
export function nestedIndex(options: SampleOptions = {}): Sample {
  const builder = new Builder(options);
  const [amd64, arm64] = ["linux/amd64", "linux/arm64/v8"].map((platform) => ({
    ...builder.image(platform, false),
    platform: platformOf(platform),
  }));
  if (!amd64 || !arm64) {
    throw new Error("unreachable: two platforms are given");
  }
  builder.index([builder.index([amd64, arm64]), amd64]);
  return builder.finish();
}

/** A manifest that says with `subject` what it belongs to. */
export function referrerOf(
  subject: { mediaType: string; digest: string; sizeBytes: number },
  options: SampleOptions & { artifactType?: string } = {},
): Sample {
  const builder = new Builder(options);
  const config = builder.blob(EMPTY_JSON, MEDIA_TYPES.empty);
  const layer = builder.blob(
    Buffer.from(JSON.stringify({ about: subject.digest, seed: builder.seed })),
    "application/json",
  );
  const { mediaType, digest, sizeBytes } = subject;
  builder.manifest({
    ...ociManifest(config, [layer]),
    artifactType: options.artifactType ?? "application/vnd.example.signature",
    subject: { mediaType, digest, size: sizeBytes },
    annotations: { "org.example.note": "about another manifest" },
  });
  return builder.finish();
}

/** One of each kind, under different tags: what a copy must be able to take. */
export function everyKind(seed = "kinds"): Sample[] {
  const options = (tag: string): SampleOptions => ({ tag, seed, layerBytes: [3000, 900] });
  return [
    singleImage(options("single")),
    singleImage({ ...options("docker"), docker: true }),
    multiPlatformImage(options("multi")),
    dockerListImage(options("docker-list")),
    unknownArtifact(options("artifact")),
    zeroByteBlobImage(options("zero")),
    doubledBlobImage(options("doubled")),
    nestedIndex(options("nested")),
  ];
}

/** Pushes a sample: blobs, then manifests by digest, then the tag (none when `tag` is empty). */
export async function pushSample(target: PushTarget | string, repository: string, sample: Sample): Promise<void> {
  const writer = new RegistryWriter(typeof target === "string" ? { host: target } : target, repository);
  for (const [digest, bytes] of sample.blobs) {
    await writer.putBlob(digest, bytes);
  }
  for (const { digest, mediaType, bytes } of sample.manifests) {
    await writer.putManifest(digest, mediaType, bytes);
  }
  const top = sample.manifests.at(-1);
  if (top && sample.tag !== "") {
    await writer.putManifest(sample.tag, top.mediaType, top.bytes);
  }
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Bytes that look random and are the same for the same key. */
export function noise(key: string, sizeBytes: number): Buffer {
  const hash = createHash("sha256").update(key).digest();
  return createCipheriv("aes-128-ctr", hash.subarray(0, 16), hash.subarray(16)).update(Buffer.alloc(sizeBytes));
}

/** A tar archive with one file, in gzip. */
export function tarGz(key: string, fileBytes: number): { bytes: Buffer; diffId: string } {
  const padding = Buffer.alloc(((512 - (fileBytes % 512)) % 512) + 1024);
  const tar = Buffer.concat([
    tarHeader(`usr/share/${digestOf(Buffer.from(key)).slice(7, 19)}.bin`, fileBytes),
    noise(key, fileBytes),
    padding,
  ]);
  // Noise cannot be compressed; level 0 makes large samples quickly.
  return { bytes: gzipSync(tar, { level: 0 }), diffId: digestOf(tar) };
}

function tarHeader(name: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(512);
  const put = (text: string, at: number): number => header.write(text, at, "latin1");
  put(name, 0);
  put("0000644\0", 100);
  put("0000000\0", 108);
  put("0000000\0", 116);
  put(`${sizeBytes.toString(8).padStart(11, "0")}\0`, 124);
  put("00000000000\0", 136);
  // The checksum counts its own field as blanks (POSIX ustar).
  put(" ".repeat(8), 148);
  put("0", 156);
  put("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

function platformOf(platform: string): { os: string; architecture: string; variant?: string } {
  const [os = "", architecture = "", variant] = platform.split("/");
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

function ociManifest(config: object, layers: object[]): Record<string, unknown> & { mediaType: string } {
  return { schemaVersion: 2, mediaType: MEDIA_TYPES.manifest, config, layers };
}

/** Collects the blobs and manifests of one sample. */
export class Builder {
  readonly seed: string;
  readonly #tag: string;
  readonly #layerBytes: number[];
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests: SampleManifest[] = [];
  readonly #diffIds = new Map<string, string>();

  constructor({ tag = "v1", seed = "sample", layerBytes = [20_000, 3000, 500] }: SampleOptions) {
    this.seed = seed;
    this.#tag = tag;
    this.#layerBytes = layerBytes;
  }

  /** @param hashed How its digest is made. */
  blob(bytes: Buffer, mediaType: string, hashed = digestOf): SampleDescriptor {
    const digest = hashed(bytes);
    this.#blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  manifest(content: Record<string, unknown> & { mediaType: string }): SampleDescriptor {
    return this.document(content, content.mediaType);
  }

  /** A manifest of which only its registry says what type it has, unless its content does. */
  document(content: object, mediaType: string, hashed = digestOf): SampleDescriptor {
    const bytes = Buffer.from(JSON.stringify(content, null, 2));
    const digest = hashed(bytes);
    // The one added last is what the tag stands for, so a repeated one moves to the end.
    const before = this.#manifests.findIndex((manifest) => manifest.digest === digest);
    if (before >= 0) {
      this.#manifests.splice(before, 1);
    }
    this.#manifests.push({ digest, mediaType, bytes });
    return { mediaType, digest, size: bytes.length };
  }

  /** The layers of a platform: the first is the same for all of them. */
  layers(platform: string, mediaType: string = MEDIA_TYPES.layer): SampleDescriptor[] {
    return this.#layerBytes.map((sizeBytes, i) => {
      const { bytes, diffId } = tarGz(`${this.seed}/${i === 0 ? "shared" : platform}/${i}`, sizeBytes);
      const layer = this.blob(bytes, mediaType);
      this.#diffIds.set(layer.digest, diffId);
      return layer;
    });
  }

  config(platform: string, layers: SampleDescriptor[], mediaType: string = MEDIA_TYPES.config): SampleDescriptor {
    const content = {
      created: CREATED,
      ...platformOf(platform),
      config: { Cmd: ["/bin/sh"], Labels: { seed: this.seed } },
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => this.#diffIds.get(digest)) },
      history: layers.map((_, i) => ({ created: CREATED, created_by: `step ${i + 1}` })),
    };
    return this.blob(Buffer.from(JSON.stringify(content)), mediaType);
  }

  image(platform: string, docker: boolean): SampleDescriptor {
    const layers = this.layers(platform, docker ? MEDIA_TYPES.dockerLayer : MEDIA_TYPES.layer);
    const config = this.config(platform, layers, docker ? MEDIA_TYPES.dockerConfig : MEDIA_TYPES.config);
    const mediaType = docker ? MEDIA_TYPES.dockerManifest : MEDIA_TYPES.manifest;
    return this.manifest({ schemaVersion: 2, mediaType, config, layers });
  }

  /** As BuildKit attaches it: a manifest of platform unknown/unknown that names the image in its annotations. */
  attestation(image: SampleDescriptor): SampleDescriptor {
    const statement = {
      _type: "https://in-toto.io/Statement/v0.1",
      predicateType: "https://slsa.dev/provenance/v0.2",
      subject: [{ name: this.seed, digest: { sha256: image.digest.slice("sha256:".length) } }],
    };
    const layer = this.blob(Buffer.from(JSON.stringify(statement)), MEDIA_TYPES.inToto);
    const platform = { os: "unknown", architecture: "unknown" };
    const manifest = this.manifest(ociManifest(this.config("unknown/unknown", []), [layer]));
    const annotations = {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": image.digest,
    };
    return { ...manifest, platform, annotations };
  }

  index(manifests: SampleDescriptor[], mediaType: string = MEDIA_TYPES.index): SampleDescriptor {
    return this.manifest({ schemaVersion: 2, mediaType, manifests });
  }

  finish(): Sample {
    const top = this.#manifests.at(-1);
    if (!top) {
      throw new Error("a sample needs a manifest");
    }
    const blobBytes = [...this.#blobs.values()].reduce((total, { length }) => total + length, 0);
    const { digest, mediaType } = top;
    return { tag: this.#tag, manifests: this.#manifests, blobs: this.#blobs, digest, mediaType, blobBytes };
  }
}

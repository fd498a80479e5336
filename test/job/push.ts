/** Puts small images into a registry on loopback, for tests inside workerd: plain requests, no client under test. */
import { digestOf } from "../../src/registry/digest.ts";

export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
export const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";

export interface Pushed {
  mediaType: string;
  digest: string;
  size: number;
}

const encoder = new TextEncoder();

export async function pushBlob(host: string, repository: string, bytes: Uint8Array): Promise<Pushed> {
  const digest = digestOf(bytes);
  const opened = await send(`http://${host}/v2/${repository}/blobs/uploads/`, { method: "POST" }, 202);
  const location = new URL(opened.headers.get("location") ?? "", `http://${host}`);
  location.searchParams.set("digest", digest);
  await send(location.href, { method: "PUT", body: bytes }, 201);
  return { mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size: bytes.byteLength };
}

export async function pushManifest(
  host: string,
  repository: string,
  body: object,
  mediaType: string,
  tag?: string,
): Promise<Pushed> {
  const bytes = encoder.encode(JSON.stringify({ schemaVersion: 2, mediaType, ...body }));
  const digest = digestOf(bytes);
  const url = `http://${host}/v2/${repository}/manifests/${tag ?? digest}`;
  await send(url, { method: "PUT", body: bytes, headers: { "content-type": mediaType } }, 201);
  return { mediaType, digest, size: bytes.byteLength };
}

/** An image of random layers, so that no other test's image shares them. */
export async function pushImage(host: string, repository: string, layerBytes: number[], tag?: string): Promise<Pushed> {
  const config = await pushBlob(host, repository, encoder.encode(JSON.stringify({ id: crypto.randomUUID() })));
  const layers: Pushed[] = [];
  for (const size of layerBytes) {
    layers.push(await pushBlob(host, repository, noise(size)));
  }
  return pushManifest(host, repository, { config, layers }, MANIFEST_TYPE, tag);
}

/** An index of two images with five layers in all, under the tag `v1`. */
export async function pushIndex(host: string, repository: string): Promise<Pushed> {
  const images = [
    await pushImage(host, repository, [20_000, 1_000]),
    await pushImage(host, repository, [30_000, 500, 700]),
  ];
  return pushManifest(host, repository, { manifests: images }, INDEX_TYPE, "v1");
}

/** Digest of what a tag stands for; null: there is no such tag. */
export async function tagDigest(host: string, repository: string, tag: string): Promise<string | null> {
  const response = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, {
    headers: { accept: [MANIFEST_TYPE, INDEX_TYPE].join(", ") },
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  return response.ok ? digestOf(bytes) : null;
}

/** Status of a question whether a blob is there. */
export async function blobStatus(host: string, repository: string, digest: string): Promise<number> {
  const response = await fetch(`http://${host}/v2/${repository}/blobs/${digest}`, { method: "HEAD" });
  return response.status;
}

export function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let from = 0; from < size; from += 65_536) {
    crypto.getRandomValues(bytes.subarray(from, from + 65_536));
  }
  return bytes;
}

async function send(url: string, init: RequestInit, wanted: number): Promise<Response> {
  const response = await fetch(url, init);
  const text = await response.text();
  if (response.status !== wanted) {
    throw new Error(`${init.method} ${url}: ${response.status} ${text}`);
  }
  return response;
}

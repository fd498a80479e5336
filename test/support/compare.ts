/**
 * Is the copy whole? Walks everything a tag needs at the source and compares it with the target: every manifest and blob
 * byte for byte, the links in the target's repository, the tags. Works on three kinds of store: distribution's layout on
 * disk, the test registry's memory, and any registry over HTTP.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isRecord } from "../registry-server/manifests.ts";
import type { TestRegistry } from "../registry-server/server.ts";

/** One repository of a registry, as it is stored there. */
export interface Store {
  tags(): Promise<string[]>;
  /** Digest the tag stands for, null: there is no such tag. */
  tag(tag: string): Promise<string | null>;
  /** Bytes of a manifest that this repository has, else null. */
  manifest(digest: string): Promise<Uint8Array | null>;
  /** Content of a blob that is linked in this repository, else null. */
  blob(digest: string): Promise<AsyncIterable<Uint8Array> | Iterable<Uint8Array> | null>;
}

export interface Comparison {
  /** What is wrong, one line each; empty: the copy is whole. */
  problems: string[];
  tags: number;
  manifests: number;
  blobs: number;
  /** All blobs together. */
  blobBytes: number;
}

/** Compares the given tags of the source (default: all it has) with the target. */
export async function compareStores(source: Store, target: Store, tags?: string[]): Promise<Comparison> {
  const names = tags ?? (await source.tags());
  const result: Comparison = { problems: [], tags: names.length, manifests: 0, blobs: 0, blobBytes: 0 };
  if (names.length === 0) {
    result.problems.push("the source has no tags");
  }
  const seen = new Set<string>();
  for (const name of names) {
    const digest = await source.tag(name);
    const there = await target.tag(name);
    if (digest === null) {
      result.problems.push(`tag ${name} is not at the source`);
    } else {
      if (there !== digest) {
        result.problems.push(`tag ${name} is ${there ?? "missing"}, not ${digest}`);
      }
      await compareManifest(source, target, digest, seen, result);
    }
  }
  return result;
}

async function compareManifest(
  source: Store,
  target: Store,
  digest: string,
  seen: Set<string>,
  result: Comparison,
  asBlob: { digest: string; size: number } | null = null,
): Promise<void> {
  if (seen.has(digest)) {
    return;
  }
  seen.add(digest);
  result.manifests++;
  const [bytes, copy] = await Promise.all([source.manifest(digest), target.manifest(digest)]);
  // An index may name what is no manifest; it is kept as a blob.
  if (!bytes && asBlob !== null && (await has(source, asBlob.digest))) {
    result.manifests--;
    await compareBlob(source, target, asBlob, result);
    return;
  }
  if (!bytes) {
    result.problems.push(`manifest ${digest} is not at the source`);
    return;
  }
  if (!copy) {
    result.problems.push(`manifest ${digest} is missing`);
  } else if (Buffer.compare(copy, bytes) !== 0) {
    result.problems.push(`manifest ${digest} has other bytes`);
  }
  const manifest: unknown = JSON.parse(new TextDecoder().decode(bytes));
  if (!isRecord(manifest)) {
    return;
  }
  for (const child of descriptorsOf([manifest.manifests])) {
    await compareManifest(source, target, child.digest, seen, result, child);
  }
  for (const blob of descriptorsOf([manifest.config, manifest.layers])) {
    if (seen.has(blob.digest)) {
      continue;
    }
    seen.add(blob.digest);
    await compareBlob(source, target, blob, result);
  }
}

async function has(store: Store, digest: string): Promise<boolean> {
  const content = await store.blob(digest);
  if (content === null) {
    return false;
  }
  for await (const _piece of content) {
    break;
  }
  return true;
}

async function compareBlob(
  source: Store,
  target: Store,
  { digest, size }: { digest: string; size: number },
  result: Comparison,
): Promise<void> {
  result.blobs++;
  result.blobBytes += size;
  for (const [side, store] of [["source", source] as const, ["target", target] as const]) {
    const content = await store.blob(digest);
    if (content === null) {
      result.problems.push(`blob ${digest} is not at the ${side}`);
      continue;
    }
    const hash = createHash(digest.slice(0, digest.indexOf(":")));
    let sizeBytes = 0;
    for await (const piece of content) {
      hash.update(piece);
      sizeBytes += piece.length;
    }
    if (sizeBytes !== size) {
      result.problems.push(`blob ${digest} has ${sizeBytes} bytes at the ${side}, not ${size}`);
    }
    // Both sides hash to what the manifest names: their bytes are the same.
    else if (!digest.endsWith(`:${hash.digest("hex")}`)) {
      result.problems.push(`blob ${digest} has other bytes at the ${side}`);
    }
  }
}

/** Descriptors of things a registry holds; what has `urls` lives elsewhere. */
function descriptorsOf(values: unknown[]): { digest: string; size: number }[] {
  return values.flat().flatMap((value) => {
    if (!isRecord(value) || Array.isArray(value.urls)) {
      return [];
    }
    const { digest, size } = value;
    return typeof digest === "string" && typeof size === "number" ? [{ digest, size }] : [];
  });
}

/** A repository in distribution's layout; `root` is what `startDockerRegistry` gives. */
export function diskStore(root: string, repository: string): Store {
  const base = join(root, "docker/registry/v2");
  const inRepository = join(base, "repositories", repository);
  const path = (digest: string): string => {
    const [algorithm = "", hex = ""] = digest.split(":");
    return join(base, "blobs", algorithm, hex.slice(0, 2), hex, "data");
  };
  const readLink = async (link: string): Promise<string | null> => {
    const bytes = await readOrNull(join(inRepository, link));
    return bytes && new TextDecoder().decode(bytes).trim();
  };
  const linked = async (folder: string, digest: string): Promise<boolean> =>
    (await readLink(join(folder, ...digest.split(":"), "link"))) === digest;
  return {
    tags: () => readdir(join(inRepository, "_manifests/tags")),
    tag: (tag) => readLink(join("_manifests/tags", tag, "current/link")),
    manifest: async (digest) =>
      (await linked("_manifests/revisions", digest)) ? await readOrNull(path(digest)) : null,
    blob: async (digest) => {
      if (!(await linked("_layers", digest))) {
        return null;
      }
      const there = await access(path(digest)).then(
        () => true,
        () => false,
      );
      return there ? createReadStream(path(digest), { highWaterMark: 1024 * 1024 }) : null;
    },
  };
}

/** A repository in the memory of the test registry. */
export function memoryStore({ storage }: TestRegistry, repository: string): Store {
  return {
    tags: () => Promise.resolve([...(storage.repositories.get(repository)?.tags.keys() ?? [])]),
    tag: (tag) => Promise.resolve(storage.repositories.get(repository)?.tags.get(tag) ?? null),
    manifest: (digest) => Promise.resolve(storage.manifestIn(repository, digest)?.bytes ?? null),
    blob: (digest) => Promise.resolve(storage.blobIn(repository, digest)?.pieces ?? null),
  };
}

/** A repository read over plain HTTP, without credentials. */
export function httpStore(host: string, repository: string): Store {
  const base = `http://${host}/v2/${repository}`;
  const accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*";
  const get = async (path: string): Promise<Response | null> => {
    const response = await fetch(`${base}/${path}`, { headers: { accept } });
    if (response.ok) {
      return response;
    }
    await response.body?.cancel();
    if (response.status === 404) {
      return null;
    }
    throw new Error(`GET ${base}/${path}: status ${response.status}`);
  };
  const bytesOf = async (path: string): Promise<Uint8Array | null> => {
    const response = await get(path);
    return response && Buffer.from(await response.arrayBuffer());
  };
  return {
    tags: async () => {
      const list: unknown = await (await get("tags/list"))?.json();
      return isRecord(list) && Array.isArray(list.tags) ? list.tags.map(String) : [];
    },
    tag: async (tag) => {
      const bytes = await bytesOf(`manifests/${tag}`);
      return bytes && `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    },
    manifest: (digest) => bytesOf(`manifests/${digest}`),
    blob: async (digest) => {
      const response = await get(`blobs/${digest}`);
      return response && (response.body ?? []);
    },
  };
}

async function readOrNull(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path);
  } catch {
    return null;
  }
}

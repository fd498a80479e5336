/**
 * An index with some of its entries only. It gets a digest of its own, so whatever was signed or attached to the old one
 * does not speak of it. Pure.
 */
import type { Manifest } from "../registry/contract.ts";
import { algorithmOf, digestOf, isHashAlgorithm } from "../registry/digest.ts";
import { isObject, parseDocument } from "./index-entries.ts";

/**
 * The index with the entries at the positions of `keep`, in their order; everything else in it stays, known or not: its
 * annotations, `artifactType`, `subject`. The same index and choice give the same bytes for ever, and an index of which
 * everything is kept is left untouched, byte for byte.
 * @throws TypeError when it is no index; {@link parseManifest} has checked that before.
 */
export function rewriteIndex(index: Manifest, keep: ReadonlySet<number>): Manifest {
  const document = parseDocument(index.bytes);
  const manifests = document?.manifests;
  if (!isObject(document) || !Array.isArray(manifests)) {
    throw new TypeError(`${index.digest} is not an index.`);
  }
  if (manifests.every((_, at) => keep.has(at))) {
    return index;
  }
  // The order of the keys is that of the document, so the bytes depend on nothing else.
  const text = JSON.stringify({ ...document, manifests: manifests.filter((_, at) => keep.has(at)) });
  const bytes = new TextEncoder().encode(text);
  const algorithm = algorithmOf(index.digest);
  return {
    digest: isHashAlgorithm(algorithm) ? digestOf(bytes, algorithm) : digestOf(bytes),
    mediaType: index.mediaType,
    bytes,
  };
}

/**
 * The source as a copy of a group sees it: manifests are read by the group, once for all its copies. Where the group cannot be
 * asked, the copy reads for itself: that costs a request, and nothing else.
 */
import type { Registry } from "../../registry/contract.ts";
import { CopyError } from "../../registry/errors.ts";
import type { Place } from "../../registry/places.ts";
import type { SharedManifest, SharedRead, SharedReader } from "./contract.ts";

/**
 * @param own The source as this copy reads it by itself.
 * @param places Where `own` reads from; the last one is the source.
 */
export function createShared(own: Registry, places: readonly Place[], reader: SharedReader): Registry {
  return {
    host: own.host,
    usage: own.usage,
    headManifest: (repository, reference) =>
      read(
        () => reader.head(reference),
        () => own.headManifest(repository, reference),
      ),
    getManifest: async (repository, reference) => {
      const manifest = await read(
        () => reader.manifest(reference),
        () => own.getManifest(repository, reference),
      );
      return "from" in manifest ? placed(manifest, places) : manifest;
    },
    listTags: (repository, page) => own.listTags(repository, page),
    listReferrers: (repository, digest, how) => own.listReferrers(repository, digest, how),
    headBlob: (repository, digest) => own.headBlob(repository, digest),
    openBlob: (repository, digest, how) => own.openBlob(repository, digest, how),
    readSmallBlob: (repository, digest) => own.readSmallBlob(repository, digest),
    putManifest: (repository, reference, manifest) => own.putManifest(repository, reference, manifest),
    deleteTag: (repository, tag) => own.deleteTag(repository, tag),
    startUpload: (repository, how) => own.startUpload(repository, how),
    putBlob: (upload, how) => own.putBlob(upload, how),
    patchBlob: (upload, how) => own.patchBlob(upload, how),
    uploadOffset: (upload, signal) => own.uploadOffset(upload, signal),
    cancelUpload: (upload) => own.cancelUpload(upload),
  };
}

async function read<Shared, Own>(
  ask: () => Promise<SharedRead<Shared>>,
  alone: () => Promise<Own>,
): Promise<Shared | Own> {
  // A group's object that is thrown out of memory breaks the question off.
  const answer = await ask().catch(() => null);
  if (answer === null) {
    return alone();
  }
  if (answer.kind === "failed") {
    throw new CopyError(answer.error);
  }
  return answer.value;
}

/** A place has another number for each copy: its own target is none that it reads from. */
function placed({ from, ...manifest }: SharedManifest, places: readonly Place[]) {
  const place = places.findIndex(({ host, repository }) => host === from.host && repository === from.repository);
  return place < 0 || places.length === 1 ? manifest : { ...manifest, place };
}

/** What the test registry lists: tags, paged with Link, and referrers, filtered by artifact type. */
import { isRecord, parseManifest } from "./manifests.ts";
import { jsonReply, RegistryError, type Reply } from "./reply.ts";
import type { Storage } from "./storage.ts";

const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";

/** GET `tags/list`. A page has `n` tags, and never more than `pageSize`, whatever was asked for. */
export function listTags(storage: Storage, repository: string, query: URLSearchParams, pageSize: number): Reply {
  const target = storage.repositories.get(repository);
  if (!target) {
    throw new RegistryError(404, "NAME_UNKNOWN", `repository ${repository} is not known`);
  }
  const asked = query.get("n");
  const size = Math.min(pageSize, asked === null ? pageSize : Number(asked));
  if (!Number.isInteger(size) || size < 0) {
    throw new RegistryError(400, "UNSUPPORTED", `n=${asked} is not a number`);
  }
  const last = query.get("last");
  const all = [...target.tags.keys()].sort((a, b) => (a < b ? -1 : 1)).filter((tag) => last === null || tag > last);
  const tags = all.slice(0, size);
  const end = tags.at(-1);
  const next = `/v2/${repository}/tags/list?n=${size}&last=${encodeURIComponent(end ?? "")}`;
  const headers: Record<string, string> =
    end !== undefined && all.length > tags.length ? { link: `<${next}>; rel="next"` } : {};
  return jsonReply(200, { name: repository, tags }, headers);
}

/** GET `referrers/DIGEST`: an index of the manifests whose `subject` it is. An unknown digest has none. */
export function listReferrers(storage: Storage, repository: string, subject: string, query: URLSearchParams): Reply {
  const wanted = query.get("artifactType");
  const manifests = [...(storage.repositories.get(repository)?.manifests ?? [])].flatMap(([digest, stored]) => {
    const manifest = parseManifest(stored.bytes);
    if (!isRecord(manifest.subject) || manifest.subject.digest !== subject) {
      return [];
    }
    const config = isRecord(manifest.config) ? manifest.config.mediaType : undefined;
    const artifactType = manifest.artifactType ?? config;
    if (wanted !== null && artifactType !== wanted) {
      return [];
    }
    const { annotations } = manifest;
    return [{ mediaType: stored.mediaType, digest, size: stored.bytes.length, artifactType, annotations }];
  });
  return jsonReply(
    200,
    { schemaVersion: 2, mediaType: INDEX_TYPE, manifests },
    { "content-type": INDEX_TYPE, ...(wanted === null ? {} : { "oci-filters-applied": "artifactType" }) },
  );
}

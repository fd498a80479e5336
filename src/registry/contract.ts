/** What a client of one registry host can do: the OCI distribution API as a copy needs it. Implemented in `client.ts`. */

/** How a host is reached and what it can take. Built from the configuration in `config.ts`; every field has a default there. */
export interface HostSettings {
  /** The host as it stands in references: `docker.io`, `127.0.0.1:5001`. */
  host: string;
  /** Where it is reached, with port if any: `registry-1.docker.io`. */
  hostname: string;
  tls: "enabled" | "disabled";
  /** Put between `/v2/` and the repository, "" for none. */
  pathPrefix: string;
  /** Cap on requests at once; 0: none. */
  reqConcurrent: number;
  /** Cap on requests per second; 0: none. */
  reqPerSec: number;
  /** Requests of the host's own quota to keep back for copies that somebody waits for; 0: none. */
  quotaReserve: number;
  /** Uploads go in chunks of this size; 0: in one piece. */
  chunkBytes: number;
  /** `stream`: hash every blob on its way. `target`: leave the check to the target registry, which the spec obliges to it. */
  verify: "stream" | "target";
  /** Where reads of this host go first, in this order: `host`, or `host/prefix` that its repositories lie below there. */
  mirrors: string[];
}

export interface ManifestHead {
  digest: string;
  mediaType: string;
  /** -1: not said. */
  sizeBytes: number;
}

/** A manifest exactly as the registry sent it, its digest verified against its bytes. */
export interface Manifest {
  digest: string;
  mediaType: string;
  bytes: Uint8Array;
  /** Which of the places that a copy reads from has sent it (`places.ts`), from 0; missing: there is but one. */
  place?: number;
}

export interface BlobBody {
  stream: ReadableStream<Uint8Array>;
  /** What the answer said, null where it said nothing. */
  contentLength: number | null;
  /** `Content-Encoding`, where the answer has one although none was asked for: the bytes are as they were sent. */
  encoding?: string;
  /** Offset of the first byte in the blob; not 0 only when a range was asked for and granted. */
  firstByte: number;
  /** Size of the whole blob, where the answer to a range says it. */
  totalBytes?: number;
}

/** An open upload session: `location` is always the one of the newest answer, absolute. */
export interface Upload {
  repository: string;
  location: string;
  /** `OCI-Chunk-Min-Length`, 0 where not given. */
  minChunkBytes: number;
  /** `OCI-Chunk-Max-Length`, which Cloudflare's registry sends; absent where not given. */
  maxChunkBytes?: number;
  /** What the newest answer's `Range` says to be stored; absent where it says nothing that can be read. */
  toldBytes?: number;
  /** The registry has closed the session by itself at the last byte (201 on PATCH, as ECR does): `putBlob` only checks. */
  completed?: boolean;
}

export interface Referrer {
  mediaType: string;
  digest: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
}

/** What refers to a manifest, as its registry knows it. */
export interface ReferrerList {
  /** Each digest once, in the registry's order. */
  referrers: Referrer[];
  /** Who said so: the referrers API, or for want of it the fallback tag (which may not exist). */
  from: "api" | "tag";
  /** What was ignored, and why. */
  warnings: string[];
}

/** What a client has done so far. */
export interface Usage {
  requests: number;
  /** Texts of `Warning: 299` headers, each once. */
  warnings: string[];
}

/**
 * One registry host. Every method is one operation of the distribution spec, waits for a slot through the client's gate,
 * authenticates, follows redirects by hand, retries what can be retried, and throws a CopyError that names its side.
 */
export interface Registry {
  readonly host: string;
  readonly usage: Usage;

  /** HEAD of a manifest by tag or digest; null: there is none. Falls back to GET where HEAD is not answered properly. */
  headManifest(repository: string, reference: string): Promise<ManifestHead | null>;
  /**
   * GET of a manifest, at most 4 MiB, its digest checked (against `reference` when that is a digest, and against
   * `Docker-Content-Digest` where sent).
   */
  getManifest(repository: string, reference: string): Promise<Manifest>;
  /** PUT of the exact bytes under a tag or digest; 201 with another digest is an error. `subject` is `OCI-Subject` of the answer. */
  putManifest(repository: string, reference: string, manifest: Manifest): Promise<{ subject: string | null }>;

  /** One page of tags. Null: the repository does not exist. */
  listTags(
    repository: string,
    options?: { limit?: number; cursor?: string },
  ): Promise<{ tags: string[]; next: string | null } | null>;

  /** DELETE of a tag, by its name alone: what it stands for keeps its other tags. `gone`: there is no such tag. */
  deleteTag(repository: string, tag: string): Promise<"deleted" | "gone" | "unsupported">;

  /**
   * The manifests whose `subject` is this digest, from all pages of the referrers API, or from the fallback tag where there
   * is no such API. With `artifactType` only those of this type. `listedTags`: all tags of the repository where they are
   * known; a fallback tag that is not among them is not asked for. Null: the repository does not exist.
   */
  listReferrers(
    repository: string,
    digest: string,
    options?: { artifactType?: string; listedTags?: ReadonlySet<string> },
  ): Promise<ReferrerList | null>;

  /** Size of a blob in bytes (-1: there, size not said); null: it is not there. */
  headBlob(repository: string, digest: string): Promise<number | null>;
  /** GET of a blob from `fromByte` on. The caller reads or cancels the stream. */
  openBlob(repository: string, digest: string, options: { fromByte?: number; signal: AbortSignal }): Promise<BlobBody>;

  /** A small blob whole, its digest checked; null: it has more than 4 MiB. */
  readSmallBlob(repository: string, digest: string): Promise<Uint8Array | null>;

  /** POST of an upload, with `mount` as a cross-repository mount first: `mounted` when that sufficed. */
  startUpload(
    repository: string,
    options: { digest: string; mountFrom?: string; signal: AbortSignal },
  ): Promise<{ mounted: true } | { mounted: false; upload: Upload }>;
  /** PUT of the whole blob with its exact length, closing the session. Not retried here: the body cannot be sent twice. */
  putBlob(
    upload: Upload,
    options: { digest: string; sizeBytes: number; body: ReadableStream<Uint8Array> | null; signal: AbortSignal },
  ): Promise<void>;
  /** PATCH of one chunk, or (without `firstByte`) of the whole blob; answers the session as it is then. */
  patchBlob(
    upload: Upload,
    options: { firstByte?: number; sizeBytes: number; body: ReadableStream<Uint8Array>; signal: AbortSignal },
  ): Promise<Upload>;
  /** Offset the registry has stored so far, or null when the session is gone or the registry cannot tell. */
  uploadOffset(upload: Upload, signal?: AbortSignal): Promise<{ offsetBytes: number; upload: Upload } | null>;
  /** DELETE of an open session. Failure is ignored: the registry purges it in time. */
  cancelUpload(upload: Upload): Promise<void>;
}

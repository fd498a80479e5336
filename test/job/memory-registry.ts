/**
 * A registry in memory behind the client's contract, for tests of a run: it keeps manifests as a registry does, and
 * writes down every operation. It moves no blobs, since a job moves none.
 */
import type { BlobBody, Manifest, ManifestHead, ReferrerList, Registry, Upload } from "../../src/registry/contract.ts";
import { fallbackEntryOf } from "../../src/copy/referrers.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { CopyError } from "../../src/registry/errors.ts";

export class MemoryRegistry implements Registry {
  readonly host: string;
  readonly usage = { requests: 0, warnings: [] as string[] };
  /** What was asked, as `GET <name>`, in order. */
  readonly log: string[] = [];
  readonly manifests = new Map<string, Manifest>();
  readonly tags = new Map<string, string>();
  /** Runs before an operation is answered; may throw or wait. */
  before: (operation: string) => Promise<void> | void = () => {};
  /** Tags on one page of the list. */
  pageTags = 1_000;
  /** Whether tags can be deleted. */
  deletes = true;
  /** Small blobs by digest. */
  readonly configs = new Map<string, Uint8Array>();
  /** Digests of the blobs that a look finds. */
  readonly blobs = new Set<string>();
  /** What `OCI-Subject` would say. */
  subject: string | null = null;

  constructor(host: string) {
    this.host = host;
  }

  /** Keeps a manifest under its digest, and under tags; answers the descriptor. */
  keep(body: object, mediaType: string, ...tags: string[]): { digest: string; size: number; mediaType: string } {
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    const digest = digestOf(bytes);
    this.manifests.set(digest, { digest, mediaType, bytes });
    for (const tag of tags) {
      this.tags.set(tag, digest);
    }
    return { digest, size: bytes.byteLength, mediaType };
  }

  async headManifest(_repository: string, reference: string): Promise<ManifestHead | null> {
    await this.#ask(`HEAD ${reference}`);
    const manifest = this.#find(reference);
    return manifest === undefined
      ? null
      : { digest: manifest.digest, mediaType: manifest.mediaType, sizeBytes: manifest.bytes.byteLength };
  }

  async getManifest(_repository: string, reference: string): Promise<Manifest> {
    await this.#ask(`GET ${reference}`);
    const manifest = this.#find(reference);
    if (manifest === undefined) {
      throw this.error("not_found", `${reference} is not here`);
    }
    return manifest;
  }

  async putManifest(_repository: string, reference: string, manifest: Manifest): Promise<{ subject: string | null }> {
    await this.#ask(`PUT ${reference}`);
    this.manifests.set(manifest.digest, manifest);
    if (!reference.includes(":")) {
      this.tags.set(reference, manifest.digest);
    }
    return { subject: this.subject };
  }

  async listTags(
    _repository: string,
    { cursor = "?at=0" }: { limit?: number; cursor?: string } = {},
  ): Promise<{ tags: string[]; next: string | null } | null> {
    await this.#ask("TAGS");
    const from = Number(cursor.slice("?at=".length));
    const tags = [...this.tags.keys()];
    const end = from + this.pageTags;
    const next = end < tags.length ? `?at=${end}` : null;
    return this.manifests.size === 0 ? null : { tags: tags.slice(from, end), next };
  }

  error(code: CopyError["detail"]["code"], message: string): CopyError {
    return new CopyError({ code, side: "target", host: this.host, operation: "test", retryable: false, message });
  }

  async deleteTag(_repository: string, tag: string): Promise<"deleted" | "gone" | "unsupported"> {
    await this.#ask(`DELETE ${tag}`);
    return this.deletes ? (this.tags.delete(tag) ? "deleted" : "gone") : "unsupported";
  }

  async listReferrers(_repository: string, digest: string): Promise<ReferrerList | null> {
    await this.#ask(`REFERRERS ${digest}`);
    const listed = [...this.manifests.values()].map(fallbackEntryOf).filter((each) => each?.subject === digest);
    return { referrers: listed.flatMap((each) => (each === null ? [] : [each.entry])), from: "api", warnings: [] };
  }
  async headBlob(_repository: string, digest: string): Promise<number | null> {
    await this.#ask(`HEAD ${digest}`);
    return this.blobs.has(digest) ? 10 : null;
  }
  async readSmallBlob(_repository: string, digest: string): Promise<Uint8Array | null> {
    await this.#ask(`READ ${digest}`);
    return this.configs.get(digest) ?? null;
  }
  openBlob(): Promise<BlobBody> {
    return unused();
  }
  startUpload(): Promise<{ mounted: true }> {
    return unused();
  }
  putBlob(): Promise<void> {
    return unused();
  }
  patchBlob(): Promise<Upload> {
    return unused();
  }
  uploadOffset(): Promise<null> {
    return unused();
  }
  cancelUpload(): Promise<void> {
    return unused();
  }

  async #ask(operation: string): Promise<void> {
    this.usage.requests += 1;
    this.log.push(operation);
    await this.before(operation);
  }

  #find(reference: string): Manifest | undefined {
    return this.manifests.get(this.tags.get(reference) ?? reference);
  }
}

function unused(): never {
  throw new Error("A job asks a registry for no blobs.");
}

/**
 * Pushes manifests to the target once all they refer to is there: children by digest, each root last and by its name.
 * Bytes go out exactly as they were read.
 */
import type { Push } from "../copy/plan.ts";
import { entriesToMerge, fallbackEntryOf } from "../copy/referrers.ts";
import { isDigestTag, isFallbackTag } from "../copy/digest-tags.ts";
import { platformOf } from "../copy/request.ts";
import { fillTemplate } from "../copy/templates.ts";
import type { ReferrerAddition } from "../host/contract.ts";
import { CopyError, type ErrorDetail, errorDetailOf } from "../registry/errors.ts";
import type { Manifest, Referrer } from "../registry/contract.ts";
import { manifestEvent } from "./planner.ts";
import type { Mender } from "./mender.ts";
import { isClearNo } from "./name-pushes.ts";
import { Pool } from "./pool.ts";
import type { TagLedger, TagRow } from "./tag-ledger.ts";
import type { PoolParts } from "./step.ts";

/** Manifests pushed at once: an object may have six connections waiting for answers. */
const PUSHES_AT_ONCE = 6;

export interface PublisherParts extends PoolParts {
  tags: TagLedger;
  now: () => number;
  /** Has the target's host list a referrer where the registry does not; safe to repeat. */
  addReferrer: (addition: ReferrerAddition) => Promise<void>;
  /**
   * Called synchronously before a name is written; throws when the copy no longer runs. The answer is called after it, and told
   * whether it is clear what became of the name.
   */
  commit: (name: string, row?: number) => (isClear: boolean) => void;
  /** What came of the push of a root is in the ledger. */
  onRootSettled: () => void;
  mender: Mender;
  /** A root is at the target under its name. */
  onRoot: (row: TagRow) => void;
  /** A manifest has been pushed. */
  onPublished: () => void;
  onRootFailed: (key: string, error: unknown) => void;
  onManifestFailed: (digest: string, error: unknown) => void;
}

export class Publisher {
  readonly #parts: PublisherParts;
  readonly #pushes: Pool;
  /** The target keeps lists of referrers itself: it has said so. */
  #keepsLists = false;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#pushes = new Pool(PUSHES_AT_ONCE, parts.onError, parts.onIdle);
  }

  get idle(): boolean {
    return this.#pushes.idle;
  }

  /** Pushes whatever the plan has ready. */
  pump(): void {
    for (const push of this.#parts.plan.takeReady()) {
      this.#pushes.add(() => this.#push(push));
    }
  }

  stop(): void {
    this.#pushes.stop();
  }

  async #push({ digest, root }: Push): Promise<void> {
    const { plan, onRootFailed, onRootSettled, onManifestFailed } = this.#parts;
    // What it was for has failed while it waited for its turn.
    if (root === null ? !plan.has(digest) : plan.digestOf(root) === null) {
      return;
    }
    if (root === null) {
      await this.#pushChild(digest).catch((error: unknown) => onManifestFailed(digest, error));
    } else {
      await this.#pushRoot(root, digest).catch((error: unknown) => onRootFailed(root, error));
      onRootSettled();
    }
  }

  async #pushChild(digest: string): Promise<void> {
    const { plan } = this.#parts;
    if (plan.isThere(digest)) {
      this.#parts.beginStep();
      this.#arrived(digest, "present");
    } else {
      const manifest = await this.manifest(digest);
      await this.#parts.mender.push(manifest, async () => {
        const { subject } = await this.#put(digest, manifest);
        await this.#listReferrer(manifest, subject);
      });
      this.#parts.beginStep();
      this.#arrived(digest, "copied", manifest);
    }
    if (plan.has(digest)) {
      this.#parts.onPublished();
    }
  }

  async #pushRoot(key: string, digest: string): Promise<void> {
    const { request, tags } = this.#parts;
    const row = tags.get(Number(key));
    if (row === null) {
      throw new Error(`The ledger has lost the name of manifest ${digest}.`);
    }
    if (row.oldDigest === digest) {
      // It has this name already; only what is below it was looked into.
      this.#parts.beginStep();
      this.#arrived(digest, "present");
      this.#ended(row, this.#parts.plan.endRoot(key) ? "copied" : "unchanged");
      return;
    }
    if (row.oldDigest !== null && request.existing?.kind === "backup" && !isDigestTag(row.source)) {
      await this.#backUp(row, row.oldDigest, request.existing.tag);
    }
    const manifest = await this.manifest(digest);
    const name = row.target ?? digest;
    await this.#parts.mender.push(manifest, async () => {
      const isListed = await this.#listBeforeNaming(name, manifest);
      const entries = await this.#entriesToMerge(row, name, manifest);
      if (this.#parts.plan.digestOf(key) === null) {
        // It has failed since, for another reason: what is told to have failed is not written.
        return;
      }
      const committed = this.#parts.commit(name, row.id);
      let isClear = false;
      try {
        let derived: string | null = null;
        if (entries === null) {
          const { subject } = await this.#put(name, manifest).catch((error: unknown) => {
            isClear = isClearNo(error);
            throw error;
          });
          await (isListed ? null : this.#listReferrer(manifest, subject));
        } else {
          derived = await this.#mergeList(name, entries);
        }
        this.#parts.beginStep();
        this.#arrived(digest, "copied", manifest);
        this.#parts.plan.endRoot(key);
        this.#ended(row, "copied", derived);
        isClear = true;
      } finally {
        committed(isClear);
      }
    });
  }

  /**
   * What refers to something is listed before it has its name: that would be there though it could not be listed, and has failed.
   * @returns False: it need not be, or that is seen when the name is written.
   */
  async #listBeforeNaming(name: string, manifest: Manifest): Promise<boolean> {
    const { request, ledger } = this.#parts;
    const isPushed = name === manifest.digest || ledger.manifests.known(manifest.digest)?.state === "copied";
    if (fallbackEntryOf(manifest) === null || this.#keepsLists || isPushed || request.dryRun === true) {
      return false;
    }
    const { subject } = await this.#put(manifest.digest, manifest);
    this.#keepsLists = subject !== null;
    await this.#listReferrer(manifest, subject);
    return true;
  }

  /** @param derived Digest of what the name stands for at the target, where that is not the very manifest. */
  #ended(row: TagRow, state: "copied" | "unchanged", derived: string | null = null): void {
    // While the name was on its way its manifest may have been refused by its digest: then it has failed, and was told to have.
    if (this.#parts.tags.end(row.id, state, derived === null ? {} : { derived })) {
      this.#parts.onRoot(row);
    }
    this.#parts.onPublished();
  }

  #arrived(digest: string, state: "copied" | "present", manifest?: Manifest): void {
    const { ledger, events, plan } = this.#parts;
    // Under a second name there is nothing new to tell.
    if (ledger.manifests.known(digest)?.state !== "copied") {
      const size = manifest?.bytes.byteLength ?? ledger.manifests.known(digest)?.sizeBytes ?? 0;
      ledger.manifests.arrived(digest, state);
      events.append(manifestEvent(digest, size, state));
    }
    plan.published(digest, state === "copied");
  }

  /** Before its tag goes to another manifest, the old one gets a tag of its own. */
  async #backUp(row: TagRow, oldDigest: string, template: string): Promise<void> {
    const { request, target, ledger, tags, now } = this.#parts;
    const { host, repository } = request.target;
    // The same however often it is made: a run that was broken off may have made it, and nobody knows.
    const acceptedMs = ledger.record()?.acceptedMs ?? now();
    const image = { host, repository, tag: row.target ?? "", digest: oldDigest };
    const values = { ...image, now: acceptedMs, ...platformOf(request) };
    const name = fillTemplate(template, "tag", values, "backup_tag");
    if (name === row.target || tags.names(name)) {
      throw backupOntoAnother(template, name, name === row.target);
    }
    const old = await target.getManifest(repository, oldDigest);
    const committed = this.#parts.commit(name);
    let isClear = true;
    try {
      await target.putManifest(repository, name, old);
    } catch (error) {
      isClear = isClearNo(error);
      throw error;
    } finally {
      committed(isClear);
    }
  }

  /** As it was read. One that was found at the target without being read is read now, for its name. */
  async manifest(digest: string): Promise<Manifest> {
    const { request, source, ledger } = this.#parts;
    return ledger.manifests.get(digest) ?? source.getManifest(request.source.repository, digest);
  }

  async #put(name: string, manifest: Manifest): Promise<{ subject: string | null }> {
    const { request, target, plan } = this.#parts;
    try {
      return await target.putManifest(request.target.repository, name, manifest);
    } catch (error) {
      const detail = errorDetailOf(error);
      // Distribution looks whether all that an index names is there (image-spec allows it to be elsewhere).
      const isRefusal = ["manifest_invalid", "content_missing", "not_found", "unsupported"].includes(detail.code);
      throw isRefusal && plan.narrowed(manifest.digest) !== null ? refusedSparse(target.host, detail) : error;
    }
  }

  /**
   * A list of referrers under its fallback tag is a tag like others where nobody has added to it at the target. Where somebody
   * has, it would take that away. Null: it may be written as it is.
   */
  async #entriesToMerge(row: TagRow, name: string, manifest: Manifest): Promise<Referrer[] | null> {
    const { request, target } = this.#parts;
    const { repository } = request.target;
    if (!isFallbackTag(name) || row.source !== name || request.dryRun === true) {
      return null;
    }
    // Asked only now: what the list names has been pushed, and may have been listed by that.
    const there = await target.headManifest(repository, name);
    return there === null ? null : entriesToMerge(manifest, await target.getManifest(repository, there.digest));
  }

  /** By the host's object, as everything that is added to such a list. @returns Digest of what is under the tag then. */
  async #mergeList(tag: string, entries: readonly Referrer[]): Promise<string | null> {
    const { request, target, addReferrer } = this.#parts;
    const { repository } = request.target;
    // The digest's first 64 digits are all that the tag has, and all that is needed to find it.
    const subject = tag.replace("-", ":");
    await Promise.all(entries.map((entry) => addReferrer({ repository, subject, entry })));
    return (await target.headManifest(repository, tag))?.digest ?? null;
  }

  /**
   * Distribution-spec, "Pushing Manifests with Subject": without `OCI-Subject` in the answer the registry keeps no list, and
   * the client has to add the manifest to the one under the fallback tag.
   */
  async #listReferrer(manifest: Manifest, answered: string | null): Promise<void> {
    const { request, addReferrer, ledger } = this.#parts;
    const found = fallbackEntryOf(manifest);
    // Pushed by its digest before: listed then.
    const isListed = ledger.manifests.known(manifest.digest)?.state === "copied";
    if (found !== null && answered === null && !isListed) {
      await addReferrer({ repository: request.target.repository, ...found });
    }
  }
}

/** The old image would have no name left, or another tag of the copy would be lost to it. */
function backupOntoAnother(template: string, name: string, isItself: boolean): CopyError {
  const problem = isItself ? "is the tag that is to be overwritten" : "this copy writes too";
  return new CopyError({
    code: "invalid_request",
    side: "request",
    host: "",
    operation: "fill in template",
    retryable: false,
    message: `backup_tag ${JSON.stringify(template)} gives ${name}, which ${problem}; have more in it, such as {tag}-{date}.`,
  });
}

function refusedSparse(host: string, detail: ErrorDetail): CopyError {
  return new CopyError({
    ...detail,
    code: "manifest_invalid",
    retryable: false,
    message:
      `${host} takes no index of which images are missing; copy it as an index of the chosen platforms (--index rewrite), ` +
      `as one image (--index single), or with all its platforms. It said: ${detail.message}`,
  });
}

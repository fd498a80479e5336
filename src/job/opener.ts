/**
 * Opens one name of a copy: asks both ends for it, as little as needed, and either finds that nothing is to do or makes it a
 * root of the plan.
 */
import { checkTargetDigest, sourceMissing, tagExists, targetName } from "../copy/opening.ts";
import type { CopyPlan } from "../copy/plan.ts";
import { type CopyRequest, isRepositoryCopy } from "../copy/request.ts";
import { fillTemplate } from "../copy/templates.ts";
import type { Manifest, ManifestHead, Registry } from "../registry/contract.ts";
import { isDigest } from "../registry/digest.ts";
import { DOCKER_HUB } from "../registry/reference.ts";
import type { EventLog } from "./events.ts";
import type { Ledger, TargetRepository } from "./ledger.ts";
import { manifestEvent, type Planner } from "./planner.ts";
import type { TagLedger, TagRow } from "./tag-ledger.ts";

export interface OpenerParts {
  request: CopyRequest;
  source: Registry;
  target: Registry;
  ledger: Ledger;
  tags: TagLedger;
  events: EventLog;
  plan: CopyPlan;
  planner: Planner;
  now: () => number;
  beginStep: () => void;
  /** What is known of the target's repository. Null: nothing so far. */
  repository: () => TargetRepository | null;
  /** It has been looked at. */
  onRepository: (repository: TargetRepository) => void;
  /** A name has come to its end without a root in the plan. */
  onEnded: (row: TagRow) => void;
  onPlan: () => void;
}

/** The key of a row's root in the plan. */
export function rootKey(row: { id: number }): string {
  return String(row.id);
}

export class Opener {
  readonly #parts: OpenerParts;

  constructor(parts: OpenerParts) {
    this.#parts = parts;
  }

  /** @throws CopyError: this name cannot be copied. */
  async open(row: TagRow): Promise<void> {
    const { request } = this.#parts;
    const name = this.#nameAtTarget(row, null);
    if (row.held === false && name !== null && !countsReads(request.source.host)) {
      await this.#openNew(row, name);
      return;
    }
    const look = name === null || row.held === false ? null : this.#headTarget(name);
    const repository = (look ?? Promise.resolve(null)).then((head) => this.#repositoryAfter(head));
    // Its error is the error of the look, which is waited for below.
    repository.catch(() => {});
    const [first, here] = await Promise.all([look, this.#headSource(row)]);
    checkTargetDigest(request, here.digest);
    // A name that follows from the digest is known only now.
    const target = name ?? this.#nameAtTarget(row, here.digest) ?? here.digest;
    const mayHold = name === null && isRepositoryCopy(request);
    const there = mayHold ? await this.#headTarget(target) : first;
    if (there === null) {
      await this.#plan({ ...row, target }, here, null, repository);
      return;
    }
    if (there.digest === here.digest && request.deep !== true) {
      this.#unchanged({ ...row, target }, there);
      return;
    }
    if (there.digest !== here.digest && request.existing?.kind === "skip") {
      this.#skipped({ ...row, target }, here.digest, there.digest);
      return;
    }
    if (there.digest !== here.digest && request.existing?.kind === "fail") {
      throw tagExists(request, target, there.digest);
    }
    await this.#plan({ ...row, target }, here, there.digest, repository);
  }

  /** Goes on with a name that a run before this one has opened. */
  async resume(row: TagRow & { digest: string }): Promise<void> {
    const { plan, planner, request, source } = this.#parts;
    const size = this.#parts.ledger.manifestState(row.digest)?.sizeBytes ?? -1;
    plan.addRoot(rootKey(row), { digest: row.digest, sizeBytes: size });
    const mayBeThere = row.oldDigest !== null || this.#parts.repository() === "holds_tag";
    if (planner.recall(row.digest, mayBeThere)) {
      return;
    }
    const manifest = await source.getManifest(request.source.repository, row.digest);
    if (plan.has(row.digest)) {
      planner.take(manifest, "read", mayBeThere);
    }
  }

  /** A name that the target does not have: read at once, without asking for its digest first. */
  async #openNew(row: TagRow, target: string): Promise<void> {
    const { request, source, plan, planner, ledger } = this.#parts;
    const manifest = await source.getManifest(request.source.repository, row.source);
    const { digest } = manifest;
    const isNew = plan.addRoot(rootKey(row), { digest, sizeBytes: manifest.bytes.byteLength });
    this.#parts.beginStep();
    this.#parts.tags.planned(row.id, digest, target, null);
    if (!isNew) {
      this.#parts.onPlan();
    } else if (ledger.manifestState(digest) === null || !planner.recall(digest, false)) {
      planner.take(manifest, "read", false);
    }
  }

  async #plan(
    row: TagRow & { target: string },
    here: { digest: string; sizeBytes: number },
    oldDigest: string | null,
    looked: Promise<TargetRepository>,
  ): Promise<void> {
    const { plan, planner, request } = this.#parts;
    const { digest } = here;
    const isNew = plan.addRoot(rootKey(row), here);
    const mayBeThere = oldDigest !== null;
    if (!isNew) {
      this.#planned(row, digest, oldDigest, await looked);
      this.#parts.onPlan();
      return;
    }
    const known = this.#parts.ledger.manifestState(digest) !== null;
    if (known) {
      this.#planned(row, digest, oldDigest, await looked);
      if (planner.recall(digest, mayBeThere)) {
        return;
      }
    }
    const [manifest, repository, there] = await Promise.all([
      this.#parts.source.getManifest(request.source.repository, digest),
      looked,
      mayBeThere && oldDigest !== digest ? this.#headTarget(digest) : null,
    ]);
    if (plan.has(digest)) {
      this.#planned(row, digest, oldDigest, repository);
      this.#takeRoot(manifest, there !== null, oldDigest);
    }
  }

  #takeRoot(manifest: Manifest, isThere: boolean, oldDigest: string | null): void {
    const { planner, request } = this.#parts;
    const deep = request.deep === true;
    if (isThere || oldDigest === manifest.digest) {
      planner.found(manifest.digest);
    }
    planner.take(manifest, isThere && !deep ? "present" : "read", oldDigest !== null);
  }

  #planned(
    row: TagRow & { target: string },
    digest: string,
    oldDigest: string | null,
    repository: TargetRepository,
  ): void {
    this.#parts.beginStep();
    this.#parts.tags.planned(row.id, digest, row.target, oldDigest);
    if (!isRepositoryCopy(this.#parts.request)) {
      this.#parts.onRepository(repository);
      this.#parts.ledger.opened(digest, repository);
    }
  }

  #unchanged(row: TagRow & { target: string }, there: ManifestHead): void {
    const { ledger, events, tags, request } = this.#parts;
    const { digest } = there;
    this.#parts.beginStep();
    ledger.manifestPresent(there);
    if (!isRepositoryCopy(request)) {
      ledger.opened(digest, "holds_tag");
      events.append(manifestEvent(digest, there.sizeBytes, "present"));
    }
    tags.end(row.id, "unchanged", { digest, target: row.target, oldDigest: digest });
    this.#parts.onEnded(row);
  }

  #skipped(row: TagRow & { target: string }, digest: string, oldDigest: string): void {
    const { ledger, tags, request } = this.#parts;
    this.#parts.beginStep();
    if (!isRepositoryCopy(request)) {
      ledger.opened(digest, "holds_tag");
    }
    tags.end(row.id, "skipped", { digest, target: row.target, oldDigest });
    this.#parts.onEnded(row);
  }

  /** Null: it follows from the digest at the source. */
  #nameAtTarget(row: TagRow, digest: string | null): string | null {
    const { request, now } = this.#parts;
    if (row.target !== null) {
      return row.target;
    }
    if (!isRepositoryCopy(request)) {
      return targetName(request);
    }
    const { host, repository } = request.source;
    return digest === null
      ? null
      : fillTemplate(
          request.targetTag ?? "{tag}",
          "tag",
          { host, repository, tag: row.source, digest, now: now() },
          "target_tag",
        );
  }

  #headTarget(name: string): Promise<ManifestHead | null> {
    return this.#parts.target.headManifest(this.#parts.request.target.repository, name);
  }

  async #headSource(row: TagRow): Promise<{ digest: string; sizeBytes: number }> {
    const { request, source } = this.#parts;
    if (isDigest(row.source)) {
      return { digest: row.source, sizeBytes: -1 };
    }
    const head = await source.headManifest(request.source.repository, row.source);
    if (head === null) {
      throw sourceMissing(request, row.source);
    }
    return head;
  }

  /** A repository that does not exist holds no blobs; what cannot be told counts as existing. */
  async #repositoryAfter(head: ManifestHead | null): Promise<TargetRepository> {
    const known = this.#parts.repository();
    if (known !== null) {
      return known;
    }
    if (head !== null) {
      return "holds_tag";
    }
    try {
      const tags = await this.#parts.target.listTags(this.#parts.request.target.repository, { limit: 1 });
      return tags === null ? "new" : "unknown";
    } catch {
      return "unknown";
    }
  }
}

/** Docker Hub counts every read of a manifest against its limit, and no HEAD; two tags of one image are then one read. */
function countsReads(host: string): boolean {
  return host === DOCKER_HUB;
}

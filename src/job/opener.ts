/**
 * Opens one name of a copy: asks both ends for it, as little as needed, and either finds that nothing is to do or makes it a
 * root of the plan.
 */
import { isDigestTag } from "../copy/digest-tags.ts";
import { leavesOut, leftOutReason } from "../copy/media-type-choice.ts";
import { checkTargetDigest, sourceMissing, tagExists, targetName } from "../copy/opening.ts";
import { isRepositoryCopy, platformOf } from "../copy/request.ts";
import { fillTemplate } from "../copy/templates.ts";
import type { Manifest, ManifestHead } from "../registry/contract.ts";
import { isDigest } from "../registry/digest.ts";
import { DOCKER_HUB } from "../registry/reference.ts";
import type { Attacher } from "./attacher.ts";
import { asItIs, Chooser, type Chosen, type Here } from "./choosing.ts";
import type { TargetRepository } from "./ledger.ts";
import { manifestEvent, type Planner } from "./planner.ts";
import { MAIN_TAG_ID, type TagLedger, type TagRow } from "./tag-ledger.ts";
import type { StepParts } from "./step.ts";

export interface OpenerParts extends StepParts {
  tags: TagLedger;
  planner: Planner;
  attacher: Attacher;
  now: () => number;
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
  readonly #chooser: Chooser;

  constructor(parts: OpenerParts) {
    this.#parts = parts;
    this.#chooser = new Chooser(parts);
  }

  /** @throws CopyError: this name cannot be copied. */
  async open(row: TagRow): Promise<void> {
    const { request } = this.#parts;
    const name = this.#nameAtTarget(row, null);
    const isFree = !countsReads(request.source.host) && !this.#isUpForChoice(row);
    if (row.held === false && name !== null && isFree) {
      await this.#openNew(row, name);
      return;
    }
    const look = name === null || row.held === false ? null : this.#headTarget(name);
    const learn = () => (look ?? Promise.resolve(null)).then((head) => this.#repositoryAfter(head));
    // For what may be left out nothing is asked that would not be needed then.
    const learning = this.#isUpForChoice(row) ? null : learn();
    // Its error is the error of the look, which is waited for below.
    learning?.catch(() => {});
    const [first, chosen] = await Promise.all([look, this.#headSource(row).then((here) => this.#choose(row, here))]);
    const { digest } = chosen;
    if (this.#isLeftOut(row, chosen)) {
      this.#leftOut(row, chosen, first);
      return;
    }
    if (this.#isMain(row)) {
      checkTargetDigest(request, digest);
    }
    // A name that follows from the digest is known only now.
    const target = name ?? this.#nameAtTarget(row, digest) ?? digest;
    const mayHold = name === null && isRepositoryCopy(request);
    const there = mayHold ? await this.#headTarget(target) : first;
    const named = { ...row, target };
    if (there?.digest === digest && request.deep !== true) {
      this.#unchanged(named, chosen, there);
      return;
    }
    if (there !== null && there.digest !== digest && request.existing?.kind === "skip") {
      this.#skipped(named, chosen, there.digest);
      return;
    }
    const typed = await this.#withType(row, chosen);
    if (this.#isLeftOut(row, typed)) {
      this.#leftOut(named, typed, there);
    } else if (there !== null && there.digest !== digest && request.existing?.kind === "fail") {
      throw tagExists(request, target, there.digest);
    } else {
      await this.#plan(named, typed, there?.digest ?? null, learning ?? learn());
    }
  }

  /** Goes on with a name that a run before this one has opened. */
  async resume(row: TagRow & { digest: string }): Promise<void> {
    const { plan, planner, request, source, ledger } = this.#parts;
    const digest = row.derived ?? row.digest;
    const known = ledger.manifests.known(digest);
    const here = { digest, sizeBytes: known?.sizeBytes ?? -1, mediaType: known?.mediaType ?? "" };
    const { narrowed } = row.derived === null ? await this.#chooser.choose(row.source, here) : asItIs(here);
    if (!this.#addRoot(row, { ...here, narrowed })) {
      // Another name of the same manifest, or one above it, brings it.
      this.#parts.onPlan();
      return;
    }
    const mayBeThere = row.oldDigest !== null || this.#parts.repository() === "holds_tag";
    if (planner.recall(digest, mayBeThere)) {
      return;
    }
    const original = await source.getManifest(request.source.repository, row.digest);
    const manifest = row.derived === null ? original : await this.#read(this.#chooser.chooseIn(row.source, original));
    if (plan.has(digest)) {
      planner.take(manifest, "read", mayBeThere);
    }
  }

  /** A name that the target does not have: read at once, without asking for its digest first. */
  async #openNew(row: TagRow, target: string): Promise<void> {
    const { request, source, planner, ledger } = this.#parts;
    const chosen = this.#chooser.chooseIn(row.source, await source.getManifest(request.source.repository, row.source));
    const { digest } = chosen;
    const isNew = this.#addRoot(row, chosen);
    this.#parts.beginStep();
    this.#parts.tags.planned(row.id, chosen.source, target, null, derivedOf(chosen));
    if (!isNew) {
      this.#parts.onPlan();
    } else if (ledger.manifests.known(digest) === null || !planner.recall(digest, false)) {
      const manifest = await this.#read(chosen);
      if (this.#parts.plan.has(digest)) {
        planner.take(manifest, "read", false);
      }
    }
  }

  async #plan(
    row: TagRow & { target: string },
    chosen: Chosen,
    oldDigest: string | null,
    looked: Promise<TargetRepository>,
  ): Promise<void> {
    const { plan, planner } = this.#parts;
    const { digest } = chosen;
    const mayBeThere = oldDigest !== null;
    if (plan.has(digest)) {
      // Its name may be written as soon as it is a root: what is to be known of it then stands before that.
      this.#planned(row, chosen, oldDigest, await looked);
    }
    if (!this.#addRoot(row, chosen)) {
      this.#parts.onPlan();
      return;
    }
    const known = this.#parts.ledger.manifests.known(digest) !== null;
    if (known) {
      this.#planned(row, chosen, oldDigest, await looked);
      if (planner.recall(digest, mayBeThere)) {
        return;
      }
    }
    const [manifest, repository, there] = await Promise.all([
      this.#read(chosen),
      looked,
      mayBeThere && oldDigest !== digest ? this.#headTarget(digest) : null,
    ]);
    if (plan.has(digest)) {
      this.#planned(row, chosen, oldDigest, repository);
      this.#takeRoot(manifest, there !== null, oldDigest);
    }
  }

  #read({ digest, manifest }: Chosen): Promise<Manifest> {
    const { source, request } = this.#parts;
    return manifest === null ? source.getManifest(request.source.repository, digest) : Promise.resolve(manifest);
  }

  /** @returns Whether its manifest has to be read. */
  #addRoot(row: TagRow, root: Pick<Chosen, "digest" | "sizeBytes" | "narrowed">): boolean {
    const { plan, attacher, request } = this.#parts;
    const isHeld = request.attached !== undefined;
    const isNew = plan.addRoot(rootKey(row), root, isHeld);
    if (root.narrowed !== null) {
      plan.narrow(root.digest, root.narrowed);
    }
    if (isHeld) {
      attacher.expect(rootKey(row));
    }
    return isNew;
  }

  #takeRoot(manifest: Manifest, isThere: boolean, oldDigest: string | null): void {
    const { plan, planner, request } = this.#parts;
    const deep = request.deep === true;
    if (isThere || oldDigest === manifest.digest) {
      plan.found(manifest.digest);
    }
    planner.take(manifest, isThere && !deep ? "present" : "read", oldDigest !== null);
  }

  #planned(
    row: TagRow & { target: string },
    chosen: Chosen,
    oldDigest: string | null,
    repository: TargetRepository,
  ): void {
    this.#parts.beginStep();
    this.#parts.tags.planned(row.id, chosen.source, row.target, oldDigest, derivedOf(chosen));
    if (this.#isMain(row)) {
      this.#parts.onRepository(repository);
      this.#parts.ledger.opened(chosen.source, repository);
    }
  }

  #unchanged(row: TagRow & { target: string }, chosen: Chosen, there: ManifestHead): void {
    const { ledger, events, tags, request, plan, onPlan, onRepository } = this.#parts;
    const { digest } = there;
    this.#parts.beginStep();
    ledger.manifests.present(there);
    if (this.#isMain(row)) {
      ledger.opened(chosen.source, "holds_tag");
      events.append(manifestEvent(digest, there.sizeBytes, "present"));
    }
    if (request.attached === undefined) {
      tags.end(row.id, "unchanged", { ...endOf(row, chosen), oldDigest: digest });
      this.#parts.onEnded(row);
      return;
    }
    // What is attached to it may be new.
    if (this.#isMain(row)) {
      onRepository("holds_tag");
    }
    tags.planned(row.id, chosen.source, row.target, digest, derivedOf(chosen));
    this.#addRoot(row, { digest, sizeBytes: there.sizeBytes, narrowed: chosen.narrowed });
    plan.published(digest, false);
    onPlan();
  }

  #skipped(row: TagRow & { target: string }, chosen: Chosen, oldDigest: string): void {
    const { ledger, tags } = this.#parts;
    this.#parts.beginStep();
    if (this.#isMain(row)) {
      ledger.opened(chosen.source, "holds_tag");
    }
    tags.end(row.id, "skipped", { ...endOf(row, chosen), oldDigest });
    this.#parts.onEnded(row);
  }

  #leftOut(row: TagRow, chosen: Chosen, there: ManifestHead | null): void {
    const { ledger, tags } = this.#parts;
    this.#parts.beginStep();
    if (this.#isMain(row)) {
      ledger.opened(chosen.source, there === null ? "unknown" : "holds_tag");
    }
    tags.end(row.id, "skipped", {
      digest: chosen.source,
      ...(there === null ? {} : { oldDigest: there.digest }),
      reason: leftOutReason(chosen.mediaType),
    });
    this.#parts.onEnded(row);
  }

  /** What is left out by its type is asked nothing more. */
  #choose(row: TagRow, here: Here): Chosen | Promise<Chosen> {
    return this.#isLeftOut(row, here) ? asItIs(here) : this.#chooser.choose(row.source, here);
  }

  /** Some registries do not say in the answer to a HEAD what it is of: the manifest itself does. */
  async #withType(row: TagRow, chosen: Chosen): Promise<Chosen> {
    const { source, request } = this.#parts;
    return chosen.mediaType === "" && this.#isUpForChoice(row)
      ? this.#chooser.chooseIn(row.source, await source.getManifest(request.source.repository, chosen.source))
      : chosen;
  }

  #isLeftOut(row: TagRow, { mediaType }: { mediaType: string }): boolean {
    return this.#isUpForChoice(row) && leavesOut(this.#parts.request, mediaType);
  }

  /** Whether its media type decides. What is attached to an image by its tag goes with the image. */
  #isUpForChoice(row: TagRow): boolean {
    const { mediaTypes, attached } = this.#parts.request;
    const isAttached = attached?.digestTags === true && isDigestTag(row.source) && !this.#isMain(row);
    return mediaTypes !== undefined && !isAttached;
  }

  /** The one name of a copy that is not a repository's. */
  #isMain(row: TagRow): boolean {
    return !isRepositoryCopy(this.#parts.request) && row.id === MAIN_TAG_ID;
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
          { host, repository, tag: row.source, digest, now: now(), ...platformOf(request) },
          "target_tag",
        );
  }

  #headTarget(name: string): Promise<ManifestHead | null> {
    return this.#parts.target.headManifest(this.#parts.request.target.repository, name);
  }

  async #headSource(row: TagRow): Promise<Here> {
    const { request, source } = this.#parts;
    if (isDigest(row.source) && !this.#isUpForChoice(row)) {
      return { digest: row.source, sizeBytes: -1, mediaType: "" };
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

/** Digest of what is written in place of the source's manifest; null: that itself. */
function derivedOf({ digest, source }: Chosen): string | null {
  return digest === source ? null : digest;
}

function endOf({ target }: { target: string }, chosen: Chosen): { digest: string; derived?: string; target: string } {
  const derived = derivedOf(chosen);
  return { digest: chosen.source, ...(derived === null ? {} : { derived }), target };
}

/**
 * Finds what is attached to the images of a copy, root by root: manifests that refer to them, which become part of the root,
 * and tags that are named after their digests, which become names of their own. Begins once everything a root consists of is
 * known, so that its blobs are on their way before anything is listed here.
 */
import { digestTagGroups, isDigestTag } from "../copy/digest-tags.ts";
import { type ReferrerFilter, ReferrerWalk, wantedReferrers } from "../copy/referrers.ts";
import { isRepositoryCopy } from "../copy/request.ts";
import type { Referrer, ReferrerList } from "../registry/contract.ts";
import { fallbackTagOf } from "../registry/fallback-tag.ts";
import { isIndex } from "../registry/media-types.ts";
import { listAllTags } from "../registry/tags.ts";
import type { TargetRepository } from "./ledger.ts";
import type { Planner } from "./planner.ts";
import { atOnce, Pool } from "./pool.ts";
import { MAIN_TAG_ID, type TagLedger } from "./tag-ledger.ts";
import type { PoolParts } from "./step.ts";

/** Roots looked into at once, and lists asked for at once for each: the clients bound their connections themselves. */
const ROOTS_AT_ONCE = 6;
const LISTS_AT_ONCE = 6;
/** Lists in memory. One that is asked for again after so many others costs its requests once more, and nothing else. */
const MAX_LISTS = 2_000;

export interface AttacherParts extends PoolParts {
  tags: TagLedger;
  planner: Planner;
  /** What is known of the target's repository. Null: nothing so far. */
  repository: () => TargetRepository | null;
  /** There are new names in the ledger. */
  onNames: () => void;
  onPlan: () => void;
  onRootFailed: (key: string, error: unknown) => void;
}

/** What refers to a manifest at the source, and which of it the target lists too. */
interface Attached {
  referrers: readonly Referrer[];
  listed: ReadonlySet<string>;
}

const NOTHING: Attached = { referrers: [], listed: new Set() };

export class Attacher {
  readonly #parts: AttacherParts;
  readonly #roots: Pool;
  /** Keys of roots of which not everything is known yet. */
  readonly #waiting = new Set<string>();
  /** Images share children, and tags images: a digest is asked about once for all of them. Those used last stand last. */
  readonly #lists = new Map<string, Promise<Attached>>();
  #digestTags: Promise<Map<string, string[]>> | null = null;
  /** Key of the one name of a copy that is not a repository's, once it waits for nothing but the tags that belong to it. */
  #last: string | null = null;
  #fallbackTags: Promise<ReadonlySet<string> | undefined> | null = null;

  constructor(parts: AttacherParts) {
    this.#parts = parts;
    this.#roots = new Pool(ROOTS_AT_ONCE, parts.onError, parts.onIdle);
  }

  get idle(): boolean {
    return this.#roots.idle;
  }

  stop(): void {
    this.#roots.stop();
  }

  /** A root that was added to the plan as held: it is let go once it is known what is attached to it. */
  expect(key: string): void {
    this.#waiting.add(key);
  }

  /** Looks into the roots of which everything is known by now. */
  pump(): void {
    const { plan } = this.#parts;
    for (const key of this.#waiting) {
      if (plan.isClosed(key)) {
        this.#waiting.delete(key);
        this.#roots.add(() => this.#attach(key));
      }
    }
    this.#letGoLast();
  }

  async #attach(key: string): Promise<void> {
    const { plan, request, tags, onRootFailed, onPlan } = this.#parts;
    const root = plan.digestOf(key);
    if (root === null) {
      return;
    }
    try {
      const row = tags.get(Number(key));
      // Nothing at the source can be about an index that was made here.
      const isNew = request.platforms?.index === "rewrite" && row?.derived !== null && row?.derived !== undefined;
      const copied = (await this.#below(root)).filter((digest) => !isNew || digest !== root);
      const { referrers, digestTags } = request.attached ?? {};
      if (digestTags === true) {
        await this.#addDigestTags(copied);
      }
      if (referrers !== undefined) {
        await this.#addReferrers(key, copied, referrers);
      }
    } catch (error) {
      onRootFailed(key, error);
      return;
    }
    if (!isRepositoryCopy(request) && key === String(MAIN_TAG_ID)) {
      this.#last = key;
      this.#letGoLast();
    } else {
      plan.letGo(key);
    }
    onPlan();
  }

  /** Whoever asked for one image gets its name when all that belongs to it is there, or not at all. */
  #letGoLast(): void {
    const { plan, tags } = this.#parts;
    if (this.#last !== null && !tags.hasOpenBeside(MAIN_TAG_ID)) {
      plan.letGo(this.#last);
      this.#last = null;
    }
  }

  /** A manifest and all that is copied with it. */
  async #below(root: string): Promise<string[]> {
    const { plan, planner, ledger, target, request } = this.#parts;
    const all = new Set([root]);
    for (const digest of all) {
      const known = plan.childrenOf(digest);
      // Found at the target without having been read.
      const isUnread = known === null && isIndex(ledger.manifests.known(digest)?.mediaType ?? "");
      const children = isUnread
        ? planner.childrenIn(await target.getManifest(request.target.repository, digest))
        : (known ?? []);
      children.forEach((child) => all.add(child));
    }
    return [...all];
  }

  async #addReferrers(key: string, digests: readonly string[], filter: ReferrerFilter): Promise<void> {
    const { plan } = this.#parts;
    const walk = new ReferrerWalk();
    for (let subjects = walk.take(digests); subjects.length > 0;) {
      const lists = await atOnce(LISTS_AT_ONCE, subjects, (subject) => this.#attachedTo(subject, filter));
      if (plan.digestOf(key) === null) {
        return;
      }
      const found: string[] = [];
      for (const { subject, referrers, listed } of lists) {
        for (const referrer of referrers) {
          this.#addReferrer(key, subject, referrer, listed.has(referrer.digest));
          found.push(referrer.digest);
        }
      }
      subjects = walk.take(found);
    }
  }

  #addReferrer(key: string, subject: string, { digest, size, mediaType }: Referrer, isListed: boolean): void {
    const { plan, planner, request } = this.#parts;
    const descriptor = { digest, sizeBytes: size, mediaType };
    if (isListed && request.deep !== true) {
      planner.note(descriptor);
    } else if (plan.attach(key, subject, descriptor)) {
      planner.read(descriptor, isListed);
    }
  }

  async #attachedTo(subject: string, filter: ReferrerFilter): Promise<Attached & { subject: string }> {
    const asked = this.#lists.get(subject) ?? this.#list(subject, filter);
    this.#lists.delete(subject);
    this.#lists.set(subject, asked);
    const [oldest] = this.#lists.keys();
    if (this.#lists.size > MAX_LISTS && oldest !== undefined) {
      this.#lists.delete(oldest);
    }
    try {
      return { subject, ...(await asked) };
    } catch (error) {
      this.#lists.delete(subject);
      throw error;
    }
  }

  async #list(subject: string, filter: ReferrerFilter): Promise<Attached> {
    const { request, source, target, repository } = this.#parts;
    const [onlyType, otherType] = filter.artifactTypes ?? [];
    const ofType = onlyType !== undefined && otherType === undefined ? { artifactType: onlyType } : {};
    const listedTags = await this.#fallbackTags;
    const list = await source.listReferrers(request.source.repository, subject, {
      ...ofType,
      ...(listedTags === undefined || listedTags === null ? {} : { listedTags }),
    });
    this.#learnFrom(list);
    const referrers = wantedReferrers(list?.referrers ?? [], filter);
    if (referrers.length === 0) {
      return NOTHING;
    }
    const there =
      repository() === "new" ? null : await target.listReferrers(request.target.repository, subject, ofType);
    return { referrers, listed: new Set(there?.referrers.map(({ digest }) => digest)) };
  }

  /** Without the API every digest costs a request for its tag: of a whole repository the list of tags is cheaper. */
  #learnFrom(list: ReferrerList | null): void {
    const { request, source, events } = this.#parts;
    events.warn(list?.warnings ?? []);
    if (list?.from === "tag" && isRepositoryCopy(request)) {
      this.#fallbackTags ??= listAllTags(source, "source", request.source.repository).then(
        (all) => new Set(all?.filter(isDigestTag)),
        () => undefined,
      );
    }
  }

  async #addDigestTags(digests: readonly string[]): Promise<void> {
    const { tags, beginStep, onNames } = this.#parts;
    const groups = await (this.#digestTags ?? this.#askForDigestTags());
    const names = digests.map(fallbackTagOf).flatMap((prefix) => {
      const group = groups.get(prefix) ?? [];
      groups.delete(prefix);
      return group;
    });
    if (names.length > 0) {
      beginStep();
      tags.add(names.map((name) => ({ source: name, target: name, held: null, state: "waiting" })));
      onNames();
    }
  }

  /** A list that could not be had is asked for again by the next root. */
  #askForDigestTags(): Promise<Map<string, string[]>> {
    const asked = this.#listDigestTags();
    this.#digestTags = asked;
    asked.catch(() => {
      this.#digestTags = null;
    });
    return asked;
  }

  /** What is among the names of the copy already needs no other row. */
  async #listDigestTags(): Promise<Map<string, string[]>> {
    const { source, request, tags } = this.#parts;
    const listed = (await listAllTags(source, "source", request.source.repository)) ?? [];
    const known = new Set(tags.digestTags());
    return digestTagGroups(listed.filter((tag) => !known.has(tag)));
  }
}

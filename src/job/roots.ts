/**
 * The names of a copy on their way through a run: keeps a window of them open, ends each for itself, and says when the last
 * has ended. However many names there are, only those of the window are in memory.
 */
import { sourceName, targetName } from "../copy/opening.ts";
import type { CopyPlan } from "../copy/plan.ts";
import { type CopyRequest, isRepositoryCopy } from "../copy/request.ts";
import { type ErrorDetail, errorDetailOf } from "../registry/errors.ts";
import type { EventLog } from "./events.ts";
import { tagsFailed } from "./failures.ts";
import { type Opener, rootKey } from "./opener.ts";
import { Pool } from "./pool.ts";
import { MAIN_TAG_ID, type TagLedger, type TagRow } from "./tag-ledger.ts";
import { Verdict } from "./verdict.ts";

/** Names open at once: enough blobs for the scheduler to choose from, few enough to be nothing in memory. */
const WINDOW_ROOTS = 64;
/** Beyond so many manifests and blobs in memory no further name is opened; a single one may have more. */
const WINDOW_SIZE = 10_000;
/** Names asked for at once: an object may have six connections waiting for answers. */
const OPENED_AT_ONCE = 6;

export interface RootsParts {
  request: CopyRequest;
  tags: TagLedger;
  events: EventLog;
  plan: CopyPlan;
  opener: Opener;
  /** Ends the run. */
  onError: (error: unknown) => void;
  /** The window may have room. */
  onPlan: () => void;
  onIdle: () => void;
  onAllEnded: () => void;
}

export class Roots {
  readonly #parts: RootsParts;
  readonly #openings: Pool;
  readonly #verdict = new Verdict();
  /** Rows that are being asked for, or are in the plan. */
  #open = 0;
  /** Rows read from the ledger ahead of the window; first those that a run before this one has opened. */
  #next: TagRow[] = [];
  #lastId = 0;
  #hasMore = true;
  #stopped = false;
  #ended = false;

  constructor(parts: RootsParts) {
    this.#parts = parts;
    this.#openings = new Pool(OPENED_AT_ONCE, parts.onError, parts.onIdle);
  }

  /** Nothing is being asked for, and nothing more is to be opened just now. */
  get idle(): boolean {
    return this.#openings.idle;
  }

  stop(): void {
    this.#stopped = true;
    this.#openings.stop();
  }

  /** Takes up what a run before this one has left. */
  begin(): void {
    this.#next = this.#parts.tags.inState("planned", WINDOW_ROOTS);
    this.open();
  }

  /**
   * The one name of a copy that is not a repository's.
   * @param root Its digest, where a run before this one has found it out.
   */
  beginSingle(root: string | null): void {
    const { tags, request } = this.#parts;
    if (tags.tally().all === 0) {
      tags.add([{ source: sourceName(request), target: targetName(request), held: null, state: "waiting" }]);
    }
    const row = tags.get(MAIN_TAG_ID);
    if (row?.state === "waiting" && root !== null) {
      tags.planned(row.id, root, row.target ?? root, null);
    }
  }

  /** There are new names in the ledger. */
  more(): void {
    this.#hasMore = true;
    this.open();
  }

  /** Opens names as far as the window has room. */
  open(): void {
    // A single image waits for the tags that belong to it, so that one of those must have room beside it, whatever its size.
    const always = isRepositoryCopy(this.#parts.request) ? 1 : 2;
    const hasRoom = () => this.#open < always || (this.#open < WINDOW_ROOTS && this.#parts.plan.size < WINDOW_SIZE);
    while (!this.#stopped && hasRoom()) {
      const row = this.#takeNext();
      if (row === undefined) {
        break;
      }
      this.#open += 1;
      this.#openings.add(() => this.#openRow(row));
    }
    this.#checkEnd();
  }

  /** A name has come to its end well; the ledger has it already. */
  ended(row: TagRow): void {
    this.#open -= 1;
    this.#verdict.succeeded();
    this.#tell(row.id);
    this.#parts.onPlan();
  }

  /**
   * Names that cannot be finished. What is no fault of theirs ends the run instead.
   * @param keys Of roots in the plan.
   */
  fail(keys: string[], error: unknown): void {
    if (this.#stopped) {
      return;
    }
    const detail = errorDetailOf(error);
    const isFault = detail.code !== "internal" && detail.code !== "cancelled";
    if (isFault && keys.length === 0) {
      // Nobody needs it any more: it has turned out to be at the target, or its names have ended otherwise.
      return;
    }
    // A copy of one name fails with it, and what becomes of it is written down by whoever ends the copy.
    if (!isRepositoryCopy(this.#parts.request) || !isFault) {
      this.#parts.onError(error);
      return;
    }
    const { plan, request, tags, onError, onPlan } = this.#parts;
    const failed = keys.filter((key) => {
      plan.endRoot(key);
      return this.#failRow(Number(key), detail);
    });
    // However many names it takes along, it is one failure.
    const isHopeless = failed.length > 0 && this.#verdict.failed(detail);
    if (isHopeless || (failed.length > 0 && request.failFast === true)) {
      this.#stopped = true;
      onError(tagsFailed(tags));
    } else {
      onPlan();
    }
  }

  async #openRow(row: TagRow): Promise<void> {
    const { opener, plan } = this.#parts;
    try {
      if (row.state === "planned" && row.digest !== null) {
        await opener.resume({ ...row, digest: row.digest });
      } else {
        await opener.open(row);
      }
    } catch (error) {
      const digest = plan.digestOf(rootKey(row));
      if (digest === null) {
        this.fail([rootKey(row)], error);
      } else {
        // It was to read the manifest for all of them.
        this.fail(plan.rootsOfManifest(digest), error);
      }
    }
  }

  /** @returns False: it had ended before. */
  #failRow(id: number, error: ErrorDetail): boolean {
    if (!this.#parts.tags.end(id, "failed", { error })) {
      return false;
    }
    this.#open -= 1;
    this.#tell(id);
    return true;
  }

  #tell(id: number): void {
    const { tags, events, request } = this.#parts;
    if (isRepositoryCopy(request)) {
      const view = tags.view(id);
      if (view !== null) {
        events.append({ type: "tag", data: view });
      }
    }
  }

  #takeNext(): TagRow | undefined {
    if (this.#next.length === 0 && this.#hasMore) {
      // By id: a row that was taken is still waiting until both ends have answered.
      this.#next = this.#parts.tags.inState("waiting", WINDOW_ROOTS, this.#lastId);
      this.#lastId = this.#next.at(-1)?.id ?? this.#lastId;
      this.#hasMore = this.#next.length > 0;
    }
    return this.#next.shift();
  }

  #checkEnd(): void {
    if (this.#open === 0 && this.#next.length === 0 && !this.#hasMore && !this.#stopped && !this.#ended) {
      this.#ended = true;
      this.#parts.onAllEnded();
    }
  }
}

/**
 * What waits for a slot at one host, kept in every order that a policy may ask for.
 *
 * It knows nothing of registries, limits or time, and decides nothing: see policy.ts. Changes cost O(log n), questions
 * O(1). Every order is total (equals go by `since`, then `tie`, then order of insertion), so the same history gives the same answers.
 */
import type { RequestKind } from "../registry/gate.ts";
import { IndexedHeap, NOWHERE } from "./heap.ts";
import type { Placed } from "./heap.ts";

/** Requests up to this size are small: they are over before a blob's transfer would notice them. */
export const SMALL_LIMIT_BYTES = 4 * 1024 * 1024;

export interface Entry {
  id: string;
  kind: RequestKind;
  bytes: number;
  job: string;
  /** First arrival in milliseconds since the epoch; survives every retry. */
  since: number;
  /**
   * Decides between entries of one age that both have it, as the offers of blobs do: of two blobs that wait for each
   * other's hosts, the same one must be first at both.
   */
  tie?: string;
}

/** Whether a request counts as small: everything but blobs, up to 4 MiB. */
export function isSmall(request: { kind: RequestKind; bytes: number }): boolean {
  return request.kind !== "blob" && request.bytes <= SMALL_LIMIT_BYTES;
}

const KIND_RANK: Record<RequestKind, number> = { head: 0, manifest: 1, query: 2, blob: 3 };

interface Waiter extends Placed {
  readonly entry: Entry;
  readonly order: number;
}

interface Job extends Placed {
  readonly name: string;
  readonly blobs: IndexedHeap<Waiter>;
  waitingBytes: number;
  /** As the scheduler told; undefined: what waits is all there is. */
  bytesLeft: number | undefined;
}

/** Whose place is whose: an entry stands among all, and either among the small requests or among the blobs and its job's. */
const ALL = 0;
const SMALL = 1;
const SMALL_BY_SIZE = 2;
const BLOBS_BY_SIZE = 1;
const JOB_BLOBS = 2;
const JOBS = 0;

const byAge = (left: Waiter, right: Waiter): number =>
  left.entry.since - right.entry.since || byTie(left.entry.tie, right.entry.tie) || left.order - right.order;

/** Entries with a tie go before those without, so that the order is total. */
function byTie(left: string | undefined, right: string | undefined): number {
  if (left === right) {
    return 0;
  }
  return left !== undefined && (right === undefined || left < right) ? -1 : 1;
}

const byKind = (left: Waiter, right: Waiter): number =>
  KIND_RANK[left.entry.kind] - KIND_RANK[right.entry.kind] || byAge(left, right);

const bySize = (left: Waiter, right: Waiter): number => right.entry.bytes - left.entry.bytes || byAge(left, right);

/** As byKind, but the smaller first; 0 means that nobody knows the size, and comes last. */
const byKindAndSize = (left: Waiter, right: Waiter): number =>
  KIND_RANK[left.entry.kind] - KIND_RANK[right.entry.kind] ||
  (left.entry.bytes || Infinity) - (right.entry.bytes || Infinity) ||
  byAge(left, right);

function byBytesLeft(left: Job, right: Job): number {
  const difference = bytesLeftOf(left) - bytesLeftOf(right);
  if (difference !== 0) {
    return difference;
  }
  const [leftTop, rightTop] = [left.blobs.peek(), right.blobs.peek()];
  return leftTop === undefined || rightTop === undefined ? 0 : byAge(leftTop, rightTop);
}

const bytesLeftOf = (job: Job): number => job.bytesLeft ?? job.waitingBytes;

export class WaitingQueue {
  readonly #byId = new Map<string, Waiter>();
  readonly #all = new IndexedHeap<Waiter>(ALL, byAge);
  readonly #blobsBySize = new IndexedHeap<Waiter>(BLOBS_BY_SIZE, bySize);
  readonly #small = new IndexedHeap<Waiter>(SMALL, byKind);
  readonly #smallBySize = new IndexedHeap<Waiter>(SMALL_BY_SIZE, byKindAndSize);
  /** Only jobs with a waiting blob. */
  readonly #waitingJobs = new Map<string, Job>();
  readonly #jobs = new IndexedHeap<Job>(JOBS, byBytesLeft);
  /** Bytes left of jobs none of whose blobs wait just now. */
  readonly #bytesLeftOfOthers = new Map<string, number>();
  readonly #counts: Record<RequestKind, number> = { head: 0, manifest: 0, query: 0, blob: 0 };
  #totalBlobBytes = 0;
  #order = 0;

  get size(): number {
    return this.#all.size;
  }

  /** Sum of the sizes of the waiting blobs. */
  get totalBlobBytes(): number {
    return this.#totalBlobBytes;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  get(id: string): Entry | undefined {
    return this.#byId.get(id)?.entry;
  }

  countByKind(): Record<RequestKind, number> {
    return { ...this.#counts };
  }

  /** Adds an entry. One with an id that waits already changes nothing. */
  add(entry: Entry): void {
    if (this.#byId.has(entry.id)) {
      return;
    }
    // All three places from the start: an array that grows takes room for sixteen, a hundred thousand times.
    const waiter: Waiter = { entry, order: this.#order++, places: [NOWHERE, NOWHERE, NOWHERE] };
    this.#byId.set(entry.id, waiter);
    this.#all.insert(waiter);
    this.#counts[entry.kind]++;
    if (entry.kind === "blob") {
      this.#blobsBySize.insert(waiter);
      this.#totalBlobBytes += entry.bytes;
      this.#addToJob(waiter);
    } else if (isSmall(entry)) {
      this.#small.insert(waiter);
      this.#smallBySize.insert(waiter);
    }
  }

  /** Takes an entry out, wherever it stands. Undefined: it does not wait here. */
  remove(id: string): Entry | undefined {
    const waiter = this.#byId.get(id);
    if (waiter === undefined) {
      return undefined;
    }
    const { entry } = waiter;
    this.#byId.delete(id);
    this.#all.remove(waiter);
    this.#counts[entry.kind]--;
    if (entry.kind === "blob") {
      this.#blobsBySize.remove(waiter);
      this.#totalBlobBytes -= entry.bytes;
      this.#removeFromJob(waiter);
    } else if (isSmall(entry)) {
      this.#small.remove(waiter);
      this.#smallBySize.remove(waiter);
    }
    return entry;
  }

  /**
   * Tells how many bytes a job still has to move to this host, waiting and under way. 0 forgets the job; a job of which
   * nothing was told counts with what it has waiting.
   */
  setJobBytesLeft(job: string, bytes: number): void {
    const left = bytes > 0 ? bytes : undefined;
    const waiting = this.#waitingJobs.get(job);
    if (waiting !== undefined) {
      waiting.bytesLeft = left;
      this.#jobs.update(waiting);
    } else if (left === undefined) {
      this.#bytesLeftOfOthers.delete(job);
    } else {
      this.#bytesLeftOfOthers.set(job, left);
    }
  }

  oldest(): Entry | undefined {
    return this.#all.peek()?.entry;
  }

  /** The first small request by kind (head, manifest, query), then by age. */
  bestSmall(): Entry | undefined {
    return this.#small.peek()?.entry;
  }

  /** The first small request by kind, then by size (an unknown size, 0, last), then by age. */
  smallestSmall(): Entry | undefined {
    return this.#smallBySize.peek()?.entry;
  }

  largestBlob(): Entry | undefined {
    return this.#blobsBySize.peek()?.entry;
  }

  /** The largest waiting blob of the job that has the fewest bytes left, among the jobs that have one waiting. */
  leastLeft(): Entry | undefined {
    return this.#jobs.peek()?.blobs.peek()?.entry;
  }

  #addToJob(waiter: Waiter): void {
    const { job: name, bytes } = waiter.entry;
    const job = this.#waitingJobs.get(name) ?? this.#newJob(name);
    job.blobs.insert(waiter);
    job.waitingBytes += bytes;
    this.#jobs.insert(job);
  }

  #newJob(name: string): Job {
    const job: Job = {
      name,
      blobs: new IndexedHeap(JOB_BLOBS, bySize),
      waitingBytes: 0,
      bytesLeft: this.#bytesLeftOfOthers.get(name),
      places: [NOWHERE],
    };
    this.#bytesLeftOfOthers.delete(name);
    this.#waitingJobs.set(name, job);
    return job;
  }

  #removeFromJob(waiter: Waiter): void {
    const { job: name, bytes } = waiter.entry;
    const job = this.#waitingJobs.get(name);
    if (job === undefined) {
      return;
    }
    job.blobs.remove(waiter);
    job.waitingBytes -= bytes;
    if (job.blobs.size > 0) {
      this.#jobs.update(job);
      return;
    }
    this.#jobs.remove(job);
    this.#waitingJobs.delete(name);
    if (job.bytesLeft !== undefined) {
      this.#bytesLeftOfOthers.set(name, job.bytesLeft);
    }
  }
}

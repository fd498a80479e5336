/**
 * A copy that writes nothing: the same planner and publisher, with ends that only say what they would do. Every way to
 * change something at the target leads here.
 */
import type { BlobOffer, Settlement } from "../host/contract.ts";
import type { Registry } from "../registry/contract.ts";
import { CopyError } from "../registry/errors.ts";
import { Pool } from "./pool.ts";
import type { OpenRegistries } from "./registries.ts";

/** Both ends as a run sees them, and where its offers go. */
export interface RunEnds extends OpenRegistries {
  /** Safe to repeat. */
  sendOffers: (offers: BlobOffer[]) => Promise<void>;
}

/** HEADs at once: an object may have six connections waiting for answers. */
const LOOKS_AT_ONCE = 6;
/** What a blob that has to be sent takes: GET at the source, POST and PUT at the target. */
const COPY_REQUESTS = { source: 1, target: 2 };
const MOUNT_REQUESTS = { source: 0, target: 1 };
/** The look itself is among the requests of the target's client. */
const NO_REQUESTS = { source: 0, target: 0 };

/**
 * Both ends of a copy that writes nothing.
 * @param signal Ends the looks that wait.
 * @param settled Hears what would become of each blob.
 */
export function dryEnds(
  opened: OpenRegistries,
  signal: AbortSignal,
  settled: (settlements: Settlement[]) => Promise<void>,
  onError: (error: unknown) => void,
): RunEnds {
  const target = withoutWrites(opened.target);
  const appraiser = new Appraiser(target, settled, onError);
  signal.addEventListener("abort", () => appraiser.stop());
  return { ...opened, target, sendOffers: async (offers) => appraiser.offer(offers) };
}

/** The target as it is, only that its manifests and tags are not written: such requests are counted and not sent. */
function withoutWrites(target: Registry): Registry {
  const usage = {
    unsent: 0,
    get requests() {
      return target.usage.requests + this.unsent;
    },
    get warnings() {
      return target.usage.warnings;
    },
  };
  const refuse = (): never => {
    throw new CopyError({
      code: "internal",
      side: "service",
      host: target.host,
      operation: "dry run",
      retryable: false,
      message: "A dry run writes nothing.",
    });
  };
  return {
    host: target.host,
    usage,
    headManifest: (repository, reference) => target.headManifest(repository, reference),
    getManifest: (repository, reference) => target.getManifest(repository, reference),
    listTags: (repository, page) => target.listTags(repository, page),
    listReferrers: (repository, digest, how) => target.listReferrers(repository, digest, how),
    headBlob: (repository, digest) => target.headBlob(repository, digest),
    readSmallBlob: (repository, digest) => target.readSmallBlob(repository, digest),
    openBlob: (repository, digest, how) => target.openBlob(repository, digest, how),
    putManifest: async () => {
      usage.unsent += 1;
      // As where referrers are listed: that a target has no list for them is found out by writing only.
      return { subject: "" };
    },
    deleteTag: async () => {
      usage.unsent += 1;
      return "deleted";
    },
    startUpload: refuse,
    putBlob: refuse,
    patchBlob: refuse,
    uploadOffset: refuse,
    cancelUpload: refuse,
  };
}

/** Stands where the target's host takes offers: looks for each blob that may be there, and tells what would become of it. */
class Appraiser {
  readonly #target: Registry;
  readonly #settled: (settlements: Settlement[]) => Promise<void>;
  readonly #looks: Pool;

  constructor(
    target: Registry,
    settled: (settlements: Settlement[]) => Promise<void>,
    onError: (error: unknown) => void,
  ) {
    this.#target = target;
    this.#settled = settled;
    this.#looks = new Pool(LOOKS_AT_ONCE, onError, () => {});
  }

  offer(offers: readonly BlobOffer[]): void {
    for (const offer of offers) {
      this.#looks.add(() => this.#appraise(offer));
    }
  }

  stop(): void {
    this.#looks.stop();
  }

  async #appraise({ id, digest, targetRepository, sourceHost, mayExist }: BlobOffer): Promise<void> {
    const there = mayExist && (await this.#target.headBlob(targetRepository, digest)) !== null;
    const outcome = there ? "present" : sourceHost === this.#target.host ? "mounted" : "copied";
    const requests = there ? NO_REQUESTS : outcome === "mounted" ? MOUNT_REQUESTS : COPY_REQUESTS;
    await this.#settled([{ id, digest, outcome, bytes: 0, requests, warnings: [] }]);
  }
}

/**
 * A registry host read through its mirrors: every read goes to the first place that is asked, and on to the next where that
 * one does not have it, refuses, or fails. Writes go to the host itself. The order and what a failure means are `places.ts`'s.
 */
import type { Registry, Usage } from "./contract.ts";
import { CopyError, type ErrorDetail, errorDetailOf } from "./errors.ts";
import type { Gate, Slot } from "./gate.ts";
import { Choice, mirrorVerdict } from "./places.ts";

/** Tries of a read at a mirror: a mishap is forgiven, what lasts is not waited for, since there is another place to ask. */
export const MIRROR_TRIES = 2;
/** A mirror that gives no slot for so long is paused, or busy beyond use. */
const PATIENCE_MS = 15_000;

/** A place with its client; its repository stands for the one that is asked for. */
export interface ReadPlace {
  registry: Registry;
  repository: string;
}

export interface MirroredOptions {
  /** In the order to ask them. */
  mirrors: readonly ReadPlace[];
  source: ReadPlace;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Lists of tags come from the source: what a mirror has not heard of would count as gone. */
  listsAtSource: boolean;
}

/** The source read through its mirrors. Manifests say which place has sent them: as many as there are mirrors is the source. */
export function createMirrored({ mirrors, source, now, listsAtSource }: MirroredOptions): Registry {
  const host = source.registry;
  const choice = new Choice(mirrors.length);
  const notes = new Set<string>();
  /** The place that has sent the newest page of tags. */
  let listing = listsAtSource ? mirrors.length : 0;
  const usage: Usage = {
    get requests() {
      return [...mirrors, source].reduce((sum, { registry }) => sum + registry.usage.requests, 0);
    },
    get warnings() {
      return [...new Set([...[...mirrors, source].flatMap(({ registry }) => registry.usage.warnings), ...notes])];
    },
  };

  /** The first answer that is one; else the source's, whatever that is. `isNothing` says which are none. */
  async function read<T>(
    ask: (place: ReadPlace, index: number) => Promise<T>,
    isNothing: (answer: T) => boolean,
    first = 0,
  ): Promise<T> {
    for (const index of choice.order(now(), first)) {
      try {
        const answer = await ask(mirrors[index] ?? source, index);
        if (!isNothing(answer)) {
          return answer;
        }
      } catch (thrown) {
        passOver(index, thrown);
      }
    }
    return ask(source, mirrors.length);
  }

  /** @throws What is no failure of the mirror. */
  function passOver(index: number, thrown: unknown): void {
    const detail = errorDetailOf(thrown, "read from a mirror");
    const verdict = mirrorVerdict(detail);
    if (verdict === "stop") {
      throw thrown;
    }
    choice.failed(index, verdict, now());
    if (detail.code !== "not_found" && notes.size < MAX_NOTES) {
      notes.add(passedOver(detail));
    }
  }

  const isNull = (answer: unknown): boolean => answer === null;
  const never = (): boolean => false;
  return {
    host: host.host,
    usage,
    headManifest: (_, reference) =>
      read(({ registry, repository }) => registry.headManifest(repository, reference), isNull),
    getManifest: (_, reference) =>
      read(
        async ({ registry, repository }, place) => ({ ...(await registry.getManifest(repository, reference)), place }),
        never,
      ),
    listTags(_, { limit, cursor } = {}) {
      // A page belongs to the place that has sent the one before. Where that fails, the next place's list is read from its
      // beginning: what both have said is then put together.
      const page = cursor === undefined ? null : pageOf(cursor, listing);
      return read(
        async ({ registry, repository }, index) => {
          const answer = await registry.listTags(repository, {
            ...(limit === undefined ? {} : { limit }),
            ...(page !== null && index === page.at ? { cursor: page.query } : {}),
          });
          listing = answer === null ? listing : index;
          return answer && { ...answer, next: answer.next === null ? null : `${index}${answer.next}` };
        },
        isNull,
        page?.at ?? (listsAtSource ? mirrors.length : 0),
      );
    },
    // Many mirrors keep no referrers and say that there are none.
    listReferrers: (_, digest, how) =>
      read(
        ({ registry, repository }) => registry.listReferrers(repository, digest, how),
        (list) => list === null || list.referrers.length === 0,
      ),
    headBlob: (_, digest) => read(({ registry, repository }) => registry.headBlob(repository, digest), isNull),
    openBlob: (_, digest, how) => read(({ registry, repository }) => registry.openBlob(repository, digest, how), never),
    readSmallBlob: (_, digest) => read(({ registry, repository }) => registry.readSmallBlob(repository, digest), never),

    putManifest: (repository, reference, manifest) => host.putManifest(repository, reference, manifest),
    deleteTag: (repository, tag) => host.deleteTag(repository, tag),
    startUpload: (repository, how) => host.startUpload(repository, how),
    putBlob: (upload, how) => host.putBlob(upload, how),
    patchBlob: (upload, how) => host.patchBlob(upload, how),
    uploadOffset: (upload, signal) => host.uploadOffset(upload, signal),
    cancelUpload: (upload) => host.cancelUpload(upload),
  };
}

/** Enough to know what is wrong with a mirror. */
const MAX_NOTES = 20;

/** What those who follow the copy are told when a mirror could not be used. */
export function passedOver({ host, message }: ErrorDetail): string {
  return `The mirror ${host} was passed over: ${message}`;
}

/** `1?last=x`: the page `?last=x` of place 1. One that was reckoned rather than named (`tags.ts`) does not say of which. */
function pageOf(cursor: string, listing: number): { at: number; query: string } {
  const query = cursor.indexOf("?");
  return { at: query > 0 ? Number(cursor.slice(0, query)) : listing, query: cursor.slice(Math.max(query, 0)) };
}

/** A gate that does not wait for a paused host: there is another place to ask. */
export function impatient(gate: Gate, host: string, limitMs = PATIENCE_MS): Gate {
  return {
    authorize: (request) => gate.authorize(request),
    acquire: (kind, bytes) =>
      new Promise<Slot>((resolve, reject) => {
        let isOver = false;
        const timer = setTimeout(() => {
          isOver = true;
          reject(tookTooLong(host, limitMs));
        }, limitMs);
        gate
          .acquire(kind, bytes)
          .finally(() => clearTimeout(timer))
          .then((slot) => (isOver ? slot.release({ class: "unused" }) : resolve(slot)), reject);
      }),
  };
}

function tookTooLong(host: string, limitMs: number): CopyError {
  return new CopyError({
    code: "unavailable",
    side: "source",
    host,
    operation: "wait for the registry",
    retryable: false,
    message: `${host} had no room for a request for ${limitMs / 1000} s`,
  });
}

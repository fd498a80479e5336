/**
 * The lists of referrers of a registry without the referrers API. Such a list is a manifest under a tag, and two who read and
 * write it at once lose an entry: here, at the one object of the host, each list has one writer. Whoever comes while a list
 * is being read goes along with that write, so that fifty entries do not take fifty writes.
 *
 * Nothing is kept: a caller whose call breaks with the object asks again, and an entry that is there already stays as it is.
 */
import { withReferrers } from "../copy/referrers.ts";
import type { Manifest, Referrer } from "../registry/contract.ts";
import { fallbackTagOf } from "../registry/fallback-tag.ts";
import type { ReferrerAddition } from "./contract.ts";

/** Writes under a tag what `change` makes of what is there, as updateManifest has it. */
export type UpdateTag = (
  repository: string,
  tag: string,
  change: (current: Manifest | null) => Manifest | null,
) => Promise<void>;

interface Waiting {
  entry: Referrer;
  resolve: () => void;
  reject: (reason: unknown) => void;
}

export class FallbackTags {
  readonly #host: string;
  readonly #update: UpdateTag;
  /** Those who wait, by list; a list that is here is being written. */
  readonly #lists = new Map<string, Waiting[]>();

  constructor(host: string, update: UpdateTag) {
    this.#host = host;
    this.#update = update;
  }

  /**
   * Ends when the registry has the entry in its list.
   * @throws CopyError when the list cannot be read or written, or what is under its tag is none.
   */
  add({ repository, subject, entry }: ReferrerAddition): Promise<void> {
    const tag = fallbackTagOf(subject);
    // Two subjects whose digests share their first 64 digits share the list: the tag decides, not the digest.
    const key = `${repository}:${tag}`;
    return new Promise((resolve, reject) => {
      const waiting = { entry, resolve, reject };
      const list = this.#lists.get(key);
      if (list !== undefined) {
        list.push(waiting);
        return;
      }
      const fresh = [waiting];
      this.#lists.set(key, fresh);
      void this.#write(repository, tag, key, fresh);
    });
  }

  /** Never rejects: every failure goes to those it concerns. */
  async #write(repository: string, tag: string, key: string, waiting: Waiting[]): Promise<void> {
    while (waiting.length > 0) {
      const batch: Waiting[] = [];
      try {
        await this.#update(repository, tag, (current) => {
          // Only now, and again with every reading: all who have come meanwhile.
          batch.push(...waiting.splice(0));
          const entries = batch.map(({ entry }) => entry);
          return withReferrers(current, entries, { host: this.#host, name: `${repository}:${tag}` });
        });
        batch.forEach(({ resolve }) => resolve());
      } catch (thrown) {
        // Without a reading nobody is in the batch yet: the failure is everybody's.
        batch.push(...(batch.length === 0 ? waiting.splice(0) : []));
        batch.forEach(({ reject }) => reject(thrown));
      }
    }
    this.#lists.delete(key);
  }
}

/**
 * Reads the source for all copies of a group: each manifest once, and one look at each tag, so that all targets get the same
 * image even if the tag moves meanwhile. What one copy asks while another's read is under way waits for that.
 */
import type { ManifestHead, Registry } from "../../registry/contract.ts";
import { errorDetailOf } from "../../registry/errors.ts";
import type { Place } from "../../registry/places.ts";
import type { OpenSource } from "../registries.ts";
import type { SharedManifest, SharedRead, SharedReader } from "./contract.ts";
import type { KeptManifests } from "./kept-manifests.ts";

export interface SourceReaderParts {
  repository: string;
  kept: KeptManifests;
  /** Joins the source's host; called at the first read, and at the first one after a rest. */
  open: () => OpenSource;
  /** Where it reads from, in the order in which manifests say it; never empty. */
  places: readonly Place[];
  /** After a read: how many requests it took, and what the registries have warned of so far. */
  onRead: (requests: number, warnings: string[]) => void;
}

export class SourceReader implements SharedReader {
  readonly #parts: SourceReaderParts;
  /** Reads under way, by what was asked for. They never reject. */
  readonly #underWay = new Map<string, Promise<SharedRead<unknown>>>();
  #opened: OpenSource | null = null;
  #requests = 0;
  /** Something has been read since the last {@link rest}. */
  #isBusy = false;
  #closed = false;

  constructor(parts: SourceReaderParts) {
    this.#parts = parts;
  }

  async head(reference: string): Promise<SharedRead<ManifestHead | null>> {
    const { kept, repository } = this.#parts;
    const known = kept.head(reference);
    if (known !== null) {
      return { kind: "read", value: known };
    }
    const underWay = this.#underWay.get(reference);
    if (underWay !== undefined) {
      const other = await underWay;
      // What may be a failure for who wants the manifest is an answer here.
      const isMissing = other?.kind === "failed" && other.error.code === "not_found";
      return isMissing || other?.kind === "read" ? { kind: "read", value: kept.head(reference) } : other;
    }
    return this.#read(reference, async (source) => {
      const head = await source.headManifest(repository, reference);
      if (head !== null && !this.#closed) {
        kept.name(reference, head);
      }
      return head;
    });
  }

  async manifest(reference: string): Promise<SharedRead<SharedManifest>> {
    const { kept } = this.#parts;
    const known = kept.manifest(reference);
    if (known !== null) {
      return { kind: "read", value: known };
    }
    const named = kept.head(reference);
    if (named !== null && named.digest !== reference) {
      return this.manifest(named.digest);
    }
    const underWay = this.#underWay.get(reference);
    if (underWay !== undefined) {
      const other = await underWay;
      return other === null || other.kind === "failed" ? other : this.manifest(reference);
    }
    return this.#read(reference, (source) => this.#readManifest(source, reference));
  }

  /**
   * Called once in a while: leaves the source's host where nothing was read since the last call. The slowest copy may go on for
   * hours after the last manifest, and a session keeps the objects at both its ends in memory.
   */
  rest(): void {
    if (!this.#isBusy && this.#underWay.size === 0) {
      this.#opened?.close();
      this.#opened = null;
      this.#requests = 0;
    }
    this.#isBusy = false;
  }

  /** Leaves the source's host; nothing is read any more. */
  close(): void {
    this.#closed = true;
    this.#opened?.close();
  }

  async #readManifest(source: Registry, reference: string): Promise<SharedManifest> {
    const { kept, repository, places } = this.#parts;
    const { place = 0, ...manifest } = await source.getManifest(repository, reference);
    const shared = { ...manifest, from: places[place] ?? { host: source.host, repository } };
    const { digest, mediaType, bytes } = shared;
    // An answer that comes after the group's end would stay for as long as the group does.
    if (!this.#closed) {
      kept.keep(shared);
      kept.name(reference, { digest, mediaType, sizeBytes: bytes.byteLength });
    }
    return shared;
  }

  #read<T>(reference: string, work: (source: Registry) => Promise<T>): Promise<SharedRead<T>> {
    const reading = this.#attempt(work).finally(() => this.#underWay.delete(reference));
    this.#underWay.set(reference, reading);
    return reading;
  }

  async #attempt<T>(work: (source: Registry) => Promise<T>): Promise<SharedRead<T>> {
    if (this.#closed) {
      return null;
    }
    try {
      this.#opened ??= this.#parts.open();
      return { kind: "read", value: await work(this.#opened.source) };
    } catch (thrown) {
      const error = errorDetailOf(thrown);
      // What befell this object says nothing of the source: each copy looks for itself.
      return error.code === "internal" || error.code === "cancelled" ? null : { kind: "failed", error };
    } finally {
      this.#isBusy = true;
      this.#book();
    }
  }

  #book(): void {
    if (this.#opened !== null) {
      const { requests, warnings } = this.#opened.source.usage;
      this.#parts.onRead(requests - this.#requests, warnings);
      this.#requests = requests;
    }
  }
}

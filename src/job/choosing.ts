/**
 * What is written at the target in place of a name's manifest: for chosen platforms another index, or one image of it, else
 * the very manifest. Asks for manifests as little as needed.
 */
import { parseManifest } from "../copy/graph.ts";
import { isDigestTag } from "../copy/digest-tags.ts";
import { planPlatforms } from "../copy/platform-plan.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { Manifest, Registry } from "../registry/contract.ts";
import { isIndex, isManifest } from "../registry/media-types.ts";

/** What a name stands for at the source. */
export interface Here {
  digest: string;
  /** -1: not known. */
  sizeBytes: number;
  /** "": not known. */
  mediaType: string;
}

/** What is to be written under a name. */
export interface Chosen {
  /** Digest at the source. */
  source: string;
  digest: string;
  /** -1: not known. */
  sizeBytes: number;
  /** Of what the name stands for at the source; "": not known. */
  mediaType: string;
  /** Null: it has not been read. */
  manifest: Manifest | null;
  /** It stays as it is, though only the chosen platforms are copied, should it be an index: its name in words. Else null. */
  narrowed: string | null;
}

/** What a name stands for, unchanged. */
export function asItIs({ digest, sizeBytes, mediaType }: Here): Chosen {
  return { source: digest, digest, sizeBytes, mediaType, manifest: null, narrowed: null };
}

export interface ChooserParts {
  request: CopyRequest;
  source: Registry;
}

export class Chooser {
  readonly #parts: ChooserParts;

  constructor(parts: ChooserParts) {
    this.#parts = parts;
  }

  /**
   * @param name At the source: tag or digest.
   * @throws CopyError, side source, when it cannot be read or has no image for a platform.
   */
  async choose(name: string, here: Here): Promise<Chosen> {
    const { request, source } = this.#parts;
    const { digest, mediaType } = here;
    if (!this.#isUpForChoice(name) || isManifest(mediaType)) {
      return asItIs(here);
    }
    if (request.platforms?.index === "sparse") {
      // Its digest stays, so there is nothing to be read before both ends are compared.
      return { ...asItIs(here), narrowed: this.#inWords(name) };
    }
    return this.chooseIn(name, await source.getManifest(request.source.repository, digest));
  }

  /** As {@link choose}, of a manifest that has been read. */
  chooseIn(name: string, manifest: Manifest): Chosen {
    const { request, source } = this.#parts;
    const { digest, mediaType, bytes } = manifest;
    const itself = { ...asItIs({ digest, sizeBytes: bytes.byteLength, mediaType }), manifest };
    if (request.platforms === undefined || !this.#isUpForChoice(name) || !this.#isIndex(manifest)) {
      return itself;
    }
    if (request.platforms.index === "sparse") {
      return { ...itself, narrowed: this.#inWords(name) };
    }
    const plan = planPlatforms(manifest, request.platforms, { host: source.host, name: this.#inWords(name) });
    return plan.kind === "index"
      ? { ...itself, digest: plan.index.digest, sizeBytes: plan.index.bytes.byteLength, manifest: plan.index }
      : { ...itself, digest: plan.image.digest, sizeBytes: plan.image.sizeBytes, manifest: null };
  }

  /** What is attached to an image by its tag is copied whole. */
  #isUpForChoice(name: string): boolean {
    return this.#parts.request.platforms !== undefined && !isDigestTag(name);
  }

  #isIndex({ digest, mediaType, bytes }: Manifest): boolean {
    return (
      isIndex(mediaType) || parseManifest({ host: this.#parts.source.host, digest, mediaType, bytes }).kind === "index"
    );
  }

  #inWords(name: string): string {
    return `${this.#parts.request.source.repository}${name.includes(":") ? "@" : ":"}${name}`;
  }
}

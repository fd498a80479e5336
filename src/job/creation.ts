/**
 * When images were created: what `newer_than` and `latest` by creation go by. The registry does not say, so the manifest is
 * read (of an index the first image), and the config it names.
 */
import { type Descriptor, parseManifest } from "../copy/graph.ts";
import type { CreationLookup } from "../copy/tag-selection.ts";
import type { Manifest, Registry } from "../registry/contract.ts";
import { CopyError, type ErrorCode } from "../registry/errors.ts";
import { atOnce } from "./pool.ts";

/** Images asked about at once: an object may have six connections waiting for answers. */
const ASKED_AT_ONCE = 6;
/** What is wrong with one image, and says nothing of the others. */
const OF_THE_IMAGE: ReadonlySet<ErrorCode> = new Set([
  "not_found",
  "manifest_invalid",
  "manifest_too_large",
  "digest_mismatch",
  "unsupported",
]);
/** The standard annotation (image-spec, "Pre-Defined Annotation Keys"). */
const CREATED = "org.opencontainers.image.created";

/** Asks the source. An image that cannot be read, or does not say, is missing in the answer. */
export function creationsAt(source: Registry, repository: string): CreationLookup {
  return async (tags) => {
    const createdAtMs = new Map<string, number>();
    await atOnce(ASKED_AT_ONCE, tags, async (tag) => {
      const atMs = await createdAt(source, repository, tag);
      if (atMs !== null) {
        createdAtMs.set(tag, atMs);
      }
    });
    return createdAtMs;
  };
}

async function createdAt(source: Registry, repository: string, tag: string): Promise<number | null> {
  try {
    const manifest = await source.getManifest(repository, tag);
    const { children } = graphOf(source.host, manifest);
    // Attestations stand behind the images of an index.
    const [first] = children;
    const image = first === undefined ? manifest : await source.getManifest(repository, first.digest);
    return (
      momentOf(annotationOf(manifest)) ??
      momentOf(annotationOf(image)) ??
      momentOf(await configOf(source, repository, image))
    );
  } catch (error) {
    // A tag that is gone or damaged fails by itself when it is copied; here it only has no date.
    if (error instanceof CopyError && OF_THE_IMAGE.has(error.detail.code)) {
      return null;
    }
    throw error;
  }
}

function graphOf(host: string, { digest, mediaType, bytes }: Manifest) {
  return parseManifest({ host, digest, mediaType, bytes });
}

async function configOf(source: Registry, repository: string, image: Manifest): Promise<unknown> {
  const config: Descriptor | undefined = graphOf(source.host, image).blobs[0];
  const bytes = config === undefined ? null : await source.readSmallBlob(repository, config.digest);
  return bytes === null ? null : fieldOf(jsonOf(bytes), "created");
}

function annotationOf({ bytes }: Manifest): unknown {
  return fieldOf(fieldOf(jsonOf(bytes), "annotations"), CREATED);
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return value;
  } catch {
    return null;
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : null;
}

/** Reproducible builds write 1970, or the year 1: nobody created anything then. */
function momentOf(text: unknown): number | null {
  const atMs = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return atMs > 0 ? atMs : null;
}

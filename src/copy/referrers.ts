/**
 * What is attached to an image by `subject`: which of it a copy follows, and how a registry without the referrers API is
 * told of it (distribution-spec, "Pushing Manifests with Subject"). Pure.
 */
import type { Manifest, Referrer } from "../registry/contract.ts";
import { digestOf, isDigest } from "../registry/digest.ts";
import { CopyError, type ErrorDetail } from "../registry/errors.ts";
import { isIndex, OCI_INDEX } from "../registry/media-types.ts";
import { annotationsOf, isObject, parseDocument } from "./index-entries.ts";
import type { AttachedSelection } from "./request.ts";

export type ReferrerFilter = NonNullable<AttachedSelection["referrers"]>;

/** A list of referrers is an index like any other, and no registry takes a larger one. */
const MAX_INDEX_BYTES = 4 * 1024 * 1024;

/** So many manifests are asked for their referrers in one copy; what has more is no image any more. */
const MAX_SUBJECTS = 10_000;

/**
 * The referrers that a copy follows: one of the artifact types, and every annotation with its value (an empty one: whatever
 * its value). The same holds for what refers to those in turn.
 */
export function wantedReferrers(
  referrers: readonly Referrer[],
  { artifactTypes, annotations }: ReferrerFilter,
): Referrer[] {
  const wanted = Object.entries(annotations ?? {});
  return referrers.filter(
    (referrer) =>
      (artifactTypes === undefined ||
        artifactTypes.length === 0 ||
        (referrer.artifactType !== undefined && artifactTypes.includes(referrer.artifactType))) &&
      wanted.every(([name, value]) => {
        const has = referrer.annotations?.[name];
        return has !== undefined && (value === "" || has === value);
      }),
  );
}

/**
 * Which manifests are still to be asked for their referrers: each once, so that referrers that refer to one another in a
 * circle end, whichever way they are reached.
 */
export class ReferrerWalk {
  readonly #asked: Set<string>;

  /** @param asked Digests that were asked before, in an earlier run of the same copy. */
  constructor(asked: Iterable<string> = []) {
    this.#asked = new Set(asked);
  }

  /**
   * Those of the digests that have not been taken before; they count as asked from now on.
   * @throws CopyError `unsupported` beyond 10,000 in all.
   */
  take(digests: Iterable<string>): string[] {
    const fresh: string[] = [];
    for (const digest of digests) {
      if (!this.#asked.has(digest)) {
        this.#asked.add(digest);
        fresh.push(digest);
      }
    }
    if (this.#asked.size > MAX_SUBJECTS) {
      throw errorAbout(
        "source",
        "",
        "list referrers",
        "unsupported",
        `More than ${MAX_SUBJECTS} manifests are attached to one another; narrow them down by artifact type.`,
      );
    }
    return fresh;
  }
}

/**
 * How a manifest stands in the list of its subject's referrers: with its artifact type (for want of one, its config's media
 * type) and all its annotations. Null: it refers to nothing.
 */
export function fallbackEntryOf(manifest: Manifest): { subject: string; entry: Referrer } | null {
  const document = parseDocument(manifest.bytes);
  const subject = isObject(document?.subject) ? document.subject.digest : undefined;
  if (document === null || typeof subject !== "string" || !isDigest(subject)) {
    return null;
  }
  const { artifactType, config } = document;
  const configType = !isIndex(manifest.mediaType) && isObject(config) ? config.mediaType : undefined;
  const type = typeof artifactType === "string" && artifactType !== "" ? artifactType : configType;
  const annotations = annotationsOf(document.annotations);
  return {
    subject,
    entry: {
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      size: manifest.bytes.byteLength,
      ...(typeof type === "string" && type !== "" ? { artifactType: type } : {}),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
  };
}

/**
 * The list of referrers with the entries added: at its end, in their order, each digest once; what is there already stays as
 * it is. Null: nothing is to be added.
 * @param list What is under the fallback tag now; null: nothing.
 * @throws CopyError, side target, `unsupported` when that is no index, `manifest_too_large` when the list becomes too long.
 */
export function withReferrers(
  list: Manifest | null,
  entries: readonly Referrer[],
  at: { host: string; name: string },
): Manifest | null {
  const document: Record<string, unknown> | null =
    list === null ? { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] } : parseDocument(list.bytes);
  const manifests = document?.manifests ?? [];
  const fail = (code: ErrorDetail["code"], problem: string): CopyError =>
    errorAbout("target", at.host, "add referrer", code, `${at.host}/${at.name} ${problem}`);
  if (document === null || !Array.isArray(manifests) || (list !== null && list.mediaType !== OCI_INDEX)) {
    throw fail(
      "unsupported",
      "is no index, so it cannot list what refers to this manifest; remove that tag and copy again",
    );
  }
  const known = new Set(manifests.map((entry: unknown) => (isObject(entry) ? entry.digest : undefined)));
  const added: Referrer[] = [];
  for (const entry of entries) {
    if (!known.has(entry.digest)) {
      known.add(entry.digest);
      added.push(entry);
    }
  }
  if (added.length === 0) {
    return null;
  }
  const bytes = new TextEncoder().encode(
    JSON.stringify({ ...document, manifests: [...manifests, ...added.map(inFixedOrder)] }),
  );
  if (bytes.byteLength > MAX_INDEX_BYTES) {
    throw fail("manifest_too_large", "would be more than 4 MiB: too much refers to this manifest to be listed");
  }
  return { digest: digestOf(bytes), mediaType: OCI_INDEX, bytes };
}

/**
 * What a list of referrers has to add, entry by entry, to the one under the same tag at the target, since it would take entries
 * away from there if it were written as it is. Null: it would not, or one of them is no such list.
 */
export function entriesToMerge(list: Manifest, there: Manifest): Referrer[] | null {
  const own = entriesIn(list);
  const others = entriesIn(there);
  if (own === null || others === null) {
    return null;
  }
  const [listed, held] = [own, others].map((entries) => new Set(entries.map(({ digest }) => digest)));
  return [...(held ?? [])].every((digest) => listed?.has(digest))
    ? null
    : own.filter(({ digest }) => !held?.has(digest));
}

function entriesIn({ mediaType, bytes }: Manifest): Referrer[] | null {
  const manifests = parseDocument(bytes)?.manifests;
  return mediaType === OCI_INDEX && Array.isArray(manifests) ? manifests.flatMap(entryOf) : null;
}

function entryOf(value: unknown): Referrer[] {
  if (!isObject(value) || typeof value.digest !== "string" || typeof value.size !== "number") {
    return [];
  }
  const { digest, size, mediaType, artifactType } = value;
  const annotations = annotationsOf(value.annotations);
  return [
    {
      mediaType: typeof mediaType === "string" ? mediaType : "",
      digest,
      size,
      ...(typeof artifactType === "string" && artifactType !== "" ? { artifactType } : {}),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
  ];
}

/** However the entry came about: the same one gives the same bytes. */
function inFixedOrder({ mediaType, digest, size, artifactType, annotations }: Referrer): Referrer {
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function errorAbout(
  side: ErrorDetail["side"],
  host: string,
  operation: string,
  code: ErrorDetail["code"],
  message: string,
): CopyError {
  return new CopyError({ code, side, host, operation, retryable: false, message });
}

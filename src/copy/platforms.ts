/**
 * Which entries of an index a copy for chosen platforms takes. Attestations follow their image; an index within the index
 * that names no platform is taken whole, since only its own entries say what it is for, and so is an index none of whose
 * entries names one (of charts, or of other artifacts): there is nothing to choose from. Pure.
 */
import { CopyError } from "../registry/errors.ts";
import { isIndex } from "../registry/media-types.ts";
import type { IndexEntry } from "./index-entries.ts";
import { distanceOf, formatPlatform, parsePlatform, type Platform } from "./platform.ts";

export interface PlatformChoice {
  /** In the order of the index. */
  chosen: IndexEntry[];
  /** Wanted, but not there. Empty where an index within the index may have them. */
  missing: string[];
  /** What there is instead, each once. */
  available: string[];
}

/**
 * Chooses from an index for every wanted platform the images of the best variant there is (all of them where several are
 * for the same one, such as builds of Windows).
 * @throws TypeError when a wanted platform is faulty; the API has checked them.
 */
export function choosePlatforms(entries: readonly IndexEntry[], wanted: readonly string[]): PlatformChoice {
  if (entries.every(({ platform }) => platform === undefined)) {
    return { chosen: [...entries], missing: [], available: [] };
  }
  const images = entries.filter(isImage);
  const chosen = new Set<IndexEntry>();
  const missing: string[] = [];
  for (const text of wanted) {
    const best = bestFor(images, platformNamed(text));
    best.forEach((entry) => chosen.add(entry));
    if (best.length === 0) {
      missing.push(text);
    }
  }
  const digests = new Set([...chosen].map(({ digest }) => digest));
  const inner = entries.filter((entry) => entry.platform === undefined && isIndex(entry.mediaType));
  return {
    chosen: entries.filter(
      (entry) =>
        chosen.has(entry) || inner.includes(entry) || (entry.attests !== undefined && digests.has(entry.attests)),
    ),
    missing: inner.length > 0 ? [] : missing,
    available: availableIn(entries),
  };
}

/** The one image for a platform: the best variant, and of several the first in the index. Null: there is none. */
export function chooseImage(entries: readonly IndexEntry[], wanted: string): IndexEntry | null {
  return bestFor(entries.filter(isImage), platformNamed(wanted))[0] ?? null;
}

/** The platforms that an index names, each once, in its order; attestations name none. */
export function availableIn(entries: readonly IndexEntry[]): string[] {
  return [
    ...new Set(entries.flatMap((entry) => (isImage(entry) && entry.platform ? [formatPlatform(entry.platform)] : []))),
  ];
}

/**
 * The error for wanted platforms that are not there: it lists the ones there are.
 * @param name The index in words: `library/nginx:1.27`.
 */
export function platformMissing(
  host: string,
  name: string,
  missing: readonly string[],
  available: readonly string[],
): CopyError {
  const there = available.length === 0 ? "it names no platforms" : `there are ${available.join(", ")}`;
  return new CopyError({
    code: "not_found",
    side: "source",
    host,
    operation: "choose platforms",
    retryable: false,
    message: `${host}/${name} has no image for ${missing.join(", ")}; ${there}.`,
  });
}

function bestFor(images: readonly IndexEntry[], wanted: Platform): IndexEntry[] {
  let leastDistance = Infinity;
  let best: IndexEntry[] = [];
  for (const image of images) {
    const distance = image.platform === undefined ? null : distanceOf(image.platform, wanted);
    if (distance !== null && distance < leastDistance) {
      leastDistance = distance;
      best = [image];
    } else if (distance === leastDistance) {
      best.push(image);
    }
  }
  return best;
}

/** BuildKit files its attestations under the platform `unknown/unknown`. */
function isImage(entry: IndexEntry): boolean {
  return entry.attests === undefined && entry.platform !== undefined && entry.platform.os !== "unknown";
}

function platformNamed(text: string): Platform {
  const platform = parsePlatform(text);
  if (platform === null) {
    throw new TypeError(`${JSON.stringify(text)} is not a platform.`);
  }
  return platform;
}

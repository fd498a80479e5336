/** What a copy for chosen platforms makes of a manifest: which manifest it pushes, and which children go before it. Pure. */
import type { Manifest } from "../registry/contract.ts";
import type { Descriptor } from "./graph.ts";
import { indexEntries, type IndexEntry } from "./index-entries.ts";
import { rewriteIndex } from "./index-rewrite.ts";
import { availableIn, chooseImage, choosePlatforms, platformMissing } from "./platforms.ts";
import type { PlatformSelection } from "./request.ts";

export type PlatformPlan =
  /** `index` is to be pushed: the very one (then sparse, if children were left out), or one written anew. */
  | { kind: "index"; index: Manifest; children: Descriptor[]; isSparse: boolean; isRewritten: boolean }
  /** One image in place of the index. */
  | { kind: "image"; image: Descriptor };

/**
 * Applies a selection to an index; what is none has no platforms to choose from, and is not for here.
 * @param at How the index is called in an error: `library/nginx:1.27`.
 * @throws CopyError `not_found`, side source, that lists the platforms there are, when one wanted is missing; TypeError when
 * a single image is asked for with several platforms or none, which the API has refused.
 */
export function planPlatforms(
  index: Manifest,
  selection: PlatformSelection,
  at: { host: string; name: string },
): PlatformPlan {
  const entries = indexEntries(index.bytes);
  const { wanted } = selection;
  if (selection.index === "single") {
    const [only, second] = wanted;
    if (only === undefined || second !== undefined) {
      throw new TypeError("A single image is of one platform.");
    }
    const image = chooseImage(entries, only);
    if (image === null) {
      throw platformMissing(at.host, at.name, wanted, availableIn(entries));
    }
    return { kind: "image", image: descriptorOf(image) };
  }
  const { chosen, missing, available } = choosePlatforms(entries, wanted);
  if (missing.length > 0) {
    throw platformMissing(at.host, at.name, missing, available);
  }
  const children = [...new Map(chosen.map((entry) => [entry.digest, descriptorOf(entry)])).values()];
  const all = new Set(entries.map(({ digest }) => digest));
  const pushed = selection.index === "rewrite" ? rewriteIndex(index, new Set(chosen.map((entry) => entry.at))) : index;
  return {
    kind: "index",
    index: pushed,
    children,
    isSparse: selection.index === "sparse" && children.length < all.size,
    isRewritten: pushed.digest !== index.digest,
  };
}

function descriptorOf({ digest, sizeBytes, mediaType }: IndexEntry): Descriptor {
  return { digest, sizeBytes, mediaType };
}

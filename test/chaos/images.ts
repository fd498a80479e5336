/** Draws what is copied: small images that share layers with one another, some with a layer large enough to be cut. */
import { integer, type Random } from "../sim/random.ts";
import {
  dockerListImage,
  multiPlatformImage,
  nestedIndex,
  singleImage,
  unknownArtifact,
  type Sample,
} from "../support/sample-image.ts";

/** Images of one family have their platforms' layers in common. */
const FAMILIES = 60;
const PLATFORMS = ["linux/amd64", "linux/arm64/v8", "linux/s390x", "linux/ppc64le", "linux/arm/v7"];
const LARGE_SHARE = 0.3;
const KIB = 1024;

/** @param seed Of the run: other runs have other bytes. */
export function drawImage(random: Random, seed: number, tag: string): Sample {
  const family = integer(random, 0, FAMILIES - 1);
  return drawOfFamily(random, `chaos ${seed}/${family}`, tag, family / FAMILIES < LARGE_SHARE);
}

/** One that shares no layer with any other: what is broken about it can be found nowhere else. */
export function drawUnsharedImage(seed: number, tag: string): Sample {
  return singleImage({ tag, seed: `chaos ${seed}/unshared ${tag}`, layerBytes: [20 * KIB, 3 * KIB] });
}

function drawOfFamily(random: Random, seed: string, tag: string, large: boolean): Sample {
  const options = { tag, seed, layerBytes: large ? [1200 * KIB, 40 * KIB, 2 * KIB] : [30 * KIB, 8 * KIB, KIB] };
  const kind = random();
  if (kind < 0.35) {
    return singleImage(options);
  }
  if (kind < 0.8) {
    const from = integer(random, 0, PLATFORMS.length - 1);
    const platforms = PLATFORMS.slice(from, from + integer(random, 1, 3));
    return multiPlatformImage({ ...options, platforms });
  }
  const others = [dockerListImage, nestedIndex, unknownArtifact];
  return (others[integer(random, 0, others.length - 1)] ?? singleImage)(options);
}

/**
 * The loads under which policies are compared. A mix is plain data drawn from a seed; how it is run stands in
 * simulate.ts. Sizes are in bytes, times in milliseconds since the start of the run.
 */
import type { RequestKind } from "../../src/registry/gate.ts";
import { integer, normal, seeded } from "./random.ts";
import type { Random } from "./random.ts";

export const MB = 1_000_000;
/** What one connection moves, in bytes per millisecond: 10 MB/s. */
export const CONNECTION_SPEED = 10_000;
/** What a request costs beside its bytes, in milliseconds. */
export const REQUEST_MS = 50;

export interface Request {
  id: string;
  kind: RequestKind;
  bytes: number;
  arrivesAt: number;
}

export interface Image {
  name: string;
  arrivesAt: number;
  requests: Request[];
  /** Bytes per millisecond and connection that its source sends; the host's own speed when it is missing. */
  sourceSpeed?: number;
}

export interface Mix {
  images: Image[];
}

/** 3 MB × e^(2·N(0,1)), at most 1 GB: most layers are small, a few are most of the bytes. */
function layerBytes(random: Random): number {
  return Math.min(1000 * MB, Math.round(3 * MB * Math.exp(2 * normal(random))));
}

function image(name: string, arrivesAt: number, layers: number[], small: Request[] = []): Image {
  const blobs = layers.map((bytes, index): Request => ({ id: `${name}/${index}`, kind: "blob", bytes, arrivesAt }));
  return { name, arrivesAt, requests: [...blobs, ...small] };
}

function smallRequests(name: string, kinds: readonly RequestKind[], arrivesAt: number, spacingMs: number): Request[] {
  return kinds.map((kind, index) => ({
    id: `${name}/${kind}-${index}`,
    kind,
    bytes: 0,
    arrivesAt: arrivesAt + spacingMs * index,
  }));
}

const draw = (count: number, bytes: () => number): number[] => Array.from({ length: count }, bytes);

/** One image of 5 to 14 layers, all there at once. */
export function oneImage(seed: number): Mix {
  const random = seeded(seed);
  return {
    images: [
      image(
        "image",
        0,
        draw(integer(random, 5, 14), () => layerBytes(random)),
      ),
    ],
  };
}

/** Twenty images of 3 to 12 layers, one every 0.2 s, each with four small requests over its first two seconds. */
export function twentyImages(seed: number): Mix {
  const random = seeded(seed);
  const kinds = ["head", "manifest", "manifest", "query"] as const;
  const images = Array.from({ length: 20 }, (_, index) => {
    const [name, arrivesAt] = [`image-${index}`, 200 * index];
    const layers = draw(integer(random, 3, 12), () => layerBytes(random));
    return image(name, arrivesAt, layers, smallRequests(name, kinds, arrivesAt, 500));
  });
  return { images };
}

/** Forty images of 75 layers of about 1 MB, and in the last of them one of 2 GB. */
export function oneHugeLayer(seed: number): Mix {
  const random = seeded(seed);
  const images = Array.from({ length: 40 }, (_, index) => {
    const layers = draw(75, () => Math.round(MB * Math.exp(normal(random))));
    if (index === 39) {
      layers.push(2000 * MB);
    }
    return image(
      `image-${index}`,
      50 * index,
      layers,
      smallRequests(`image-${index}`, ["head", "manifest"], 50 * index, 100),
    );
  });
  return { images };
}

/** A thousand tags: as many images of 4 layers, whose manifests are read as fast as the host answers. */
export function thousandTags(seed: number): Mix {
  const random = seeded(seed);
  const images = Array.from({ length: 1000 }, (_, index) => {
    const [name, arrivesAt] = [`tag-${index}`, 60 * index];
    const layers = draw(4, () => Math.min(100 * MB, layerBytes(random)));
    return image(name, arrivesAt, layers, smallRequests(name, ["head", "manifest"], arrivesAt, 30));
  });
  return { images };
}

/** Sixty images whose layers all count about the same: what a limit costs shows, not how a mix ends. */
export function evenLoad(seed: number, layers = 1200, meanBytes = 4 * MB): Mix {
  const random = seeded(seed);
  const perImage = layers / 60;
  const images = Array.from({ length: 60 }, (_, index) =>
    image(
      `image-${index}`,
      0,
      draw(perImage, () => Math.round(meanBytes * (0.5 + random()))),
    ),
  );
  return { images };
}

/** The even load, six images every six seconds: hardly less than ten slots take in that time. */
export function inBursts(seed: number): Mix {
  return {
    images: evenLoad(seed).images.map(({ name, requests }, index) => {
      const arrivesAt = Math.floor(index / 6) * 6_000;
      return { name, arrivesAt, requests: requests.map((request) => ({ ...request, arrivesAt })) };
    }),
  };
}

/** The even load, and a small request every half second. */
export function evenLoadWithSmall(seed: number): Mix {
  const { images } = evenLoad(seed);
  const small: Image = image(
    "listing",
    0,
    [MB],
    smallRequests(
      "listing",
      Array.from({ length: 100 }, () => "query"),
      250,
      500,
    ),
  );
  return { images: [...images, small] };
}

/** The twenty images, every other one from a source that sends at a fifth of the speed. */
export function twoSpeeds(seed: number): Mix {
  const { images } = twentyImages(seed);
  return {
    images: images.map((each, index) => (index % 2 === 0 ? each : { ...each, sourceSpeed: CONNECTION_SPEED / 5 })),
  };
}

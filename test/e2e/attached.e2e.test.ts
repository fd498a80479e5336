/**
 * What is attached to an image, and chosen platforms of it, by the command between Debian's registry (no referrers API) and
 * the project's own (with it), each as source and as target.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";
import { httpStore } from "../support/compare.ts";
import { RegistryWriter } from "../support/registry-writer.ts";
import {
  MEDIA_TYPES,
  multiPlatformImage,
  pushSample,
  referrerOf,
  singleImage,
  type Sample,
} from "../support/sample-image.ts";
import { copyOf } from "./command.ts";
import { describeWithRegistry } from "./pair.ts";
import { EACH_WAY, PlainAndOwn, type Kind } from "./plain-and-own.ts";

const Listed = z.looseObject({ manifests: z.array(z.looseObject({ digest: z.string(), artifactType: z.string() })) });

const ARTIFACT = "application/vnd.example.signature";

function referrerTo({ digest, mediaType, manifests }: Sample, seed: string): Sample {
  const sizeBytes = manifests.at(-1)?.bytes.byteLength ?? 0;
  return referrerOf({ digest, mediaType, sizeBytes }, { tag: "", seed, artifactType: ARTIFACT });
}

describeWithRegistry("attached things and platforms", () => {
  let both: PlainAndOwn;
  beforeAll(async () => {
    both = await PlainAndOwn.start({ referrers: true, checkReferences: false });
  });
  afterAll(() => both[Symbol.asyncDispose]());

  /** As the registry itself lists them, or as it is listed under the fallback tag. */
  async function referrersAt(kind: Kind, repository: string, digest: string): Promise<string[]> {
    const path = kind === "own" ? `referrers/${digest}` : `manifests/${fallbackTagOf(digest)}`;
    const answer = await fetch(`http://${both.hostOf(kind)}/v2/${repository}/${path}`, {
      headers: { accept: MEDIA_TYPES.index },
    });
    expect(answer.status).toBe(200);
    const { manifests } = Listed.parse(await answer.json());
    return manifests.filter(({ artifactType }) => artifactType === ARTIFACT).map((entry) => entry.digest);
  }

  /** A registry without the API gets its list under the fallback tag from whoever pushes. */
  async function pushReferrer(kind: Kind, repository: string, subject: Sample, sample: Sample) {
    await pushSample(both.hostOf(kind), repository, sample);
    if (kind === "plain") {
      const size = sample.manifests.at(-1)?.bytes.byteLength ?? 0;
      const entry = { mediaType: sample.mediaType, digest: sample.digest, size, artifactType: ARTIFACT };
      const list = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests: [entry] });
      const writer = new RegistryWriter({ host: both.hostOf(kind) }, repository);
      await writer.putManifest(fallbackTagOf(subject.digest), MEDIA_TYPES.index, Buffer.from(list));
    }
  }

  it.each(EACH_WAY)(
    "from %s to %s: referrers of an image and of one another, and its digest tags",
    async (from, to) => {
      const repository = `app/${from}-${to}`;
      const image = singleImage({ tag: "v1", seed: repository });
      const sbom = referrerTo(image, `${repository}-sbom`);
      const signature = referrerTo(sbom, `${repository}-signature`);
      const cosign = singleImage({ tag: `${fallbackTagOf(image.digest)}.sig`, seed: `${repository}-cosign` });
      await pushSample(both.hostOf(from), repository, image);
      await pushReferrer(from, repository, image, sbom);
      await pushReferrer(from, repository, sbom, signature);
      await pushSample(both.hostOf(from), repository, cosign);
      const copy = () =>
        both.home.run(
          "copy",
          "--json",
          "--referrers",
          "--digest-tags",
          `${both.hostOf(from)}/${repository}:v1`,
          `${both.hostOf(to)}/mirror/${repository}:v1`,
        );

      const first = await copy();
      expect(first, first.stdout).toMatchObject({ status: 0 });
      const target = httpStore(both.hostOf(to), `mirror/${repository}`);
      for (const { manifests, blobs } of [image, sbom, signature, cosign]) {
        for (const { digest, bytes } of manifests) {
          expect(await target.manifest(digest)).toEqual(bytes);
        }
        for (const digest of blobs.keys()) {
          expect(await target.blob(digest)).not.toBeNull();
        }
      }
      expect(await target.tag(cosign.tag)).toBe(cosign.digest);
      expect(await referrersAt(to, `mirror/${repository}`, image.digest)).toEqual([sbom.digest]);
      expect(await referrersAt(to, `mirror/${repository}`, sbom.digest)).toEqual([signature.digest]);

      const second = copyOf(await copy());
      expect(second).toMatchObject({ state: "succeeded", tags: { all: 2, unchanged: 2 }, blobs: { all: 0 } });
    },
  );

  it("a sparse index where it is refused, then one of the chosen platforms, then one image", async () => {
    const image = multiPlatformImage({ tag: "v1", seed: "platforms", platforms: ["linux/amd64", "linux/arm64"] });
    await pushSample(both.plain.host, "app/platforms", image);
    const copy = (host: string, ...options: string[]) =>
      both.home.run(
        "copy",
        "--json",
        "--platform",
        "linux/arm64",
        ...options,
        `${both.plain.host}/app/platforms:v1`,
        `${host}/p:v1`,
      );

    const refused = await copy(both.plain.host);
    expect(refused.status).toBe(1);
    expect(refused.stdout).toMatch(/--index rewrite/);
    expect(copyOf(await copy(both.own.host))).toMatchObject({ state: "succeeded", target: { digest: image.digest } });

    const rewritten = copyOf(await copy(both.plain.host, "--index", "rewrite"));
    expect(rewritten).toMatchObject({ state: "succeeded", source: { digest: image.digest } });
    expect(rewritten.target.digest).toBe(await httpStore(both.plain.host, "p").tag("v1"));
    expect(rewritten.target.digest).not.toBe(image.digest);

    const single = copyOf(await copy(both.plain.host, "--index", "single"));
    expect(image.manifests.map(({ digest }) => digest)).toContain(single.target.digest);
    expect(await httpStore(both.plain.host, "p").tag("v1")).toBe(single.target.digest);
  });
});

/**
 * What is attached to the images of an index, and a choice of it by type and annotation, by the command between Debian's
 * registry (no referrers API) and the project's own (with it), each as source and as target.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";
import { RegistryWriter } from "../support/registry-writer.ts";
import {
  Builder,
  MEDIA_TYPES,
  multiPlatformImage,
  pushSample,
  singleImage,
  type Sample,
  type SampleManifest,
} from "../support/sample-image.ts";
import { copyOf } from "./command.ts";
import { describeWithRegistry } from "./pair.ts";
import { EACH_WAY, PlainAndOwn, type Kind } from "./plain-and-own.ts";

const SBOM = "application/vnd.example.sbom";
const SIGNATURE = "application/vnd.example.signature";

const Listed = z.looseObject({
  manifests: z.array(
    z.looseObject({
      digest: z.string(),
      artifactType: z.string().optional(),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

/** Something that refers to a manifest, and how a list of referrers has it. */
interface Attachment {
  subject: string;
  sample: Sample;
  entry: { mediaType: string; digest: string; size: number; artifactType: string; annotations: Record<string, string> };
}

function attach(subject: SampleManifest, artifactType: string, by: string): Attachment {
  const builder = new Builder({ tag: "", seed: `${subject.digest}/${artifactType}/${by}` });
  const annotations = { "org.example.by": by };
  const { mediaType, digest, bytes } = subject;
  const entry = builder.manifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    artifactType,
    config: builder.blob(Buffer.from("{}"), MEDIA_TYPES.empty),
    layers: [builder.blob(Buffer.from(builder.seed), "text/plain")],
    subject: { mediaType, digest, size: bytes.byteLength },
    annotations,
  });
  return { subject: digest, sample: builder.finish(), entry: { ...entry, artifactType, annotations } };
}

function topOf({ manifests }: Sample): SampleManifest {
  const top = manifests.at(-1);
  if (top === undefined) {
    throw new Error("unreachable: every sample has a manifest");
  }
  return top;
}

describeWithRegistry("what is attached to an index", () => {
  let both: PlainAndOwn;
  beforeAll(async () => {
    both = await PlainAndOwn.start({ referrers: true });
  });
  afterAll(() => both[Symbol.asyncDispose]());

  /** Pushes them; a registry without the API gets the lists under the fallback tags. */
  async function push(kind: Kind, repository: string, attachments: readonly Attachment[]): Promise<void> {
    for (const { sample } of attachments) {
      await pushSample(both.hostOf(kind), repository, sample);
    }
    if (kind === "plain") {
      for (const [subject, some] of Map.groupBy(attachments, (each) => each.subject)) {
        await writeList(
          repository,
          subject,
          some.map(({ entry }) => entry),
        );
      }
    }
  }

  async function writeList(repository: string, subject: string, manifests: readonly object[]): Promise<void> {
    const list = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests });
    const writer = new RegistryWriter({ host: both.plain.host }, repository);
    await writer.putManifest(fallbackTagOf(subject), MEDIA_TYPES.index, Buffer.from(list));
  }

  /** The list of a subject's referrers, as whoever asks the target finds it. */
  async function listAt(kind: Kind, repository: string, subject: string) {
    const path = kind === "own" ? `referrers/${subject}` : `manifests/${fallbackTagOf(subject)}`;
    const answer = await fetch(`http://${both.hostOf(kind)}/v2/${repository}/${path}`, {
      headers: { accept: MEDIA_TYPES.index },
    });
    return answer.ok ? Listed.parse(await answer.json()).manifests : [];
  }

  it.each(EACH_WAY)("from %s to %s: of its images too, in a circle too, and only what is chosen", async (from, to) => {
    const repository = `app/${from}-${to}`;
    const image = multiPlatformImage({ tag: "v1", seed: repository, attestations: false, layerBytes: [900] });
    const [child, top] = [image.manifests[0] ?? topOf(image), topOf(image)];
    const sbom = attach(child, SBOM, "us");
    const ofSbom = attach(topOf(sbom.sample), SIGNATURE, "us");
    const ofIndex = attach(top, SIGNATURE, "us");
    const foreign = attach(top, SIGNATURE, "them");
    const all = [sbom, ofSbom, ofIndex, foreign];
    await pushSample(both.hostOf(from), repository, image);
    await push(from, repository, all);
    if (from === "plain") {
      // A list may claim anything, also that what is referred to refers back.
      const back = { mediaType: child.mediaType, digest: child.digest, size: child.bytes.byteLength };
      await writeList(repository, ofSbom.entry.digest, [back, sbom.entry]);
    }
    const attestation = singleImage({ tag: `${fallbackTagOf(child.digest)}.att`, seed: `${repository}/att` });
    await pushSample(both.hostOf(from), repository, attestation);

    const everything = copyOf(
      await both.home.run(
        "copy",
        "--json",
        "--referrers",
        "--digest-tags",
        `${both.hostOf(from)}/${repository}:v1`,
        `${both.hostOf(to)}/all/${repository}:v1`,
      ),
    );
    expect(everything).toMatchObject({ state: "succeeded", tags: { all: 2, copied: 2 } });
    const target = both.storeOf(to, `all/${repository}`);
    expect(await target.tag("v1")).toBe(image.digest);
    expect(await target.tag(attestation.tag)).toBe(attestation.digest);
    for (const { subject, sample, entry } of all) {
      expect(await target.manifest(entry.digest)).toEqual(topOf(sample).bytes);
      const listed = (await listAt(to, `all/${repository}`, subject)).filter(({ digest }) => digest === entry.digest);
      expect(listed).toEqual([expect.objectContaining(entry)]);
    }

    const file = join(both.home.folder, "choices.yaml");
    const entry = (name: string, referrers: string) =>
      `  - {source: ${both.hostOf(from)}/${repository}:v1, target: ${both.hostOf(to)}/${name}/${repository}:v1, referrers: ${referrers}}\n`;
    await writeFile(
      file,
      `version: 1\ncopies:\n${entry("type", `{artifact_types: [${SIGNATURE}]}`)}` +
        entry("note", "{annotations: {org.example.by: us}}") +
        entry("both", `{artifact_types: [${SIGNATURE}], annotations: {org.example.by: them}}`),
    );
    expect(await both.home.run("sync", file, "--quiet")).toEqual({ status: 0, stdout: "", stderr: "" });
    // What refers to something that is left out is left out with it.
    const wanted = { type: [ofIndex, foreign], note: [sbom, ofSbom, ofIndex], both: [foreign] };
    for (const [name, some] of Object.entries(wanted)) {
      const store = both.storeOf(to, `${name}/${repository}`);
      for (const each of all) {
        const isThere = (await store.manifest(each.entry.digest)) !== null;
        expect(isThere, `${name}: ${each.entry.artifactType} of ${each.subject}`).toBe(some.includes(each));
      }
    }
  });
});

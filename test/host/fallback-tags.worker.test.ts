import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, it } from "vitest";
import { fallbackEntryOf } from "../../src/copy/referrers.ts";
import type { ReferrerAddition } from "../../src/host/contract.ts";
import { LINGER_MS } from "../../src/host/seats.ts";
import type { Manifest } from "../../src/registry/contract.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/registry/media-types.ts";

const { target } = inject("registries");
const EMPTY = new TextEncoder().encode("{}");
const CONFIG = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(EMPTY), size: EMPTY.length };

const host = () => env.REGISTRIES.getByName(target);

async function put(repository: string, name: string, document: object, mediaType: string): Promise<Manifest> {
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  const digest = digestOf(bytes);
  const url = `http://${target}/v2/${repository}/manifests/${name === "" ? digest : name}`;
  const answer = await fetch(url, { method: "PUT", headers: { "content-type": mediaType }, body: bytes });
  await answer.body?.cancel();
  expect(answer.status).toBe(201);
  return { digest, mediaType, bytes };
}

/** A repository with the blob that all referrers have as their config. */
async function prepare(repository: string): Promise<void> {
  const started = await fetch(`http://${target}/v2/${repository}/blobs/uploads/`, { method: "POST" });
  await started.body?.cancel();
  const location = new URL(started.headers.get("location") ?? "", `http://${target}`);
  location.searchParams.set("digest", CONFIG.digest);
  const answer = await fetch(location, { method: "PUT", body: EMPTY });
  await answer.body?.cancel();
  expect(answer.status).toBe(201);
}

const subjectOf = (repository: string): string => digestOf(new TextEncoder().encode(repository));

/** Pushes referrers of one subject, and answers what is to be listed. */
function pushReferrers(repository: string, names: string[]): Promise<ReferrerAddition[]> {
  const subject = { mediaType: OCI_INDEX, digest: subjectOf(repository), size: 3 };
  return Promise.all(
    names.map(async (name) => {
      const document = {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        artifactType: "application/vnd.example.sbom",
        config: CONFIG,
        layers: [],
        subject,
        annotations: { name },
      };
      const found = fallbackEntryOf(await put(repository, "", document, OCI_MANIFEST));
      expect(found?.subject).toBe(subject.digest);
      return { repository, subject: subject.digest, entry: found?.entry ?? { mediaType: "", digest: "", size: 0 } };
    }),
  );
}

async function listed(repository: string): Promise<{ artifactType: string; annotations: { name: string } }[]> {
  const url = `http://${target}/v2/${repository}/manifests/${fallbackTagOf(subjectOf(repository))}`;
  const list: { manifests: { artifactType: string; annotations: { name: string } }[] } = await (
    await fetch(url)
  ).json();
  return list.manifests;
}

const names = (writer: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${writer}${at}`);

describe("a registry without the referrers API", () => {
  it("lists every referrer of two writers of fifty each, who come at once", async () => {
    await prepare("fallback/two");
    const [left, right] = await Promise.all([
      pushReferrers("fallback/two", names("left", 50)),
      pushReferrers("fallback/two", names("right", 50)),
    ]);
    const one = host();
    const other = host();
    await Promise.all([...left.map((each) => one.addReferrer(each)), ...right.map((each) => other.addReferrer(each))]);
    const entries = await listed("fallback/two");
    expect(new Set(entries.map(({ annotations }) => annotations.name))).toEqual(
      new Set([...names("left", 50), ...names("right", 50)]),
    );
    expect(entries).toHaveLength(100);
    expect(new Set(entries.map(({ artifactType }) => artifactType))).toEqual(new Set(["application/vnd.example.sbom"]));
    const { active } = await one.snapshot();
    expect(active).toEqual({ head: 0, manifest: 0, query: 0, blob: 0 });
  });

  it("lists them also when the object is gone in the middle and the writers ask again", async () => {
    await prepare("fallback/gone");
    const additions = await pushReferrers("fallback/gone", names("n", 20));
    const first = additions.map((each) => host().addReferrer(each));
    await abortAllDurableObjects();
    await Promise.allSettled(first);
    await Promise.all(additions.map((each) => host().addReferrer(each)));
    expect(await listed("fallback/gone")).toHaveLength(20);
  });

  it("keeps no lane there once the last copy has gone: its own requests bring no blobs", async () => {
    await prepare("fallback/lane");
    const [addition = expect.unreachable()] = await pushReferrers("fallback/lane", ["n"]);
    await host().addReferrer(addition);
    using lane = await host().join({ name: "lane", width: 1, held: [] });
    const startMs = Date.now();
    const next = lane.next();
    await host().withdraw("job");
    expect(await next).toBeNull();
    expect(Date.now() - startMs).toBeLessThan(LINGER_MS / 2);
  });

  it("keeps something else that is under that tag, and the writer is told", async () => {
    await prepare("fallback/image");
    const [addition] = await pushReferrers("fallback/image", ["n"]);
    const image = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: CONFIG, layers: [] };
    await put("fallback/image", fallbackTagOf(subjectOf("fallback/image")), image, OCI_MANIFEST);
    const failure = await host()
      .addReferrer(addition ?? { repository: "", subject: "", entry: { mediaType: "", digest: "", size: 0 } })
      .then(
        () => null,
        (thrown: unknown) => errorDetailOf(thrown),
      );
    expect(failure).toMatchObject({ code: "unsupported", side: "target", host: target, retryable: false });
  });
});

/** `drayage copy` to and from registries that behave like the well-known ones, with blobs below and above their limits. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { copyOf, Home } from "../e2e/command.ts";
import { PERSONALITIES, USER, type Personality } from "../registry-server/personalities.ts";
import { startRegistry, type RegistryOptions, type TestRegistry } from "../registry-server/server.ts";
import { compareStores, memoryStore } from "../support/compare.ts";
import { multiPlatformImage, singleImage, type Sample } from "../support/sample-image.ts";
import { seed } from "./seed.ts";

const MIB = 1024 ** 2;
const FROM = "team/app";
const TO = "mirror/app";
const LOGIN = { user: USER.name, password: USER.password };
/** One blob below every limit, one above. */
const LAYERS = [20_000, 3 * MIB];

interface Case {
  personality: Personality;
  /** Limits small enough for a test to pass them. */
  limits?: RegistryOptions;
  /** How the large layer goes up in the end. */
  large: string[];
  /** It takes refusals to find out. */
  learns?: true;
}

const CASES: Case[] = [
  { personality: "ghcr", limits: { maxChunkBytes: MIB }, large: ["PUT 201"] },
  { personality: "ecr", limits: { minChunkBytes: MIB }, large: ["PUT 201"] },
  { personality: "gar", large: ["PUT 201"] },
  {
    personality: "acr",
    limits: { maxPutBytes: MIB },
    large: ["PATCH 202", "PATCH 202", "PATCH 202", "PATCH 202", "PUT 201"],
    learns: true,
  },
  { personality: "hub", large: ["PUT 201"] },
  {
    personality: "quay",
    limits: { maxPutBytes: MIB },
    large: ["PATCH 202", "PATCH 202", "PATCH 202", "PATCH 202", "PUT 201"],
    learns: true,
  },
  { personality: "harbor", large: ["PUT 201"] },
  { personality: "jfrog", large: ["PATCH 202", "PUT 201"], learns: true },
  {
    personality: "gitlab",
    limits: { maxBodyBytes: MIB },
    large: ["PATCH 202", "PATCH 202", "PATCH 202", "PATCH 202", "PUT 201"],
    learns: true,
  },
  {
    personality: "cloudflare",
    limits: { minChunkBytes: MIB / 2, maxChunkBytes: MIB, maxPutBytes: MIB },
    large: ["PATCH 202", "PATCH 202", "PATCH 202", "PATCH 202", "PUT 201"],
  },
];

describe.skipIf(inject("withoutRegistry"))("a registry that behaves like", () => {
  it.each(CASES)(
    "$personality takes small blobs and large ones",
    async ({ personality, limits = {}, large, learns }) => {
      await using source = await startRegistry();
      await using target = await startRegistry({ personality, ...limits });
      const sample = multiPlatformImage({ seed: personality, layerBytes: LAYERS });
      seed(source, FROM, sample);
      target.storage.repository(TO);
      await copy(source, target, sample, [target.host]);
      await expectWhole(source, FROM, target, TO);
      const [digest] = largest(sample);
      expect(uploadOf(target, digest)).toEqual(large);
      const refusals = target.requests.filter(
        ({ method, status }) => ["PUT", "PATCH"].includes(method) && status >= 400,
      );
      expect(refusals.length > 0).toBe(learns === true);
      // Blobs under way at once may each meet the same refusal; none meets it twice.
      expect(refusals.length).toBeLessThanOrEqual(sample.blobs.size);
      expect(target.openUploads()).toEqual([]);
    },
  );

  it.each(CASES)("$personality is read from", async ({ personality, limits = {} }) => {
    await using source = await startRegistry({ personality, ...limits });
    await using target = await startRegistry();
    const sample = multiPlatformImage({ seed: personality, layerBytes: LAYERS });
    seed(source, FROM, sample);
    await copy(source, target, sample, [source.host]);
    await expectWhole(source, FROM, target, TO);
    // Docker Hub counts reads of manifests: none is read twice.
    const reads = source.requests.filter(({ method, path }) => method === "GET" && path.includes("/manifests/"));
    expect(reads.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(sample.manifests.length + 1);
    // The store that blobs are redirected to never sees the credentials.
    const atStore = source.requests.filter(({ listener }) => listener === "cdn");
    expect(atStore.some(({ headers }) => "authorization" in headers)).toBe(false);
    expect(atStore.length > 0).toBe(PERSONALITIES[personality].redirect === true);
  });

  it("ecr takes chunks though its Range stands still", async () => {
    await using source = await startRegistry();
    await using target = await startRegistry({ personality: "ecr", minChunkBytes: MIB / 2 });
    const sample = singleImage({ seed: "ecr chunks", layerBytes: LAYERS });
    seed(source, FROM, sample);
    target.storage.repository(TO);
    await copy(source, target, sample, [target.host], { chunk_bytes: "512KiB" });
    await expectWhole(source, FROM, target, TO);
    expect(target.requests.filter(({ method }) => method === "PATCH").length).toBeGreaterThan(4);
  });

  it("ghcr refuses chunks that the settings make too large, and its words are passed on at once", async () => {
    await using source = await startRegistry();
    await using target = await startRegistry({ personality: "ghcr" });
    const sample = singleImage({ seed: "ghcr chunks", layerBytes: [9 * MIB] });
    seed(source, FROM, sample);
    const { error } = await attempt(source, target, sample, [target.host], { chunk_bytes: "8MiB" });
    expect(error).toMatchObject({ side: "target", status: 416, operation: "upload blob" });
    expect(error?.message).toContain("4.00MiB");
    expect(target.requests.filter(({ method, status }) => method === "PATCH" && status === 416)).toHaveLength(1);
  });

  it("ecr says that the repository has to be made first", async () => {
    await using source = await startRegistry();
    await using target = await startRegistry({ personality: "ecr" });
    const sample = singleImage({ seed: "ecr missing" });
    seed(source, FROM, sample);
    const { error } = await attempt(source, target, sample, [target.host]);
    expect(error).toMatchObject({ code: "not_found", side: "target", host: target.host });
    expect(error?.message).toMatch(/does not exist/);
  });

  it("hub is asked for tokens of one repository only, also for a mount", async () => {
    await using hub = await startRegistry({ personality: "hub" });
    const sample = singleImage({ seed: "hub mount" });
    seed(hub, FROM, sample);
    await copy(hub, hub, sample, [hub.host]);
    await expectWhole(hub, FROM, hub, TO);
  });
});

async function copy(
  source: TestRegistry,
  target: TestRegistry,
  sample: Sample,
  login: string[],
  settings: Record<string, string> = {},
): Promise<void> {
  expect(await attempt(source, target, sample, login, settings)).toMatchObject({ state: "succeeded", error: null });
}

async function attempt(
  source: TestRegistry,
  target: TestRegistry,
  sample: Sample,
  login: string[],
  settings: Record<string, string> = {},
) {
  await using home = await Home.create(Object.fromEntries(login.map((host) => [host, LOGIN])));
  const file = join(home.folder, "hosts.toml");
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  await writeFile(file, [`[hosts."${target.host}"]`, ...lines, ""].join("\n"));
  const [from, to] = [`${source.host}/${FROM}:${sample.tag}`, `${target.host}/${TO}:${sample.tag}`];
  return copyOf(await home.run("copy", "--json", "--config", file, from, to));
}

async function expectWhole(source: TestRegistry, from: string, target: TestRegistry, to: string): Promise<void> {
  const compared = await compareStores(memoryStore(source, from), memoryStore(target, to));
  expect(compared.problems).toEqual([]);
  expect(compared.blobs).toBeGreaterThan(0);
}

function largest({ blobs }: Sample): [string, Buffer] {
  const [first] = [...blobs].sort(([, a], [, b]) => b.length - a.length);
  if (first === undefined) {
    throw new Error("a sample without blobs");
  }
  return first;
}

/** Method and status of the requests of the session that was closed with the digest. */
function uploadOf({ requests }: TestRegistry, digest: string): string[] {
  const closing = requests.find(({ query, status }) => query["digest"] === digest && status === 201);
  return requests
    .filter(({ method, path }) => path === closing?.path && ["PUT", "PATCH"].includes(method))
    .map(({ method, status }) => `${method} ${status}`);
}

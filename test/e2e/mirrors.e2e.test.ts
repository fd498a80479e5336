/** `drayage copy` from a source with a mirror: who is asked for what, and what becomes of it when the mirror cannot. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import type { CopyView } from "../../src/job/contract.ts";
import { seed } from "../faults/seed.ts";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { compareStores, memoryStore } from "../support/compare.ts";
import { singleImage, type Sample } from "../support/sample-image.ts";
import { copyOf, Home } from "./command.ts";

const REPOSITORY = "team/app";
const SAMPLE = singleImage({ seed: "mirrored", layerBytes: [30_000, 20_000, 10_000] });
/** What the tag stood for before. */
const OLDER = singleImage({ seed: "mirrored before", layerBytes: [15_000] });
const BLOBS = [...SAMPLE.blobs.keys()];

class Harbours implements AsyncDisposable {
  readonly source: TestRegistry;
  readonly mirror: TestRegistry;
  readonly target: TestRegistry;
  readonly home: Home;

  private constructor(source: TestRegistry, mirror: TestRegistry, target: TestRegistry, home: Home) {
    this.source = source;
    this.mirror = mirror;
    this.target = target;
    this.home = home;
    seed(source, REPOSITORY, SAMPLE);
  }

  static async open(): Promise<Harbours> {
    const [source, mirror, target] = await Promise.all([startRegistry(), startRegistry(), startRegistry()]);
    return new Harbours(source, mirror, target, await Home.create());
  }

  async copy(what = `${REPOSITORY}:v1`, to = what, target = this.target, prefix = ""): Promise<CopyView> {
    const config = join(this.home.folder, "config.toml");
    await writeFile(config, `[hosts."${this.source.host}"]\nmirrors = ["${this.mirror.host}${prefix}"]\n`);
    const ends = [`${this.source.host}/${what}`, `${target.host}/${to}`];
    const view = copyOf(await this.home.run("copy", "--json", "--config", config, ...ends));
    expect(view, JSON.stringify(view.error)).toMatchObject({ state: "succeeded" });
    return view;
  }

  async expectWhole(sample: Sample): Promise<void> {
    const [here, there] = [memoryStore(this.source, REPOSITORY), memoryStore(this.target, REPOSITORY)];
    seed(this.source, REPOSITORY, sample);
    expect((await compareStores(here, there, [sample.tag])).problems).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { source, mirror, target, home } = this;
    await Promise.all([source.close(), mirror.close(), target.close(), home[Symbol.asyncDispose]()]);
  }
}

/** `GET blob`, `HEAD manifest`, …, as they were asked for. */
function stepsOf({ requests }: TestRegistry): string[] {
  return requests.map(({ method, path }) => `${method} ${/\/(blob|manifest|tag)s\//.exec(path)?.[1] ?? path}`).sort();
}

function isReadOnly({ requests }: TestRegistry): boolean {
  return requests.every(({ method }) => method === "GET" || method === "HEAD");
}

describe.skipIf(inject("withoutRegistry"))("a mirror", () => {
  it("that has everything is the only one that is asked", async () => {
    await using harbours = await Harbours.open();
    seed(harbours.mirror, REPOSITORY, SAMPLE);
    const view = await harbours.copy();
    await harbours.expectWhole(SAMPLE);
    expect(stepsOf(harbours.source)).toEqual([]);
    expect(stepsOf(harbours.mirror)).toEqual([...BLOBS.map(() => "GET blob"), "GET manifest", "HEAD manifest"]);
    expect(view.requests.source).toBe(BLOBS.length + 2);
    expect(view.warnings).toEqual([]);
  });

  it("whose repositories lie below a prefix is asked for them there", async () => {
    await using harbours = await Harbours.open();
    seed(harbours.mirror, `hub/${REPOSITORY}`, SAMPLE);
    await harbours.copy(`${REPOSITORY}:v1`, `${REPOSITORY}:v1`, harbours.target, "/hub");
    await harbours.expectWhole(SAMPLE);
    expect(stepsOf(harbours.source)).toEqual([]);
  });

  it("that has all but one blob costs one request to the source", async () => {
    await using harbours = await Harbours.open();
    seed(harbours.mirror, REPOSITORY, SAMPLE);
    harbours.mirror.storage.repository(REPOSITORY).blobs.delete(BLOBS[1] ?? "");
    const view = await harbours.copy();
    await harbours.expectWhole(SAMPLE);
    expect(stepsOf(harbours.source)).toEqual(["GET blob"]);
    expect(stepsOf(harbours.mirror)).toEqual([...BLOBS.map(() => "GET blob"), "GET manifest", "HEAD manifest"]);
    expect(view.requests.source).toBe(BLOBS.length + 3);
    expect(harbours.target.openUploads()).toEqual([]);
    expect(view.warnings).toEqual([]);
  });

  it("that has nothing is asked for the manifests only", async () => {
    await using harbours = await Harbours.open();
    await harbours.copy();
    await harbours.expectWhole(SAMPLE);
    expect(stepsOf(harbours.mirror)).toEqual(["GET manifest", "HEAD manifest"]);
    expect(stepsOf(harbours.source)).toEqual([...BLOBS.map(() => "GET blob"), "GET manifest", "HEAD manifest"]);
  });

  it("that is behind is believed for a tag, and not for a digest", async () => {
    await using harbours = await Harbours.open();
    seed(harbours.mirror, REPOSITORY, OLDER);
    expect(await harbours.copy()).toMatchObject({ source: { digest: OLDER.digest } });
    expect(stepsOf(harbours.source)).toEqual([]);
    const byDigest = await harbours.copy(`${REPOSITORY}@${SAMPLE.digest}`, `${REPOSITORY}:new`);
    expect(byDigest).toMatchObject({ target: { digest: SAMPLE.digest } });
    expect(stepsOf(harbours.source)).toEqual([...BLOBS.map(() => "GET blob"), "GET manifest"]);
  });

  it("that is down is passed over, with a warning that names it", async () => {
    await using harbours = await Harbours.open();
    await harbours.mirror.close();
    const view = await harbours.copy();
    await harbours.expectWhole(SAMPLE);
    expect(view.warnings).toEqual([expect.stringContaining(`The mirror ${harbours.mirror.host} was passed over: `)]);
  });

  it.each([401, 403])("that refuses with %i is asked once", async (status) => {
    await using harbours = await Harbours.open();
    harbours.mirror.faults.add({ action: { type: "status", status } });
    const view = await harbours.copy();
    await harbours.expectWhole(SAMPLE);
    // Once more to be sure of it: by GET after a 403 to HEAD, the same after a 401 without a challenge.
    expect(stepsOf(harbours.mirror)).toHaveLength(2);
    expect(view.warnings).toHaveLength(1);
  });

  it("whose manifest is another one is not believed", async () => {
    await using harbours = await Harbours.open();
    seed(harbours.mirror, REPOSITORY, SAMPLE);
    const [manifest] = OLDER.manifests;
    const body = manifest?.bytes.toString() ?? "";
    harbours.mirror.faults.add({ match: { method: "GET", path: /manifests/ }, action: { type: "wrong-body", body } });
    const view = await harbours.copy();
    expect(view.target.digest).toBe(SAMPLE.digest);
    await harbours.expectWhole(SAMPLE);
    expect(view.warnings).toEqual([expect.stringContaining("was passed over: ")]);
  });

  it("whose blob is damaged is not believed", async () => {
    await using harbours = await Harbours.open();
    seed(harbours.mirror, REPOSITORY, SAMPLE);
    const [digest = ""] = BLOBS;
    harbours.mirror.faults.add({ match: { path: digest }, action: { type: "corrupt", atByte: 5 } });
    await harbours.copy();
    await harbours.expectWhole(SAMPLE);
    expect(stepsOf(harbours.source)).toEqual(["GET blob"]);
  });

  it("that fails in the midst of a copy is left with all that waits for it", async () => {
    await using harbours = await Harbours.open();
    const many = singleImage({ seed: "many", layerBytes: Array.from({ length: 40 }, (_, index) => 2_000 + index) });
    seed(harbours.source, REPOSITORY, many);
    seed(harbours.mirror, REPOSITORY, many);
    harbours.mirror.faults.add({ match: { path: /blobs/ }, action: { type: "status", status: 503 } });
    await harbours.copy(`${REPOSITORY}:${many.tag}`);
    await harbours.expectWhole(many);
    const asked = stepsOf(harbours.mirror).filter((step) => step === "GET blob").length;
    // Six tries of the first blob to be given up, with those of its neighbours; and none for each of the others.
    expect(asked).toBeLessThan(many.blobs.size * 2);
    expect(isReadOnly(harbours.mirror)).toBe(true);
    expect(harbours.target.openUploads()).toEqual([]);
  });

  it("that is the very target is not read from", async () => {
    await using harbours = await Harbours.open();
    seed(harbours.mirror, REPOSITORY, OLDER);
    await harbours.copy(`${REPOSITORY}:v1`, `${REPOSITORY}:v1`, harbours.mirror);
    expect(harbours.mirror.storage.repository(REPOSITORY).tags.get("v1")).toBe(SAMPLE.digest);
  });
});

/**
 * What becomes of tags that the target has: overwritten, left alone, refused, kept under another name; and removed, when no
 * chosen tag is named to them any more.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { pushSample, singleImage, type Sample } from "../support/sample-image.ts";
import { Home, type Ended } from "./command.ts";
import { describeWithRegistry } from "./pair.ts";

const Report = z.looseObject({
  state: z.string(),
  warnings: z.array(z.string()),
  error: z.looseObject({ message: z.string() }).nullable(),
  results: z
    .array(z.looseObject({ source: z.string().nullable(), target: z.string().nullable(), state: z.string() }))
    .optional(),
});

function statesOf(ended: Ended): Record<string, string> {
  const { results = [] } = Report.parse(JSON.parse(ended.stdout));
  return Object.fromEntries(results.map(({ source, target, state }) => [target ?? source ?? "", state]));
}

describeWithRegistry("tags that the target has", () => {
  let registry: TestRegistry;
  let home: Home;
  let runs = 0;
  let [from, to] = ["", ""];
  beforeAll(async () => {
    [registry, home] = await Promise.all([startRegistry({ referrers: true }), Home.create()]);
  });
  afterAll(async () => {
    await Promise.all([registry.close(), home[Symbol.asyncDispose]()]);
  });
  beforeEach(() => {
    runs += 1;
    [from, to] = [`app/${runs}`, `mirror/${runs}`];
  });

  const sample = (tag: string, seed = tag): Sample => singleImage({ tag, seed: `${runs}/${seed}`, layerBytes: [500] });
  const push = async (repository: string, ...samples: Sample[]): Promise<void> => {
    for (const each of samples) {
      await pushSample(registry.host, repository, each);
    }
  };
  const copy = (tag: string, ...options: string[]): Promise<Ended> =>
    home.run("copy", "--json", ...options, `${registry.host}/${from}${tag}`, `${registry.host}/${to}${tag}`);
  const tags = (): Record<string, string> => Object.fromEntries(registry.storage.repositories.get(to)?.tags ?? []);
  const writes = (since: number) =>
    registry.requests.slice(since).filter(({ method, path }) => path.includes(to) && !["GET", "HEAD"].includes(method));

  describe.each([
    ["of an image", ":v1"],
    ["of a repository", ""],
  ])("by a copy %s", (_name, tag) => {
    let [old, fresh, same] = [sample("v1"), sample("v1"), sample("v2")];
    beforeEach(async () => {
      [old, fresh, same] = [sample("v1", "old"), sample("v1", "fresh"), sample("v2")];
      await push(from, fresh, same);
      await push(to, old, same);
    });

    it("are overwritten", async () => {
      expect(await copy(tag)).toMatchObject({ status: 0 });
      expect(tags()).toEqual({ v1: fresh.digest, v2: same.digest });
    });

    it("are left alone", async () => {
      const before = registry.requests.length;
      const ended = await copy(tag, "--existing", "skip");
      expect(ended.status, ended.stdout).toBe(0);
      if (tag === "") {
        expect(statesOf(ended)).toEqual({ v1: "skipped", v2: "skipped" });
      }
      expect(writes(before)).toEqual([]);
      expect(tags()).toEqual({ v1: old.digest, v2: same.digest });
    });

    it("are refused, and others are not", async () => {
      const before = registry.requests.length;
      const ended = await copy(tag, "--existing", "fail");
      expect(ended.status, ended.stdout).toBe(1);
      expect(Report.parse(JSON.parse(ended.stdout)).error?.message).toMatch(/v1 exists already as sha256:/);
      if (tag === "") {
        expect(statesOf(ended)).toEqual({ v1: "failed", v2: "unchanged" });
      }
      expect(writes(before)).toEqual([]);
      expect(tags()).toEqual({ v1: old.digest, v2: same.digest });
    });

    it("are kept under another name, once", async () => {
      const backUp = () => copy(tag, "--existing", "backup", "--backup-tag", "{tag}-{short}");
      expect(await backUp()).toMatchObject({ status: 0 });
      const kept = { [`v1-${old.digest.slice(7, 19)}`]: old.digest, v1: fresh.digest, v2: same.digest };
      expect(tags()).toEqual(kept);
      expect(await backUp()).toMatchObject({ status: 0 });
      expect(tags()).toEqual(kept);
    });
  });

  describe("that no chosen tag is named to", () => {
    const signature = `sha256-${"5".repeat(64)}.sig`;
    beforeEach(async () => {
      await push(from, sample("v1"), sample("v2"), sample("edge"));
      // `old-1` is another name of an image that is kept; `old-2` of one that is not.
      await push(to, sample("v1"), sample("old-1", "v1"), sample("old-2"), sample(signature));
    });
    const prune = (...options: string[]) => copy("", "--tags", "v.*", ...options);

    it("stay, unless asked otherwise", async () => {
      expect(statesOf(await prune())).toEqual({ v1: "unchanged", v2: "copied" });
      expect(Object.keys(tags()).toSorted()).toEqual(["old-1", "old-2", signature, "v1", "v2"]);
    });

    it.each([
      ["asked for in a dry way", ["--prune", "dry"]],
      ["in a dry run", ["--prune", "delete", "--dry-run"]],
    ])("are named and stay, %s", async (_name, options) => {
      const ended = await prune(...options);
      expect(ended.status, ended.stdout).toBe(0);
      expect(statesOf(ended)).toMatchObject({ v1: "unchanged", "old-1": "obsolete", "old-2": "obsolete" });
      expect(Report.parse(JSON.parse(ended.stdout)).warnings.join(" ")).toMatch(/2 tags that are not chosen any more/);
      expect(Object.keys(tags())).toEqual(expect.arrayContaining(["old-1", "old-2", signature]));
    });

    it("are removed by name, so that what a kept tag needs is kept", async () => {
      const ended = await prune("--prune", "delete");
      expect(ended.status, ended.stdout).toBe(0);
      expect(statesOf(ended)).toEqual({ v1: "unchanged", v2: "copied", "old-1": "deleted", "old-2": "deleted" });
      expect(Object.keys(tags()).toSorted()).toEqual([signature, "v1", "v2"]);
      const deletes = registry.requests.filter(({ method, path }) => method === "DELETE" && path.includes(`${to}/`));
      expect(deletes.map(({ path }) => path.split("/").at(-1) ?? "").toSorted()).toEqual(["old-1", "old-2"]);
      const kept = sample("v1");
      expect(registry.storage.manifestIn(to, kept.digest)).toBeDefined();
      expect([...kept.blobs.keys()].map((digest) => registry.storage.blobIn(to, digest))).not.toContain(undefined);
    });

    it("are all kept when there are more than may be removed", async () => {
      const ended = await prune("--prune", "delete", "--prune-max", "1");
      expect(ended.status).toBe(1);
      expect(Report.parse(JSON.parse(ended.stdout)).error?.message).toMatch(/has 2 tags .* at most 1 may be removed/);
      expect(Object.keys(tags()).toSorted()).toEqual(["old-1", "old-2", signature, "v1", "v2"]);
    });

    it.each([
      ["no tag is chosen", ["--tags", "nothing-like-it"], 0],
      ["a tag has failed", ["--tags", "v.*", "--existing", "fail"], 1],
    ])("are all kept when %s", async (_name, options, status) => {
      await push(to, sample("v2", "another"));
      const ended = await copy("", ...options, "--prune", "delete");
      expect(ended.status, ended.stdout).toBe(status);
      expect(Object.keys(tags()).toSorted()).toEqual(["old-1", "old-2", signature, "v1", "v2"]);
    });
  });
});

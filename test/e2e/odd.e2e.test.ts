/**
 * Odd but legal: a repository with every shape that registries hold, by the command between Debian's registry and the
 * project's own, each as source and as target, byte for byte.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { compareStores, httpStore, type Store } from "../support/compare.ts";
import { foreignImage, oddSamples } from "../support/odd-samples.ts";
import { pushSample } from "../support/sample-image.ts";
import { copyOf } from "./command.ts";
import { describeWithRegistry } from "./pair.ts";
import { EACH_WAY, PlainAndOwn, type Kind } from "./plain-and-own.ts";

/** With the host nearly 255 characters, with every separator that names may have (distribution-spec, "Pulling manifests"). */
const DEEP = `deep/${"path/of.many_parts/".repeat(10)}a__repo/with-dots/and--more`;

const Results = z.looseObject({
  results: z.array(
    z.looseObject({
      source: z.string(),
      state: z.string(),
      error: z.looseObject({ side: z.string(), host: z.string(), message: z.string() }).nullable(),
    }),
  ),
});

describeWithRegistry("odd but legal", () => {
  let both: PlainAndOwn;
  beforeAll(async () => {
    both = await PlainAndOwn.start({ referrers: true });
  });
  afterAll(() => both[Symbol.asyncDispose]());

  const storeOf = (kind: Kind, repository: string): Store => {
    const store = both.storeOf(kind, repository);
    if (kind === "own") {
      return store;
    }
    // On its disk a blob is under its sha256, whatever it is asked for by.
    const blob = (digest: string) =>
      (digest.startsWith("sha512:") ? httpStore(both.plain.host, repository) : store).blob(digest);
    return { ...store, blob };
  };

  it.each(EACH_WAY)("every shape from %s to %s", async (from, to) => {
    const [source, target] = [`odd/${from}/${to}`, `${from}/${DEEP}`];
    const samples = oddSamples(source).filter(({ onlyOwn }) => from === "own" || onlyOwn !== true);
    for (const { sample } of samples) {
      await pushSample(both.hostOf(from), source, sample);
    }
    const refused = samples.filter(({ onlyOwn }) => to === "plain" && onlyOwn === true).map(({ sample }) => sample.tag);
    const taken = samples.map(({ sample }) => sample.tag).filter((tag) => !refused.includes(tag));
    const copy = () =>
      both.home.run("copy", "--json", `${both.hostOf(from)}/${source}`, `${both.hostOf(to)}/${target}`);

    const first = await copy();
    const { results } = Results.parse(JSON.parse(first.stdout));
    const failed = results.filter(({ state }) => state !== "copied");
    expect(failed.map(({ source: tag }) => tag).toSorted()).toEqual(refused.toSorted());
    for (const { error } of failed) {
      expect(error).toMatchObject({ side: "target", host: both.hostOf(to) });
    }
    expect(first.status).toBe(refused.length === 0 ? 0 : 1);
    const compared = await compareStores(storeOf(from, source), storeOf(to, target), taken);
    expect(compared.problems).toEqual([]);
    expect(compared.tags).toBe(taken.length);

    const second = copyOf(await copy());
    expect(second.tags).toMatchObject({ all: samples.length, unchanged: taken.length, failed: refused.length });
  });

  it.each(EACH_WAY.filter(([from, to]) => from !== to))(
    "layers that must not be distributed, from %s to %s: left with a word, or taken",
    async (from, to) => {
      const repository = `foreign/${from}/${to}`;
      const { sample, elsewhere, here } = foreignImage(repository);
      await pushSample(both.hostOf(from), repository, sample);
      const copy = (target: string, ...options: string[]) =>
        both.home.run(
          "copy",
          "--json",
          ...options,
          `${both.hostOf(from)}/${repository}:foreign`,
          `${both.hostOf(to)}/${target}:foreign`,
        );

      const left = copyOf(await copy(`left/${repository}`));
      expect(left).toMatchObject({ state: "succeeded", target: { digest: sample.digest } });
      expect(left.warnings).toEqual([expect.stringContaining(elsewhere), expect.stringContaining(here)]);
      const store = storeOf(to, `left/${repository}`);
      expect(await store.blob(here)).toBeNull();
      expect((await compareStores(storeOf(from, repository), store, ["foreign"])).problems).toEqual([]);

      // One of them is not at the source: asked for, it is an error that says so.
      const ended = await copy(`taken/${repository}`, "--include-foreign");
      expect(ended.status).toBe(1);
      expect(copyOf(ended).error).toMatchObject({ code: "not_found", side: "source" });
      expect(copyOf(ended).error?.message).toContain(elsewhere);
      expect(await storeOf(to, `taken/${repository}`).blob(here)).not.toBeNull();
    },
  );
});

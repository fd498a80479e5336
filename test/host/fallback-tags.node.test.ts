import { describe, expect, it } from "vitest";
import type { Manifest, Referrer } from "../../src/registry/contract.ts";
import { FallbackTags, type UpdateTag } from "../../src/host/fallback-tags.ts";
import { OCI_MANIFEST } from "../../src/registry/media-types.ts";

const SUBJECT = `sha256:${"5".repeat(64)}`;
const entry = (at: number): Referrer => ({
  mediaType: OCI_MANIFEST,
  digest: `sha256:${at.toString(16).padStart(64, "0")}`,
  size: at,
});

/** What is under each tag, read and written in two steps with time between them, as at a registry. */
class Tags {
  readonly lists = new Map<string, Manifest>();
  readonly writes: string[] = [];
  active = 0;
  fails: (round: number) => boolean = () => false;
  #round = 0;

  readonly update: UpdateTag = async (repository, tag, change) => {
    const key = `${repository}:${tag}`;
    this.active++;
    try {
      this.#round++;
      await new Promise((resolve) => setImmediate(resolve));
      const read = this.lists.get(key) ?? null;
      if (this.fails(this.#round)) {
        throw new Error("the registry is down");
      }
      const next = change(read);
      await new Promise((resolve) => setImmediate(resolve));
      if (next !== null) {
        this.lists.set(key, next);
        this.writes.push(key);
      }
    } finally {
      this.active--;
    }
  };

  sizes(): number[] {
    return [...this.lists.values()].map(({ bytes }) => JSON.parse(new TextDecoder().decode(bytes)).manifests.length);
  }
}

const add = (tags: FallbackTags, at: number, repository = "a", subject = SUBJECT): Promise<void> =>
  tags.add({ repository, subject, entry: entry(at) });

describe("the one writer of a list", () => {
  it("loses none of a hundred entries that come at once, and needs few writes", async () => {
    const registry = new Tags();
    const tags = new FallbackTags("r.example", registry.update);
    await Promise.all(Array.from({ length: 100 }, (_, at) => add(tags, at)));
    expect(registry.sizes()).toEqual([100]);
    expect(registry.writes.length).toBeLessThanOrEqual(2);
  });

  it("loses none that come one after the other while others are being written", async () => {
    const registry = new Tags();
    const tags = new FallbackTags("r.example", registry.update);
    const writer = async (from: number): Promise<void> => {
      for (let at = from; at < from + 50; at++) {
        await add(tags, at);
      }
    };
    await Promise.all([writer(0), writer(1000)]);
    expect(registry.sizes()).toEqual([100]);
  });

  it("writes nothing for what is there", async () => {
    const registry = new Tags();
    const tags = new FallbackTags("r.example", registry.update);
    await add(tags, 1);
    await add(tags, 1);
    expect(registry.writes).toHaveLength(1);
  });

  it("writes different lists at the same time", async () => {
    const registry = new Tags();
    const tags = new FallbackTags("r.example", registry.update);
    const all = [add(tags, 1), add(tags, 1, "b"), add(tags, 1, "a", SUBJECT.replaceAll("5", "6"))];
    expect(registry.active).toBe(3);
    await Promise.all(all);
    expect(registry.sizes()).toEqual([1, 1, 1]);
  });
});

describe("when a write fails", () => {
  it("all who wait for it hear of it, and whoever asks again is served", async () => {
    const registry = new Tags();
    registry.fails = (round) => round === 1;
    const tags = new FallbackTags("r.example", registry.update);
    const first = await Promise.allSettled([add(tags, 1), add(tags, 2)]);
    expect(first.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await Promise.all([add(tags, 1), add(tags, 2)]);
    expect(registry.sizes()).toEqual([2]);
  });

  it("since there is no list under the tag, it is left as it is", async () => {
    const registry = new Tags();
    const image = { digest: "sha256:x", mediaType: OCI_MANIFEST, bytes: new TextEncoder().encode('{"layers":[]}') };
    registry.lists.set(`a:sha256-${"5".repeat(64)}`, image);
    await expect(add(new FallbackTags("r.example", registry.update), 1)).rejects.toThrow(/is no index/);
    expect(registry.writes).toEqual([]);
  });
});

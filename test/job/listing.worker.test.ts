/** Which names a copy of a repository begins with, against registries in memory. */
import { expect, test } from "vitest";
import { creationsAt } from "../../src/job/creation.ts";
import { listTagsToCopy } from "../../src/job/listing.ts";
import { image, MANIFEST } from "./images.ts";
import { MemoryRegistry } from "./memory-registry.ts";

test("names with the time in them are all of one moment: what nobody can date is kept by the name that it has now", async () => {
  const source = new MemoryRegistry("src.example");
  const target = new MemoryRegistry("dst.example");
  source.keep(image("a"), MANIFEST, "dated");
  source.keep(image("b"), MANIFEST, "undated");
  target.keep(image("b"), MANIFEST, "undated-2025-12-31", "gone");
  const day = [Date.UTC(2025, 11, 31, 23, 59, 59), Date.UTC(2026, 0, 1)].values();
  const { rows } = await listTagsToCopy({
    request: {
      source: { host: source.host, repository: "app" },
      target: { host: target.host, repository: "mirror" },
      tags: { newerThanMs: 0 },
      targetTag: "{tag}-{date}",
      prune: { maxTags: 9, dryRun: false },
    },
    source,
    target,
    now: () => day.next().value ?? expect.unreachable(),
    creations: async () => new Map([["dated", 1]]),
  });
  expect(rows.map(({ target: name, state }) => [name, state])).toEqual([
    ["dated-2025-12-31", "waiting"],
    ["gone", "obsolete"],
  ]);
});

test.each(["not_found", "manifest_invalid", "digest_mismatch", "manifest_too_large"] as const)(
  "an image that is %s has no date, and takes it from no other",
  async (code) => {
    const source = new MemoryRegistry("src.example");
    const annotations = { "org.opencontainers.image.created": "2026-01-02T03:04:05Z" };
    source.keep({ ...image("a"), annotations }, MANIFEST, "whole");
    source.keep(image("b"), MANIFEST, "damaged");
    source.before = (operation) => {
      if (operation === "GET damaged") {
        throw source.error(code, "it is damaged");
      }
    };
    const dates = await creationsAt(source, "app")(["damaged", "whole"]);
    expect([...dates]).toEqual([["whole", Date.UTC(2026, 0, 2, 3, 4, 5)]]);
  },
);

/** Answers that are lost after the registry did the work: the copy succeeds, and nothing large is sent again. */
import { describe, expect, inject, it } from "vitest";
import { Home } from "../e2e/command.ts";
import type { FaultRule } from "../registry-server/faults.ts";
import { startRegistry } from "../registry-server/server.ts";
import { compareStores, memoryStore } from "../support/compare.ts";
import { multiPlatformImage } from "../support/sample-image.ts";
import { seed } from "./seed.ts";

const SAMPLE = multiPlatformImage({ seed: "twice", layerBytes: [20_000, 300_000] });

const CASES: { what: string; match: NonNullable<FaultRule["match"]>; times: number }[] = [
  { what: "each blob", match: { method: "PUT", path: /blobs\/uploads/ }, times: SAMPLE.blobs.size },
  { what: "a manifest by its digest", match: { method: "PUT", path: /manifests\/sha256/ }, times: 1 },
  { what: "the tag", match: { method: "PUT", path: `manifests/${SAMPLE.tag}$` }, times: 1 },
  // The client's own patience: the registry never says that it has the manifest, a HEAD does.
  { what: "the tag, always", match: { method: "PUT", path: `manifests/${SAMPLE.tag}$` }, times: 100 },
];

describe.skipIf(inject("withoutRegistry"))("an answer that is lost", () => {
  it.each(CASES)("about $what is recognised", async ({ match, times }) => {
    await using source = await startRegistry();
    const action = { type: "late-error", status: 502 } as const;
    await using target = await startRegistry({ rules: [{ match, times, action }] });
    await using home = await Home.create();
    seed(source, "team/app", SAMPLE);
    const names = [`${source.host}/team/app:${SAMPLE.tag}`, `${target.host}/mirror/app:${SAMPLE.tag}`];
    expect(await home.run("copy", "--quiet", ...names)).toMatchObject({ status: 0, stderr: "" });
    const { problems } = await compareStores(memoryStore(source, "team/app"), memoryStore(target, "mirror/app"));
    expect(problems).toEqual([]);
    const blobs = target.requests.filter(({ path }) => path.includes("/blobs/uploads/"));
    expect(blobs.reduce((sum, { bytesIn }) => sum + bytesIn, 0)).toBe(SAMPLE.blobBytes);
  });

  it("about mounts is recognised, and no blob is sent", async () => {
    const match = { method: "POST", path: /mount=/ };
    const action = { type: "late-error", status: 502 } as const;
    await using registry = await startRegistry({ rules: [{ match, times: SAMPLE.blobs.size, action }] });
    await using home = await Home.create();
    seed(registry, "team/app", SAMPLE);
    const names = [`${registry.host}/team/app:${SAMPLE.tag}`, `${registry.host}/mirror/app:${SAMPLE.tag}`];
    expect(await home.run("copy", "--quiet", ...names)).toMatchObject({ status: 0, stderr: "" });
    const { problems } = await compareStores(memoryStore(registry, "team/app"), memoryStore(registry, "mirror/app"));
    expect(problems).toEqual([]);
    expect(registry.requests.filter(({ method, path }) => method === "PUT" && path.includes("/blobs/"))).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import { listAllTags } from "../../src/registry/tags.ts";
import { startRegistry } from "../registry-server/server.ts";
import { clientOf, json, refusal, serve } from "./support.ts";

const names = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, index) => `t${String(from + index).padStart(6, "0")}`);

describe("all tags of a repository", () => {
  it("are read in pages of a thousand, each once, in the registry's order", async () => {
    await using registry = await startRegistry();
    const repository = registry.storage.repository("a");
    const all = names(10_000);
    all.forEach((tag) => repository.tags.set(tag, "sha256:x"));
    const { registry: client } = clientOf(registry.host);
    expect(await listAllTags(client, "source", "a")).toEqual(all);
    expect(client.usage.requests).toBe(10);
  });

  it("are null for a repository that is not there", async () => {
    await using registry = await startRegistry();
    expect(await listAllTags(clientOf(registry.host).registry, "source", "nobody")).toBeNull();
  });

  it("go on after the last tag where a full page names no next", async () => {
    const all = names(2000);
    await using registry = await serve((seen, response) => {
      const last = new URL(seen.url, "http://x").searchParams.get("last");
      json(response, 200, { tags: all.filter((tag) => last === null || tag > last).slice(0, 1000) });
    });
    expect(await listAllTags(clientOf(registry.host).registry, "source", "a")).toEqual(all);
    expect(registry.seen).toHaveLength(3);
  });

  it("end where the registry sends the same page again, since it knows no next", async () => {
    await using registry = await serve((_seen, response) => json(response, 200, { tags: names(1000) }));
    expect(await listAllTags(clientOf(registry.host).registry, "source", "a")).toEqual(names(1000));
    expect(registry.seen).toHaveLength(2);
  });

  it("are all there where the registry heeds no limit", async () => {
    await using registry = await serve((_seen, response) => json(response, 200, { tags: names(2500) }));
    expect(await listAllTags(clientOf(registry.host).registry, "source", "a")).toHaveLength(2500);
    expect(registry.seen).toHaveLength(1);
  });
});

describe("listings that would never end", () => {
  it("in a circle are refused", async () => {
    await using registry = await serve((seen, response) => {
      const page = Number(new URL(seen.url, "http://x").searchParams.get("page") ?? "0");
      const link = `</v2/a/tags/list?page=${(page % 3) + 1}>; rel="next"`;
      json(response, 200, { tags: [`t${page}`] }, { link });
    });
    const detail = await refusal(listAllTags(clientOf(registry.host).registry, "source", "a"));
    expect(detail).toMatchObject({ code: "unsupported", side: "source", operation: "list tags" });
    expect(detail.message).toMatch(/circle/);
    expect(registry.seen.length).toBeLessThan(6);
  });

  it("without end are refused at 100,000 tags, and at 2,000 pages", async () => {
    let page = 0;
    const endless = (count: number) => ({
      host: "r.example",
      listTags: async () => ({ tags: names(count, count * page++), next: `?page=${page}` }),
    });
    expect((await refusal(listAllTags(endless(1000), "target", "a"))).message).toMatch(/more than 100000 tags/);
    expect((await refusal(listAllTags(endless(0), "target", "a"))).message).toMatch(/too many pages/);
    expect(page).toBeLessThan(2200);
  });
});

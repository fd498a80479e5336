import { describe, expect, it } from "vitest";
import { listRepositories } from "../../src/registry/catalog.ts";
import { createHostClient } from "../../src/registry/client.ts";
import { ConnectionBudget } from "../../src/registry/connection-budget.ts";
import type { HostClient } from "../../src/registry/host-client.ts";
import { settingsFor } from "./settings.ts";
import { json, NotingGate, refusal, serve } from "./support.ts";

function clientFor(host: string, gate = new NotingGate(), pathPrefix = ""): HostClient {
  return createHostClient({
    settings: settingsFor(host, { pathPrefix }),
    side: "source",
    gate,
    fetch: (url, init) => fetch(url, init),
    now: Date.now,
    log: () => {},
    budget: new ConnectionBudget(),
    refusalOf: () => null,
    maxAttempts: 1,
  });
}

describe("a registry's list of repositories", () => {
  it("comes page by page, led by its links, within this list and with the scope that it takes", async () => {
    await using registry = await serve((seen, response) => {
      const last = new URL(seen.url, "http://x").searchParams.get("last");
      if (last === null) {
        response.setHeader("link", '<https://elsewhere.example/v2/_catalog?last=b&n=1000>; rel="next"');
      }
      json(response, 200, { repositories: last === null ? ["a", "b"] : ["c"] });
    });
    const gate = new NotingGate();
    const client = clientFor(registry.host, gate);
    const failed = await listRepositories(client, null).catch((thrown: unknown) => thrown);
    // A link to another host is followed by its query alone, if it may lead there at all.
    expect(failed).toEqual({ repositories: ["a", "b"], next: "?last=b&n=1000" });
    expect(await listRepositories(client, "?last=b&n=1000")).toEqual({ repositories: ["c"], next: null });
    expect(registry.seen.map(({ url }) => url)).toEqual(["/v2/_catalog?n=1000", "/v2/_catalog?last=b&n=1000"]);
    expect(gate.asked[0]?.scopes).toEqual(["registry:catalog:*"]);
    expect(gate.acquired.every(({ kind }) => kind === "query")).toBe(true);
    expect(gate.held).toBe(0);
  });

  it("is the whole host's, and names repositories as references do where the settings have a prefix", async () => {
    await using registry = await serve((_seen, response) =>
      json(response, 200, { repositories: ["docker/app", "dockers/x", "other/app", "docker/team/web"] }),
    );
    const page = await listRepositories(clientFor(registry.host, new NotingGate(), "/docker/"), null);
    expect(page.repositories).toEqual(["app", "team/web"]);
    expect(registry.seen[0]?.url).toBe("/v2/_catalog?n=1000");
  });

  it.each([401, 403, 404, 405, 501])(
    "that is refused with %d is said to be, with what to do instead",
    async (status) => {
      await using registry = await serve((_seen, response) => json(response, status, { errors: [] }));
      const error = await refusal(listRepositories(clientFor(registry.host), null));
      expect(error).toMatchObject({ code: "unsupported", side: "source", status, retryable: false });
      expect(error.message).toContain(`it answered ${status} to GET /v2/_catalog`);
      expect(error.message).toMatch(/Name the repositories.*push/);
    },
  );

  it.each([429, 503])("that cannot be had now, with %d, is no refusal", async (status) => {
    await using registry = await serve((_seen, response) => json(response, status, { errors: [] }));
    expect(await refusal(listRepositories(clientFor(registry.host), null))).toMatchObject({ status, retryable: true });
  });

  it.each([
    ["a page of the web", "<html>"],
    ["something else", '{"repos": []}'],
    ["no list", '{"repositories": 7}'],
    ["more than a page may have", JSON.stringify({ repositories: ["x".repeat(1024 * 1024)] })],
  ])("that is %s is unsupported", async (_what, body) => {
    await using registry = await serve((_seen, response) => {
      response.end(body);
    });
    expect(await refusal(listRepositories(clientFor(registry.host), null))).toMatchObject({ code: "unsupported" });
  });

  it("that is null has none", async () => {
    await using registry = await serve((_seen, response) => json(response, 200, { repositories: null }));
    expect(await listRepositories(clientFor(registry.host), null)).toEqual({ repositories: [], next: null });
  });
});

/** What the service tells of itself: figures, receivers, findings; and to whom. */
import { env } from "cloudflare:workers";
import { createExecutionContext, runInDurableObject } from "cloudflare:test";
import { describe, expect, inject, test } from "vitest";
import { handleFetch } from "../../src/api/router.ts";
import type { Report } from "../../src/doctor/contract.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import type { CopyView } from "../../src/job/contract.ts";
import { api, requestFor, type Ask } from "./client.worker.ts";
import { scrape } from "./exposition.ts";

const { source, target } = inject("registries");

async function keyFor(scopes: object): Promise<string> {
  const { key } = await (await api("/v1/keys", { body: { name: "observer", scopes } })).json<{ key: string }>();
  return key;
}

/** The same service with other settings. */
async function apiWith(settings: object, path: string, ask: Ask = {}): Promise<Response> {
  return handleFetch(requestFor(path, ask), { ...env, ...settings }, createExecutionContext());
}

async function findings(settings: object = {}, query = ""): Promise<Report["findings"]> {
  const answer = await apiWith(settings, `/v1/doctor${query}`);
  expect(answer.status).toBe(200);
  return (await answer.json<Report>()).findings;
}

const OBSERVED = ["/metrics", "/v1/notifications", "/v1/doctor"];

describe("who may look", () => {
  test.each(OBSERVED)("%s: nobody without a token, no key with bounds, no key without the action", async (path) => {
    expect((await api(path, { token: null })).status).toBe(401);
    const bounded = await keyFor({ sources: ["a.example/**"], targets: ["**"], actions: ["registries"] });
    const idle = await keyFor({ sources: ["**"], targets: ["**"], actions: ["read"] });
    expect([(await api(path, { token: bounded })).status, (await api(path, { token: idle })).status]).toEqual([
      403, 403,
    ]);
  });

  test.each(OBSERVED)("%s: a key for everything with the action registries", async (path) => {
    const key = await keyFor({ sources: ["**"], targets: ["**"], actions: ["registries"] });
    expect((await api(path, { token: key })).status).toBe(200);
  });
});

describe("GET /metrics", () => {
  test("counts a copy that has ended, and the registries that it has used", async () => {
    const body = { source: `${source}/nothing/here:1`, target: `${target}/nothing/here:1` };
    const { id } = await (await api("/v1/copies", { body })).json<CopyView>();
    await api(`/v1/copies/${id}?wait=20`);
    const read = async () => {
      const answer = await api("/metrics");
      expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
      return scrape(await answer.text());
    };
    const ended = async () =>
      (await read()).find(
        ({ name, labels }) =>
          name === "drayage_copies_ended_total" && labels["state"] === "failed" && labels["how"] === "api",
      )?.value;
    await expect.poll(ended).toBe(1);
    const samples = await read();
    const hosts = new Set(samples.flatMap(({ labels }) => labels["host"] ?? []));
    expect([...hosts].sort()).toEqual([source, target].sort());
    const asked = samples.filter(
      ({ name, labels }) =>
        name === "drayage_registry_requests_total" && labels["host"] === source && labels["outcome"] === "ok",
    );
    expect(asked[0]?.value).toBeGreaterThan(0);
  });
});

describe("GET /v1/notifications", () => {
  test("shows receivers without their keys and the path of their address", async () => {
    const settings = {
      NOTIFICATIONS: [
        { name: "ops", url: "https://ops.example/mark-path?token=mark-token", targets: ["a.example/**"] },
      ],
      NOTIFICATION_SECRETS: { ops: `whsec_${btoa("mark-key".repeat(4))}` },
    };
    const text = await (await apiWith(settings, "/v1/notifications")).text();
    expect(JSON.parse(text)).toMatchObject({
      receivers: [{ name: "ops", host: "ops.example", targets: ["a.example/**"], sources: null, keys: 1 }],
      notifications: [],
      next: null,
    });
    expect(text).not.toMatch(/mark-/);
    expect(text).not.toContain(btoa("mark-key".repeat(4)));
  });

  test.each<[string, string]>([
    ["POST", "/v1/notifications/dead/evt_none.ops/retry"],
    ["DELETE", "/v1/notifications/dead/evt_none.ops"],
  ])("%s %s: there is no such message", async (method, path) => {
    expect((await api(path, { method })).status).toBe(404);
  });

  test.each(["?state=lost", "?limit=0", "?limit=101", "?cursor=evt_1", "?cursor=-1", "?cursor=1e9999", "?cursor="])(
    "%s is refused",
    async (query) => {
      expect((await api(`/v1/notifications${query}`)).status).toBe(422);
    },
  );
});

describe("GET /v1/doctor", () => {
  test("finds nothing wrong with a service that has what it needs", async () => {
    const found = await findings();
    expect(found.filter(({ state }) => state === "fail")).toEqual([]);
    expect(found.every(({ state, fix }) => (state === "ok") === (fix === null))).toBe(true);
  });

  test("sends a message through the queue, and says how long it took", async () => {
    expect(await findings()).toContainEqual({
      name: "queue",
      state: "ok",
      message: expect.stringMatching(/^A message went through the queue to its consumer in \d+ ms\.$/),
      fix: null,
    });
  });

  test("tells of the queue and the other hosts when one host does not answer", async () => {
    for (const host of ["mute.example", "stuck.example"]) {
      await runInDurableObject(env.INDEX.getByName(INDEX_NAME), (_, { storage }) => {
        storage.sql.exec(
          "INSERT OR REPLACE INTO hosts (host, first_used_at_ms, last_used_at_ms) VALUES (?, 1, ?)",
          host,
          9e12,
        );
      });
    }
    const stuck = await env.REGISTRIES.getByName("stuck.example").snapshot();
    const snapshots: Record<string, () => Promise<object>> = {
      "mute.example": () => Promise.reject(new Error("out of memory")),
      "stuck.example": () =>
        Promise.resolve({ ...stuck, waiting: { ...stuck.waiting, blob: 3 }, lanes: { joined: 0, ordered: 1 } }),
    };
    const REGISTRIES = {
      getByName: (host: string) => ({ snapshot: snapshots[host] ?? (() => Promise.resolve(stuck)) }),
    };
    const found = await findings({ REGISTRIES });
    const states = found.filter(({ name }) => name === "queue" || name === "registry mute.example");
    expect(states.map(({ name, state }) => `${name} ${state}`)).toEqual([
      "queue ok",
      "registry mute.example fail",
      "queue warn",
    ]);
    expect(states[1]?.message).toContain("out of memory");
  });

  test("fails a queue that takes nothing", async () => {
    const LANES = { send: () => Promise.reject(new Error("Queue send failed: no such queue")) };
    const found = (await findings({ LANES })).find(({ name }) => name === "queue");
    expect(found).toMatchObject({ state: "fail", message: expect.stringContaining("no such queue") });
  });

  const marker = "mark-secret-value";

  test.each<[string, object, string, RegExp]>([
    ["a binding that is missing", { NOTIFIER: undefined }, "bindings", /NOTIFIER is missing/],
    ["wrong settings of a host", { HOSTS: { "a.example": { tls: "maybe" } } }, "settings", /HOSTS\."a\.example"\.tls/],
    ["a secret that is no JSON", { REGISTRY_CREDENTIALS: `{${marker}` }, "credentials", /REGISTRY_CREDENTIALS/],
    [
      "docker's file that is no JSON",
      { REGISTRY_CREDENTIALS: "", DOCKER_CONFIG: `{${marker}` },
      "credentials",
      /DOCKER_CONFIG/,
    ],
    ["secrets of webhooks that are no JSON", { HOOK_SECRETS: marker }, "webhooks", /HOOK_SECRETS/],
    [
      "a receiver without its key",
      { NOTIFICATIONS: [{ name: "ops", url: "https://ops.example/" }] },
      "notifications",
      /NOTIFICATION_SECRETS has no "ops"/,
    ],
    [
      "a receiver that must not be called",
      {
        LOCAL: "false",
        NOTIFICATIONS: [{ name: "ops", url: `https://10.0.0.1/${marker}` }],
        NOTIFICATION_SECRETS: { ops: `whsec_${btoa("k".repeat(32))}` },
      },
      "notifications",
      /never told: its address is an IP address/,
    ],
  ])("fails %s, with what to do and without the secret", async (_name, settings, name, words) => {
    const found = await findings(settings);
    expect(found.find((finding) => finding.name === name && finding.state === "fail")).toMatchObject({
      message: expect.stringMatching(words),
      fix: expect.stringMatching(/\w/),
    });
    expect(JSON.stringify(found)).not.toContain(marker);
  });

  test.each<[string, object, string]>([
    ["that there are no credentials", { REGISTRY_CREDENTIALS: "" }, "credentials"],
    ["a deployed service that reaches private networks", {}, "reach"],
  ])("warns of %s", async (_name, settings, name) => {
    expect(await findings(settings)).toContainEqual(expect.objectContaining({ name, state: "warn" }));
  });

  test("asks a registry on demand", async () => {
    const [good] = (await findings({}, `?registry=${source}`)).filter(({ name }) => name === `registry ${source}`);
    expect(good?.state).toBe("ok");
    const [bad] = (await findings({}, "?registry=127.0.0.1:1")).filter(({ name }) => name === "registry 127.0.0.1:1");
    expect(bad?.state).toBe("fail");
    expect((await api("/v1/doctor?registry=a%20b")).status).toBe(422);
  });
});

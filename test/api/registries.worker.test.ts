import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, test } from "vitest";
import { handleFetch } from "../../src/api/router.ts";
import { copyRequestOf, fingerprintOf } from "../../src/api/copy-request.ts";
import { LEAST_LIMIT, START_LIMIT } from "../../src/host/concurrency.ts";
import type { HostSnapshot } from "../../src/host/contract.ts";
import { api, requestFor } from "./client.worker.ts";

const source = `${inject("registries").source}/nothing/here:1`;
const target = `${inject("registries").target}/nothing/here:1`;

async function hostNamed(name: string): Promise<HostSnapshot> {
  return (await api(`/v1/registries/${name}`)).json();
}

/** Has a host answer one request with 429 and nearly nothing left of its rate limit. */
async function throttled(name: string): Promise<void> {
  using session = await env.REGISTRIES.getByName(name).join({ name: "job", width: 0, held: [] });
  const lease = await session.acquire({ id: `${name}-1`, kind: "manifest", bytes: 100, job: "job" });
  const quota = { limit: 100, remaining: 3, windowSeconds: 3600 };
  await session.release(lease, { class: "throttled", retryAfterMs: 60_000, quota });
}

/** Has a host take one blob, which then is a candidate for a mount. */
async function copied(name: string): Promise<void> {
  const host = env.REGISTRIES.getByName(name);
  using session = await host.join({ name: "lane", width: 1, held: [] });
  const next = session.next();
  await host.offer("job", [
    {
      id: "job/app@sha256:a",
      digest: "sha256:a",
      sizeBytes: 1,
      targetRepository: "app",
      sourceHost: name,
      sourceRepository: "base",
      mayExist: false,
      since: Date.now(),
    },
  ]);
  const transfer = await next;
  await session.report({
    lease: transfer?.lease ?? "",
    result: { kind: "copied" },
    bytes: 1,
    target: { class: "ok" },
    source: { class: "ok" },
    requests: { source: 1, target: 1 },
    warnings: [],
  });
}

describe("GET /v1/registries", () => {
  interface List {
    registries: { host: string; firstUsedAt: string; lastUsedAt: string }[];
  }

  async function listed(): Promise<List["registries"]> {
    const answer = await api("/v1/registries");
    expect(answer.status).toBe(200);
    return (await answer.json<List>()).registries;
  }

  test("lists both hosts of a copy once, the last one used first, and no host that was only looked at", async () => {
    await hostNamed("looked-at.example");
    await api("/v1/copies", { body: { source, target } });
    const first = await listed();
    const newest = first[0]?.lastUsedAt ?? "";
    const named = [inject("registries").source, inject("registries").target];
    expect(first.map(({ host }) => host).sort()).toEqual(named.sort());
    await api("/v1/copies", { body: { source, target: source.replace(":1", ":2") } });
    const second = await listed();
    expect(second.map(({ host }) => host)).toEqual([inject("registries").source, inject("registries").target]);
    const [used] = second;
    expect(used?.firstUsedAt).toBe(first.find(({ host }) => host === used?.host)?.firstUsedAt);
    expect(Date.parse(used?.lastUsedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(newest));
  });
});

describe("GET /v1/registries/{host}", () => {
  test.each([
    ["ghcr.io", "ghcr.io"],
    ["index.docker.io", "docker.io"],
    ["127.0.0.1:5001", "127.0.0.1:5001"],
    ["LOCALHOST%3A5000", "localhost:5000"],
  ])("%s is the registry host %s", async (path, host) => {
    const answer = await api(`/v1/registries/${path}`);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ host });
  });

  test.each(["a_b%20c", "ghcr.io:99999", "%00"])("%s is none: 404", async (path) => {
    expect((await api(`/v1/registries/${path}`)).status).toBe(404);
  });

  test("shows what waits, what runs and what was granted", async () => {
    using session = await env.REGISTRIES.getByName("busy.example").join({ name: "job", width: 0, held: [] });
    const ids = Array.from({ length: START_LIMIT + 1 }, (_, i) => `r${i}`);
    await Promise.all(ids.map((id) => session.acquire({ id, kind: "query", bytes: 0, job: "job" })));
    session.acquire({ id: "waits", kind: "head", bytes: 0, job: "job" }).catch(() => undefined);
    await session.release("r0", { class: "failed", retryAfterMs: 30_000 });
    const host = await hostNamed("busy.example");
    expect(host).toMatchObject({
      waiting: { head: 1, manifest: 0, query: 0, blob: 0 },
      heldBack: 0,
      active: { head: 0, manifest: 0, query: START_LIMIT, blob: 0 },
      lastHour: { grants: { query: START_LIMIT + 1 }, outcomes: { failed: 1, ok: 0 } },
      quota: null,
    });
    expect(Date.parse(host.pause?.until ?? "") - Date.now()).toBeGreaterThan(20_000);
    expect(host.pause?.reason).toContain("Retry-After");
  });

  test("shows the quota as it was said, and that nobody is held back without a reserve", async () => {
    const startedAtMs = Date.now();
    await throttled("quota.example");
    const { quota } = await hostNamed("quota.example");
    expect(quota).toMatchObject({ limit: 100, remaining: 3, windowSeconds: 3600, heldBackUntil: null });
    expect(Date.parse(quota?.seenAt ?? "")).toBeGreaterThanOrEqual(startedAtMs);
  });

  test("with wrong settings says which, where the host's own object could not even start", async () => {
    const settings = { ...env, HOSTS: { "ghcr.io": { quota_reserve: -1 } } };
    const answer = await handleFetch(requestFor("/v1/registries/ghcr.io"), settings, createExecutionContext());
    expect(answer.status).toBe(500);
    expect(await answer.text()).toContain("quota_reserve");
  });
});

describe("DELETE /v1/registries/{host}/learned", () => {
  test("forgets limit, pause, quota and mount candidates, and keeps the counts", async () => {
    const name = "forgetful.example";
    await copied(name);
    await throttled(name);
    expect(await hostNamed(name)).toMatchObject({
      limit: { slots: LEAST_LIMIT },
      learned: { concurrency: { refused: true }, mountCandidates: 1 },
      quota: { remaining: 3 },
      pause: { reason: expect.any(String) },
    });
    const answer = await api(`/v1/registries/${name}/learned`, { method: "DELETE" });
    expect(answer.status).toBe(200);
    const fresh = {
      host: name,
      limit: { slots: START_LIMIT },
      learned: { concurrency: { refused: false, refusedAt: null }, backoff: { step: 0 }, mountCandidates: 0 },
      quota: null,
      pause: null,
      lastHour: { grants: { manifest: 1, blob: 1 }, outcomes: { throttled: 1 } },
    };
    expect(await answer.json()).toMatchObject(fresh);
    expect(await hostNamed(name)).toMatchObject(fresh);
  });

  test("lets go at once who waited for the end of a pause", async () => {
    const name = "paused.example";
    await throttled(name);
    using session = await env.REGISTRIES.getByName(name).join({ name: "other", width: 0, held: [] });
    const lease = session.acquire({ id: "patient", kind: "head", bytes: 0, job: "other" });
    expect((await hostNamed(name)).waiting.head).toBe(1);
    await api(`/v1/registries/${name}/learned`, { method: "DELETE" });
    expect(await lease).toBe("patient");
  });

  test("of no host: 404", async () => {
    expect((await api("/v1/registries/a_b%20c/learned", { method: "DELETE" })).status).toBe(404);
  });
});

describe("the priority of a copy", () => {
  const copyWith = (priority?: "interactive" | "normal" | "background") =>
    copyRequestOf({ source, target, ...(priority === undefined ? {} : { priority }) }, env, 0);

  test.each([
    ["background", true],
    ["normal", undefined],
    ["interactive", undefined],
    [undefined, undefined],
  ] as const)("%s: in the background %s", (priority, background) => {
    expect(copyWith(priority).background).toBe(background);
  });

  test("is part of what an idempotency key stands for, unless it changes nothing", async () => {
    const plain = await fingerprintOf(copyWith());
    expect(await fingerprintOf(copyWith("normal"))).toBe(plain);
    expect(await fingerprintOf(copyWith("background"))).not.toBe(plain);
  });

  test.each(["urgent", "", 1, null])("%j is refused", async (priority) => {
    const answer = await api("/v1/copies", { body: { source, target, priority } });
    expect(answer.status).toBe(422);
    const { errors } = await answer.json<{ errors: { field: string; message: string }[] }>();
    expect(errors).toEqual([
      { field: "priority", message: expect.stringContaining("interactive, normal, background") },
    ]);
  });

  test("background is accepted", async () => {
    expect((await api("/v1/copies", { body: { source, target, priority: "background" } })).status).toBe(202);
  });
});

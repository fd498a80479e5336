/** Retries, authorization and outcomes: what every operation has in common. */
import { describe, expect, it } from "vitest";
import { digestOf } from "../../src/registry/digest.ts";
import { CopyError } from "../../src/registry/errors.ts";
import type { Gate } from "../../src/registry/gate.ts";
import { startRegistry } from "../registry-server/server.ts";
import { clientOf, json, never, NotingGate, refusal, serve, streamOf } from "./support.ts";

const TEXT = "blob";
const DIGEST = digestOf(new TextEncoder().encode(TEXT));
const ME = { kind: "basic", username: "me", password: "hunter2" } as const;
const USERS = [{ name: "me", password: "hunter2" }];
const NOW_MS = 1_000_000;

describe("a failed request", () => {
  it.each<[number, string, string]>([
    [408, "failed", "unavailable"],
    [429, "throttled", "rate_limited"],
    [500, "failed", "unavailable"],
    [502, "failed", "unavailable"],
    [503, "failed", "unavailable"],
    [504, "failed", "unavailable"],
    [522, "failed", "unavailable"],
  ])("with %i is tried six times, each on a slot of its own", async (status, outcome, code) => {
    await using registry = await serve((_seen, response) => response.writeHead(status).end());
    const { registry: client, gate, lines } = clientOf(registry.host);
    const detail = await refusal(client.listTags("a"));
    expect(detail).toMatchObject({ code, status, retryable: true });
    expect(gate.outcomes).toEqual(Array.from({ length: 6 }, () => ({ class: outcome })));
    expect(gate.held).toBe(0);
    expect(lines.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it.each([400, 403, 405, 409, 410, 418, 501])("with %i is not tried again", async (status) => {
    await using registry = await serve((_seen, response) => response.writeHead(status).end());
    const { registry: client, gate } = clientOf(registry.host);
    expect(await refusal(client.listTags("a"))).toMatchObject({ status, retryable: false });
    expect(gate.outcomes).toEqual([{ class: "ok" }]);
  });

  it("succeeds when a later attempt does", async () => {
    await using registry = await serve((_seen, response) =>
      registry.seen.length < 3 ? response.socket?.destroy() : json(response, 200, { tags: ["x"] }),
    );
    const { registry: client, gate } = clientOf(registry.host);
    expect(await client.listTags("a")).toEqual({ tags: ["x"], next: null });
    expect(gate.outcomes.map((outcome) => outcome.class)).toEqual(["refused", "refused", "ok"]);
  });

  it("tells when the host wants to be asked again, and what is left of its quota", async () => {
    await using registry = await serve((_seen, response) => {
      response.setHeader("retry-after", "30").setHeader("ratelimit-limit", "100;w=21600");
      response.setHeader("ratelimit-remaining", "0;w=21600").writeHead(429).end("toomanyrequests: slow down");
    });
    const { registry: client, gate } = clientOf(registry.host, { now: () => NOW_MS, client: { maxAttempts: 1 } });
    const detail = await refusal(client.listTags("a"));
    expect(detail).toMatchObject({ code: "rate_limited", retryAt: NOW_MS + 30_000, retryable: true });
    expect(detail.message).toContain("slow down");
    expect(gate.outcomes).toEqual([
      { class: "throttled", retryAfterMs: 30_000, quota: { limit: 100, remaining: 0, windowSeconds: 21_600 } },
    ]);
  });

  it("with 403 and Retry-After counts as throttled", async () => {
    await using registry = await serve((_seen, response) => response.writeHead(403, { "retry-after": "1" }).end());
    const { registry: client, gate } = clientOf(registry.host, { client: { maxAttempts: 2 } });
    expect(await refusal(client.listTags("a"))).toMatchObject({ code: "rate_limited", retryable: true });
    expect(gate.outcomes.map((outcome) => outcome.class)).toEqual(["throttled", "throttled"]);
  });

  it("at a port where nobody listens is a refused connection", async () => {
    const registry = await serve(() => {});
    await registry[Symbol.asyncDispose]();
    const { registry: client, gate } = clientOf(registry.host, { client: { maxAttempts: 2 } });
    const detail = await refusal(client.listTags("a"));
    expect(detail).toMatchObject({ code: "connection", side: "source", host: registry.host, retryable: true });
    expect(detail.message).toContain("ECONNREFUSED");
    expect(gate.outcomes).toEqual([{ class: "refused" }, { class: "refused" }]);
  });

  it("reads no more than 64 KiB of an error, and nothing of a page for browsers", async () => {
    await using registry = await serve((seen, response) => {
      response.writeHead(400);
      if (seen.url.includes("/endless/")) {
        // Never ended: a client that wanted all of it would wait for ever.
        response.write("x".repeat(200_000));
      } else {
        response.end("<html>nginx</html>");
      }
    });
    const { registry: client } = clientOf(registry.host);
    expect((await refusal(client.listTags("endless"))).message.length).toBeLessThan(1000);
    expect((await refusal(client.listTags("page"))).message).not.toContain("nginx");
  });
});

describe("the gate", () => {
  it("ends the operation when it gives no slot", async () => {
    const paused = new CopyError({
      code: "rate_limited",
      side: "target",
      host: "h",
      operation: "wait",
      retryAt: 5,
      retryable: true,
      message: "paused until later",
    });
    const gate: Gate = { acquire: () => Promise.reject(paused), authorize: async () => null };
    const detail = await refusal(clientOf("r.example", { client: { gate } }).registry.listTags("a"));
    expect(detail).toMatchObject({ code: "rate_limited", side: "source", retryAt: 5, message: "paused until later" });
  });

  it("gets the slot back when authorizing fails, and nothing is sent", async () => {
    const fault = {
      code: "unauthorized",
      side: "target",
      host: "h",
      operation: "authorize",
      retryable: false,
      message: "no",
    };
    // As an error looks that has crossed RPC: its data, not its class.
    const gate = new NotingGate({ authorize: () => Promise.reject(Object.assign(new Error("no"), { detail: fault })) });
    const { registry, lines } = clientOf("r.example", { client: { gate } });
    expect(await refusal(registry.listTags("a"))).toMatchObject({ code: "unauthorized", side: "source" });
    expect(lines).toEqual([]);
    expect(gate.held).toBe(0);
  });
});

describe("authorization", () => {
  it("costs one refused request, then none", async () => {
    await using registry = await startRegistry({ auth: { type: "bearer", users: USERS } });
    registry.storage.addBlob("a", DIGEST, { sizeBytes: 4, pieces: [Buffer.from(TEXT)] });
    const bench = clientOf(registry.host, { credential: ME });
    expect(await bench.registry.headBlob("a", DIGEST)).toBe(4);
    expect(await bench.registry.headBlob("a", DIGEST)).toBe(4);
    expect(registry.requests.map(({ path, status }) => [path.split("/")[1], status])).toEqual([
      ["v2", 401],
      ["token", 200],
      ["v2", 200],
      ["v2", 200],
    ]);
    expect(bench.gate.acquired).toHaveLength(2);
    expect(bench.gate.asked).toHaveLength(2);
  });

  it("is renewed when the registry no longer takes it", async () => {
    await using registry = await startRegistry({ auth: { type: "bearer", users: USERS } });
    registry.storage.addBlob("a", DIGEST, { sizeBytes: 4, pieces: [Buffer.from(TEXT)] });
    const bench = clientOf(registry.host, { credential: ME });
    await bench.registry.headBlob("a", DIGEST);
    registry.authority.expireTokens();
    expect(await bench.registry.headBlob("a", DIGEST)).toBe(4);
  });

  it("that is not enough ends at once, with advice and without a secret", async () => {
    await using registry = await startRegistry({
      auth: {
        type: "bearer",
        users: [{ name: "me", password: "hunter2", may: [{ repository: /./, actions: ["pull"] }] }],
      },
    });
    const bench = clientOf(registry.host, { credential: ME, client: { side: "target" } });
    const detail = await refusal(bench.registry.startUpload("a", { digest: DIGEST, signal: never }));
    expect(detail).toMatchObject({ code: "unauthorized", side: "target", status: 401, retryable: false });
    expect(detail.message).toContain("do not suffice");
    expect(registry.requests.filter(({ path }) => path.startsWith("/v2/"))).toHaveLength(2);
    expect(JSON.stringify([detail, bench.lines])).not.toMatch(/hunter2|Bearer/);
  });

  it("that nobody has ends with that advice", async () => {
    await using registry = await startRegistry({ auth: { type: "basic", users: USERS } });
    const detail = await refusal(clientOf(registry.host).registry.headManifest("a", "latest"));
    expect(detail).toMatchObject({ code: "unauthorized", status: 401, retryable: false });
    expect(detail.message).toContain("no credentials");
  });

  it("with a wrong password is refused once and not repeated", async () => {
    await using registry = await startRegistry({ auth: { type: "basic", users: USERS } });
    const wrong = { kind: "basic", username: "me", password: "wrong-secret" } as const;
    const detail = await refusal(clientOf(registry.host, { credential: wrong }).registry.headManifest("a", "latest"));
    expect(detail).toMatchObject({ code: "unauthorized", retryable: false });
    expect(registry.requests.length).toBeLessThanOrEqual(2);
    expect(detail.message).not.toContain("secret");
  });

  it("is kept out of the message when the registry repeats it", async () => {
    await using registry = await serve((seen, response) =>
      seen.headers.authorization === undefined
        ? json(response, 401, {}, { "www-authenticate": "Basic" })
        : json(response, 403, { errors: [{ code: "DENIED", message: `you sent ${seen.headers.authorization}` }] }),
    );
    const detail = await refusal(clientOf(registry.host, { credential: ME }).registry.listTags("a"));
    expect(detail.code).toBe("denied");
    expect(detail.message).toContain("you sent [secret]");
  });

  it("of an upload lasts beyond its start, and is renewed for the next try when it is refused all the same", async () => {
    await using registry = await startRegistry({ auth: { type: "bearer", users: USERS } });
    const bench = clientOf(registry.host, { credential: ME, client: { side: "target" } });
    const started = await bench.registry.startUpload("a", { digest: DIGEST, signal: never });
    const upload = started.mounted ? null : started.upload;
    if (upload === null) {
      throw new Error("expected an upload");
    }
    registry.authority.expireTokens();
    const options = { digest: DIGEST, sizeBytes: 4, signal: never };
    const detail = await refusal(bench.registry.putBlob(upload, { ...options, body: streamOf(TEXT) }));
    expect(detail).toMatchObject({ code: "unauthorized", status: 401, retryable: true });
    await bench.registry.putBlob(upload, { ...options, body: streamOf(TEXT) });
    expect(registry.storage.blobIn("a", DIGEST)?.sizeBytes).toBe(4);
  });

  it("that ends within a minute is renewed before an upload begins", async () => {
    let nowMs = NOW_MS;
    const now = (): number => nowMs;
    await using registry = await startRegistry({ auth: { type: "bearer", users: USERS, lifeSeconds: 300 }, now });
    const bench = clientOf(registry.host, { credential: ME, now, client: { side: "target" } });
    const started = await bench.registry.startUpload("a", { digest: DIGEST, signal: never });
    nowMs += 250_000;
    if (!started.mounted) {
      const options = { digest: DIGEST, sizeBytes: 4, body: streamOf(TEXT), signal: never };
      await bench.registry.putBlob(started.upload, options);
    }
    expect(registry.requests.filter(({ path }) => path === "/token")).toHaveLength(2);
    expect(registry.requests.filter(({ status }) => status === 401)).toHaveLength(1);
  });

  it("that still holds is used when the gate has forgotten how to get another", async () => {
    await using registry = await serve((seen, response) =>
      seen.method === "POST"
        ? response.writeHead(202, { location: "/u" }).end()
        : response.writeHead(seen.headers.authorization === "Bearer short" ? 201 : 401).end(),
    );
    const answers = [{ header: "Bearer short", expiresAtMs: NOW_MS + 30_000 }, null];
    const gate = new NotingGate({ authorize: async () => answers.shift() ?? null });
    const { registry: client } = clientOf(registry.host, { now: () => NOW_MS, client: { gate } });
    const started = await client.startUpload("a", { digest: DIGEST, signal: never });
    if (!started.mounted) {
      await client.putBlob(started.upload, { digest: DIGEST, sizeBytes: 4, body: streamOf(TEXT), signal: never });
    }
    expect(registry.seen.map(({ method }) => method)).toEqual(["POST", "PUT"]);
    expect(gate.asked.map(({ validForMs }) => validForMs)).toEqual([undefined, 60_000]);
  });

  it("for a mount is asked for both repositories; refused that, the upload is opened plainly", async () => {
    const may = [{ repository: /^mine/, actions: ["pull", "push"] }];
    await using registry = await startRegistry({
      auth: { type: "bearer", users: [{ name: "me", password: "hunter2", may }] },
    });
    registry.storage.addBlob("theirs", DIGEST, { sizeBytes: 4, pieces: [Buffer.from(TEXT)] });
    registry.storage.addBlob("mine/other", DIGEST, { sizeBytes: 4, pieces: [Buffer.from(TEXT)] });
    const { registry: client } = clientOf(registry.host, { credential: ME });
    const start = (mountFrom: string) => client.startUpload("mine/new", { digest: DIGEST, mountFrom, signal: never });
    expect(await start("mine/other")).toEqual({ mounted: true });
    expect(await start("theirs")).toMatchObject({ mounted: false });
  });
});

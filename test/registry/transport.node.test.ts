import { afterEach, describe, expect, it, vi } from "vitest";
import { CopyError } from "../../src/registry/errors.ts";
import { Moved } from "../../src/registry/transport.ts";
import { startRegistry } from "../registry-server/server.ts";
import { clientOf, json, never, refusal, serve, streamOf } from "./support.ts";
import type { Fetch } from "../../src/registry/wire.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const SECRET = "hunter2-secret";

afterEach(() => {
  vi.useRealTimers();
});

describe("the location of a registry that believes itself on plain HTTP", () => {
  it.each([
    ["registry.example.com", "http://registry.example.com/u?s=1", "https://registry.example.com/u?s=1"],
    ["registry.example.com:8443", "http://registry.example.com:8443/u?s=1", "https://registry.example.com:8443/u?s=1"],
    // Some proxies pass the name on without the port.
    ["registry.example.com:8443", "http://registry.example.com/u?s=1", "https://registry.example.com:8443/u?s=1"],
    ["registry.example.com", "http://registry.example.com:5000/u", null],
    ["registry.example.com", "http://other.example.com/u", null],
  ])("%s behind a proxy that ends TLS opens an upload at %s", async (hostname, location, at) => {
    const { registry } = clientOf(hostname, {
      settings: { tls: "enabled" },
      fetch: async () => new Response(null, { status: 202, headers: { location } }),
    });
    const opening = registry.startUpload("a", { digest: DIGEST, signal: never });
    if (at === null) {
      expect(await refusal(opening)).toMatchObject({ code: "denied", retryable: false });
    } else {
      expect(await opening).toMatchObject({ mounted: false, upload: { location: at } });
    }
  });
});

describe("redirects", () => {
  it("are followed to another host without the credentials", async () => {
    await using store = await serve((_seen, response) => response.end("blob"));
    await using registry = await serve((seen, response) => {
      if (seen.headers.authorization === undefined) {
        json(response, 401, {}, { "www-authenticate": "Basic" });
      } else {
        response.writeHead(307, { location: `http://${store.host}/x?signature=s3cret` }).end();
      }
    });
    const bench = clientOf(registry.host, { credential: { kind: "basic", username: "me", password: SECRET } });
    const { stream } = await bench.registry.openBlob("a", DIGEST, { signal: never, fromByte: 0 });
    expect(await new Response(stream).text()).toBe("blob");
    expect(registry.seen.at(-1)?.headers.authorization).toMatch(/^Basic /);
    expect(store.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    expect(bench.lines.map(({ status, redirect, host }) => [status, redirect, host])).toEqual([
      [401, 0, registry.host],
      [307, 0, registry.host],
      [200, 1, store.host],
    ]);
    expect(JSON.stringify(bench.lines)).not.toMatch(/s3cret|signature|hunter2|Basic/);
    expect(bench.registry.usage.requests).toBe(3);
  });

  it("keep the credentials at the registry's own host", async () => {
    await using registry = await serve((seen, response) => {
      if (seen.headers.authorization === undefined) {
        json(response, 401, {}, { "www-authenticate": "Basic" });
      } else if (seen.url.startsWith("/v2/")) {
        response.writeHead(302, { location: "/elsewhere" }).end();
      } else {
        response.end("blob");
      }
    });
    const { registry: client } = clientOf(registry.host, {
      credential: { kind: "basic", username: "me", password: SECRET },
    });
    await client.openBlob("a", DIGEST, { signal: never });
    expect(registry.seen.at(-1)?.headers.authorization).toMatch(/^Basic /);
  });

  it.each([
    [403, 2, "unavailable"],
    [503, 2, "unavailable"],
    // What another address would not change: no such range, too many requests.
    [416, 1, "size_mismatch"],
    [429, 1, "rate_limited"],
  ])("to a store that answers %i are asked for %i times", async (status, times, code) => {
    await using store = await serve((_seen, response) => json(response, status, {}));
    await using registry = await serve((_seen, response) =>
      response.writeHead(307, { location: `http://${store.host}/signed` }).end(),
    );
    const { registry: client } = clientOf(registry.host, { client: { maxAttempts: 1 } });
    const detail = await refusal(client.openBlob("a", DIGEST, { fromByte: 5, signal: never }));
    expect([registry.seen.length, store.seen.length]).toEqual([times, times]);
    expect(detail.code).toBe(code);
  });

  it("end after ten", async () => {
    await using registry = await serve((_seen, response) => response.writeHead(302, { location: "/again" }).end());
    const detail = await refusal(clientOf(registry.host).registry.openBlob("a", DIGEST, { signal: never }));
    expect(detail).toMatchObject({ code: "unsupported", retryable: false });
    expect(registry.seen).toHaveLength(11);
  });

  it.each([
    ["http://store.example.com/x", "plain HTTP"],
    ["https://127.0.0.1/x", "private network"],
    ["https://169.254.169.254/x", "link-local"],
    ["file:///etc/passwd", "scheme"],
    ["https://not-allowed.example.com/x", "is on nobody's list"],
  ])("from a public registry to %s are refused: %s", async (location, problem) => {
    const urls: string[] = [];
    const stub: Fetch = async (url) => {
      urls.push(url);
      return new Response(null, { status: 307, headers: { location } });
    };
    const { registry } = clientOf("registry.example.com", {
      settings: { tls: "enabled" },
      fetch: stub,
      client: { refusalOf: (url) => (url.hostname.startsWith("not-allowed") ? "is on nobody's list" : null) },
    });
    const detail = await refusal(registry.openBlob("a", DIGEST, { signal: never }));
    expect(detail).toMatchObject({ code: "denied", side: "source", retryable: false });
    expect(detail.message).toContain(problem);
    expect(urls).toEqual([`https://registry.example.com/v2/a/blobs/${DIGEST}`]);
  });

  it.each([301, 302, 303])(
    "of an upload that would make a GET of it (%i) are an error that says where to",
    async (status) => {
      await using registry = await serve((_seen, response) =>
        response.writeHead(status, { location: "https://real.example.com/v2/?x=1" }).end(),
      );
      const detail = await refusal(
        clientOf(registry.host).registry.startUpload("a", { digest: DIGEST, signal: never }),
      );
      expect(detail.message).toContain(`with ${status} to https://real.example.com,`);
      expect(registry.seen).toHaveLength(1);
    },
  );

  it.each([307, 308])(
    "of an upload that keep its method (%i) are followed, without the credentials",
    async (status) => {
      await using real = await serve((_seen, response) =>
        response.writeHead(202, { location: "/v2/a/up/1?s=2" }).end(),
      );
      await using registry = await serve((seen, response) => {
        if (seen.headers.authorization === undefined) {
          json(response, 401, {}, { "www-authenticate": "Basic" });
        } else {
          response.writeHead(status, { location: `http://${real.host}${seen.url}` }).end();
        }
      });
      const credential = { kind: "basic", username: "me", password: SECRET } as const;
      const { registry: client } = clientOf(registry.host, { credential });
      const opened = await client.startUpload("a", { digest: DIGEST, signal: never });
      expect(opened).toMatchObject({ mounted: false, upload: { location: `http://${real.host}/v2/a/up/1?s=2` } });
      expect(real.seen.map(({ method, headers }) => [method, headers.authorization])).toEqual([["POST", undefined]]);
    },
  );

  it("of a stream are left to whoever has its bytes", async () => {
    await using registry = await serve((seen, response) => {
      const [status, location] = seen.method === "POST" ? [202, "/up?s=1"] : [307, "/moved?s=1"];
      response.writeHead(status, { location }).end();
    });
    const { registry: client } = clientOf(registry.host);
    const opened = await client.startUpload("a", { digest: DIGEST, signal: never });
    const upload = opened.mounted ? undefined : opened.upload;
    const body = streamOf("blob");
    const thrown: unknown = await (
      upload && client.putBlob(upload, { digest: DIGEST, sizeBytes: 4, body, signal: never })
    )?.catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(Moved);
    expect(thrown instanceof Moved ? thrown.url.href : "").toBe(`http://${registry.host}/moved?s=1`);
  });
});

describe("a registry that must not be called", () => {
  it("is not, whoever asks", async () => {
    await using registry = await serve((_seen, response) => response.end());
    const { registry: client, lines } = clientOf(registry.host, { refusalOf: () => "is not among the allowed" });
    const calls = [
      client.headManifest("a", "latest"),
      client.listTags("a"),
      client.openBlob("a", DIGEST, { signal: never }),
      client.startUpload("a", { digest: DIGEST, signal: never }),
    ];
    for (const call of calls) {
      const detail = await refusal(call);
      expect(detail).toMatchObject({ code: "denied", side: "source", host: registry.host, retryable: false });
      expect(detail.message).toContain(`${registry.host} is not called: it is not among the allowed`);
    }
    expect(registry.seen).toEqual([]);
    expect(lines).toEqual([]);
  });
});

describe("every request", () => {
  it("names the service, and asks for bytes as they are", async () => {
    await using registry = await serve((_seen, response) => response.end("blob"));
    await clientOf(registry.host).registry.openBlob("a", DIGEST, { signal: never });
    expect(registry.seen[0]?.headers).toMatchObject({
      "user-agent": expect.stringMatching(/^drayage\/\d/),
      "accept-encoding": "identity",
    });
  });

  it("is one line in the log: no query, no secret", async () => {
    await using registry = await serve((_seen, response) =>
      response.writeHead(202, { location: "/v2/a/blobs/uploads/1?_state=s3cret" }).end(),
    );
    const { registry: client, lines } = clientOf(registry.host, { now: () => 5 });
    const started = await client.startUpload("a", { digest: DIGEST, signal: never });
    expect(started.mounted).toBe(false);
    expect(lines).toEqual([
      {
        msg: "request",
        method: "POST",
        host: registry.host,
        path: "/v2/a/blobs/uploads/",
        status: 202,
        bytes: 0,
        ms: 0,
        attempt: 1,
        redirect: 0,
      },
    ]);
  });

  it("goes where the settings say, with their path prefix in address and scope", async () => {
    await using registry = await serve((_seen, response) => json(response, 200, { tags: ["x"] }));
    const bench = clientOf("mirror.example", { settings: { hostname: registry.host, pathPrefix: "team/cache" } });
    await bench.registry.listTags("library/alpine");
    expect(registry.seen[0]?.url).toBe("/v2/team/cache/library/alpine/tags/list");
    expect(bench.gate.asked[0]?.scopes).toEqual(["repository:team/cache/library/alpine:pull"]);
    expect(bench.registry.host).toBe("mirror.example");
  });

  it("collects the registry's warnings, each once", async () => {
    await using registry = await startRegistry({ warning: 'this is "old"' });
    const { registry: client } = clientOf(registry.host);
    await client.headBlob("a", DIGEST);
    await client.headBlob("a", DIGEST);
    expect(client.usage).toEqual({ requests: 2, warnings: ['this is "old"'] });
  });

  it("ends when no answer comes in time, and can be tried again", async () => {
    vi.useFakeTimers();
    const silent: Fetch = (_url, { signal }) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const { registry, gate } = clientOf("registry.example.com", { fetch: silent, client: { maxAttempts: 2 } });
    const ending = refusal(registry.headBlob("a", DIGEST));
    await vi.advanceTimersByTimeAsync(120_000);
    expect(await ending).toMatchObject({ code: "stalled", retryable: true });
    expect(gate.outcomes).toEqual([{ class: "failed" }, { class: "failed" }]);
  });

  it("that was not let out is not tried again, and is no failure of the host", async () => {
    const side = "service" as const;
    const over = { code: "cancelled" as const, side, host: "", operation: "copy", retryable: false, message: "over" };
    const fetch = vi.fn<Fetch>(async () => {
      throw new CopyError(over);
    });
    const { registry, gate } = clientOf("registry.example.com", { fetch });
    expect(await refusal(registry.headBlob("a", DIGEST))).toEqual(over);
    expect(fetch).toHaveBeenCalledOnce();
    expect(gate.outcomes).toEqual([{ class: "unused" }]);
  });

  it("holds a connection of the budget until its answer's headers are there", async () => {
    let waiting = 0;
    let most = 0;
    const slow: Fetch = async () => {
      most = Math.max(most, ++waiting);
      await new Promise(setImmediate);
      waiting--;
      return new Response(null, { status: 404 });
    };
    const { registry } = clientOf("registry.example.com", { fetch: slow });
    await Promise.all(Array.from({ length: 20 }, () => registry.headBlob("a", DIGEST)));
    expect(most).toBe(6);
  });
});

describe("a signal", () => {
  it("ends a request under way", async () => {
    const controller = new AbortController();
    await using registry = await serve(() => controller.abort());
    const { registry: client, gate } = clientOf(registry.host);
    const detail = await refusal(client.openBlob("a", DIGEST, { signal: controller.signal }));
    expect(detail).toMatchObject({ code: "cancelled", side: "source", retryable: false });
    expect(gate.outcomes).toEqual([{ class: "unused" }]);
    expect(registry.seen).toHaveLength(1);
  });

  it("of the client ends everything, also what has not begun, and hands back a slot that comes too late", async () => {
    const controller = new AbortController();
    const { registry } = clientOf("registry.example.com", { client: { signal: AbortSignal.abort() } });
    expect(await refusal(registry.headBlob("a", DIGEST))).toMatchObject({ code: "cancelled" });

    let grant: (slot: { release: (outcome: unknown) => void }) => void = () => {};
    const outcomes: unknown[] = [];
    const late = clientOf("registry.example.com", {
      client: {
        signal: controller.signal,
        gate: { acquire: () => new Promise((resolve) => (grant = resolve)), authorize: async () => null },
      },
    });
    const ending = refusal(late.registry.headBlob("a", DIGEST));
    controller.abort();
    expect(await ending).toMatchObject({ code: "cancelled" });
    grant({ release: (outcome) => outcomes.push(outcome) });
    await new Promise(setImmediate);
    expect(outcomes).toEqual([{ class: "unused" }]);
  });

  it("that carries one of our errors ends the request with that error", async () => {
    const controller = new AbortController();
    const stalled = {
      code: "stalled",
      side: "target",
      host: "t",
      operation: "upload blob",
      retryable: true,
      message: "m",
    };
    await using registry = await serve(() => controller.abort({ detail: stalled }));
    const { registry: client } = clientOf(registry.host);
    const upload = { repository: "a", location: `http://${registry.host}/u`, minChunkBytes: 0 };
    const putting = client.putBlob(upload, {
      digest: DIGEST,
      sizeBytes: 1,
      body: streamOf("x"),
      signal: controller.signal,
    });
    expect(await refusal(putting)).toEqual(stalled);
  });
});

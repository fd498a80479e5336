/** Registries that mean harm, against the client: a clear error, few requests, little memory, no credentials elsewhere. */
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readBounded } from "../../src/registry/body.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { urlRefusal, type Refusal } from "../../src/registry/reach.ts";
import type { Fetch, WireInit } from "../../src/registry/wire.ts";
import { HOSTILE, UNREADABLE } from "../registry/hostile-addresses.ts";
import { clientOf, json, never, refusal, serve, streamOf } from "../registry/support.ts";

const MIB = 1024 ** 2;
const MANIFEST = '{"schemaVersion":2,"layers":[]}';
const BLOB = digestOf(new TextEncoder().encode("blob"));
const LOGIN = { kind: "basic", username: "somebody", password: "a very secret word" } as const;

describe("what never ends", () => {
  const piece = Buffer.alloc(64 * 1024, " ");

  it.each([
    ["a manifest", "manifest_too_large", (host: string) => clientOf(host).registry.getManifest("a", "latest")],
    ["a list of tags", "unsupported", (host: string) => clientOf(host).registry.listTags("a")],
  ])("%s is left unread beyond its bound", async (_what, code, ask) => {
    let sentBytes = 0;
    await using registry = await serve((_seen, response) => {
      const write = (): void => {
        while (!response.destroyed) {
          sentBytes += piece.length;
          if (!response.write(piece)) {
            response.once("drain", write);
            return;
          }
        }
      };
      response.writeHead(200, { "content-type": "application/json" });
      write();
    });
    expect(await refusal(ask(registry.host))).toMatchObject({ code, retryable: false });
    expect(sentBytes).toBeLessThan(40 * MIB);
    expect(registry.seen).toHaveLength(1);
  });

  it("a token answer is no token", async () => {
    await using registry = await serve((seen, response) => {
      if (seen.url.startsWith("/token")) {
        response.write(`{"token":"${"x".repeat(MIB)}`);
      } else {
        json(response, 401, {}, { "www-authenticate": `Bearer realm="http://${registry.host}/token"` });
      }
    });
    const detail = await refusal(clientOf(registry.host).registry.getManifest("a", "latest"));
    expect(detail).toMatchObject({ code: "unauthorized", operation: "authorize" });
    expect(detail.message.length).toBeLessThan(500);
  });

  it("a reason for a refusal is cut short", async () => {
    await using registry = await serve((_seen, response) => {
      response.writeHead(400).write("no ".repeat(MIB));
    });
    const detail = await refusal(clientOf(registry.host).registry.getManifest("a", "latest"));
    expect(detail).toMatchObject({ status: 400 });
    expect(detail.message.length).toBeLessThan(700);
  });

  it("redirects are followed ten times, all to one place", async () => {
    await using registry = await serve((seen, response) => response.writeHead(307, { location: `${seen.url}x` }).end());
    const detail = await refusal(clientOf(registry.host).registry.openBlob("a", BLOB, { signal: never }));
    expect(detail).toMatchObject({ code: "unsupported", retryable: false });
    expect(detail.message).toContain("redirected more than 10 times");
    expect(registry.seen).toHaveLength(11);
  });

  it("redirects between two hosts are followed ten times as well", async () => {
    let other = "";
    await using there = await serve((_seen, response) => response.writeHead(302, { location: other }).end());
    await using here = await serve((_seen, response) =>
      response.writeHead(302, { location: `http://${there.host}/x` }).end(),
    );
    other = `http://${here.host}/v2/a/blobs/${BLOB}`;
    const detail = await refusal(clientOf(here.host).registry.openBlob("a", BLOB, { signal: never }));
    expect(detail).toMatchObject({ code: "unsupported", retryable: false });
    expect(here.seen.length + there.seen.length).toBe(11);
  });

  it("redirects of a token endpoint are not followed at all", async () => {
    await using registry = await serve((seen, response) =>
      seen.url.startsWith("/token")
        ? response.writeHead(302, { location: `http://${registry.host}/token` }).end()
        : json(response, 401, {}, { "www-authenticate": `Bearer realm="http://${registry.host}/token"` }),
    );
    expect(await refusal(clientOf(registry.host).registry.getManifest("a", "latest"))).toMatchObject({ status: 302 });
    expect(registry.seen).toHaveLength(2);
  });

  it("challenges are answered once", async () => {
    let tokens = 0;
    await using registry = await serve((seen, response) =>
      seen.url.startsWith("/token")
        ? json(response, 200, { token: `t${tokens++}` })
        : json(response, 401, {}, { "www-authenticate": `Bearer realm="http://${registry.host}/token"` }),
    );
    const detail = await refusal(clientOf(registry.host).registry.getManifest("a", "latest"));
    expect(detail).toMatchObject({ code: "unauthorized", retryable: false });
    expect(registry.seen.length).toBeLessThan(6);
  });
});

describe("a header without measure", () => {
  const long = "x".repeat(100_000);
  const at = (respond: () => Response) =>
    clientOf("registry.example", {
      settings: { hostname: "registry.example", tls: "enabled" },
      credential: LOGIN,
      fetch: async () => respond(),
    });
  const challenged = (challenge: string) => () =>
    new Response(null, { status: 401, headers: { "www-authenticate": challenge } });
  const redirected = (location: string) => () => new Response(null, { status: 307, headers: { location } });

  it.each<[string, () => Response]>([
    ["a realm with a host of 100 kB", challenged(`Bearer realm="https://${long}.example/token"`)],
    ["a realm with a query of 100 kB", challenged(`Bearer realm="https://auth.example/token?${long}"`)],
    ["fifty thousand challenges", challenged("x y=z,".repeat(50_000))],
    ["a scheme of 100 kB", challenged(long)],
    ["a redirect to a host of 100 kB", redirected(`https://${long}.example/x`)],
    ["a redirect to a path of 100 kB", redirected(`https://store.example/${long}`)],
    ["a redirect to 100 kB of nothing", redirected(`https://[${long}`)],
  ])("%s ends in one request and one short error", async (_what, respond) => {
    const { registry, lines } = at(respond);
    const detail = await refusal(registry.getManifest("a", "latest"));
    expect(detail.code).toMatch(/denied|unsupported/);
    expect(detail.message.length).toBeLessThan(500);
    expect(lines).toHaveLength(1);
  });

  it("as the address of an upload is not gone to", async () => {
    const { registry } = at(() => new Response(null, { status: 202, headers: { location: `/v2/a?${long}` } }));
    const detail = await refusal(registry.startUpload("a", { digest: BLOB, signal: never }));
    expect(detail).toMatchObject({ code: "denied" });
    expect(detail.message.length).toBeLessThan(500);
  });
});

describe("a drip of bytes", () => {
  afterEach(() => void vi.useRealTimers());

  it("is given up after a minute, however often a byte comes", async () => {
    vi.useFakeTimers();
    const body = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        await new Promise((wake) => setTimeout(wake, 1000));
        controller.enqueue(new Uint8Array(1));
      },
    });
    const reading = readBounded(new Response(body), MIB).catch((thrown: unknown) => thrown);
    await vi.advanceTimersByTimeAsync(61_000);
    expect(String(await reading)).toContain("60 s");
  });
});

describe("an address inside", () => {
  const settings = { hostname: "registry.example", tls: "enabled" as const };
  const refusalOf: Refusal = (url) => urlRefusal(url, { local: false, named: [], plain: [] });

  const addresses = [...HOSTILE.map(([address]) => address), ...UNREADABLE];

  it.each(addresses)(
    "%s is not followed from a redirect, of whatever method, a Location, a link or a token realm",
    async (address) => {
      const asked: string[] = [];
      const code = expect.stringMatching(/denied|unsupported/);
      const answer =
        (respond: (url: URL, init: WireInit) => Response): Fetch =>
        async (url, init) => {
          asked.push(url);
          return respond(new URL(url), init);
        };
      const at = (respond: (url: URL, init: WireInit) => Response) =>
        clientOf("registry.example", { settings, fetch: answer(respond), credential: LOGIN, refusalOf }).registry;
      // Headers are bytes: what is not ASCII comes as the UTF-8 that a registry would send.
      const sent = Buffer.from(address).toString("latin1");
      const headersOf = (name: string, value: string) => ({ headers: { [name]: value } });

      const redirecting = at(() => new Response(null, { status: 307, ...headersOf("location", sent) }));
      expect(await refusal(redirecting.openBlob("a", BLOB, { signal: never }))).toMatchObject({ code });
      expect(await refusal(redirecting.getManifest("a", "latest"))).toMatchObject({ code });

      const start = { digest: BLOB, signal: never };
      expect(await refusal(redirecting.startUpload("a", start))).toMatchObject({ code });
      const bytes = new TextEncoder().encode(MANIFEST);
      const manifest = { digest: digestOf(bytes), mediaType: "application/x", bytes };
      expect(await refusal(redirecting.putManifest("a", "latest", manifest))).toMatchObject({ code });
      const upload = { repository: "a", location: "https://registry.example/v2/a/blobs/uploads/1", minChunkBytes: 0 };
      const put = redirecting.putBlob(upload, { ...start, sizeBytes: 4, body: streamOf("blob") });
      expect(await refusal(put)).toMatchObject({ code });

      const locating = at(() => new Response(null, { status: 202, ...headersOf("location", sent) }));
      expect(await refusal(locating.startUpload("a", { digest: BLOB, signal: never }))).toMatchObject({ code });

      const linking = at(() => Response.json({ tags: ["x"] }, headersOf("link", `<${sent}?n=2>; rel="next"`)));
      expect(await refusal(linking.listTags("a"))).toMatchObject({ code });

      const challenge = `Bearer realm="${sent}"`;
      const challenging = at(() => new Response(null, { status: 401, ...headersOf("www-authenticate", challenge) }));
      expect(await refusal(challenging.getManifest("a", "latest"))).toMatchObject({ code });
      expect(asked.filter((url) => !url.startsWith("https://registry.example/"))).toEqual([]);
    },
  );

  it("credentials stay at home when a redirect or a Location leads elsewhere", async () => {
    const elsewhere: string[] = [];
    const { registry } = clientOf("registry.example", {
      settings,
      credential: LOGIN,
      fetch: async (address, init) => {
        const { hostname } = new URL(address);
        if (hostname !== "registry.example") {
          elsewhere.push(JSON.stringify(init.headers));
          return new Response(init.method === "PUT" ? null : "blob", { status: init.method === "PUT" ? 201 : 200 });
        }
        if (init.headers["authorization"] === undefined) {
          return new Response(null, { status: 401, headers: { "www-authenticate": "Basic" } });
        }
        const isPost = init.method === "POST";
        return new Response(null, { status: isPost ? 202 : 307, headers: { location: "https://store.example/x" } });
      },
    });
    await (await registry.openBlob("a", BLOB, { signal: never })).stream.cancel();
    const started = await registry.startUpload("a", { digest: BLOB, signal: never });
    if (started.mounted) {
      throw new Error("nobody asked for a mount");
    }
    await registry.putBlob(started.upload, { digest: BLOB, sizeBytes: 4, body: streamOf("blob"), signal: never });
    expect(elsewhere).toHaveLength(2);
    expect(elsewhere.join()).not.toMatch(/authorization|c29tZWJvZHk/i);
  });
});

describe("a lie", () => {
  it.each<[string, Record<string, string>, string | Buffer, RegExp]>([
    ["of a longer manifest", { "content-length": "999999999999" }, MANIFEST, /4 MiB|sent .* of/],
    ["of a shorter manifest, under its digest", { "content-length": "5" }, MANIFEST.slice(0, 5), /digest/],
    ["about the digest", { "docker-content-digest": `sha256:${"0".repeat(64)}` }, MANIFEST, /digest/],
    ["of gzip that was not asked for", { "content-encoding": "gzip" }, gzipSync(MANIFEST), /encoded as gzip/],
  ])("%s is found out", async (_what, headers, body, words) => {
    const { registry, lines } = clientOf("registry.example", {
      // Not through Node's fetch: unlike workerd's it would decode the body.
      fetch: async () => new Response(new Uint8Array(Buffer.from(body)), { status: 200, headers }),
    });
    const digest = digestOf(new TextEncoder().encode(MANIFEST));
    expect((await refusal(registry.getManifest("a", digest))).message).toMatch(words);
    expect(lines.length).toBeLessThanOrEqual(6);
  });

  it("of gzip in the answer of a token endpoint is no token", async () => {
    const { registry } = clientOf("registry.example", {
      settings: { hostname: "registry.example", tls: "enabled" },
      fetch: async (address) =>
        address.includes("/token")
          ? new Response(gzipSync('{"token":"t"}'), { headers: { "content-encoding": "gzip" } })
          : new Response(null, { status: 401, headers: { "www-authenticate": 'Bearer realm="/token"' } }),
    });
    const detail = await refusal(registry.getManifest("a", "latest"));
    expect(detail).toMatchObject({ code: "unauthorized", retryable: false });
    expect(detail.message).toContain("without a usable token");
  });

  it("in a header of megabytes breaks off the answer", async () => {
    await using registry = await serve((_seen, response) =>
      response.writeHead(200, { "x-long": "x".repeat(2 * MIB) }).end(MANIFEST),
    );
    const detail = await refusal(clientOf(registry.host).registry.getManifest("a", "latest"));
    expect(detail).toMatchObject({ code: "connection" });
    expect(registry.seen.length).toBeLessThanOrEqual(6);
  });
});

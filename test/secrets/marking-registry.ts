/**
 * A registry whose every secret is a marker that can be searched for: passwords, tokens, the state in upload locations,
 * the signatures of its store. It stands before the test registry, and when it refuses, it repeats what it was sent, as
 * some registries do.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { randomUUID } from "node:crypto";
import type { TestRegistry } from "../registry-server/server.ts";
import { listen, shut } from "../support/loopback.ts";

/** Where this registry refuses. */
export type Refusal = "token" | "upload" | "manifest" | "store";

export interface MarkingRegistry extends AsyncDisposable {
  host: string;
  refusal: Refusal | null;
  /** Every secret that was given out or may be used. */
  markers: Set<string>;
}

/** @param user Who may log in. */
export async function startMarkingRegistry(
  inner: TestRegistry,
  user: { user: string; password: string },
): Promise<MarkingRegistry> {
  const basic = Buffer.from(`${user.user}:${user.password}`).toString("base64");
  const registry: Omit<MarkingRegistry, "host" | typeof Symbol.asyncDispose> = {
    refusal: null,
    markers: new Set([user.password, basic]),
  };
  const mark = (kind: string): string => {
    const marker = `mark-${kind}-${randomUUID()}`;
    registry.markers.add(marker);
    return marker;
  };
  const signature = mark("signature");

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const host = String(request.headers.host);
    const url = new URL(request.url ?? "/", `http://${host}`);
    const { authorization = "" } = request.headers;
    const refuse = (status: number): void => {
      const login = authorization.startsWith("Basic ") ? Buffer.from(authorization.slice(6), "base64").toString() : "";
      const query = [...url.searchParams.values()].join(" ");
      const message = `not with ${authorization} (${login}) at ${url.href}, ${url.pathname}${url.search}: ${query}`;
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ errors: [{ code: "DENIED", message, detail: message }] }));
    };
    if (url.pathname === "/token") {
      if (authorization !== `Basic ${basic}` || registry.refusal === "token") {
        refuse(401);
      } else {
        response.end(JSON.stringify({ token: mark("token"), expires_in: 300 }));
      }
      return;
    }
    if (url.pathname.startsWith("/store/")) {
      if (url.searchParams.get("X-Amz-Signature") !== signature || registry.refusal === "store") {
        refuse(403);
        return;
      }
      await forward(request, response, new URL(`/v2/${url.pathname.slice("/store/".length)}`, inner.url), null);
      return;
    }
    const token = /^Bearer (.+)$/.exec(authorization)?.[1] ?? "";
    if (!registry.markers.has(token)) {
      response.writeHead(401, { "www-authenticate": `Bearer realm="http://${host}/token",service="s"` }).end();
      return;
    }
    const isUpload = url.pathname.includes("/uploads/") && request.method !== "POST";
    const isManifest = url.pathname.includes("/manifests/") && request.method === "PUT";
    if ((isUpload && registry.refusal === "upload") || (isManifest && registry.refusal === "manifest")) {
      // The body is read first: a refusal in its midst would be a lost connection to the client.
      for await (const _part of request) {
      }
      refuse(403);
      return;
    }
    if (request.method === "GET" && /\/blobs\/sha256:/.test(url.pathname)) {
      const location = `http://${host}/store/${url.pathname.slice("/v2/".length)}?X-Amz-Signature=${signature}`;
      response.writeHead(307, { location }).end();
      return;
    }
    url.searchParams.delete("state");
    await forward(request, response, new URL(url.pathname + url.search, inner.url), () => mark("state"));
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  const port = await listen(server);
  return Object.assign(registry, {
    host: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => shut(server),
  });
}

/** @param state What is put into the query of an upload's location. */
async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  state: (() => string) | null,
): Promise<void> {
  const body: Buffer[] = [];
  for await (const part of request) {
    body.push(Buffer.from(part));
  }
  const names = ["accept", "content-type", "content-range", "range"];
  const sent = names.flatMap((name) => {
    const value = request.headers[name];
    return typeof value === "string" ? [[name, value] as const] : [];
  });
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  const answered = await fetch(url, {
    method: request.method ?? "GET",
    headers: Object.fromEntries(sent),
    body: hasBody ? Buffer.concat(body) : null,
    redirect: "manual",
  });
  const bytes = Buffer.from(await answered.arrayBuffer());
  const headers = Object.fromEntries(answered.headers);
  const location = headers["location"];
  if (state !== null && location?.includes("/uploads/")) {
    headers["location"] = `${location}${location.includes("?") ? "&" : "?"}state=${state()}`;
  }
  delete headers["transfer-encoding"];
  const isHead = request.method === "HEAD";
  response.writeHead(answered.status, isHead ? headers : { ...headers, "content-length": String(bytes.length) });
  response.end(bytes);
}

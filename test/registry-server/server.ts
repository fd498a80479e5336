/**
 * A small registry for tests and the demo: speaks the OCI distribution API, keeps everything in memory, records every
 * request and misbehaves on demand. This file wires the parts together and routes; what an operation does is in the file
 * of its noun.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { accessOf, Authority, TOKEN_PATH, type AuthOptions } from "./auth.ts";
import { deleteBlob, readBlob } from "./blobs.ts";
import { Cdn, cdnError, type RedirectOptions } from "./cdn.ts";
import { Exchange } from "./exchange.ts";
import { FaultBook, type FaultRule } from "./faults.ts";
import { Limits, type LimitOptions } from "./limits.ts";
import { listReferrers, listTags } from "./listings.ts";
import { deleteManifest, PLAIN_MANIFESTS, readManifest, writeManifest, type ManifestOptions } from "./manifests.ts";
import { PERSONALITIES, type Personality } from "./personalities.ts";
import { Recorder } from "./recorder.ts";
import { jsonReply, RegistryError, type Reply } from "./reply.ts";
import { Storage } from "./storage.ts";
import { LENIENT_UPLOADS, Uploads, type OpenUpload, type UploadOptions } from "./uploads.ts";

export type { FaultAction, FaultRule } from "./faults.ts";
export type { RecordedRequest } from "./recorder.ts";

export interface RegistryOptions extends Partial<UploadOptions>, Partial<ManifestOptions> {
  /** Behaves like a well-known registry; every other option stands above it. */
  personality?: Personality;
  /** Default 0: any free port. */
  port?: number;
  auth?: AuthOptions;
  /** Sends blob GETs to a second listener. */
  redirect?: boolean | RedirectOptions;
  limits?: LimitOptions;
  rules?: FaultRule[];
  /** Text of a `Warning: 299` header on every answer. */
  warning?: string;
  /** Tags on one page at most. Default 1000. */
  tagPageSize?: number;
  /** DELETE of manifests and blobs is answered, else 405. Default true. */
  deletes?: boolean;
  /** A repository is there with the first push; else it must have been made. Default true. */
  createsRepositories?: boolean;
  /** POST needs a Content-Length, be it 0. */
  demandsLength?: boolean;
  /** A mount without `from` is refused. */
  mountNeedsFrom?: boolean;
  /** What a mount from a repository that is not there is answered with; the spec has 202. */
  mountRefusal?: 401 | 403;
  /** Clock of tokens, signed paths and quotas, in milliseconds since the epoch. */
  now?: () => number;
}

export interface TestRegistry extends AsyncDisposable {
  /** As in a reference: `127.0.0.1:PORT`. */
  readonly host: string;
  readonly url: string;
  /** Host of the listener for redirected reads, "" without one. */
  readonly cdnHost: string;
  readonly storage: Storage;
  readonly recorder: Recorder;
  readonly requests: Recorder["requests"];
  /** Faults of the registry, and of its second listener. */
  readonly faults: FaultBook;
  readonly cdnFaults: FaultBook;
  readonly authority: Authority;
  readonly limits: Limits;
  openUploads(): OpenUpload[];
  /** Cuts what is under way and frees the ports. */
  close(): Promise<void>;
}

const NAME = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*";
const ROUTE = new RegExp(`^/v2/(${NAME})/(?:(blobs/uploads|blobs|manifests|referrers)/([^/]*)|(tags/list))$`);

export async function startRegistry(given: RegistryOptions = {}): Promise<TestRegistry> {
  const options: RegistryOptions = { ...(given.personality && PERSONALITIES[given.personality]), ...given };
  const now = options.now ?? Date.now;
  const storage = new Storage();
  const uploads = new Uploads(storage, { ...LENIENT_UPLOADS, ...options });
  const manifestOptions: ManifestOptions = { ...PLAIN_MANIFESTS, ...options };
  const authority = new Authority(options.auth ?? { type: "none" }, now);
  const limits = new Limits(options.limits ?? {}, now);
  const recorder = new Recorder();
  const faults = new FaultBook(options.rules);
  const cdnFaults = new FaultBook();
  const cdn = options.redirect ? new Cdn(storage, options.redirect === true ? {} : options.redirect, now) : null;
  const closing = new AbortController();

  async function route(exchange: Exchange): Promise<Reply> {
    const { method, url } = exchange;
    if (url.pathname === TOKEN_PATH) {
      return authority.issue(exchange);
    }
    if (url.pathname === "/v2" || url.pathname === "/v2/") {
      authority.check(exchange, []);
      return jsonReply(200, {});
    }
    const match = ROUTE.exec(url.pathname);
    const repository = match?.[1];
    if (!match || repository === undefined) {
      throw new RegistryError(404, "NAME_INVALID", `there is no ${url.pathname}`);
    }
    const resource = match[4] ?? (match[2] === "blobs/uploads" ? "uploads" : (match[2] ?? ""));
    const reference = decodeURIComponent(match[3] ?? "");
    authority.check(exchange, accessOf(method, repository, resource, url.searchParams.get("from")));
    const quotaHeaders = limits.admit(method, resource === "manifests", recorder.active);
    checkManners(exchange, method, repository, resource);
    if (resource === "uploads" && exchange.fault?.type === "lose-upload") {
      uploads.lose(reference);
    }
    const reply = await operate(exchange, method, repository, resource, reference);
    return { ...reply, headers: { ...reply.headers, ...quotaHeaders } };
  }

  /** What some registries demand before they look at anything else. */
  function checkManners(exchange: Exchange, method: string, repository: string, resource: string): void {
    const isUpload = resource === "uploads" && method === "POST";
    if (options.createsRepositories === false && isUpload && !storage.repositories.has(repository)) {
      throw new RegistryError(404, "NAME_UNKNOWN", `The repository with name '${repository}' does not exist`);
    }
    if (options.demandsLength && isUpload && exchange.header("content-length") === undefined) {
      throw new RegistryError(411, "SIZE_INVALID", "POST requests require a Content-Length");
    }
    const from = exchange.url.searchParams.get("from");
    if (!isUpload || !exchange.url.searchParams.has("mount")) {
      return;
    }
    if (options.mountNeedsFrom && from === null) {
      throw new RegistryError(400, "NAME_INVALID", "from is missing");
    }
    if (options.mountRefusal !== undefined && from !== null && !storage.repositories.has(from)) {
      throw new RegistryError(options.mountRefusal, "UNAUTHORIZED", `${from} may not be read`);
    }
  }

  async function operate(
    exchange: Exchange,
    method: string,
    repository: string,
    resource: string,
    reference: string,
  ): Promise<Reply> {
    const operation = `${method} ${resource}`;
    switch (operation) {
      case "GET blobs": {
        const blob = cdn && storage.blobIn(repository, reference);
        const away = blob && cdn.redirect(reference, blob.sizeBytes);
        return away ?? readBlob(storage, repository, reference, exchange.header("range"));
      }
      case "HEAD blobs":
        return readBlob(storage, repository, reference, undefined);
      case "POST uploads":
        if (reference === "") {
          return uploads.start(exchange, repository);
        }
        break;
      case "PATCH uploads":
        return uploads.append(exchange, repository, reference);
      case "PUT uploads":
        return uploads.finish(exchange, repository, reference);
      case "GET uploads":
        return uploads.status(exchange, repository, reference);
      case "DELETE uploads":
        return uploads.cancel(repository, reference);
      case "GET manifests":
      case "HEAD manifests":
        return readManifest(storage, method, repository, reference, manifestOptions);
      case "PUT manifests":
        return writeManifest(storage, exchange, repository, reference, manifestOptions);
      case "GET tags/list":
        return listTags(storage, repository, exchange.url.searchParams, options.tagPageSize ?? 1000);
      case "GET referrers":
        if (manifestOptions.referrers) {
          return listReferrers(storage, repository, reference, exchange.url.searchParams);
        }
        throw new RegistryError(404, "UNSUPPORTED", "this registry has no referrers API");
      case "DELETE manifests":
      case "DELETE blobs":
        if (options.deletes === false) {
          break;
        }
        if (resource === "blobs") {
          return deleteBlob(storage, repository, reference);
        }
        return deleteManifest(storage, repository, reference);
    }
    throw new RegistryError(405, "UNSUPPORTED", `${operation} is not supported`);
  }

  async function serve(
    listener: "registry" | "cdn",
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const url = new URL(request.url ?? "/", "http://registry.invalid");
    const record = recorder.begin(request, url, listener);
    response.on("close", () => recorder.end(record));
    request.on("error", () => {});
    const fault = (listener === "cdn" ? cdnFaults : faults).pick(request);
    const exchange = new Exchange(request, response, url, record, fault);
    const fixed: Record<string, string> =
      listener === "cdn" ? {} : { "docker-distribution-api-version": "registry/2.0" };
    if (options.warning !== undefined) {
      fixed.warning = `299 - "${options.warning.replaceAll(/(["\\])/g, "\\$1")}"`;
    }
    let reply: Reply;
    try {
      const instead = await exchange.before(closing.signal);
      if (exchange.over) {
        return;
      }
      reply = instead ?? (listener === "cdn" && cdn ? cdn.serve(exchange) : await route(exchange));
    } catch (error) {
      // A client that broke off has nobody left to be answered.
      if (exchange.over) {
        return;
      }
      const refusal = error instanceof RegistryError ? error : new RegistryError(500, "UNKNOWN", String(error));
      reply = listener === "cdn" ? cdnError(refusal) : refusal.reply();
    }
    await exchange.write({ ...reply, headers: { ...fixed, ...reply.headers } });
  }

  const start = (listener: "registry" | "cdn", port: number): Promise<Server> => {
    // No time limits of the server's own: a test that is slow on purpose must not be cut by it.
    const server = createServer(
      { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 65_000 },
      (request, response) => {
        serve(listener, request, response).catch(() => response.destroy());
      },
    );
    server.on("connection", () => recorder.connections++);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => resolve(server));
    });
  };
  const servers = [await start("registry", options.port ?? 0)];
  if (cdn) {
    servers.push(await start("cdn", 0));
  }
  const [host = "", cdnHost = ""] = servers.map(addressOf);
  if (cdn) {
    cdn.host = cdnHost;
  }

  const close = async (): Promise<void> => {
    closing.abort();
    await Promise.all(
      servers.map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeAllConnections();
        return closed;
      }),
    );
  };
  return {
    host,
    url: `http://${host}`,
    cdnHost,
    storage,
    recorder,
    requests: recorder.requests,
    faults,
    cdnFaults,
    authority,
    limits,
    openUploads: () => uploads.open(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function addressOf(server: Server): string {
  const address = server.address();
  return typeof address === "object" && address ? `${address.address}:${address.port}` : "";
}

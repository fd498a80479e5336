/**
 * Two registries that cost next to nothing: a source with a repository of as many tags as are wanted, a target that takes
 * whatever comes and remembers only digests. What is measured with them is the service alone.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const TAGS_PER_PAGE = 1_000;
const SHARED_LAYER_BYTES = 1_024;

/** What the registries need to know of a tag: everything else follows from its number. */
interface Image {
  manifest: string;
  digest: string;
}

export interface Pretended {
  /** `host:port/repository` of either end. */
  source: string;
  target: string;
  /** Requests since the last call, of both ends together. */
  takeRequests(): { source: number; target: number };
  close(): void;
}

/** Each tag has an image of its own: a configuration, a layer, and a layer that all share. */
export async function pretendRegistries(tagCount: number): Promise<Pretended> {
  const blobs = new Map<string, string>();
  const keep = (text: string): { digest: string; size: number } => {
    const digest = digestOf(text);
    blobs.set(digest, text);
    return { digest, size: text.length };
  };
  const shared = { mediaType: "application/vnd.oci.image.layer.v1.tar", ...keep("s".repeat(SHARED_LAYER_BYTES)) };
  const images = new Map<string, Image>();
  const byDigest = new Map<string, Image>();
  for (let tag = 0; tag < tagCount; tag++) {
    const config = { mediaType: "application/vnd.oci.image.config.v1+json", ...keep(`{"number":${tag}}`) };
    const layer = { mediaType: shared.mediaType, ...keep(`layer ${tag}`) };
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers: [shared, layer] });
    const image = { manifest, digest: digestOf(manifest) };
    images.set(`v${tag}`, image);
    byDigest.set(image.digest, image);
  }

  const counts = { source: 0, target: 0 };
  const pushed = new Map<string, string>();
  const source = createServer((request, response) => {
    counts.source += 1;
    const path = request.url ?? "";
    if (path.includes("/tags/list")) {
      list(path, [...images.keys()], response);
      return;
    }
    const name = path.slice(path.lastIndexOf("/") + 1);
    const image = images.get(name) ?? byDigest.get(name);
    const text = path.includes("/manifests/") ? image?.manifest : blobs.get(name);
    answer(request, response, text === undefined ? null : { text, digest: image?.digest ?? name });
  });
  const target = createServer((request, response) => {
    counts.target += 1;
    take(request, response, pushed).catch(() => response.destroy());
  });
  const [sourceHost, targetHost] = await Promise.all([listen(source), listen(target)]);
  return {
    source: `${sourceHost}/bench/tags`,
    target: `${targetHost}/bench/tags`,
    takeRequests() {
      const taken = { ...counts };
      counts.source = 0;
      counts.target = 0;
      return taken;
    },
    close() {
      for (const server of [source, target]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

async function take(request: IncomingMessage, response: ServerResponse, pushed: Map<string, string>): Promise<void> {
  const hash = createHash("sha256");
  for await (const piece of request) {
    hash.update(piece);
  }
  const { pathname: path } = new URL(request.url ?? "/", "http://target");
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (path.endsWith("/tags/list")) {
    if (pushed.size === 0) {
      answer(request, response, null);
    } else {
      list(request.url ?? "", [...pushed.keys()], response);
    }
  } else if (request.method === "POST") {
    response.writeHead(202, { location: `${path}1` }).end();
  } else if (request.method === "PUT") {
    const digest = `sha256:${hash.digest("hex")}`;
    if (path.includes("/manifests/")) {
      pushed.set(name, digest);
    }
    response.writeHead(201, { location: path, "docker-content-digest": digest }).end();
  } else {
    const digest = pushed.get(name);
    answer(request, response, digest === undefined ? null : { text: "", digest });
  }
}

/** Null: there is no such thing. */
function answer(
  request: IncomingMessage,
  response: ServerResponse,
  found: { text: string; digest: string } | null,
): void {
  request.resume();
  if (found === null) {
    response.writeHead(404, { "content-type": "application/json" }).end('{"errors":[{"code":"NOT_FOUND"}]}');
    return;
  }
  const isManifest = request.url?.includes("/manifests/") === true;
  response.writeHead(200, {
    "content-type": isManifest ? MANIFEST_TYPE : "application/octet-stream",
    "content-length": found.text.length,
    "docker-content-digest": found.digest,
  });
  response.end(request.method === "HEAD" ? undefined : found.text);
}

function list(path: string, names: string[], response: ServerResponse): void {
  const { searchParams } = new URL(path, "http://registry");
  const last = searchParams.get("last");
  const from = last === null ? 0 : names.indexOf(last) + 1;
  const tags = names.slice(from, from + Math.min(TAGS_PER_PAGE, Number(searchParams.get("n") ?? TAGS_PER_PAGE)));
  const isLast = from + tags.length >= names.length;
  const link = `</v2/bench/tags/tags/list?n=${TAGS_PER_PAGE}&last=${tags.at(-1) ?? ""}>; rel="next"`;
  response.writeHead(200, { "content-type": "application/json", ...(isLast ? {} : { link }) });
  response.end(JSON.stringify({ name: "bench/tags", tags }));
}

function digestOf(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/** Its `host:port`. */
async function listen(server: Server): Promise<string> {
  await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle));
  const address = server.address();
  if (typeof address !== "object" || address === null) {
    throw new Error("unreachable: a server that listens on TCP has an address with a port");
  }
  return `127.0.0.1:${address.port}`;
}

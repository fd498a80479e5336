/**
 * The least that a Worker can do to copy these images: no state, no limits, no checks for what is there, no retries, every
 * blob hashed on its way, 16 at once. What the service needs beyond this is its own doing; what this needs is the runtime's.
 */
import { DurableObject } from "cloudflare:workers";
import { createHash } from "node:crypto";
import type { Env } from "../src/env.ts";

const AT_ONCE = 16;
const BUFFER_BYTES = 256 * 1024;
const LEAST_PIECE_BYTES = 64 * 1024;
const ACCEPT = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

interface Descriptor {
  digest: string;
  size: number;
}

interface Document {
  mediaType: string;
  config?: Descriptor;
  layers?: Descriptor[];
  manifests?: Descriptor[];
}

interface Read {
  name: string;
  mediaType: string;
  text: string;
}

// What the configuration of the runtime names; nobody asks them anything.
export class CopyJob extends DurableObject<Env> {}
export class CopyGroup extends DurableObject<Env> {}
export class CopyIndex extends DurableObject<Env> {}
export class Notifier extends DurableObject<Env> {}
export class RegistryHost extends DurableObject<Env> {}

const buffers: ArrayBuffer[] = [];

/** Each item in turn, so many at once. */
async function each<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const waiting = items.values();
  const work = async (): Promise<void> => {
    for (const item of waiting) {
      await act(item);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function expectStatus(response: Response, status: number): Promise<Response> {
  if (response.status !== status) {
    throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`);
  }
  return response;
}

class Copy {
  readonly #source: string;
  readonly #target: string;
  readonly #blobs = new Map<string, Descriptor>();
  readonly #children: Read[] = [];

  constructor(source: string, target: string) {
    this.#source = source;
    this.#target = target;
  }

  async run(tags: string[]): Promise<void> {
    const roots: Read[] = [];
    await each(tags, async (tag) => roots.push(await this.#read(tag)));
    await each(
      [...this.#blobs.values()].toSorted((a, b) => b.size - a.size),
      (blob) => this.#move(blob),
    );
    // Innermost last read: the other way round, children come before their parents.
    for (const child of this.#children.toReversed()) {
      await this.#push(child);
    }
    await each(roots, (root) => this.#push(root));
  }

  async #read(name: string): Promise<Read> {
    const answer = await fetch(`${this.#source}/manifests/${name}`, { headers: { accept: ACCEPT } });
    const text = await (await expectStatus(answer, 200)).text();
    const document: Document = JSON.parse(text);
    for (const blob of [document.config ?? [], document.layers ?? []].flat()) {
      this.#blobs.set(blob.digest, blob);
    }
    const read = { name, mediaType: answer.headers.get("content-type") ?? document.mediaType, text };
    for (const { digest } of document.manifests ?? []) {
      const child = await this.#read(digest);
      this.#children.push(child);
    }
    return read;
  }

  async #push({ name, mediaType, text }: Read): Promise<void> {
    const init = { method: "PUT", headers: { "content-type": mediaType }, body: text };
    const answer = await expectStatus(await fetch(`${this.#target}/manifests/${name}`, init), 201);
    await answer.body?.cancel();
  }

  async #move({ digest, size }: Descriptor): Promise<void> {
    const uploads = `${this.#target}/blobs/uploads/`;
    const [opened, body] = await Promise.all([
      fetch(uploads, { method: "POST" }),
      fetch(`${this.#source}/blobs/${digest}`),
    ]);
    await opened.body?.cancel();
    const location = new URL(opened.headers.get("location") ?? "", uploads);
    location.searchParams.set("digest", digest);
    const through = new FixedLengthStream(size);
    const closing = fetch(location, { method: "PUT", body: through.readable });
    const writer = through.writable.getWriter();
    const hash = createHash("sha256");
    const { body: stream } = await expectStatus(body, 200);
    if (stream === null) {
      throw new Error(`${digest} has no body`);
    }
    const reader = stream.getReader({ mode: "byob" });
    let buffer = buffers.pop() ?? new ArrayBuffer(BUFFER_BYTES);
    for (let missing = size; missing > 0;) {
      const roomBytes = Math.min(BUFFER_BYTES, missing);
      const least = Math.min(LEAST_PIECE_BYTES, roomBytes);
      const { value } = await reader.readAtLeast(least, new Uint8Array(buffer, 0, roomBytes));
      if (value === undefined || !(value.buffer instanceof ArrayBuffer)) {
        throw new Error(`${digest} ended too soon`);
      }
      buffer = value.buffer;
      missing -= value.byteLength;
      hash.update(value);
      await writer.write(value);
    }
    buffers.push(buffer);
    if (`sha256:${hash.digest("hex")}` !== digest) {
      throw new Error(`${digest} has other bytes`);
    }
    await writer.close();
    await (await expectStatus(await closing, 201)).body?.cancel();
  }
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    const [source, target, repository, tags] = ["source", "target", "repository", "tags"].map(
      (name) => searchParams.get(name) ?? "",
    );
    const at = (host = ""): string => `http://${host}/v2/${repository}`;
    try {
      await new Copy(at(source), at(target)).run(tags?.split(",") ?? []);
      return new Response("copied\n");
    } catch (error) {
      return new Response(`${error instanceof Error ? error.message : String(error)}\n`, { status: 500 });
    }
  },
};

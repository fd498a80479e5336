/** The client in the Worker's own runtime: what differs there is streams, lengths and connections. */
import { describe, expect, inject, it } from "vitest";
import { createRegistry } from "../../src/registry/client.ts";
import { ConnectionBudget } from "../../src/registry/connection-budget.ts";
import type { Registry } from "../../src/registry/contract.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";
import { OCI_INDEX } from "../../src/registry/media-types.ts";
import { settingsFor } from "./settings.ts";

const never = new AbortController().signal;

function clientOf(host: string): Registry {
  return createRegistry({
    settings: settingsFor(host),
    side: "target",
    gate: { acquire: async () => ({ release: () => {} }), authorize: async () => null },
    refusalOf: () => null,
    fetch,
    now: Date.now,
    log: () => {},
    budget: new ConnectionBudget(),
    maxAttempts: 1,
  });
}

/** A body that knows its length, as the runtime wants it. */
function fixed(bytes: Uint8Array): ReadableStream<Uint8Array> {
  const { readable, writable } = new FixedLengthStream(bytes.byteLength);
  const writer = writable.getWriter();
  writer.write(bytes).then(
    () => writer.close(),
    () => {},
  );
  return readable;
}

async function upload(registry: Registry, repository: string, bytes: Uint8Array): Promise<string> {
  const digest = digestOf(bytes);
  const started = await registry.startUpload(repository, { digest, signal: never });
  if (!started.mounted) {
    const options = { digest, sizeBytes: bytes.byteLength, signal: never };
    await registry.putBlob(started.upload, { ...options, body: bytes.byteLength === 0 ? null : fixed(bytes) });
  }
  return digest;
}

describe("in workerd, the client", () => {
  const { target } = inject("registries");

  it.each([0, 1, 300_000])("writes and reads a blob of %i bytes", async (sizeBytes) => {
    const registry = clientOf(target);
    const bytes = new Uint8Array(sizeBytes).fill(7);
    const digest = await upload(registry, "worker/blobs", bytes);
    expect(await registry.headBlob("worker/blobs", digest)).toBe(sizeBytes);
    const body = await registry.openBlob("worker/blobs", digest, { signal: never });
    expect(body.contentLength).toBe(sizeBytes);
    expect(digestOf(new Uint8Array(await new Response(body.stream).arrayBuffer()))).toBe(digest);
  });

  it("writes a blob in chunks, and goes on reading from a byte", async () => {
    const registry = clientOf(target);
    const bytes = new TextEncoder().encode("first second");
    const digest = digestOf(bytes);
    const started = await registry.startUpload("worker/chunks", { digest, signal: never });
    if (started.mounted) {
      throw new Error("nothing was offered for a mount");
    }
    const chunk = (firstByte: number, part: Uint8Array) => ({
      firstByte,
      sizeBytes: part.byteLength,
      body: fixed(part),
      signal: never,
    });
    let session = await registry.patchBlob(started.upload, chunk(0, bytes.subarray(0, 6)));
    expect((await registry.uploadOffset(session))?.offsetBytes).toBe(6);
    session = await registry.patchBlob(session, chunk(6, bytes.subarray(6)));
    await registry.putBlob(session, { digest, sizeBytes: 0, body: null, signal: never });
    const body = await registry.openBlob("worker/chunks", digest, { fromByte: 6, signal: never });
    expect(body.firstByte).toBe(6);
    expect(await new Response(body.stream).text()).toBe("second");
  });

  it("writes, looks up, reads and lists a manifest", async () => {
    const registry = clientOf(target);
    const bytes = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }));
    const manifest = { digest: digestOf(bytes), mediaType: OCI_INDEX, bytes };
    await registry.putManifest("worker/manifests", "v1", manifest);
    expect(await registry.headManifest("worker/manifests", "v1")).toEqual({
      digest: manifest.digest,
      mediaType: OCI_INDEX,
      sizeBytes: bytes.byteLength,
    });
    expect(await registry.getManifest("worker/manifests", manifest.digest)).toEqual(manifest);
    expect(await registry.listTags("worker/manifests")).toEqual({ tags: ["v1"], next: null });
    expect(await registry.headManifest("worker/manifests", "v2")).toBeNull();
  });

  it("mounts a blob", async () => {
    const registry = clientOf(target);
    const digest = await upload(registry, "worker/from", new Uint8Array([1, 2, 3]));
    const options = { digest, mountFrom: "worker/from", signal: never };
    expect(await registry.startUpload("worker/to", options)).toEqual({ mounted: true });
  });

  it("says in our words that nobody answers, and that it was cancelled", async () => {
    const digest = digestOf(new Uint8Array(0));
    const refused = await clientOf("127.0.0.1:1")
      .headBlob("a", digest)
      .catch((error: unknown) => errorDetailOf(error));
    expect(refused).toMatchObject({ code: "connection", side: "target", host: "127.0.0.1:1", retryable: true });
    const opening = clientOf(target).openBlob("a", digest, { signal: AbortSignal.abort() });
    expect(await opening.catch((error: unknown) => errorDetailOf(error))).toMatchObject({ code: "cancelled" });
  });
});

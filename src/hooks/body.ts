/** Reads the body of a delivery: bounded, as bytes for the signature, and as JSON whatever its content type says. */
import { parsed } from "./json.ts";

/** Hundreds of events of distribution fit; no sender's single event comes near. */
export const MAX_DELIVERY_BYTES = 1024 * 1024;

type Bytes = Uint8Array<ArrayBuffer>;

export type ReadBody =
  /** `signed`: what a signature may be over; as received first. `json`: undefined where there is none. */
  | { kind: "read"; signed: readonly [Bytes, ...Bytes[]]; json: unknown }
  /** More than {@link MAX_DELIVERY_BYTES}, as sent or unpacked; then nothing further is read. */
  | { kind: "too-large" }
  /** Packed in a way that this service does not know, or not as it says. */
  | { kind: "packed"; encoding: string };

export async function readBody(request: Request): Promise<ReadBody> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_DELIVERY_BYTES) {
    return { kind: "too-large" };
  }
  const received = await bytesOf(request.body);
  if (received === null) {
    return { kind: "too-large" };
  }
  const encoding = (request.headers.get("content-encoding") ?? "").trim().toLowerCase();
  if (encoding === "" || encoding === "identity") {
    return contentOf(received, [received], request.headers.get("content-type"));
  }
  const format = FORMATS.get(encoding);
  if (format === undefined) {
    return { kind: "packed", encoding };
  }
  const unpacked = await bytesOf(new Blob([received]).stream().pipeThrough(new DecompressionStream(format))).catch(
    () => undefined,
  );
  if (unpacked === undefined) {
    return { kind: "packed", encoding };
  }
  return unpacked === null
    ? { kind: "too-large" }
    : contentOf(unpacked, [received, unpacked], request.headers.get("content-type"));
}

const FORMATS: ReadonlyMap<string, "gzip" | "deflate"> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
]);

/** Null: there are more than {@link MAX_DELIVERY_BYTES}. */
async function bytesOf(stream: ReadableStream<Uint8Array> | null): Promise<Bytes | null> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels the body.
  for await (const piece of stream ?? []) {
    length += piece.byteLength;
    if (length > MAX_DELIVERY_BYTES) {
      return null;
    }
    pieces.push(piece);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

/**
 * GitHub and Gitea can send their JSON as the field `payload` of a form, of which GitHub signs the whole and Gitea the field;
 * several senders call their JSON `text/plain`, and some begin it with a byte order mark.
 */
function contentOf(bytes: Bytes, signed: readonly [Bytes, ...Bytes[]], contentType: string | null): ReadBody {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    return { kind: "read", signed, json: undefined };
  }
  const json = parsed(text);
  const isForm = (contentType ?? "").toLowerCase().startsWith("application/x-www-form-urlencoded");
  if (!isForm || json !== undefined) {
    return { kind: "read", signed, json };
  }
  const payload = new URLSearchParams(text).get("payload") ?? "";
  const field = Uint8Array.from(new TextEncoder().encode(payload));
  return { kind: "read", signed: [...signed, field], json: parsed(payload) };
}

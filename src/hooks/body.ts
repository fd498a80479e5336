/** Reads the body of a delivery: bounded, as bytes for the signature, and as JSON whatever its content type says. */
import { parsed } from "./json.ts";

/** Hundreds of events of distribution fit; no sender's single event comes near. */
export const MAX_DELIVERY_BYTES = 1024 * 1024;

/** The bytes, or null when there are more than {@link MAX_DELIVERY_BYTES}; then nothing further is read. */
export async function readBytes(request: Request): Promise<Uint8Array<ArrayBuffer> | null> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_DELIVERY_BYTES) {
    return null;
  }
  const pieces: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels the body.
  for await (const piece of request.body ?? []) {
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
 * The JSON, or undefined where it is none. GitHub and Gitea can send it as the field `payload` of a form; several senders
 * call their JSON `text/plain`, and some begin it with a byte order mark.
 */
export function readJson(bytes: Uint8Array, contentType: string | null): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    return undefined;
  }
  const isForm = (contentType ?? "").toLowerCase().startsWith("application/x-www-form-urlencoded");
  const json = parsed(text);
  return isForm && json === undefined ? parsed(new URLSearchParams(text).get("payload") ?? "") : json;
}

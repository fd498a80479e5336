/**
 * Signatures as Standard Webhooks has them: `v1,` and the base64 of the HMAC-SHA256 over `id.timestamp.body`, one for each
 * key, with a space between.
 */

/** The headers that a receiver checks a message by. */
export async function signedHeaders(
  message: { id: string; body: string; sentAtMs: number },
  keys: readonly string[],
): Promise<Record<string, string>> {
  const timestamp = String(Math.floor(message.sentAtMs / 1000));
  const content = Uint8Array.from(new TextEncoder().encode(`${message.id}.${timestamp}.${message.body}`));
  const signatures = await Promise.all(keys.map((key) => signature(key, content)));
  return { "webhook-id": message.id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}

async function signature(base64: string, content: Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const mac = await crypto.subtle.sign("HMAC", key, content);
  return `v1,${btoa(String.fromCharCode(...new Uint8Array(mac)))}`;
}

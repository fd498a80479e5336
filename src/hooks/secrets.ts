/**
 * Proofs that a delivery's sender knows the hook's secret: signatures over the raw body, or the secret itself. Everything
 * is compared in constant time by WebCrypto, which works alike in the Worker and in tests.
 */
import type { Delivery } from "./contract.ts";

export type SignatureHash = "SHA-1" | "SHA-256";

/** The type has a different name in each runtime's declarations. */
type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** Headers with an HMAC-SHA256 of the body that senders of no particular kind use. */
const SIGNATURE_HEADERS = [
  "x-hub-signature-256",
  "x-signature-256",
  "x-signature",
  "x-webhook-signature",
  "x-webhook-signature-256",
] as const;

/** Headers with the secret itself, besides `Authorization`. */
const SECRET_HEADERS = ["x-api-key", "x-webhook-secret", "x-webhook-token", "x-auth-token", "x-gitlab-token"] as const;

/** Parameters of the address with the secret itself, for senders that can set nothing else. */
const SECRET_PARAMETERS = ["secret", "token"] as const;

/** Standard Webhooks: an older or newer timestamp is a replay. */
const MAX_CLOCK_DIFFERENCE_SECONDS = 300;

/** Whether two texts are equal; the time taken tells nothing about where they differ. */
export async function sameText(given: string, expected: string): Promise<boolean> {
  // MACs under a key that lives for this one comparison: neither can be chosen so that they agree.
  const key = await hmacKey(crypto.getRandomValues(new Uint8Array(32)), "SHA-256");
  const mac = await crypto.subtle.sign("HMAC", key, bytesOf(expected));
  return crypto.subtle.verify("HMAC", key, mac, bytesOf(given));
}

/** Whether one of the headers holds the HMAC of the body: hex or base64, with or without `sha256=` before it. */
export async function isSigned(
  delivery: Delivery,
  secret: string,
  headers: readonly string[],
  hash: SignatureHash = "SHA-256",
): Promise<boolean> {
  if (secret === "") {
    return false;
  }
  const key = await hmacKey(bytesOf(secret), hash);
  let valid = false;
  for (const header of headers) {
    const mac = macIn(delivery.headers.get(header) ?? "");
    for (const bytes of mac === null ? [] : delivery.signed) {
      if (mac !== null && (await crypto.subtle.verify("HMAC", key, mac, bytes))) {
        valid = true;
      }
    }
  }
  return valid;
}

/** Whether the delivery proves to know the secret in any way that is not one sender's own. */
export async function provesSecret(delivery: Delivery, secret: string): Promise<boolean> {
  const proofs = [
    await isSigned(delivery, secret, SIGNATURE_HEADERS),
    await isStandardWebhook(delivery, secret),
    await sendsSecret(delivery, secret),
  ];
  return proofs.includes(true);
}

/** Whether the delivery carries the secret itself: in `Authorization`, one of the headers, or the address. */
export async function sendsSecret(
  delivery: Delivery,
  secret: string,
  headers: readonly string[] = SECRET_HEADERS,
): Promise<boolean> {
  const sent = [
    ...authorizationTexts(delivery.headers.get("authorization")),
    ...headers.map((header) => delivery.headers.get(header)),
    ...SECRET_PARAMETERS.flatMap((parameter) => delivery.query.getAll(parameter)),
  ];
  const matches: boolean[] = [];
  for (const text of sent) {
    matches.push(text !== null && (await sameText(text, secret)));
  }
  return secret !== "" && matches.includes(true);
}

/** `Authorization` as it stands, without its scheme, and for Basic the password. */
function authorizationTexts(header: string | null): string[] {
  if (header === null) {
    return [];
  }
  const [, scheme = "", credentials = ""] = /^(\S+) +(\S.*)$/.exec(header.trim()) ?? [];
  if (scheme.toLowerCase() !== "basic") {
    return [header, credentials];
  }
  const decoded = decodedBase64(credentials);
  const pair = decoded === null ? "" : new TextDecoder().decode(decoded);
  return [header, pair, pair.slice(pair.indexOf(":") + 1)];
}

/** Standard Webhooks 1.0: `webhook-signature: v1,base64` over `id.timestamp.body`. */
async function isStandardWebhook(delivery: Delivery, secret: string): Promise<boolean> {
  const id = delivery.headers.get("webhook-id");
  const timestamp = delivery.headers.get("webhook-timestamp");
  const signatures = (delivery.headers.get("webhook-signature") ?? "").split(" ");
  const differenceSeconds = Math.abs(delivery.receivedAtMs / 1000 - Number(timestamp));
  if (id === null || !timestamp || !(differenceSeconds <= MAX_CLOCK_DIFFERENCE_SECONDS) || secret === "") {
    return false;
  }
  const encoded = secret.startsWith("whsec_") ? decodedBase64(secret.slice("whsec_".length)) : null;
  const key = await hmacKey(encoded ?? bytesOf(secret), "SHA-256");
  const head = bytesOf(`${id}.${timestamp}.`);
  const [received] = delivery.signed;
  const signed = new Uint8Array(head.byteLength + received.byteLength);
  signed.set(head);
  signed.set(received, head.byteLength);
  let valid = false;
  for (const signature of signatures) {
    const mac = signature.startsWith("v1,") ? decodedBase64(signature.slice("v1,".length)) : null;
    if (mac !== null && (await crypto.subtle.verify("HMAC", key, mac, signed))) {
      valid = true;
    }
  }
  return valid;
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(text));
}

function hmacKey(secret: Uint8Array<ArrayBuffer>, hash: SignatureHash): Promise<HmacKey> {
  return crypto.subtle.importKey("raw", secret, { name: "HMAC", hash }, false, ["sign", "verify"]);
}

function macIn(header: string): Uint8Array<ArrayBuffer> | null {
  const text = header.trim().replace(/^sha(?:1|256)=/i, "");
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i.test(text)) {
    return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  }
  return text === "" ? null : decodedBase64(text);
}

function decodedBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
}

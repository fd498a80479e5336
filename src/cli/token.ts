/** Bearer tokens of the API: made here, kept as hashes by the service. */
import { createHash, randomBytes } from "node:crypto";

/** 256 bits: nobody guesses it, so that a plain hash is enough to keep it. */
const TOKEN_BYTES = 32;

/** A new token, in characters that need no quoting anywhere. */
export function newToken(): string {
  return `drayage_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
}

/** The form in which the setting TOKENS holds it. */
export function tokenHash(token: string): string {
  return `sha256:${createHash("sha256").update(token, "utf8").digest("hex")}`;
}

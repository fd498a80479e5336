/**
 * The part of a hook's address that cannot be guessed. The service keeps its hash only. Whoever does not know it learns
 * nothing, not even by the time taken: a hook that does not exist is compared like any other.
 */
import { sameText } from "./secrets.ts";

/** 192 bits: as unguessable as a key, and short enough for every registry's form. */
const PART_BYTES = 24;

/** A hash that no text is known to have, for hooks that do not exist. */
const NO_HASH = `sha256:${"0".repeat(64)}`;

/** A new part: 32 letters, digits, "-" and "_". */
export function newPathPart(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(PART_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}

/** What a hook's configuration keeps of it, `sha256:hex`. */
export async function hashOfPathPart(part: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(part)));
  return `sha256:${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** @param pathHash Undefined where there is no such hook; then the answer is always false. */
export async function isPathPart(part: string, pathHash: string | undefined): Promise<boolean> {
  const same = await sameText(await hashOfPathPart(part), (pathHash ?? NO_HASH).toLowerCase());
  return same && pathHash !== undefined;
}

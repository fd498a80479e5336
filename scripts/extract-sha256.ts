#!/usr/bin/env node
/**
 * Writes `src/lane/sha256.wasm`, the SHA-256 of the package hash-wasm, whose bytes that package carries as text and
 * compiles at run time, which Workers forbid. To be run when the package is updated; a test compares the two.
 */
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** The module's bytes as they stand in the package's bundle. */
export async function embeddedSha256(): Promise<Buffer> {
  const bundle = createRequire(import.meta.url)
    .resolve("hash-wasm")
    .replace(/index\.umd\.js$/, "index.esm.js");
  const text = await readFile(bundle, "utf8");
  const name = text.search(/name\S*\s*[:=]\s*"sha256"/);
  const data = /data\S*\s*[:=]\s*"([A-Za-z0-9+/=]+)"/.exec(text.slice(name));
  const bytes = data?.[1];
  if (name < 0 || bytes === undefined) {
    throw new Error("hash-wasm does not embed its SHA-256 as it did; look into its bundle");
  }
  return Buffer.from(bytes, "base64");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(new URL("../src/lane/sha256.wasm", import.meta.url), await embeddedSha256());
}

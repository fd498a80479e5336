import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { embeddedSha256 } from "../../scripts/extract-sha256.ts";

test("the portable hash is the one that its package embeds", async () => {
  const module = await readFile(new URL("../../src/lane/sha256.wasm", import.meta.url));
  expect(module.equals(await embeddedSha256()), "run scripts/extract-sha256.ts after an update of hash-wasm").toBe(
    true,
  );
});

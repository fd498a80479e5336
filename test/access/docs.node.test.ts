/** The settings that the documents show are settings that are taken. */
import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { expect, test } from "vitest";
import * as z from "zod";
import { readIdentity } from "../../src/config/identity.ts";

const Vars = z.object({ vars: z.object({ OIDC: z.unknown().optional(), ACCESS: z.unknown().optional() }) });

const text = readFileSync(new URL("../../docs/access.md", import.meta.url), "utf8");
const blocks = [...text.matchAll(/```toml\n([^`]*)```/g)].map(([, block = ""]) => block);

test.each(blocks.map((block, index) => [index + 1, block] as const))("block %i of docs/access.md", (_, block) => {
  const { OIDC, ACCESS } = Vars.parse(parse(block)).vars;
  const { value, complaints } = readIdentity(OIDC, ACCESS, false);
  expect(complaints).toEqual([]);
  expect(value.length).toBeGreaterThan(0);
});

test("there are such blocks", () => {
  expect(blocks).toHaveLength(2);
});

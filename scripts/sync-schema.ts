/** Writes docs/sync.schema.json anew from the schema of the API: `node scripts/sync-schema.ts`, after a change of either. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ownJsonSchema } from "../src/cli/sync-file/own-schema.ts";

const FILE = fileURLToPath(new URL("../docs/sync.schema.json", import.meta.url));

writeFileSync(FILE, `${JSON.stringify(ownJsonSchema(), null, 2)}\n`);

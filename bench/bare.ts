/**
 * Runs the bare Worker of the bench (`bare.worker.ts`) until it is told to stop. `node bench/bare.ts READY_FILE`: its address
 * is in that file as soon as it answers.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBenchWorker } from "./bench-worker.ts";

const [readyFile = ""] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "drayage-bare-"));
const service = await startBenchWorker("bench/bare.worker.ts", join(folder, "worker"), null);
writeFileSync(readyFile, `http://127.0.0.1:${service.port}\n`);
await new Promise((settle) => process.once("SIGTERM", settle));
await service.stop();
rmSync(folder, { recursive: true, force: true });

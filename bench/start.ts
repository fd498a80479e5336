/**
 * `npm run bench:start`: how long it takes from the start of the command until its service has answered, and what the whole
 * process tree holds at rest.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { memoryBytes } from "./peak.ts";
import { Service } from "./service.ts";

const { values: options } = parseArgs({ options: { runs: { type: "string", default: "9" } } });

/** Short beside a start. */
const POLL_MS = 2;
/** After this long nothing of the start is left to be done. */
const REST_MS = 5_000;

const folder = mkdtempSync(join(tmpdir(), "drayage-bench-"));
const startsMs: number[] = [];
let restBytes = 0;
try {
  for (let run = 0; run < Number(options.runs); run++) {
    const beganMs = performance.now();
    // The line that it listens comes after its first answer.
    const service = await Service.start({ slow: false, parent: folder, settings: "" });
    while (!existsSync(service.readyFile)) {
      await sleep(POLL_MS);
    }
    startsMs.push(performance.now() - beganMs);
    if (run === Number(options.runs) - 1) {
      await sleep(REST_MS);
      restBytes = memoryBytes(service.pid);
    }
    await service.stop();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
startsMs.sort((a, b) => a - b);
const [least = 0, middle = 0, most = 0] = [0, startsMs.length >> 1, startsMs.length - 1].map((at) => startsMs[at]);
console.log(
  `start to first answer: ${middle.toFixed(0)} ms (${least.toFixed(0)}–${most.toFixed(0)}); ` +
    `all processes at rest: ${(restBytes / 1e6).toFixed(0)} MB`,
);

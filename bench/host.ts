/**
 * `npm run bench:host`: what a RegistryHost bears, in the runtime that `drayage serve` starts, its state on disk: calls per
 * second, memory with many waiting; and in node what a grant costs among them. `docs/performance.md` keeps the figures.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Embedded } from "../src/cli/embed/embed.ts";
import { startBenchWorker } from "./bench-worker.ts";
import { grantMicroseconds } from "./grants.ts";
import { residentBytes } from "./peak.ts";

const { values: options } = parseArgs({
  options: {
    calls: { type: "string", default: "20000" },
    width: { type: "string", default: "16" },
    waiting: { type: "string", default: "100000" },
    runs: { type: "string", default: "3" },
    state: { type: "string", default: ".bench-host" },
  },
});

/** Until the compiler has seen enough of it, and the host lets as many through at once as it may. */
const WARM_UP_CALLS = 1_000;

/** Has the bench's Worker do something; answers the number it answers with. */
async function ask(service: Embedded, path: string, query: Record<string, string | number>): Promise<number> {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    search.set(name, String(value));
  }
  const answer = await fetch(`http://127.0.0.1:${service.port}${path}?${search.toString()}`, { method: "POST" });
  if (!answer.ok) {
    throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  }
  return Number(await answer.text());
}

/** What a process has used of the processors, milliseconds. */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  // User and system time, in ticks of 10 ms: fields 14 and 15 of proc(5).
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function withService<T>(folder: string, use: (service: Embedded) => Promise<T>): Promise<T> {
  const stateFolder = mkdtempSync(join(folder, "state-"));
  const service = await startBenchWorker("bench/host.worker.ts", join(folder, "worker"), stateFolder);
  try {
    return await use(service);
  } finally {
    await service.stop();
  }
}

interface Rate {
  perSecond: number;
  /** Of the whole process: the lane and the jobs are in it. */
  processorMicroseconds: number;
}

async function rateOf(folder: string, sameHost: boolean): Promise<Rate> {
  const [calls, width] = [Number(options.calls), Number(options.width)];
  return withService(folder, async (service) => {
    const [host, source] = ["target.test", sameHost ? "target.test" : "source.test"];
    await ask(service, "/fill", { host, source, count: calls + WARM_UP_CALLS + 2 * width, jobs: 20 });
    await ask(service, "/churn", { host, width, calls: WARM_UP_CALLS });
    const before = processorMs(service.pid);
    const milliseconds = await ask(service, "/churn", { host, width, calls });
    return {
      perSecond: (calls / milliseconds) * 1_000,
      processorMicroseconds: ((processorMs(service.pid) - before) / calls) * 1_000,
    };
  });
}

async function waitingBytes(folder: string): Promise<{ base: number; full: number }> {
  return withService(folder, async (service) => {
    await ask(service, "/fill", { host: "other.test", source: "other.test", count: 1, jobs: 1 });
    const base = residentBytes(service.pid);
    await ask(service, "/fill", { host: "full.test", source: "full.test", count: Number(options.waiting), jobs: 200 });
    return { base, full: residentBytes(service.pid) };
  });
}

const folder = resolve(options.state);
mkdirSync(folder, { recursive: true });
try {
  for (const [name, sameHost] of [
    ["one host", true],
    ["two hosts", false],
  ] as const) {
    for (let run = 0; run < Number(options.runs); run++) {
      const { perSecond, processorMicroseconds } = await rateOf(folder, sameHost);
      console.log(
        `${name}: ${perSecond.toFixed(0)} calls/s, ${processorMicroseconds.toFixed(0)} µs of processor a call`,
      );
    }
  }
  const { base, full } = await waitingBytes(folder);
  console.log(`memory with ${options.waiting} waiting: ${mb(full - base)} over a base of ${mb(base)}`);
  console.log(`a grant in node: ${grantMicroseconds(Number(options.waiting)).toFixed(1)} µs at the median`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

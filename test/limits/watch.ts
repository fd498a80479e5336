/**
 * Looks over the shoulder of every workerd that a distribution under test starts: what its Worker logged of limits, and
 * from /proc how much memory and CPU time it took. Says what broke a limit; failing a test is the test's decision.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CPU_MS_MAX, LOG_KEY, MEMORY_BYTES_MAX, type LimitLine, type Violation } from "./bounds.ts";
import { isAlive, runtimesIn } from "./processes.ts";

/** Linux tells a peak, so a look now and then misses only what a process did just before its end. */
const LOOK_EVERY_MS = 40;
/** What /proc counts CPU time in (USER_HZ), the same on every Linux. */
const TICK_MS = 10;

/** Bounds that a test may narrow, to see that they hold somebody. */
export interface WatchBounds {
  memoryBytes?: number;
  cpuMs?: number;
}

/** One process of workerd, alive or not. */
interface Watched {
  peakBytes: number;
  /** Its memory was found too large; once is enough. */
  toldOfMemory: boolean;
  /** CPU time so far, by the wall clock. */
  cpu: { atMs: number; usedMs: number }[];
  readChars: number;
}

export class LimitWatch implements Disposable {
  readonly #folder: string;
  readonly #bounds: Required<WatchBounds>;
  readonly #processes = new Map<string, Watched>();
  readonly #timer: NodeJS.Timeout;

  /** @param folder `processes` of a distribution. */
  constructor(folder: string, bounds: WatchBounds = {}) {
    this.#folder = folder;
    this.#bounds = { memoryBytes: MEMORY_BYTES_MAX, cpuMs: CPU_MS_MAX, ...bounds };
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** The most memory that any process has held so far; 0 where the system does not tell. */
  get peakBytes(): number {
    this.#look();
    return Math.max(0, ...[...this.#processes.values()].map(({ peakBytes }) => peakBytes));
  }

  /** CPU time of all processes so far. */
  get cpuMs(): number {
    return [...this.#processes.values()].reduce((sum, { cpu }) => sum + (cpu.at(-1)?.usedMs ?? 0), 0);
  }

  /** What broke a limit since the last call. */
  take(): Violation[] {
    this.#look();
    const found: Violation[] = [];
    for (const [name, process] of this.#processes) {
      for (const line of this.#newLines(name, process)) {
        if (line[LOG_KEY] === "violation") {
          found.push({ limit: line.limit, detail: line.detail });
        } else {
          found.push(...this.#tooMuchCpu(process, line));
        }
      }
      if (process.peakBytes > this.#bounds.memoryBytes && !process.toldOfMemory) {
        found.push({ limit: "memory", detail: `workerd held ${mib(process.peakBytes)} at its peak` });
        process.toldOfMemory = true;
      }
    }
    return found;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const atMs = Date.now();
    for (const runtime of runtimesIn(this.#folder)) {
      const { name, pid, stat } = runtime;
      const process = this.#processes.get(name) ?? { peakBytes: 0, toldOfMemory: false, cpu: [], readChars: 0 };
      this.#processes.set(name, process);
      if (isAlive(runtime)) {
        process.peakBytes = Math.max(process.peakBytes, peakOf(pid));
        process.cpu.push({ atMs, usedMs: cpuOf(stat) });
      }
    }
  }

  /**
   * No invocation can have taken more CPU time than its whole process while it ran; others ran as well, so that this says
   * too much rather than too little.
   */
  #tooMuchCpu({ cpu }: Watched, { name, beganMs, endedMs }: Extract<LimitLine, { beganMs: number }>): Violation[] {
    const before = cpu.findLast(({ atMs }) => atMs <= beganMs)?.usedMs ?? 0;
    const after = cpu.find(({ atMs }) => atMs >= endedMs)?.usedMs ?? cpu.at(-1)?.usedMs ?? 0;
    const usedMs = after - before;
    return usedMs > this.#bounds.cpuMs
      ? [{ limit: "cpu", detail: `workerd took ${usedMs} ms of CPU time during one invocation (${name})` }]
      : [];
  }

  /** Lines about limits that came since the last call; the last one may not be whole yet. */
  #newLines(name: string, process: Watched): LimitLine[] {
    const path = join(this.#folder, name, "out");
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    const end = text.lastIndexOf("\n") + 1;
    const lines = text.slice(process.readChars, end).split("\n");
    process.readChars = end;
    return lines.filter((line) => line.startsWith(`{"${LOG_KEY}"`)).map((line): LimitLine => JSON.parse(line));
  }
}

function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

/** User and system time of a process: the 12th and 13th field after its name (proc(5)). */
function cpuOf(stat: readonly string[]): number {
  return (Number(stat[11]) + Number(stat[12])) * TICK_MS;
}

/** A process may end between two looks at it. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function mib(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
}

/**
 * Peak memory of a command, all its processes together, sampled from /proc. Linux only, as the rig is.
 * Knows nothing of what the processes do.
 */
import { readFileSync, readdirSync } from "node:fs";

/** Short enough to meet the peak of a copy of 0.2 s, long enough to cost nothing on a small machine. */
const SAMPLE_EVERY_MS = 25;

/** Watches until it is stopped. */
export class PeakMemory {
  readonly #roots: () => number[];
  readonly #timer: NodeJS.Timeout;
  #peakBytes = 0;

  /** @param roots The processes that count, each with everything below it; asked anew for every sample. */
  constructor(roots: () => number[]) {
    this.#roots = roots;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_EVERY_MS);
  }

  #sample(): void {
    const bytes = this.#roots().reduce((sum, pid) => sum + memoryBytes(pid), 0);
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
  }

  /** The peak since the last call, in bytes. */
  take(): number {
    const peak = this.#peakBytes;
    this.#peakBytes = 0;
    return peak;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Processes that `pid` has started through a program of this name, such as `time`. */
export function childrenNamed(pid: number, name: string): number[] {
  return childrenOf(pid).filter((child) => read(`/proc/${child}/comm`).trim() === name);
}

/** Resident memory of a process and all below it. */
export function memoryBytes(pid: number): number {
  return childrenOf(pid).reduce((sum, child) => sum + memoryBytes(child), residentBytes(pid));
}

/** A process may end between two looks at it: what cannot be read any more counts nothing. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function childrenOf(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.flatMap((thread) =>
      read(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/** Resident memory of a process alone, in bytes; 0 of one that has ended. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

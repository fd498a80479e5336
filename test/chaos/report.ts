/** What a chaos run found, and how a person reads it. Pure. */

export interface Report {
  seed: number;
  copies: number;
  /** Copies by the state they ended in; `stuck`: within their bound they did not. */
  ends: Record<string, number>;
  /** Copies whose end is not what it had to be, and what is wrong at their target. */
  misses: string[];
  /** The longest that a copy took, from asking for it on. */
  longestMs: number;
  /** What was done to the service. */
  blows: Record<string, number>;
  /** Faults of the registries that struck. */
  faults: Record<string, number>;
  /** Messages that did not come as they were sent. */
  messages: Record<string, number>;
  /** Upload sessions that are still open at registries which let them be closed. */
  uploadsLeft: string[];
  /** Upload sessions that nobody could have closed, by why. */
  uploadsLost: Record<string, number>;
  /** Registries at which something still waits or runs when everything has ended. */
  slotsLeaked: string[];
  /** What any registry holds whose bytes are not those of its digest. */
  damaged: string[];
  /** Limits of production that were broken. */
  limits: string[];
  /** Most memory that workerd held, all its CPU time, and how long the run took. */
  peakBytes: number;
  cpuMs: number;
  tookMs: number;
}

/** Everything that must not be; empty: the run has passed. */
export function faultsOf({ misses, uploadsLeft, slotsLeaked, damaged, limits }: Report): string[] {
  return [
    ...misses,
    ...uploadsLeft.map((line) => `upload left open: ${line}`),
    ...slotsLeaked.map((line) => `not quiet: ${line}`),
    ...damaged.map((line) => `wrong bytes: ${line}`),
    ...limits.map((line) => `limit of production: ${line}`),
  ];
}

/** The report as lines of text. */
export function linesOf(report: Report): string[] {
  const wrong = faultsOf(report);
  return [
    `seed      ${report.seed}`,
    `copies    ${report.copies}: ${list(report.ends)}; ${report.copies - failedCopies(report)} right`,
    `blows     ${list(report.blows)}`,
    `faults    ${list(report.faults)}`,
    `messages  ${list(report.messages)}`,
    `lost      uploads that nobody could close: ${list(report.uploadsLost)}`,
    `left      ${report.uploadsLeft.length} uploads open, ${report.slotsLeaked.length} registries not quiet, ${report.damaged.length} wrong bytes`,
    `limits    ${report.limits.length} broken; ${(report.peakBytes / 1024 ** 2).toFixed(0)} MiB at most, ${seconds(report.cpuMs)} of CPU time`,
    `took      ${seconds(report.tookMs)}, the longest copy ${seconds(report.longestMs)}`,
    ...wrong.map((line) => `WRONG     ${line}`),
    wrong.length === 0 ? "passed" : `FAILED: ${wrong.length} wrong; again with --seed ${report.seed}`,
  ];
}

function failedCopies({ misses }: Report): number {
  return new Set(misses.map((line) => line.slice(0, line.indexOf("(")))).size;
}

function list(counts: Record<string, number>): string {
  const parts = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  return parts.length === 0 ? "none" : parts.sort().join(", ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

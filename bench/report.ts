/**
 * Turns the runs of a measurement into its table: medians, and their ratios to the pipe limit of the same network and set.
 * Pure: runs in, text out.
 */

/** One run as the rig records it, with peak memory added. */
export interface Run {
  net: string;
  case: string;
  tool: string;
  ok: boolean;
  /** Seconds from the command to its end. */
  wall: number;
  /** CPU seconds of the tool, without a server that does the work. */
  cpu: number;
  /** CPU seconds of the services meanwhile. */
  watch?: { cpu: number } | undefined;
  /** Of all processes that did the work, the service's where one did it. */
  peakBytes: number;
  a: { reqSrc: number; reqDst: number; firstBlobGetMs: number | null };
}

/** Medians of the runs of one tool on one set over one network. */
export interface Row {
  net: string;
  case: string;
  tool: string;
  runs: number;
  good: number;
  wallS: number;
  wallMinS: number;
  wallMaxS: number;
  cpuS: number;
  peakMB: number;
  requests: { source: number; target: number };
  firstBlobMs: number | null;
  /** Null where the limit was not measured beside it. */
  ratio: { wall: number; cpu: number } | null;
}

/** The tool that does nothing but pipe: what a copy can approach. */
export const LIMIT = "limit";
/** A Worker that does nothing but pipe and hash: what the runtime needs. */
export const BARE = "bare";
/** Tools whose work a running service does: its CPU counts with the client's. */
const SERVED: ReadonlySet<string> = new Set([BARE, "service", "service-target"]);

const BYTES_PER_MB = 1_000_000;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (upper + lower) / 2;
}

/** Without the first run of each tool on each set over each network: a service that runs for long has compiled its code. */
export function afterFirst(runs: readonly Run[]): Run[] {
  const begun = new Set<string>();
  return runs.filter((run) => {
    const name = `${run.net}\t${run.case}\t${run.tool}`;
    const isFurther = begun.has(name);
    begun.add(name);
    return isFurther;
  });
}

/** One row for each network, set and tool, in the order of their first runs. */
export function summarize(runs: readonly Run[]): Row[] {
  const groups = Map.groupBy(runs, (run) => `${run.net}\t${run.case}\t${run.tool}`);
  const rows = [...groups.values()].flatMap((group) => rowOf(group) ?? []);
  for (const row of rows) {
    const limit = rows.find((other) => other.tool === LIMIT && other.net === row.net && other.case === row.case);
    if (limit !== undefined) {
      row.ratio = { wall: row.wallS / limit.wallS, cpu: row.cpuS / limit.cpuS };
    }
  }
  return rows;
}

function rowOf(group: readonly Run[]): Row | null {
  const first = group[0];
  if (first === undefined) {
    return null;
  }
  const of = (pick: (run: Run) => number): number => median(group.map(pick));
  const walls = group.map((run) => run.wall);
  const firstBlobs = group.flatMap((run) => run.a.firstBlobGetMs ?? []);
  return {
    net: first.net,
    case: first.case,
    tool: first.tool,
    runs: group.length,
    good: group.filter((run) => run.ok).length,
    wallS: median(walls),
    wallMinS: Math.min(...walls),
    wallMaxS: Math.max(...walls),
    cpuS: of((run) => run.cpu + (SERVED.has(run.tool) ? (run.watch?.cpu ?? 0) : 0)),
    peakMB: of((run) => run.peakBytes / BYTES_PER_MB),
    requests: { source: of((run) => run.a.reqSrc), target: of((run) => run.a.reqDst) },
    firstBlobMs: firstBlobs.length === 0 ? null : median(firstBlobs),
    ratio: null,
  };
}

const COLUMNS = [
  "network",
  "set",
  "tool",
  "wall s (min–max)",
  "× limit",
  "CPU s",
  "× limit",
  "peak MB",
  "requests source + target",
  "first blob ms",
  "whole",
];

/** The rows as a table in Markdown. */
export function table(rows: readonly Row[]): string {
  const lines = [COLUMNS, COLUMNS.map(() => "---"), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n") + "\n";
}

function cells(row: Row): string[] {
  return [
    row.net,
    row.case,
    row.tool,
    `${row.wallS.toFixed(2)} (${row.wallMinS.toFixed(2)}–${row.wallMaxS.toFixed(2)})`,
    row.ratio === null ? "–" : row.ratio.wall.toFixed(2),
    row.cpuS.toFixed(2),
    row.ratio === null ? "–" : row.ratio.cpu.toFixed(2),
    row.peakMB.toFixed(0),
    `${row.requests.source} + ${row.requests.target}`,
    row.firstBlobMs === null ? "–" : row.firstBlobMs.toFixed(0),
    `${row.good}/${row.runs}`,
  ];
}

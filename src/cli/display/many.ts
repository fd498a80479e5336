/** Shows many copies at once: one line per copy that has ended, and on a terminal what is under way over all of them. */
import type { CopyEvent, CopyView, TagTally } from "../../job/contract.ts";
import type { CommandIo, Output } from "../commands/io.ts";
import { canRedraw } from "./display.ts";
import { progressLines, tagDoneLine } from "./format.ts";
import { apply, newModel, type CopyModel } from "./model.ts";

/** How many copies have come to which end. */
export interface RunTally {
  all: number;
  done: number;
  failed: number;
}

export interface ManyDisplay {
  event(copy: number, view: CopyView, event: CopyEvent): void;
  /** A line that stays: what a copy has come to, what should be known. */
  say(line: string): void;
  /** A line about what went wrong: told with `--quiet` too. */
  complain(line: string): void;
  tally(tally: RunTally): void;
  close(): void;
}

/** Ten times a second is smooth and costs nothing. */
const REDRAW_MS = 100;

const nothing = (): void => undefined;

/** For `--json`. */
export const NO_MANY_DISPLAY: ManyDisplay = {
  event: nothing,
  say: nothing,
  complain: nothing,
  tally: nothing,
  close: nothing,
};

/** For `--quiet`. */
export function quietManyDisplay(output: { write(text: string): unknown }): ManyDisplay {
  const complain = (line: string): void => void output.write(`${line}\n`);
  return {
    ...NO_MANY_DISPLAY,
    event: (_copy, view, event) => {
      const line = event.type === "tag" && event.data.state === "failed" ? keptLine(view, event) : null;
      if (line !== null) {
        complain(line);
      }
    },
    complain,
  };
}

/** Plain lines, each with the repository that it is about. */
export function plainManyDisplay(output: { write(text: string): unknown }): ManyDisplay {
  return {
    event: (_copy, view, event) => {
      const line = keptLine(view, event);
      if (line !== null) {
        output.write(`${line}\n`);
      }
    },
    say: (line) => output.write(`${line}\n`),
    complain: (line) => output.write(`${line}\n`),
    tally: () => undefined,
    close: () => undefined,
  };
}

/** What of an event stays to be read. */
function keptLine(view: CopyView, event: CopyEvent): string | null {
  if (event.type === "warning") {
    return `warning: ${view.target.reference}: ${event.data.message}`;
  }
  // A single image is told of by its summary.
  const line = event.type === "tag" && view.tags.all !== 1 ? tagDoneLine(event.data, view.dryRun) : null;
  return line === null ? null : `${view.target.reference}: ${line}`;
}

/** What the options and the terminal ask for. */
export async function manyDisplayFor(
  options: { json?: true; quiet?: true; verbose?: true },
  io: Pick<CommandIo, "stderr" | "env">,
): Promise<ManyDisplay> {
  if (options.json === true) {
    return NO_MANY_DISPLAY;
  }
  if (options.quiet === true) {
    return quietManyDisplay(io.stderr);
  }
  // Lines of the log would break what is drawn in place.
  return canRedraw(io.stderr, io.env) && options.verbose !== true
    ? terminalManyDisplay(io.stderr, io.env)
    : plainManyDisplay(io.stderr);
}

/** Lines redrawn in place: how many copies have ended, then blobs under way and totals over all copies. */
export async function terminalManyDisplay(
  stream: Output,
  env: Readonly<Record<string, string | undefined>>,
  now: () => number = Date.now,
): Promise<ManyDisplay> {
  const { createLogUpdate } = await import("log-update");
  const draw = createLogUpdate(stream);
  const colour = !env["NO_COLOR"];
  const all = newModel(now());
  const tagsOf = new Map<number, CopyModel>();
  let run: RunTally = { all: 0, done: 0, failed: 0 };
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  const redraw = (): void => {
    drawnAtMs = now();
    const screen = { columns: stream.columns || 80, rows: (stream.rows || 24) - 1, colour };
    all.tags = summed([...tagsOf.values()].flatMap(({ tags }) => (tags === null ? [] : [tags])));
    draw([runLine(run), ...progressLines(all, screen, drawnAtMs)].join("\n"));
  };
  const redrawSoon = (): void => {
    if (now() - drawnAtMs >= REDRAW_MS) {
      redraw();
    }
  };
  const timer = setInterval(redraw, 1_000);
  timer.unref();
  return {
    event: (copy, view, event) => {
      apply(all, event, now(), `${copy} `);
      const own = tagsOf.get(copy) ?? newModel(now());
      tagsOf.set(copy, own);
      if (event.type === "tags" || event.type === "tag") {
        apply(own, event, now());
      }
      const line = event.type === "tag" && event.data.state !== "failed" ? null : keptLine(view, event);
      if (line !== null) {
        draw.persist(line);
      }
      redrawSoon();
    },
    say: (line) => draw.persist(line),
    complain: (line) => draw.persist(line),
    tally: (tally) => {
      run = tally;
      redrawSoon();
    },
    close: () => {
      clearInterval(timer);
      draw.clear();
      draw.done();
    },
  };
}

function runLine({ all, done, failed }: RunTally): string {
  return `${done + failed}/${all} copies${failed === 0 ? "" : `, ${failed} failed`}`;
}

function summed(tallies: readonly TagTally[]): TagTally | null {
  const sum = (count: (tally: TagTally) => number): number => {
    return tallies.reduce((total, tally) => total + count(tally), 0);
  };
  return tallies.length === 0
    ? null
    : {
        all: sum(({ all }) => all),
        copied: sum(({ copied }) => copied),
        unchanged: sum(({ unchanged }) => unchanged),
        skipped: sum(({ skipped }) => skipped),
        failed: sum(({ failed }) => failed),
        obsolete: sum(({ obsolete }) => obsolete),
        deleted: sum(({ deleted }) => deleted),
      };
}

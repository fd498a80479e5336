/**
 * Shows a copy while it runs: drawn in place on a terminal, as plain lines elsewhere, or not at all. It writes to
 * standard error only; standard output belongs to `--json`.
 */
import type { CopyEvent, CopyView } from "../../job/contract.ts";
import type { Output } from "../commands/io.ts";
import { blobDoneLine, progressLines, summaryLine, tagDoneLine } from "./format.ts";
import { apply, endedTags, newModel, type CopyModel } from "./model.ts";

export interface Display {
  started: (view: CopyView) => void;
  event: (event: CopyEvent) => void;
  /** A line that stays. */
  say: (line: string) => void;
  /** Ends the display; the summary is for a copy that succeeded. */
  ended: (view: CopyView | null) => void;
}

/** Ten times a second is smooth and costs nothing. */
const REDRAW_MS = 100;

const nothing = (): void => undefined;

/** For `--quiet`: of a repository's tags the end names one that has failed, and there may be more. */
export function quietDisplay(output: { write(text: string): unknown }): Display {
  const event = (each: CopyEvent): void => {
    if (each.type === "tag" && each.data.state === "failed") {
      output.write(`${tagDoneLine(each.data, false)}\n`);
    }
  };
  return { ...noDisplay(), event };
}

/** Neither progress nor summary: for `--json`. */
export function noDisplay(): Display {
  return { started: nothing, event: nothing, say: nothing, ended: nothing };
}

/** One line per thing that has happened. */
export function plainDisplay(output: { write(text: string): unknown }, now: () => number = Date.now): Display {
  const model = newModel(now());
  let dryRun = false;
  return {
    started: (view) => {
      dryRun = view.dryRun;
      output.write(`${dryRun ? "looking into" : "copying"} ${view.source.reference} → ${view.target.reference}\n`);
    },
    event: (event) => {
      apply(model, event, now());
      if (event.type === "warning") {
        output.write(`warning: ${event.data.message}\n`);
      }
      const line = lineOf(model, event, dryRun);
      if (line !== null) {
        output.write(`${line}\n`);
      }
    },
    say: (line) => void output.write(`${line}\n`),
    ended: (view) => {
      if (view?.state === "succeeded") {
        output.write(`${summaryLine(view)}\n`);
      }
    },
  };
}

/** Of a repository the tags say enough; its blobs would be thousands of lines. */
function lineOf(model: CopyModel, event: CopyEvent, dryRun: boolean): string | null {
  if (event.type === "tag") {
    return tagDoneLine(event.data, dryRun);
  }
  if (event.type === "tags") {
    return `${event.data.all} ${event.data.all === 1 ? "tag" : "tags"}, ${event.data.all - endedTags(event.data)} of them to be compared`;
  }
  const blob = event.type === "blob" && model.tags === null ? model.blobs.get(event.data.digest) : undefined;
  return blob === undefined ? null : blobDoneLine(blob, dryRun);
}

/** Whether lines can be redrawn there: on a terminal, unless it says that it knows no escape sequences. */
export function canRedraw(stream: Output, env: Readonly<Record<string, string | undefined>>): boolean {
  return stream.isTTY === true && env["TERM"] !== "dumb";
}

/** Lines redrawn in place. The cursor comes back with `ended`, and by log-update's own exit hook otherwise. */
export async function terminalDisplay(
  stream: Output,
  env: Readonly<Record<string, string | undefined>>,
  now: () => number = Date.now,
): Promise<Display> {
  // Loaded here: most runs are not on a terminal, and it costs as much as all the rest of the command.
  const { createLogUpdate } = await import("log-update");
  const model = newModel(now());
  const draw = createLogUpdate(stream);
  const colour = !env["NO_COLOR"];
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  const redraw = (): void => {
    drawnAtMs = now();
    const screen = { columns: stream.columns || 80, rows: stream.rows || 24, colour };
    draw(progressLines(model, screen, drawnAtMs).join("\n"));
  };
  // The time left also changes while nothing arrives.
  const timer = setInterval(redraw, 1_000);
  timer.unref();
  return {
    started: redraw,
    event: (event) => {
      apply(model, event, now());
      if (event.type === "warning") {
        draw.persist(`warning: ${event.data.message}`);
      } else if (event.type === "tag" && event.data.state === "failed") {
        draw.persist(tagDoneLine(event.data, false) ?? "");
      }
      if (now() - drawnAtMs >= REDRAW_MS) {
        redraw();
      }
    },
    say: (line) => draw.persist(line),
    ended: (view) => {
      clearInterval(timer);
      draw.clear();
      draw.done();
      if (view?.state === "succeeded") {
        stream.write(`${summaryLine(view)}\n`);
      }
    },
  };
}

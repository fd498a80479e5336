/** Commands that ask a running service a question or two: where it is, what is printed of its answer, what went wrong. */
import { ServiceClient, ServiceError } from "../client.ts";
import { EXIT_DONE, UsageError } from "../failure.ts";
import type { CommandIo } from "./io.ts";
import { serverAddress } from "./service.ts";
import { tellFailure } from "./tell-failure.ts";

export interface AskingOptions {
  server?: string;
  json?: true;
}

/** What a command has to say: `answer` with `--json`; else `text` on standard output and `remark` on standard error. */
export interface Said {
  answer: object;
  text: string;
  remark: string;
}

/** Where `drayage serve` listens unless it is told otherwise. */
const LOCAL_SERVICE = "http://127.0.0.1:8585";

/** The service answers such a question at once, or not at all. */
const PATIENCE_MS = 30_000;

/** Asks, prints, and turns whatever goes wrong into words and an exit status. */
export async function asking(
  options: AskingOptions,
  io: CommandIo,
  ask: (client: ServiceClient, signal: AbortSignal) => Promise<Said>,
): Promise<number> {
  try {
    const client = new ServiceClient(await serverAddress(options.server ?? LOCAL_SERVICE, io));
    const { answer, text, remark } = await ask(client, AbortSignal.timeout(PATIENCE_MS));
    io.stdout.write(options.json === true ? `${JSON.stringify(answer)}\n` : text);
    io.stderr.write(options.json === true ? "" : remark);
    return EXIT_DONE;
  } catch (error) {
    const isLocalAway = error instanceof ServiceError && error.problem.status === 0 && options.server === undefined;
    return tellFailure(isLocalAway ? localAway(error) : inCommandsWords(error), options, io);
  }
}

/** A name in an address of the API. @throws UsageError for one that would lead elsewhere. */
export function segment(name: string, field: string): string {
  if (name === "" || name === "." || name === "..") {
    throw new UsageError(field, `${field} "${name}" is no name.`);
  }
  return encodeURIComponent(name);
}

/** The service speaks of its API. */
function inCommandsWords(error: unknown): unknown {
  if (!(error instanceof ServiceError)) {
    return error;
  }
  const { problem } = error;
  const detail = problem.detail.replace(/GET \/v1\/(keys|rules) lists/, "`drayage $1 list` lists");
  return new ServiceError({ ...problem, detail });
}

function localAway({ problem }: ServiceError): ServiceError {
  const detail = `${problem.detail} Start \`drayage serve\`, or name another service with --server URL.`;
  return new ServiceError({ ...problem, detail });
}

/** Rows with their columns under one another; the first is the heading. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

export function notThisService(): ServiceError {
  const detail = "What answers there is not drayage, or another version of it.";
  return new ServiceError({ type: "about:blank", title: "Not this service", status: 502, detail });
}

/** What a command may touch of the process around it, so that tests can give it something else. */

/** A stream to print on; a terminal has a size. */
export interface Output extends NodeJS.WritableStream {
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  rows?: number | undefined;
}

export interface CommandIo {
  stdin: NodeJS.ReadableStream;
  env: Readonly<Record<string, string | undefined>>;
  stdout: Output;
  stderr: Output;
  /** Emits `SIGINT` and `SIGTERM`. */
  signals: NodeJS.EventEmitter;
}

export type StopSignal = "SIGINT" | "SIGTERM";

/** Exit statuses of a process ended by these signals, as shells have them. */
export const SIGNAL_STATUS: Record<StopSignal, number> = { SIGINT: 130, SIGTERM: 143 };

/** Calls back with the first signal and with every later one; the answer takes the handlers away. */
export function onStopSignal(io: CommandIo, call: (signal: StopSignal, count: number) => void): () => void {
  let count = 0;
  const handlers = (["SIGINT", "SIGTERM"] as const).map((signal) => {
    const handler = (): void => call(signal, (count += 1));
    io.signals.on(signal, handler);
    return { signal, handler };
  });
  return () => {
    for (const { signal, handler } of handlers) {
      io.signals.removeListener(signal, handler);
    }
  };
}

/** Where the lines of a service inside this machine go; null: nobody reads them. */
export function logLines(verbose: true | undefined, { stderr }: CommandIo): ((line: string) => void) | null {
  return verbose === true ? (line) => void stderr.write(`${line}\n`) : null;
}

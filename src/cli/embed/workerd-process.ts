/**
 * One workerd process: started, watched, ended. It knows ports, lines of output and ends, nothing of the Worker in it.
 *
 * The process runs in a session of its own, so that Ctrl-C in a terminal reaches the command only, which then cancels
 * the copy in order. It ends with the command in every case: `stop()`, an `exit` handler, and for a command that is
 * killed outright a shell that waits for the end of its standard input, which the system closes for the dead.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { SECRET_VARIABLES } from "./config-text.ts";

export interface WorkerdOptions {
  configFile: string;
  /** Deleted when the process has ended, also when this command is killed. */
  scratchFolder: string;
  /** Ask the process to end before it is killed; for one whose state is kept. */
  inOrder: boolean;
  /** Every line of output, structured lines of the Worker included. */
  onLine: (line: string) => void;
}

export interface WorkerdProcess {
  pid: number;
  /** Port of the socket named `http`. */
  port: number;
  /** Ends with the last lines of output when the process ends by itself; never rejects, stays pending after `stop`. */
  died: Promise<string>;
  /** Ends the process and deletes the scratch folder. Safe to call more than once. */
  stop(): Promise<void>;
}

const KEPT_LINES = 12;

/** A start takes 0.1 s; a machine under heavy load some seconds. */
const START_LIMIT_MS = 20_000;

/** How long a process may take to end in order before it is killed. */
const STOP_LIMIT_MS = 2_000;

/** Resolves when workerd listens. @throws Error with workerd's own last words when it does not come up. */
export async function startWorkerd(options: WorkerdOptions): Promise<WorkerdProcess> {
  const child = spawn(
    workerdBinary(),
    ["serve", "--experimental", "--import-path=/", "--control-fd=3", options.configFile, "config"],
    {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      detached: true,
      env: passedEnvironment(),
    },
  );
  const lines: string[] = [];
  const keep = (line: string): void => {
    lines.push(line);
    if (lines.length > KEPT_LINES) {
      lines.shift();
    }
    options.onLine(line);
  };
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) {
      createInterface({ input: stream }).on("line", keep);
    }
  }
  const endGuard = startGuard(child, options.scratchFolder);
  let stopping = false;
  const cleanUp = (): void => {
    process.removeListener("exit", cleanUp);
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
    }
    endGuard();
    rmSync(options.scratchFolder, { recursive: true, force: true });
  };
  process.once("exit", cleanUp);

  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve([...lines, `ended with ${signal ?? `status ${code}`}`].join("\n")));
  });
  const died = new Promise<string>((resolve) => {
    void ended.then((words) => (stopping ? undefined : resolve(words)));
  });
  const stop = async (): Promise<void> => {
    stopping = true;
    child.kill(options.inOrder ? "SIGTERM" : "SIGKILL");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    await ended;
    clearTimeout(timer);
    cleanUp();
  };

  let timer: ReturnType<typeof setTimeout> | undefined;
  const listening = await Promise.race([
    portOf(child.stdio[3]),
    died,
    new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`it did not answer within ${START_LIMIT_MS / 1_000} s`), START_LIMIT_MS);
    }),
  ]);
  clearTimeout(timer);
  if (typeof listening === "string") {
    await stop();
    throw new Error(`The local runtime (workerd) did not start: ${listening}`);
  }
  return { pid: child.pid ?? 0, port: listening, died, stop };
}

/** The port of the `http` socket, from the control channel; pending when the channel ends before. */
function portOf(channel: unknown): Promise<number> {
  return new Promise((resolve) => {
    if (!(channel instanceof Readable)) {
      return;
    }
    createInterface({ input: channel }).on("line", (line) => {
      const port = /^\{"event":"listen","socket":"http","port":(\d+)\}/.exec(line)?.[1];
      if (port !== undefined) {
        resolve(Number(port));
      }
    });
  });
}

/**
 * A shell that outlives a command killed with SIGKILL by a moment: its `read` ends when the pipe's other end is gone.
 * The answer ends the shell. Windows has no such shell; there a killed command leaves its workerd behind.
 */
function startGuard(child: ChildProcess, scratchFolder: string): () => void {
  if (process.platform === "win32" || child.pid === undefined) {
    return () => undefined;
  }
  const script = 'read -r _; kill -9 "$1" 2>/dev/null; rm -rf -- "$2"';
  const guard = spawn("/bin/sh", ["-c", script, "drayage-guard", String(child.pid), scratchFolder], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    env: { PATH: "/usr/bin:/bin" },
  });
  // Without a shell the command works all the same.
  guard.on("error", () => undefined);
  guard.stdin?.on("error", () => undefined);
  guard.unref();
  const stdin: unknown = guard.stdin;
  if (typeof stdin === "object" && stdin !== null && "unref" in stdin && typeof stdin.unref === "function") {
    stdin.unref();
  }
  return () => void guard.kill("SIGKILL");
}

/** Where the system keeps its certificates, and the secrets that it has for the Worker, which a configuration file must not hold. The rest of the user's environment may hold secrets and stays here. */
function passedEnvironment(): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of ["SSL_CERT_FILE", "SSL_CERT_DIR", ...Object.values(SECRET_VARIABLES)]) {
    const value = process.env[name];
    if (value !== undefined) {
      passed[name] = value;
    }
  }
  return passed;
}

function workerdBinary(): string {
  const found: unknown = createRequire(import.meta.url)("workerd");
  if (typeof found === "object" && found !== null && "default" in found && typeof found.default === "string") {
    return found.default;
  }
  throw new Error("The package `workerd` is not installed properly: run `npm install` again.");
}

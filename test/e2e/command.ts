/**
 * Runs the built command as a user does: a process of its own, with a home of its own, so that nothing of the machine's
 * user is read or written. Judges nothing.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { ENDED_STATES, type CopyView } from "../../src/job/contract.ts";

/** What `npm run build` makes, or another build of it that a test run has set. */
function builtCommand(): string {
  return process.env["DRAYAGE_COMMAND"] ?? "dist/drayage.mjs";
}

/** Whoever asks longer than this for anything here waits for something that will not come. */
const PATIENCE_MS = 30_000;
const POLL_MS = 20;

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface Credentials {
  user: string;
  password: string;
}

/** The start of a copy as `--json` prints it; the rest is taken as the contract has it. */
const CopyLike = z.looseObject({ id: z.string(), state: z.enum(["accepted", "running", ...ENDED_STATES]) });

function isCopyView(value: unknown): value is CopyView {
  return CopyLike.safeParse(value).success;
}

/** The copy that `--json` has printed: one object and nothing else. */
export function copyOf(ended: Ended): CopyView {
  const value: unknown = JSON.parse(ended.stdout);
  if (!isCopyView(value)) {
    throw new Error(`not a copy: ${ended.stdout} ${ended.stderr}`);
  }
  return value;
}

/** A user's home: docker's configuration, the command's state. */
export class Home implements AsyncDisposable {
  readonly folder: string;
  /** Further variables of its environment. */
  readonly env: Record<string, string> = {};
  readonly #command: string;

  private constructor(folder: string, command: string) {
    this.folder = folder;
    this.#command = command;
  }

  /**
   * @param credentials What `docker login` would have kept, by registry host.
   * @param command The command's script.
   */
  static async create(
    credentials: Readonly<Record<string, Credentials>> = {},
    command = builtCommand(),
  ): Promise<Home> {
    const folder = await mkdtemp(join(tmpdir(), "drayage-e2e-"));
    await mkdir(join(folder, ".docker"));
    const home = new Home(folder, command);
    await home.login(credentials);
    return home;
  }

  /** Replaces the credentials, as a `docker login` at each of these registries would. */
  async login(credentials: Readonly<Record<string, Credentials>>): Promise<void> {
    const auths = Object.entries(credentials).map(([host, { user, password }]) => {
      return [host, { auth: Buffer.from(`${user}:${password}`).toString("base64") }] as const;
    });
    await writeFile(join(this.folder, ".docker/config.json"), JSON.stringify({ auths: Object.fromEntries(auths) }));
  }

  /** Starts the command and lets it run. */
  spawn(...args: string[]): Running {
    const child = spawn(process.execPath, [this.#command, ...args], {
      env: { PATH: process.env["PATH"], HOME: this.folder, ...this.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return new Running(child);
  }

  /** Runs the command to its end. */
  run(...args: string[]): Promise<Ended> {
    return this.spawn(...args).ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A command under way. */
export class Running implements AsyncDisposable {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #stdout = "";
  #stderr = "";

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on("data", (data) => (this.#stdout += String(data)));
    child.stderr?.on("data", (data) => (this.#stderr += String(data)));
    this.ended = once(child, "close").then(([status]) => {
      return { status: typeof status === "number" ? status : null, stdout: this.#stdout, stderr: this.#stderr };
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** The first match in what it has printed so far on either stream; waits for it. */
  async printed(pattern: RegExp): Promise<string> {
    return until(`output like ${String(pattern)}`, () => {
      const match = pattern.exec(`${this.#stdout}\n${this.#stderr}`);
      return match?.[1] ?? match?.[0];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGTERM");
    }
    await this.ended;
  }
}

/** Asks again and again until there is an answer. For what happens in other processes, where no clock can be handed in. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | Promise<T | undefined>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline) {
    const answer = await ask();
    if (answer !== undefined) {
      return answer;
    }
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
  throw new Error(`Waited ${patienceMs / 1000} s in vain for ${what}`);
}

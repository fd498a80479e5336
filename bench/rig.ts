/**
 * The rig: scripts outside this repository that start real registries, fill them, slow the network down and measure a
 * command. Here is how they are called; what is measured is decided in `bench.ts`.
 */
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import * as z from "zod";
import { PeakMemory, childrenNamed } from "./peak.ts";
import type { Run } from "./report.ts";

/** Addresses of the rig's two registries as the copier sees them, by whether the network is a slow one. */
export const ADDRESSES = {
  loop: { source: "127.0.0.1:5001", target: "127.0.0.1:5002" },
  slow: { source: "10.99.1.2:5000", target: "10.99.2.2:5000" },
} as const;
/** Where the copier runs on a slow network, and the last address which that namespace is given. */
export const NAMESPACE = { name: "rigcli", lastAddress: "10.99.2.1" } as const;

/** Needed on the machine, by Debian package. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "docker-registry": "docker-registry",
  htpasswd: "apache2-utils",
  curl: "curl",
  openssl: "openssl",
  time: "time",
};
const SLOW_PROGRAMS: Readonly<Record<string, string>> = { ip: "iproute2", gcc: "gcc" };

/** What the rig writes for each run; more is there, this is what the report uses. */
const Recorded = z.looseObject({
  net: z.string(),
  case: z.string(),
  tool: z.string(),
  ok: z.boolean(),
  wall: z.number(),
  cpu: z.number(),
  watch: z.object({ cpu: z.number() }).optional(),
  a: z.object({ reqSrc: z.number(), reqDst: z.number(), firstBlobGetMs: z.number().nullable() }),
});

const FaultRecord = z.looseObject({
  case: z.string(),
  tool: z.string(),
  code: z.number().nullable(),
  wall: z.number(),
  copied: z.boolean(),
  silentBad: z.boolean(),
  req: z.number(),
  srcBytes: z.number(),
  err: z.string().optional(),
});

/** One tool's copy under one fault: how it ended, its time in seconds, what it asked of both registries, bytes read. */
export type FaultRun = z.infer<typeof FaultRecord>;

export interface Measurement {
  /** `loop` or `RTT_MS:MBIT[:MBIT_PER_FLOW]`. */
  net: string;
  cases: readonly string[];
  runs: number;
  /** Tools of the rig's own. */
  tools: readonly string[];
  /** Commands with `{S} {D} {repo} {tag}`, by name. */
  commands: Readonly<Record<string, string>>;
  /** Processes that do the work of a command for it, by the command's name. */
  servers: ReadonlyMap<string, number>;
}

/** Says what is missing and how to get it. */
export class RigError extends Error {}

export class Rig {
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  /** Logs, configurations and results; kept between runs. */
  readonly state: string;

  /**
   * @param folder The rig's scripts; default: `RIG_DIR`, else `../shared/rig` beside the project.
   * @throws RigError when they are not there.
   */
  constructor(folder = process.env["RIG_DIR"] ?? "../shared/rig") {
    this.#folder = resolve(folder);
    if (!existsSync(join(this.#folder, "bench.mjs"))) {
      throw new RigError(
        `No rig in ${this.#folder}: set RIG_DIR to the folder with its bench.mjs, registry.sh and gen.mjs.`,
      );
    }
    this.state = process.env["RIG"] ?? join(tmpdir(), "drayage-bench");
    const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
    this.#env = { ...process.env, RIG: this.state, STORE: process.env["STORE"] ?? join(memory, "drayage-bench-store") };
    mkdirSync(this.state, { recursive: true });
  }

  /** @throws RigError naming the Debian packages that are missing. */
  checkPrograms(slow: boolean, more: Readonly<Record<string, string>>): void {
    const wanted = { ...PROGRAMS, ...(slow ? SLOW_PROGRAMS : {}), ...more };
    const missing = Object.entries(wanted).filter(([name]) => spawnSync("which", [name]).status !== 0);
    if (missing.length > 0) {
      throw new RigError(`Not installed: apt-get install ${missing.map(([, name]) => name).join(" ")}`);
    }
    if (slow && process.getuid?.() !== 0) {
      throw new RigError("The slow network needs root (network namespaces).");
    }
  }

  #call(script: string, ...args: string[]): void {
    const file = join(this.#folder, script);
    const [program, ...before] = script.endsWith(".mjs") ? [process.execPath, file] : ["bash", file];
    const { status, stderr } = spawnSync(program ?? "", [...before, ...args], { env: this.#env, encoding: "utf8" });
    if (status !== 0) {
      throw new RigError(`${script} ${args.join(" ")}: ${stderr.trim()}`);
    }
  }

  /** Fills the source registry's storage with the sets that are not there yet. */
  prepare(cases: readonly string[]): void {
    const sets = [...new Set(cases.map((name) => name.split("+")[0] ?? name))];
    const missing = sets.filter((set) => !this.#filled(set));
    if (missing.length === 0) {
      return;
    }
    this.#call("registry.sh", "start", "src", "5001");
    try {
      this.#call("gen.mjs", "--registry", `http://${ADDRESSES.loop.source}`, "--set", missing.join(","));
    } finally {
      this.#call("registry.sh", "stop", "src");
    }
  }

  #filled(set: string): boolean {
    const repository = join(this.#env["STORE"] ?? "", "src/docker/registry/v2/repositories/bench", set);
    return existsSync(join(this.state, "sets", `${set}.json`)) && existsSync(repository);
  }

  /** Runs each command through the rig's proxies under every fault (or those named), one after another. */
  async faults(commands: Readonly<Record<string, string>>, cases: string | undefined): Promise<FaultRun[]> {
    const file = join(this.state, `faults-${process.pid}.jsonl`);
    rmSync(file, { force: true });
    const args = ["--tools", "", "--out", file, ...(cases === undefined ? [] : ["--cases", cases])];
    for (const [name, command] of Object.entries(commands)) {
      args.push("--cmd", `${name}=${command}`);
    }
    const child = spawn(process.execPath, [join(this.#folder, "faults.mjs"), ...args], {
      env: this.#env,
      stdio: ["ignore", "inherit", "inherit"],
    });
    const status = await new Promise<number | null>((settle, reject) => {
      child.once("error", reject);
      child.once("close", settle);
    });
    if (status !== 0) {
      throw new RigError(`the rig's faults.mjs ended with status ${status}`);
    }
    const lines = readFileSync(file, "utf8").trim().split("\n");
    rmSync(file);
    return lines.map((line) => FaultRecord.parse(JSON.parse(line)));
  }

  /** Takes the slow network down, in case an earlier run was broken off. */
  reset(): void {
    this.#call("registry.sh", "stopall");
    if (spawnSync("which", ["ip"]).status === 0) {
      this.#call("wan.sh", "down");
    }
  }

  /**
   * Runs all tools of a measurement in turn, as often as asked, and passes the rig's lines on as they come.
   * @param file Takes every run as one line of JSON, the rig's own record with `peakBytes` added.
   */
  async measure(what: Measurement, file: string, onLine: (line: string) => void): Promise<Run[]> {
    const raw = `${file}.${process.pid}.part`;
    rmSync(raw, { force: true });
    const args = ["--tools", what.tools.join(","), "--cases", what.cases.join(","), "--net", what.net];
    args.push("--runs", String(what.runs), "--out", raw);
    for (const [name, command] of Object.entries(what.commands)) {
      args.push("--cmd", `${name}=${command}`);
    }
    if (what.servers.size > 0) {
      args.push("--watch", [...what.servers.values()].join(","));
    }
    const child = spawn(process.execPath, [join(this.#folder, "bench.mjs"), ...args], {
      env: this.#env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = new Promise<number | null>((settle, reject) => {
      child.once("error", reject);
      child.once("close", settle);
    });
    const rig = child.pid ?? 0;
    const peaks = new Map([["", new PeakMemory(() => childrenNamed(rig, "time"))]]);
    for (const [tool, pid] of what.servers) {
      peaks.set(tool, new PeakMemory(() => [pid]));
    }
    // A run's line comes when the run has ended, before the next begins.
    const peaksOfRuns: Map<string, number>[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      peaksOfRuns.push(new Map([...peaks].map(([tool, peak]) => [tool, peak.take()])));
      onLine(line);
    }
    for (const peak of peaks.values()) {
      peak.stop();
    }
    const status = await ended;
    if (status !== 0) {
      throw new RigError(`the rig's bench.mjs ended with status ${status}`);
    }
    const records = readFileSync(raw, "utf8").trim().split("\n");
    rmSync(raw);
    return records.map((text, index) => {
      const record = Recorded.parse(JSON.parse(text));
      const ofRun = peaksOfRuns[index];
      const run = { ...record, peakBytes: ofRun?.get(record.tool) ?? ofRun?.get("") ?? 0 };
      appendFileSync(file, `${JSON.stringify(run)}\n`);
      return run;
    });
  }
}

/** The machine, in one line for the table's heading. */
export function machine(): string {
  const text = (program: string, ...args: string[]): string =>
    (spawnSync(program, args, { encoding: "utf8" }).stdout ?? "").trim().split("\n")[0] ?? "";
  const cpu = /^model name\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown CPU";
  const kibibytes = Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0);
  const parts = [
    `${availableParallelism()} cores ${cpu}`,
    `${Math.round(kibibytes / 1024 / 1024)} GiB`,
    `Linux ${text("uname", "-r")}`,
    `Node ${process.versions.node}`,
    text("node_modules/.bin/workerd", "--version"),
    text("docker-registry", "--version"),
    text("skopeo", "--version"),
  ];
  return parts.filter((part) => part !== "").join(", ");
}

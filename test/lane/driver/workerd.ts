/** Starts workerd with the driver Worker, and sends it transfers. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { TransferAnswer, TransferOrder } from "./orders.ts";

const CONFIGURATION = `using W = import "/workerd/workerd.capnp";
const config :W.Config = (
  services = [ (name = "main", worker = .main), (name = "internet", network = (allow = ["private"])) ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ] );
const main :W.Worker = (
  modules = [ (name = "driver.mjs", esModule = embed "driver.mjs"), (name = "./sha256.wasm", wasm = embed "sha256.wasm") ],
  compatibilityDate = "2026-09-01", compatibilityFlags = ["global_fetch_strictly_public"] );
`;

export class Driver implements AsyncDisposable {
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #url: string;

  private constructor(folder: string, child: ChildProcess, port: number) {
    this.#folder = folder;
    this.#process = child;
    this.#url = `http://127.0.0.1:${port}/`;
  }

  static async start(): Promise<Driver> {
    const folder = await mkdtemp(join(tmpdir(), "drayage-driver-"));
    await build({
      entryPoints: [fileURLToPath(new URL("driver.worker.ts", import.meta.url))],
      outfile: join(folder, "driver.mjs"),
      bundle: true,
      format: "esm",
      target: "es2024",
      external: ["node:*", "cloudflare:*"],
      loader: { ".wasm": "copy" },
      assetNames: "[name]",
    });
    await writeFile(join(folder, "config.capnp"), CONFIGURATION);
    const { default: binary }: { default: string } = createRequire(import.meta.url)("workerd");
    const child = spawn(binary, ["serve", "--control-fd=3", "config.capnp"], {
      cwd: folder,
      stdio: ["ignore", "inherit", "inherit", "pipe"],
    });
    return new Driver(folder, child, await listeningPort(child));
  }

  async run(order: TransferOrder): Promise<TransferAnswer> {
    const response = await fetch(this.#url, { method: "POST", body: JSON.stringify(order) });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`the driver answered ${response.status}: ${text}`);
    }
    const answer: TransferAnswer = JSON.parse(text);
    return answer;
  }

  /** The most memory workerd has held so far; null where the system does not tell. */
  async peakMemoryBytes(): Promise<number | null> {
    const status = await readFile(`/proc/${this.#process.pid}/status`, "utf8").catch(() => "");
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
    return peak === undefined ? null : Number(peak) * 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill();
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function listeningPort(child: ChildProcess): Promise<number> {
  const control = child.stdio[3];
  if (!control || !("setEncoding" in control)) {
    throw new Error("workerd has no control channel");
  }
  let text = "";
  for await (const part of control) {
    text += String(part);
    const port = /"port":(\d+)/.exec(text)?.[1];
    if (port !== undefined) {
      return Number(port);
    }
  }
  throw new Error("workerd ended before it listened");
}

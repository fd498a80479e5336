/**
 * The service that is measured warm: `drayage serve`, started once for a network, in the namespace where that network
 * is slow, and stopped at the end. Its defaults are untouched; `settings` are for the variants that a user may configure.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ADDRESSES, NAMESPACE } from "./rig.ts";

const COMMAND = "dist/drayage.mjs";

export class Service {
  /** Of the process that everything else of the service runs below. */
  readonly pid: number;
  /** Written when the service answers: its URL and its token, one a line. */
  readonly readyFile: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string) {
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.#folder = folder;
    this.readyFile = join(folder, "ready");
  }

  /**
   * @param options `slow`: in the rig's namespace, once that is made. `settings`: host settings for both registries, as
   * TOML. The service may not answer yet when this returns; `readyFile` is there when it does.
   */
  static async start(options: { slow: boolean; parent: string; settings: string }): Promise<Service> {
    const folder = mkdtempSync(join(options.parent, "service-"));
    const [state, config] = [join(folder, "state"), join(folder, "config.toml")];
    const hosts = Object.values(options.slow ? ADDRESSES.slow : ADDRESSES.loop);
    writeFileSync(config, hosts.map((host) => `[hosts."${host}"]\ntls = "disabled"\n${options.settings}\n`).join(""));
    const port = await freePort();
    const serve = [process.execPath, COMMAND, "serve", "--port", String(port), "--state", state, "--config", config];
    const where = options.slow ? [NAMESPACE.name, NAMESPACE.lastAddress] : ["-", "-"];
    const child = spawn("bench/serve.sh", [...where, ...serve], { stdio: ["ignore", "ignore", "pipe"] });
    const service = new Service(child, folder);
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (line.includes("listens on")) {
        const token = readFileSync(join(state, "token"), "utf8").trim();
        writeFileSync(service.readyFile, `http://127.0.0.1:${port}\n${token}\n`, { mode: 0o600 });
      } else if (line.startsWith("drayage:")) {
        console.error(line);
      }
    });
    return service;
  }

  /** The bare Worker in place of the service, on loopback only; `readyFile` holds its address. */
  static bare(parent: string): Service {
    const folder = mkdtempSync(join(parent, "bare-"));
    const child = spawn(process.execPath, ["bench/bare.ts", join(folder, "ready")], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    return new Service(child, folder);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((settle) => this.#child.once("exit", settle));
      this.#child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Options that let the command speak plain HTTP to the rig's registries where they are not on loopback. */
export function plainHttp(slow: boolean): string[] {
  if (!slow) {
    return [];
  }
  return Object.values(ADDRESSES.slow).flatMap((host) => ["--plain-http", host]);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle));
  const address = server.address();
  await new Promise((settle) => server.close(settle));
  return typeof address === "object" && address !== null ? address.port : 0;
}

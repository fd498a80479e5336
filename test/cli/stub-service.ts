/**
 * The real embedding and the real broker around a stub of the Worker: its consumer asks a recorder in the test what to
 * do with each delivery, so that the test decides and sees everything, across restarts of workerd.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import * as z from "zod";
import type { Artifact } from "../../src/cli/embed/artifact.ts";
import { startEmbedded, type Embedded } from "../../src/cli/embed/embed.ts";
import { listen, shut } from "../support/loopback.ts";

export interface Delivery {
  id: string;
  body: string;
  attempts: number;
  atMs: number;
  /** Ends the delivery: `ack` well, `retry` on the consumer's wish, `throw` with an exception. */
  answer(action: "ack" | "retry" | "throw", delaySeconds?: number): void;
}

const Recorded = z.object({ id: z.string(), body: z.string(), attempts: z.number() });

const STUB_WORKER = `
import { DurableObject } from "cloudflare:workers";
export class CopyJob extends DurableObject {}
export class RegistryHost extends DurableObject {}
export class CopyIndex extends DurableObject {}
const recorder = (env) => JSON.parse(env.HOSTS).recorder;
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/credentials") return env.CREDENTIALS.fetch("http://credentials/" + new URL(request.url).search);
    if (pathname === "/secure") return fetch(request.headers.get("x-url"));
    const { messages } = await request.json();
    if (messages.length === 1) await env.LANES.send(messages[0].body, { delaySeconds: messages[0].delaySeconds ?? 0 });
    else await env.LANES.sendBatch(messages);
    return new Response("sent");
  },
  async queue(batch, env) {
    for (const message of batch.messages) {
      const { id, body, attempts } = message;
      const response = await fetch(recorder(env), { method: "POST", body: JSON.stringify({ id, body, attempts }) });
      const { action, delaySeconds } = await response.json();
      if (action === "throw") throw new Error("as told");
      if (action === "retry") message.retry(delaySeconds === undefined ? {} : { delaySeconds });
    }
  },
};`;

/** Builds the stub with the project's broker. The caller deletes `folder`. */
export async function stubArtifact(): Promise<Artifact> {
  const folder = mkdtempSync(join(tmpdir(), "drayage-stub-"));
  writeFileSync(join(folder, "worker.mjs"), STUB_WORKER);
  await build({
    entryPoints: [fileURLToPath(new URL("../../src/cli/broker/broker.ts", import.meta.url))],
    outfile: join(folder, "broker.mjs"),
    bundle: true,
    format: "esm",
    external: ["cloudflare:*"],
  });
  return {
    folder,
    compatibilityDate: "2026-09-01",
    compatibilityFlags: ["global_fetch_strictly_public"],
    modules: [],
    queue: { name: "drayage-lanes", maxRetries: 5, retryDelaySeconds: 0 },
  };
}

export class StubService {
  readonly artifact: Artifact;
  readonly stateFolder = mkdtempSync(join(tmpdir(), "drayage-state-"));
  readonly #recorder: Server;
  #recorderPort = 0;
  readonly #arrived: Delivery[] = [];
  readonly #waiting: ((delivery: Delivery) => void)[] = [];
  #embedded: Embedded | null = null;

  private constructor(artifact: Artifact) {
    this.artifact = artifact;
    this.#recorder = createServer((request, response) => {
      let text = "";
      request.on("data", (piece: Buffer) => (text += piece.toString("utf8")));
      request.on("end", () => this.#record(text, response));
    });
  }

  static async create(): Promise<StubService> {
    const service = new StubService(await stubArtifact());
    service.#recorderPort = await listen(service.#recorder);
    return service;
  }

  get port(): number {
    return this.#embedded?.port ?? 0;
  }

  async start(): Promise<void> {
    this.#embedded = await startEmbedded({
      stateFolder: this.stateFolder,
      listen: "127.0.0.1:0",
      settings: { hosts: { recorder: `http://127.0.0.1:${this.#recorderPort}/` } },
      tokenHashes: [],
      trustedCertificates: [],
      credentials: () => Promise.resolve({ kind: "basic", username: "u", password: "p" }),
      onLine: () => undefined,
      artifact: this.artifact,
    });
    await this.#embedded.delivering;
  }

  /** Kills workerd as a crash would, and waits until it is gone. */
  async kill(): Promise<void> {
    const embedded = this.#embedded;
    if (embedded === null) {
      throw new Error("not started");
    }
    process.kill(embedded.pid, "SIGKILL");
    await embedded.died;
    await embedded.stop();
    this.#embedded = null;
  }

  /** Ends workerd as `serve` does at Ctrl-C. */
  async stop(): Promise<void> {
    await this.#embedded?.stop();
    this.#embedded = null;
  }

  async send(...messages: { body: string; delaySeconds?: number }[]): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.port}/send`, {
      method: "POST",
      body: JSON.stringify({ messages }),
    });
    if (!response.ok) {
      throw new Error(`send failed: ${await response.text()}`);
    }
  }

  /** The next delivery, whenever it comes. */
  next(): Promise<Delivery> {
    const delivery = this.#arrived.shift();
    return delivery === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(delivery);
  }

  async close(): Promise<void> {
    await this.#embedded?.stop();
    await shut(this.#recorder);
    rmSync(this.stateFolder, { recursive: true, force: true });
    rmSync(this.artifact.folder, { recursive: true, force: true });
  }

  #record(text: string, response: ServerResponse): void {
    const { id, body, attempts } = Recorded.parse(JSON.parse(text));
    const answer: Delivery["answer"] = (action, delaySeconds) => {
      response.end(JSON.stringify({ action, delaySeconds }));
    };
    const delivery = { id, body, attempts, atMs: Date.now(), answer };
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#arrived.push(delivery);
    } else {
      waiting(delivery);
    }
  }
}

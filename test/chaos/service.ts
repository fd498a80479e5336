/** `drayage serve` that may be killed at any moment and is started again on the same state; questions to it wait meanwhile. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { Home, until, type Running } from "../e2e/command.ts";
import type { Distribution } from "../limits/distribution.ts";
import { isAlive, runtimesIn } from "../limits/processes.ts";

/** `serve`: the command is killed, and its runtime with it. `workerd`: the runtime alone. `deploy`: asked to end. */
export const KILLS = ["serve", "workerd", "deploy"] as const;
export type Kill = (typeof KILLS)[number];

const RETRY_MS = 50;
/** For one answer; the longest that is asked for takes 5 s. */
const ANSWER_LIMIT_MS = 10_000;
/** For any answer at all. */
const PATIENCE_MS = 60_000;

/** Who has waited so long goes first: the largest copy is not to wait until the last of the small ones is done. */
const MAX_WAIT_SECONDS = 10;

/** A question to the API. */
export interface Question {
  method?: string;
  body?: string;
  headers?: Record<string, string>;
}

export class ChaosService implements AsyncDisposable {
  readonly #home: Home;
  readonly #distribution: Distribution;
  #running: Running;
  #url = "";
  #token = "";
  #lastRefusal = "";

  private constructor(home: Home, distribution: Distribution, running: Running) {
    this.#home = home;
    this.#distribution = distribution;
    this.#running = running;
  }

  /** Why the last question that came to nothing did so. */
  get lastRefusal(): string {
    return this.#lastRefusal;
  }

  static async start(distribution: Distribution): Promise<ChaosService> {
    const home = await Home.create({}, distribution.command);
    await writeFile(join(home.folder, "config.toml"), `max_wait_seconds = ${MAX_WAIT_SECONDS}\n`);
    const service = new ChaosService(home, distribution, serve(home));
    await service.#listening();
    return service;
  }

  /** Kills it, waits until it is dead, and starts it again; `onDead` is called in between. */
  async restart(kill: Kill, onDead: () => void): Promise<void> {
    if (kill === "workerd") {
      process.kill(this.#workerd(), "SIGKILL");
    } else {
      this.#running.signal(kill === "serve" ? "SIGKILL" : "SIGTERM");
    }
    await this.#running.ended;
    await this.#runtimeGone();
    onDead();
    this.#running = serve(this.#home);
    await this.#listening();
  }

  /** Asks the API until it answers; null: it did not within `withinMs`. A 5xx is no answer while objects are thrown out. */
  async ask(path: string, init: Question = {}, withinMs = PATIENCE_MS): Promise<unknown> {
    const deadline = performance.now() + withinMs;
    while (performance.now() < deadline) {
      try {
        const headers = { authorization: `Bearer ${this.#token}`, "content-type": "application/json", ...init.headers };
        const answer = await fetch(`${this.#url}${path}`, {
          ...init,
          headers,
          signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
        });
        const text = await answer.text();
        if (answer.ok) {
          return JSON.parse(text);
        }
        this.#lastRefusal = `${init.method ?? "GET"} ${path} was answered ${answer.status}: ${text}`;
        if (answer.status < 500) {
          throw new Refused(this.#lastRefusal);
        }
      } catch (error) {
        if (error instanceof Refused) {
          throw error;
        }
        this.#lastRefusal = `${init.method ?? "GET"} ${path} was not answered: ${String(error)}`;
      }
      await sleep(RETRY_MS);
    }
    return null;
  }

  /** Opens one of the doors of the Worker under chaos. False: there was nothing behind it, or nobody answered. */
  async door(path: string): Promise<boolean> {
    try {
      const answer = await fetch(`${this.#url}/chaos/${path}`, { method: "POST", signal: AbortSignal.timeout(2_000) });
      return Hit.parse(await answer.json()).hit;
    } catch {
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }

  async #listening(): Promise<void> {
    this.#url = await this.#running.printed(/listens on (http:[\d./:]+)/);
    this.#token = (await readFile(join(this.#home.folder, ".local/state/drayage/token"), "utf8")).trim();
  }

  /** Process id of the runtime: those before it are dead. */
  #workerd(): number {
    const alive = runtimesIn(this.#distribution.processes).find(isAlive);
    if (alive === undefined) {
      throw new Error("no runtime is alive");
    }
    return alive.pid;
  }

  /** Two runtimes on one storage would destroy it; the killed one is gone within milliseconds. */
  async #runtimeGone(): Promise<void> {
    await until("the end of the runtime", () =>
      runtimesIn(this.#distribution.processes).some(isAlive) ? undefined : true,
    );
  }
}

function serve(home: Home): Running {
  return home.spawn("serve", "--port", "0", "--config", join(home.folder, "config.toml"));
}

const Hit = z.object({ hit: z.boolean() });

class Refused extends Error {}

export function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}

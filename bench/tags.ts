/**
 * `npm run bench:tags`: what a repository of many tags costs the service, registries that cost next to nothing at both
 * ends: planning it (a dry run), copying it, and copying it again when nothing has changed.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { CopyStateName } from "../src/api/schemas.ts";
import { ENDED_STATES } from "../src/job/contract.ts";
import { childrenNamed, PeakMemory } from "./peak.ts";
import { pretendRegistries } from "./pretended.ts";
import { Service } from "./service.ts";

const { values: options } = parseArgs({ options: { tags: { type: "string", default: "10000" } } });

const READY_POLL_MS = 50;
/** Longest time that one question for the copy's end waits for it. */
const WAIT_SECONDS = 30;

/** What is looked at of a copy. */
const Started = z.object({ id: z.string(), state: CopyStateName });

async function ask(readyFile: string, path: string, body?: object): Promise<z.infer<typeof Started>> {
  const [url = "", token = ""] = readFileSync(readyFile, "utf8").split("\n");
  const answer = await fetch(`${url}${path}`, {
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  return Started.parse(await answer.json());
}

async function isReady(readyFile: string): Promise<void> {
  for (;;) {
    try {
      readFileSync(readyFile);
      return;
    } catch {
      await sleep(READY_POLL_MS);
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), "drayage-bench-"));
const registries = await pretendRegistries(Number(options.tags));
const service = await Service.start({ slow: false, parent: folder, settings: "" });
try {
  await isReady(service.readyFile);
  const memory = new PeakMemory(() => childrenNamed(service.pid, "workerd"));
  for (const [name, more] of [
    ["planned", { dry_run: true }],
    ["copied", {}],
    ["copied again", {}],
  ] as const) {
    memory.take();
    const startMs = performance.now();
    let view = await ask(service.readyFile, "/v1/copies", {
      source: registries.source,
      target: registries.target,
      ...more,
    });
    while (!ENDED_STATES.includes(view.state)) {
      view = await ask(service.readyFile, `/v1/copies/${view.id}?wait=${WAIT_SECONDS}`);
    }
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
    const { source, target } = registries.takeRequests();
    const peakMb = (memory.take() / 1e6).toFixed(0);
    console.log(
      `${options.tags} tags ${name}: ${view.state}, ${seconds} s, ${source} + ${target} requests, workerd's peak ${peakMb} MB`,
    );
  }
  memory.stop();
} finally {
  await service.stop();
  registries.close();
  rmSync(folder, { recursive: true, force: true });
}

/** The limits of production are held to: each one, broken on purpose, is seen, and just below it nothing is. */
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { Home, until, type Running } from "../e2e/command.ts";
import { listen, shut } from "../support/loopback.ts";
import type { LimitName, Violation } from "./bounds.ts";
import { makeDistribution, type Distribution } from "./distribution.ts";
import { LimitWatch } from "./watch.ts";

const CASES: { what: string; limit: LimitName }[] = [
  { what: "connections", limit: "connections" },
  { what: "message", limit: "message" },
  { what: "object-body", limit: "object body" },
  { what: "cpu", limit: "cpu" },
  // Last: what is held stays held.
  { what: "memory", limit: "memory" },
];

/** A second of hashing breaks it, filling some memory does not. */
const CPU_MS = 1_000;

describe.skipIf(inject("withoutRegistry"))("a Worker under limits", () => {
  let distribution: Distribution;
  let watch: LimitWatch;
  let home: Home;
  let serve: Running;
  let slow: Server;
  let slowPort: number;
  let url: string;

  beforeAll(async () => {
    distribution = await makeDistribution({ frame: "test/limits/offender.worker.ts" });
    home = await Home.create({}, distribution.command);
    watch = new LimitWatch(distribution.processes, { cpuMs: CPU_MS });
    slow = createServer((request, response) => {
      request.resume();
      setTimeout(() => response.end(), 50);
    });
    slowPort = await listen(slow);
    serve = home.spawn("serve", "--port", "0");
    url = await serve.printed(/listens on (http:[\d./:]+)/);
  });
  afterAll(async () => {
    await serve[Symbol.asyncDispose]();
    watch[Symbol.dispose]();
    await shut(slow);
    await Promise.all([home[Symbol.asyncDispose](), distribution[Symbol.asyncDispose]()]);
  });

  async function ask(path: string): Promise<void> {
    const answer = await fetch(`${url}${path}?to=http://127.0.0.1:${slowPort}/`);
    expect(await answer.text(), path).toContain("copies");
    expect(answer.status).toBe(200);
  }

  it.each(CASES)("may go up to the limit of $what", async ({ what }) => {
    await ask(`/within/${what}`);
    await ask("/end");
    await new Promise((settled) => setTimeout(settled, 100));
    expect(watch.take()).toEqual([]);
  });

  it.each([...CASES, { what: "object-stream", limit: "object body" }])(
    "is found out when it goes beyond that of $what",
    async ({ what, limit }) => {
      await ask(`/beyond/${what}`);
      const found = await until("a violation", (): Violation[] | undefined => {
        const taken = watch.take();
        return taken.length > 0 ? taken : undefined;
      });
      expect(found.map((violation) => violation.limit)).toEqual([limit]);
    },
  );
});

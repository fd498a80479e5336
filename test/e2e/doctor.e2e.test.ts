/** The doctor, as a user calls it: at the runtime that it starts itself, and at a service that runs. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Report } from "../../src/doctor/contract.ts";
import { Home } from "./command.ts";

const THROUGH = /went through the queue to its consumer in (\d+) ms/;

function queueIn(stdout: string): Report["findings"] {
  const report: Report = JSON.parse(stdout);
  return report.findings.filter(({ name }) => name === "queue");
}

test("a message comes through the queue, of this machine and of a service, and the doctor says how long it took", async () => {
  await using home = await Home.create();
  const here = await home.run("doctor", "--json");
  expect([here.status, queueIn(here.stdout)]).toEqual([
    0,
    [{ name: "queue", state: "ok", message: expect.stringMatching(THROUGH), fix: null }],
  ]);
  const serve = home.spawn("serve", "--port", "0");
  try {
    const url = await serve.printed(/listens on (http:[\d./:]+)/);
    home.env["DRAYAGE_TOKEN"] = (await readFile(join(home.folder, ".local/state/drayage/token"), "utf8")).trim();
    const there = await home.run("doctor", "--server", url, "--json");
    const [finding] = queueIn(there.stdout);
    expect([there.status, finding?.state]).toEqual([0, "ok"]);
    const tookMs = Number(THROUGH.exec(finding?.message ?? "")?.[1]);
    expect(tookMs).toBeLessThan(5_000);
    console.log(`through the queue: ${tookMs} ms`);
  } finally {
    await serve[Symbol.asyncDispose]();
  }
});

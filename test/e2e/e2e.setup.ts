/**
 * Builds the command once before the end-to-end tests run it, under the limits of production (`test/limits`), and looks
 * whether Debian's registry is there. Without it the tests are left out, with one line that says so; in CI that is a
 * failure.
 */
import { execFileSync } from "node:child_process";
import type { TestProject } from "vitest/node";
import { makeDistribution } from "../limits/distribution.ts";
import { dockerRegistryAvailable } from "../support/docker-registry.ts";

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const missing = dockerRegistryAvailable();
  project.provide("withoutRegistry", missing !== null);
  if (missing !== null) {
    if (process.env["CI"] === "true") {
      throw new Error(`The end-to-end tests cannot run: ${missing}`);
    }
    console.warn(`Left out: the end-to-end tests (test/e2e). ${missing}`);
    project.provide("underLimits", { command: "", processes: "" });
    return undefined;
  }
  execFileSync(process.execPath, ["scripts/build.mjs"], { stdio: ["ignore", "ignore", "inherit"] });
  const distribution = await makeDistribution({ frame: "test/limits/main.worker.ts" });
  project.provide("underLimits", { command: distribution.command, processes: distribution.processes });
  return async () => distribution[Symbol.asyncDispose]();
}

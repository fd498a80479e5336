/** A build of the service with a Worker of the bench in place of its own. */
import { cpSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { loadArtifact, type Artifact } from "../src/cli/embed/artifact.ts";

/**
 * @param entry The Worker's source, from the project's folder on.
 * @param folder Is filled with what the real build has beside its Worker.
 */
export async function benchArtifact(entry: string, folder: string): Promise<Artifact> {
  const artifact = loadArtifact();
  cpSync(artifact.folder, folder, { recursive: true });
  const { outputFiles } = await build({
    entryPoints: [resolve(entry)],
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["module", "main"],
    external: ["node:*", "cloudflare:*", "*.wasm"],
    minify: true,
    write: false,
  });
  writeFileSync(join(folder, "worker.mjs"), outputFiles[0]?.contents ?? "");
  return { ...artifact, folder, modules: [] };
}

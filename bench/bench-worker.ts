/** The runtime that `drayage serve` starts, with a Worker of the bench in place of the service's own. */
import { cpSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { loadArtifact, type Artifact } from "../src/cli/embed/artifact.ts";
import { startEmbedded, type Embedded } from "../src/cli/embed/embed.ts";

/**
 * @param entry The Worker's source, from the project's folder on.
 * @param folder Is filled with what the real build has beside its Worker.
 * @param stateFolder Null: nothing is kept.
 */
export async function startBenchWorker(entry: string, folder: string, stateFolder: string | null): Promise<Embedded> {
  return startEmbedded({
    stateFolder,
    listen: "127.0.0.1:0",
    settings: { hosts: {} },
    tokenHashes: [],
    trustedCertificates: [],
    credentials: async () => null,
    onLine: (line) => console.error(line),
    artifact: await benchArtifact(entry, folder),
  });
}

async function benchArtifact(entry: string, folder: string): Promise<Artifact> {
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

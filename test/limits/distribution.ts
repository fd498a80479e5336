/**
 * A copy of `dist/` in a folder of its own whose Worker is another build: the command is the shipped one, byte for byte,
 * and so is the configuration it makes. Its workerd leaves its log and its process id behind (`watch.ts` reads them).
 */
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";

export interface DistributionParts {
  /** Entry of the Worker, from the project's folder. */
  worker: string;
  /** Entry of the queue broker; missing: the shipped one. */
  broker?: string;
  /** Values that a build puts into the code, by name. */
  define?: Record<string, string>;
  /** For the Worker alone. */
  plugins?: Plugin[];
  /** Its folder stays. */
  keep?: boolean;
}

export interface Distribution extends AsyncDisposable {
  /** The command's script, for `node`. */
  command: string;
  /** One folder per process id of workerd that ran. */
  processes: string;
}

/** Builds one from the `dist/` that is there. The folder goes when the answer is disposed. */
export async function makeDistribution(parts: DistributionParts): Promise<Distribution> {
  const folder = await mkdtemp(join(tmpdir(), "drayage-under-test-"));
  const worker = join(folder, "worker");
  const processes = join(folder, "processes");
  await mkdir(processes);
  await Promise.all([
    copyCommand(folder),
    cp("dist/worker", worker, { recursive: true }),
    installRuntime(join(folder, "node_modules/workerd"), processes),
  ]);
  await bundle(parts.worker, join(worker, "worker.mjs"), parts);
  if (parts.broker !== undefined) {
    await bundle(parts.broker, join(worker, "broker.mjs"), { ...parts, plugins: [] });
  }
  return {
    command: join(folder, "drayage.mjs"),
    processes,
    [Symbol.asyncDispose]: async () => {
      if (parts.keep !== true) {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/** The command's file and its parts. */
async function copyCommand(folder: string): Promise<void> {
  const files = (await readdir("dist")).filter((name) => /^(?:drayage|part-.*)\.mjs$/.test(name));
  await Promise.all(files.map((name) => copyFile(join("dist", name), join(folder, name))));
}

/** As scripts/build.mjs builds the Worker. */
async function bundle(entry: string, outfile: string, { define = {}, plugins = [] }: DistributionParts): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["module", "main"],
    external: ["node:*", "cloudflare:*"],
    loader: { ".wasm": "copy" },
    assetNames: "[name]-[hash]",
    define,
    plugins,
    logLevel: "warning",
  });
}

/** A package `workerd` whose program is the real one, behind a shell that keeps what it prints. */
async function installRuntime(folder: string, processes: string): Promise<void> {
  const { default: binary }: { default: string } = createRequire(import.meta.url)("workerd");
  const script = join(folder, "workerd");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "workerd", main: "main.cjs" }));
  await writeFile(join(folder, "main.cjs"), `module.exports = { default: ${JSON.stringify(script)} };\n`);
  // `exec` keeps the process id: whoever ends or measures the command's child ends or measures workerd.
  await writeFile(
    script,
    `#!/bin/bash
mkdir "${processes}/$$"
exec "${binary}" "$@" > >(exec tee "${processes}/$$/out") 2> >(exec tee "${processes}/$$/err" >&2)
`,
  );
  await chmod(script, 0o755);
}

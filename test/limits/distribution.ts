/**
 * A copy of `dist/` in a folder of its own whose Worker is another build: the command is the shipped one, byte for byte,
 * and so is the configuration it makes. Its workerd leaves its log and its process id behind (`watch.ts` reads them).
 */
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NAME_IN_SHELL } from "./processes.ts";
import { build, type BuildOptions, type Plugin } from "esbuild";

const WORKER = "src/index.ts";

export interface DistributionParts {
  /**
   * Module that frames the Worker, from the project's folder: `handlers` makes its handlers of the project's own,
   * `durableClass` each of its classes of the project's.
   */
  frame: string;
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
  /** One folder per process of workerd that ran (`processes.ts`). */
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
  const options = bundleOptions(parts.define);
  const { plugins = [] } = parts;
  const stdin = { contents: await framed(parts.frame), resolveDir: process.cwd(), sourcefile: "framed.ts" };
  await build({ ...options, stdin, plugins, outfile: join(worker, "worker.mjs") });
  if (parts.broker !== undefined) {
    await build({ ...options, entryPoints: [parts.broker], outfile: join(worker, "broker.mjs") });
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

/** The Worker's entry with everything that it exports in the frame, whatever classes it has. */
async function framed(frame: string): Promise<string> {
  const looked = await build({
    ...bundleOptions(),
    entryPoints: [WORKER],
    outdir: ".",
    write: false,
    metafile: true,
  });
  const names = Object.values(looked.metafile.outputs).flatMap((output) => output.exports);
  const classes = names.filter((name) => name !== "default");
  return [
    `import * as worker from "./${WORKER}";`,
    `import * as frame from "./${frame}";`,
    "export default frame.handlers(worker.default);",
    ...classes.map((name) => `export const ${name} = frame.durableClass(worker.${name});`),
  ].join("\n");
}

/** As scripts/build.mjs builds the Worker. */
function bundleOptions(define: Record<string, string> = {}) {
  return {
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
    logLevel: "warning",
  } satisfies BuildOptions;
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
${NAME_IN_SHELL}
mkdir "${processes}/$runtime"
exec "${binary}" "$@" > >(exec tee "${processes}/$runtime/out") 2> >(exec tee "${processes}/$runtime/err" >&2)
`,
  );
  await chmod(script, 0o755);
}

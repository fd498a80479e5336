#!/usr/bin/env node
/**
 * Builds `dist/`: the Worker and the local queue broker as modules for workerd, and the command for Node.
 * Plain JavaScript on purpose: it is npm's `prepare` and has to run on Node 20 as it is. Never talks to the network.
 */
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const COMMAND_FOLDER = join(ROOT, "dist");
const WORKER_FOLDER = join(COMMAND_FOLDER, "worker");

/** Begins the names of the command's files other than its first. */
const PART_PREFIX = "part-";

/** The build tools are development dependencies: an installed package comes with its `dist` and builds nothing. */
async function loadTools() {
  try {
    const [esbuild, toml] = await Promise.all([import("esbuild"), import("smol-toml")]);
    return { esbuild, toml };
  } catch (error) {
    if (error?.code === "ERR_MODULE_NOT_FOUND") {
      return null;
    }
    throw error;
  }
}

/** Options for code that runs in workerd: its own modules stay imports, WebAssembly is put beside the script. */
function workerOptions(entry, name) {
  return {
    entryPoints: { [name]: join(ROOT, entry) },
    outdir: WORKER_FOLDER,
    outExtension: { ".js": ".mjs" },
    assetNames: "[name]-[hash]",
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["module", "main"],
    external: ["node:*", "cloudflare:*"],
    loader: { ".wasm": "copy" },
    // Half the text, a fifth less time until the runtime has read it: a command starts the Worker anew each time.
    minify: true,
    write: false,
    logLevel: "warning",
  };
}

/**
 * Options for the command: everything in it except the runtime, whose binary is a package of its own. What only some
 * commands need is in files of its own, so that the others do not read it: the schemas alone are as large as all the rest.
 */
function commandOptions(version) {
  return {
    entryPoints: { drayage: join(ROOT, "src/cli/main.ts") },
    outdir: COMMAND_FOLDER,
    outExtension: { ".js": ".mjs" },
    splitting: true,
    chunkNames: `${PART_PREFIX}[name]-[hash]`,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["workerd"],
    // CommonJS packages inside an ES module still ask for `require`.
    banner: {
      js: '#!/usr/bin/env node\nimport { createRequire as __createRequire } from "node:module";\nconst require = __createRequire(import.meta.url);',
    },
    define: { DRAYAGE_VERSION: JSON.stringify(version), DRAYAGE_BUNDLED: "true" },
    write: false,
    logLevel: "warning",
  };
}

/** What the command has to know of wrangler.toml, so that the date and flags stand in one place only. */
function manifestOf(wrangler, modules) {
  const consumer = wrangler.queues.consumers[0];
  return {
    compatibilityDate: wrangler.compatibility_date,
    compatibilityFlags: wrangler.compatibility_flags ?? [],
    modules,
    queue: { name: consumer.queue, maxRetries: consumer.max_retries, retryDelaySeconds: consumer.retry_delay ?? 0 },
  };
}

async function build({ esbuild, toml }) {
  const wrangler = toml.parse(await readFile(join(ROOT, "wrangler.toml"), "utf8"));
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const worker = existsSync(join(ROOT, "src/index.ts"));
  if (!worker) {
    console.warn("build: src/index.ts is missing, the Worker is left out");
  }
  const results = await Promise.all([
    worker ? esbuild.build(workerOptions("src/index.ts", "worker")) : { outputFiles: [] },
    esbuild.build(workerOptions("src/cli/broker/broker.ts", "broker")),
    esbuild.build(commandOptions(version)),
  ]);
  const outputs = results.flatMap(({ outputFiles }) => outputFiles);
  const modules = [...new Set(outputs.map(({ path }) => basename(path)).filter((name) => name.endsWith(".wasm")))];
  const manifest = `${JSON.stringify(manifestOf(wrangler, modules), null, 2)}\n`;
  await mkdir(WORKER_FOLDER, { recursive: true });
  // Parts before what loads them: a command that starts meanwhile finds all of the old or all of the new ones.
  const isPart = ({ path }) => basename(path).startsWith(PART_PREFIX);
  for (const { path, contents } of [...outputs.filter(isPart), ...outputs.filter((output) => !isPart(output))]) {
    await replace(path, contents);
  }
  await replace(join(WORKER_FOLDER, "manifest.json"), manifest);
  await chmod(join(ROOT, "dist", "drayage.mjs"), 0o755);
  const current = new Set(["manifest.json", ...outputs.map(({ path }) => basename(path))]);
  for (const file of await readdir(WORKER_FOLDER)) {
    if (!current.has(file)) {
      await rm(join(WORKER_FOLDER, file), { force: true });
    }
  }
  for (const file of await readdir(COMMAND_FOLDER)) {
    if (file.startsWith(PART_PREFIX) && !current.has(file)) {
      await rm(join(COMMAND_FOLDER, file), { force: true });
    }
  }
}

/** In one step, so that a command that starts meanwhile finds the old file or the new one, whole. */
async function replace(path, contents) {
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, contents);
  await rename(temporary, path);
}

const tools = await loadTools();
if (tools !== null) {
  await build(tools);
} else if (!existsSync(join(ROOT, "dist", "drayage.mjs"))) {
  console.warn("build: esbuild is not installed, nothing built; run `npm install` with development dependencies");
}

/** Where the built Worker is, and what workerd has to be told about it: the manifest that the build leaves beside it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

declare const DRAYAGE_BUNDLED: boolean | undefined;

export interface Artifact {
  /** The folder with `worker.mjs`, `broker.mjs` and the modules. */
  folder: string;
  compatibilityDate: string;
  compatibilityFlags: string[];
  /** File names of WebAssembly modules that the Worker imports. */
  modules: string[];
  queue: { name: string; maxRetries: number; retryDelaySeconds: number };
}

/**
 * Reads the manifest of a build.
 * @throws Error saying how to build, when there is none.
 */
export function loadArtifact(folder = defaultFolder()): Artifact {
  let text: string;
  try {
    text = readFileSync(`${folder}/manifest.json`, "utf8");
  } catch {
    throw new Error(`The Worker has not been built (${folder} is missing). Run \`npm run build\` in the project.`);
  }
  const manifest: unknown = JSON.parse(text);
  if (!isManifest(manifest)) {
    throw new Error(`${folder}/manifest.json is of another version. Run \`npm run build\` in the project.`);
  }
  return { ...manifest, folder };
}

function isManifest(value: unknown): value is Omit<Artifact, "folder"> {
  return typeof value === "object" && value !== null && "compatibilityDate" in value && "queue" in value;
}

/** Beside the bundled command, or in `dist` when the command runs from its sources. */
function defaultFolder(): string {
  const relative = typeof DRAYAGE_BUNDLED === "undefined" ? "../../../dist/worker" : "./worker";
  return fileURLToPath(new URL(relative, import.meta.url));
}

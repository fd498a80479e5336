/** Looks at this machine: what `drayage copy` and `drayage serve` need of it, before anything is started. */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fail, ok, warn, type Finding } from "../../doctor/contract.ts";
import { authFiles } from "../credentials/lookup.ts";
import { loadArtifact } from "../embed/artifact.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** package.json has the same under `engines`. */
const LEAST_NODE = 20;

export function nodeFinding(version: string): Finding {
  return Number(version.split(".", 1)[0]) >= LEAST_NODE
    ? ok("node", `Version ${version}.`)
    : fail("node", `Version ${version} is too old.`, `Install Node ${LEAST_NODE} or later.`);
}

export function buildFinding(): Finding {
  try {
    const { compatibilityDate } = loadArtifact();
    return ok("worker", `It is built, compatibility date ${compatibilityDate}.`);
  } catch (error) {
    return fail(
      "worker",
      error instanceof Error ? error.message : String(error),
      "Run `npm run build`, or install the package again.",
    );
  }
}

/** The folder itself, or where it is not there yet the nearest one above it. */
export function stateFinding(folder: string): Finding {
  const nearest = nearestThere(folder);
  try {
    accessSync(nearest, constants.W_OK | constants.X_OK);
  } catch {
    return fail(
      "state",
      `${nearest} cannot be written to.`,
      "Change its owner or mode, or give `drayage serve` another folder with --state DIR.",
    );
  }
  if (!statSync(nearest).isDirectory()) {
    return fail(
      "state",
      `${nearest} is not a folder.`,
      "Move it away, or give `drayage serve` another folder with --state DIR.",
    );
  }
  return ok(
    "state",
    nearest === folder ? `${folder} can be written to.` : `${folder} is not there yet, and can be made.`,
  );
}

/** Every file with credentials, and every helper that one of them names. */
export function credentialFindings(env: Environment, home?: string): Finding[] {
  const files = home === undefined ? authFiles(env) : authFiles(env, home);
  const found = files.flatMap(({ path, required }) => fileFindings(path, required, env["PATH"] ?? ""));
  return found.length > 0
    ? found
    : [
        warn(
          "credentials",
          `There are none (${files.map(({ path }) => path).join(", ")}): only public repositories can be read.`,
          "`docker login HOST` (or podman's, skopeo's) for every registry that you push to.",
        ),
      ];
}

function fileFindings(path: string, required: boolean, searchPath: string): Finding[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    const isMissing = code === "ENOENT" || code === "ENOTDIR";
    return isMissing && !required
      ? []
      : [
          fail(
            "credentials",
            `${path} cannot be read (${code}).`,
            "Mend its mode, or name another with REGISTRY_AUTH_FILE or DOCKER_CONFIG.",
          ),
        ];
  }
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    return [fail("credentials", `${path} is not JSON.`, "Mend it, or move it away and log in again.")];
  }
  const helpers = helpersOf(file);
  return [
    ok("credentials", `${path} can be read.`),
    ...[...helpers].map(([helper, uses]) =>
      isOnPath(`docker-credential-${helper}`, searchPath)
        ? ok("helper", `docker-credential-${helper} is there, for ${uses.join(", ")}.`)
        : fail(
            "helper",
            `docker-credential-${helper}, which ${path} names for ${uses.join(", ")}, is not on the PATH.`,
            `Install it, or take it out of ${path} and log in again.`,
          ),
    ),
  ];
}

/** Helpers by name, and what for. */
function helpersOf(file: unknown): Map<string, string[]> {
  const helpers = new Map<string, string[]>();
  const note = (helper: unknown, use: string): void => {
    if (typeof helper === "string" && helper !== "") {
      helpers.set(helper, [...(helpers.get(helper) ?? []), use]);
    }
  };
  if (typeof file === "object" && file !== null) {
    const perHost = "credHelpers" in file && typeof file.credHelpers === "object" ? (file.credHelpers ?? {}) : {};
    for (const [host, helper] of Object.entries(perHost)) {
      note(helper, host);
    }
    note("credsStore" in file ? file.credsStore : undefined, "all other registries");
  }
  return helpers;
}

function isOnPath(program: string, searchPath: string): boolean {
  return searchPath.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
}

function nearestThere(path: string): string {
  try {
    statSync(path);
    return path;
  } catch {
    const above = dirname(path);
    return above === path ? path : nearestThere(above);
  }
}

/**
 * `npm run bench:faults`: what a copy does under each fault of the rig, beside skopeo in the same run, as a table: how it
 * ended, its time, and the requests and bytes beyond those of a clean copy. `docs/reliability.md` keeps the table.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { machine, Rig, RigError, type FaultRun } from "./rig.ts";

const HELP = `npm run bench:faults -- [--cases 'NAME;NAME'] [--tools drayage,skopeo] [--drayage FILE]

FILE is the command to measure; default: dist/drayage.mjs, which is built first.

The image is the rig's set "small" (6 blobs, 10 MB). A copy is right when every byte of it is at the target, and wrong
when the tool says that it succeeded and it is not.`;

const { values: options } = parseArgs({
  options: {
    cases: { type: "string" },
    tools: { type: "string", default: "drayage,skopeo" },
    drayage: { type: "string", default: "dist/drayage.mjs" },
    help: { type: "boolean" },
  },
});

const COMMANDS: Readonly<Record<string, string>> = {
  drayage: `${process.execPath} ${resolve(options.drayage)} copy --quiet {S}/{repo}:{tag} {D}/{repo}:{tag}`,
  skopeo:
    "skopeo --insecure-policy copy --quiet --all --preserve-digests --src-tls-verify=false --dest-tls-verify=false " +
    "docker://{S}/{repo}:{tag} docker://{D}/{repo}:{tag}",
};

/** The case without a fault: what the others are compared with. */
const CLEAN = "clean";

function cell(run: FaultRun, clean: FaultRun | undefined): string {
  const end = run.silentBad ? "**wrong, and says it succeeded**" : run.copied && run.code === 0 ? "right" : "fails";
  const more =
    clean === undefined ? "" : `, ${signed(run.req - clean.req)} requests, ${megabytes(run.srcBytes - clean.srcBytes)}`;
  return `${end}, ${run.wall.toFixed(1)} s${run.case === CLEAN ? `, ${run.req} requests` : more}`;
}

function signed(count: number): string {
  return count < 0 ? String(count) : `+${count}`;
}

function megabytes(bytes: number): string {
  return `${bytes < 0 ? "" : "+"}${(bytes / 1e6).toFixed(1)} MB`;
}

async function main(): Promise<void> {
  if (options.help === true) {
    console.log(HELP);
    return;
  }
  const tools = options.tools.split(",");
  const commands = Object.fromEntries(
    tools.map((tool): [string, string] => {
      const command = COMMANDS[tool];
      if (command === undefined) {
        throw new RigError(`--tools: ${tool} is not one of ${Object.keys(COMMANDS).join(", ")}`);
      }
      return [tool, command];
    }),
  );
  if (!existsSync(options.drayage)) {
    throw new RigError(`${options.drayage} is missing: run npm run build first.`);
  }
  const rig = new Rig();
  rig.checkPrograms(false, tools.includes("skopeo") ? { skopeo: "skopeo" } : {});
  rig.prepare(["small"]);
  const runs = await rig.faults(commands, options.cases);
  const find = (name: string, tool: string): FaultRun | undefined =>
    runs.find((run) => run.case === name && run.tool === tool);

  console.log(`\n${machine()}\nnpm run bench:faults ${process.argv.slice(2).join(" ")}\n`);
  console.log(`| fault | ${tools.join(" | ")} |\n| --- | ${tools.map(() => "---").join(" | ")} |`);
  for (const name of new Set(runs.map((run) => run.case))) {
    const cells = tools.map((tool) => {
      const run = find(name, tool);
      return run === undefined ? "–" : cell(run, find(CLEAN, tool));
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof RigError)) {
    throw error;
  }
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}

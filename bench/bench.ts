/**
 * `npm run bench`: this service, the command, skopeo and the pipe limit side by side, in turn, on real registries.
 * Prints a table of medians and their ratios to the limit; docs/performance.md keeps the one that counts.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { afterFirst, BARE, LIMIT, summarize, table, type Run } from "./report.ts";
import { Rig, RigError, machine } from "./rig.ts";
import { Service, plainHttp } from "./service.ts";

const HELP = `npm run bench -- [options]

  --nets LIST    networks: loop, or RTT_MS:MBIT[:MBIT_PER_FLOW]   (loop,80:200:50)
  --cases LIST   image sets: small, manylayers, multi, huge …     (small,manylayers,multi)
                 manytags: a whole repository
                 SET+noop: the target has it all already
  --tools LIST   limit, bare, service, service-target, embedded, skopeo (limit,service,embedded,skopeo)
  --runs N       runs of each, after one that does not count      (3)
  --quick        one such run of small and manylayers on loopback
  --out FILE     every run as a line of JSON                      (a file in the rig's state folder)

The rig's scripts are taken from RIG_DIR (../shared/rig when not set); its state is in RIG, its storage in STORE.
Needs root for a slow network, and Debian's docker-registry apache2-utils curl openssl time; skopeo; iproute2 gcc.
`;

const TOOLS = [LIMIT, BARE, "service", "service-target", "embedded", "skopeo"] as const;
type Tool = (typeof TOOLS)[number];

const { values: options } = parseArgs({
  options: {
    nets: { type: "string" },
    cases: { type: "string" },
    tools: { type: "string", default: "limit,service,embedded,skopeo" },
    runs: { type: "string" },
    quick: { type: "boolean", default: false },
    out: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const listOf = (text: string): string[] => text.split(",").filter((part) => part !== "");

function isTool(name: string): name is Tool {
  return TOOLS.some((tool) => tool === name);
}

/** In the rig's shell: a set with many tags is copied as a repository, any other by its one tag. */
const NAME = "$(case {tags} in *,*) echo {repo};; *) echo {repo}:{tag};; esac)";

/** What a tool is run as; `{S} {D} {repo} {tag} {tags}` are filled in by the rig. */
function commandOf(tool: Tool, slow: boolean, services: ReadonlyMap<Tool, Service>): string | null {
  const readyFile = services.get(tool)?.readyFile ?? "";
  switch (tool) {
    case BARE:
      return `curl -sS --fail-with-body "$(cat ${readyFile})/?source={S}&target={D}&repository={repo}&tags={tags}"`;
    case "service":
    case "service-target":
      return `bench/copy.sh ${readyFile} {S}/${NAME} {D}/${NAME}`;
    case "embedded": {
      const command = [process.execPath, "dist/drayage.mjs", "copy", "--quiet", ...plainHttp(slow)];
      return [...command, `{S}/${NAME}`, `{D}/${NAME}`].join(" ");
    }
    case "skopeo": {
      const flags = "--all --preserve-digests --src-tls-verify=false --dest-tls-verify=false";
      const one = `copy --quiet ${flags} docker://{S}/{repo}:{tag} docker://{D}/{repo}:{tag}`;
      const all = `sync ${flags} --src docker --dest docker {S}/{repo} {D}/$(dirname {repo}) >/dev/null 2>&1`;
      return `case {tags} in *,*) skopeo --insecure-policy ${all};; *) skopeo --insecure-policy ${one};; esac`;
    }
    // The rig has this one itself.
    case LIMIT:
    default:
      return null;
  }
}

/** Host settings of the services that are measured. */
const SERVICE_SETTINGS: ReadonlyMap<Tool, string> = new Map([
  ["service", ""],
  ["service-target", 'verify = "target"'],
]);

async function measureNet(
  rig: Rig,
  net: string,
  tools: readonly Tool[],
  cases: readonly string[],
  runs: number,
  file: string,
) {
  const slow = net !== "loop";
  rig.reset();
  const services = new Map<Tool, Service>();
  try {
    for (const tool of tools) {
      const settings = SERVICE_SETTINGS.get(tool);
      if (settings !== undefined) {
        services.set(tool, await Service.start({ slow, parent: rig.state, settings }));
      }
      if (tool === BARE) {
        services.set(tool, Service.bare(rig.state));
      }
    }
    const commands = tools.flatMap((tool) => {
      const command = commandOf(tool, slow, services);
      return command === null ? [] : [[tool, command] as const];
    });
    const servers = new Map([...services].map(([tool, service]) => [tool, service.pid]));
    const what = { net, cases, runs: runs + 1, tools: tools.filter((tool) => tool === LIMIT), servers };
    return await rig.measure({ ...what, commands: Object.fromEntries(commands) }, file, (line) => console.log(line));
  } finally {
    for (const service of services.values()) {
      await service.stop();
    }
  }
}

async function main(): Promise<void> {
  if (options.help) {
    console.log(HELP);
    return;
  }
  const tools = listOf(options.tools).map((name) => {
    if (!isTool(name)) {
      throw new RigError(`--tools: ${name} is not one of ${TOOLS.join(", ")}`);
    }
    return name;
  });
  const cases = listOf(options.cases ?? (options.quick ? "small,manylayers" : "small,manylayers,multi"));
  const nets = listOf(options.nets ?? (options.quick ? "loop" : "loop,80:200:50"));
  const runs = Number(options.runs ?? (options.quick ? 1 : 3));
  if (!Number.isInteger(runs) || runs < 1) {
    throw new RigError(`--runs: ${options.runs ?? ""} is not a number of runs`);
  }
  if (tools.includes(BARE) && nets.some((net) => net !== "loop")) {
    throw new RigError("--tools: bare runs on loopback only; name it with --nets loop.");
  }
  const own = tools.some((tool) => tool !== LIMIT && tool !== "skopeo");
  if (own && !existsSync("dist/drayage.mjs")) {
    throw new RigError("dist/drayage.mjs is missing: run npm run build first.");
  }

  const rig = new Rig();
  rig.checkPrograms(
    nets.some((net) => net !== "loop"),
    tools.includes("skopeo") ? { skopeo: "skopeo" } : {},
  );
  rig.prepare(cases);
  const file = options.out ?? join(rig.state, `bench-${new Date().toISOString().replaceAll(/[:.]/g, "-")}.jsonl`);
  const results: Run[] = [];
  for (const net of nets) {
    results.push(...(await measureNet(rig, net, tools, cases, runs, file)));
  }

  console.log(`\n${machine()}\nnpm run bench -- ${process.argv.slice(2).join(" ")}\nevery run: ${file}\n`);
  console.log(table(summarize(afterFirst(results))));
  if (results.some((run) => !run.ok)) {
    process.exitCode = 1;
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

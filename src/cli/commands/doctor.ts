/** `drayage doctor`: looks at this machine, at a service, or at a checkout, and says what is missing. */
import { fail, ok, type Finding, type Report } from "../../doctor/contract.ts";
import { VERSION } from "../../registry/user-agent.ts";
import { checkoutFindings } from "../doctor/checkout.ts";
import { buildFinding, credentialFindings, nodeFinding, stateFinding } from "../doctor/machine.ts";
import { serviceFindings } from "../doctor/service.ts";
import { EXIT_DONE, EXIT_FAILED, UsageError } from "../failure.ts";
import { defaultConfigFile, defaultStateFolder, readSettings } from "../settings.ts";
import type { CommandIo } from "./io.ts";
import { tellFailure } from "./tell-failure.ts";
import { openService, serverAddress, type ServiceOptions } from "./service.ts";

export interface DoctorOptions extends ServiceOptions {
  /** True: the folder that the command is called in. */
  checkout?: string | true;
  registry?: string;
  state?: string;
  json?: true;
}

/** Starting the runtime takes a second, a registry some more. */
const PATIENCE_MS = 60_000;

export async function doctorCommand(options: DoctorOptions, io: CommandIo): Promise<number> {
  try {
    const report = await reportOf(options, io);
    io.stdout.write(options.json === true ? `${JSON.stringify(report)}\n` : reportText(report));
    return report.findings.some(({ state }) => state === "fail") ? EXIT_FAILED : EXIT_DONE;
  } catch (error) {
    return tellFailure(error, options, io);
  }
}

async function reportOf(options: DoctorOptions, io: CommandIo): Promise<Report> {
  const { checkout, server, registry } = options;
  if (checkout !== undefined) {
    if (server !== undefined || registry !== undefined) {
      throw new UsageError("--checkout", "--checkout looks at files only; ask a service without it");
    }
    return { version: VERSION, findings: checkoutFindings(checkout === true ? "." : checkout) };
  }
  const signal = AbortSignal.timeout(PATIENCE_MS);
  return server === undefined
    ? thisMachine(options, io, signal)
    : serviceFindings(await serverAddress(server, io), registry, signal);
}

async function thisMachine(options: DoctorOptions, io: CommandIo, signal: AbortSignal): Promise<Report> {
  const before = [
    nodeFinding(process.versions.node),
    buildFinding(),
    stateFinding(options.state ?? defaultStateFolder(io.env)),
    configuration(options.config, io),
    ...credentialFindings(io.env),
  ];
  const isStartable = before.every(({ name, state }) => state !== "fail" || name === "state" || name === "helper");
  return { version: VERSION, findings: isStartable ? [...before, ...(await running(options, io, signal))] : before };
}

function configuration(file: string | undefined, io: CommandIo): Finding {
  const path = file ?? defaultConfigFile(io.env);
  try {
    const settings = readSettings(file, io.env);
    return ok("configuration", `${Object.keys(settings.hosts).length} registry hosts configured (${path}).`);
  } catch (error) {
    return fail(
      "configuration",
      error instanceof Error ? error.message : String(error),
      "Mend the file; docs/operations.md has the settings.",
    );
  }
}

/** Starts the service for this question alone, and has it look at itself. */
async function running(options: DoctorOptions, io: CommandIo, signal: AbortSignal): Promise<Finding[]> {
  let service: Awaited<ReturnType<typeof openService>>;
  try {
    service = await openService(options, io);
  } catch (error) {
    return [
      fail(
        "runtime",
        error instanceof Error ? error.message : String(error),
        "Look whether the package workerd is installed for this system.",
      ),
    ];
  }
  try {
    const { findings } = await serviceFindings(service.address, options.registry, signal);
    return [
      ok("runtime", "workerd starts, and the service answers."),
      ...findings.filter(({ name }) => name !== "service"),
    ];
  } finally {
    await service.stop();
  }
}

/** One line for each finding, and below it what to do. */
export function reportText({ findings }: Report): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.map(({ state, name, message, fix }) => {
    const line = `${state.padEnd(4)}  ${name.padEnd(width)}  ${message}\n`;
    return fix === null ? line : `${line}${" ".repeat(width + 8)}→ ${fix}\n`;
  });
  const count = (state: Finding["state"]) => findings.filter((each) => each.state === state).length;
  return `${lines.join("")}\n${count("ok")} ok, ${count("warn")} to look at, ${count("fail")} missing or wrong\n`;
}

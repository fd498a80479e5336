/** `drayage doctor` on the command line: its options and help. What it does is in doctor.ts. */
import type { Command } from "commander";
import type { DoctorOptions } from "./doctor.ts";
import type { CommandIo } from "./io.ts";

const DOCTOR_HELP = `
Without --server and --checkout it looks at this machine: Node, the built Worker, the state folder, the configuration,
docker's files and the helpers they name; and it starts the service to have it look at itself.

With --server it asks a running or deployed service: whether it can be reached, takes the token, has its bindings,
can read its settings and secrets (no value is shown), and whether anything is stuck.

With --checkout it reads wrangler.toml before a deploy: bindings, migrations, queues, cron, settings, and which secrets
must be put.

Examples:
  drayage doctor
  drayage doctor --registry ghcr.io
  drayage doctor --checkout && npx wrangler deploy
  drayage doctor --server https://drayage.example.com --registry registry.example.com

Environment:
  DRAYAGE_TOKEN  token for --server; without it, that of a \`drayage serve\` of this user is found by itself

Exit status:
  0  nothing is wrong, though there may be something to look at (warn)
  1  something is missing or wrong (fail)
  2  wrong use`;

/**
 * Adds the command; `ended` is told the exit status.
 * @param embedding Adds the options of every command that starts the service itself.
 */
export function addDoctorCommand(
  program: Command,
  io: CommandIo,
  ended: (status: number) => void,
  embedding: (command: Command) => Command,
): void {
  embedding(
    program
      .command("doctor")
      .summary("say what is missing, here or at a service")
      .description("Looks at this machine, a service or a checkout, and says what is missing and what to do.")
      .option("--server <url>", "look at a running or deployed service")
      .option("--checkout [folder]", "look at a checkout before it is deployed (default: this folder)")
      .option("--registry <host>", "have the service ask this registry whether it takes our credentials")
      .option("--state <dir>", "folder for the state of `drayage serve` (default: ~/.local/state/drayage)")
      .option("--json", "print one JSON object on standard output"),
  )
    .addHelpText("after", DOCTOR_HELP)
    .action(async (options: DoctorOptions) => {
      // Loaded here: it brings the service's settings with it, which few commands need.
      const { doctorCommand } = await import("./doctor.ts");
      ended(await doctorCommand(options, io));
    });
}

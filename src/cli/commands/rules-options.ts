/** `drayage rules …` on the command line: its commands, options and help. What they do is in rules.ts. */
import { createInterface } from "node:readline";
import type { Command } from "commander";
import type { AskingOptions } from "./asking.ts";
import { Interrupted } from "./interruption.ts";
import type { CommandIo } from "./io.ts";
import {
  applyRulesCommand,
  deleteRuleCommand,
  listRulesCommand,
  listRunsCommand,
  rotateRuleCommand,
  runRuleCommand,
  type ApplyOptions,
  type Confirm,
  type RunOptions,
} from "./rules.ts";

const RULES_HELP = `
Rules let a service copy by itself: what is pushed, as soon as a registry tells of it, and repositories at set times.

The service is the one at --server, or \`drayage serve\` on this machine. It takes the operator's token or a key with the
action "rules" (and "hooks" for rules with push): DRAYAGE_TOKEN, or the token of \`drayage serve\`, found by itself.`;

const APPLY_HELP = `
FILE is YAML or JSON, - for standard input:

  rules:
    mirror-acme:
      source: ghcr.io/acme/**
      target: registry.example.com/mirror/{repository}
      push: { sender: ghcr, secrets: [github] }
    nightly-alpine:
      source: docker.io/library/alpine
      target: registry.example.com/alpine
      tags: { semver: ">=3.20" }
      schedule: { cron: "30 3 * * *", time_zone: Europe/Berlin }

What would be done is shown first: + created, ~ changed, = unchanged, - deleted (with --prune). All rules are checked
before any is written. The address of each new rule with push is printed on standard output, this once.`;

/** Adds the commands; `ended` is told the exit status. */
export function addRulesCommands(program: Command, io: CommandIo, ended: (status: number) => void): void {
  const rules = program
    .command("rules")
    .summary("write, list and run the rules of a service")
    .description("Writes, lists and runs the rules of a service.")
    .addHelpText("after", RULES_HELP);

  reaching(
    rules
      .command("apply")
      .summary("make the service's rules those of a file")
      .description("Makes the service's rules those of a file.")
      .argument("<file>", "rules by name, in YAML or JSON")
      .option("--prune", "delete rules that the file does not have")
      .option("--yes", "do it without asking")
      .option("--dry-run", "only show what would be done"),
  )
    .addHelpText("after", APPLY_HELP)
    .action(async (file: string, options: ApplyOptions) =>
      ended(await applyRulesCommand(file, options, io, personAt(io))),
    );

  reaching(rules.command("list").summary("list rules").description("Lists rules, by name.")).action(
    async (options: AskingOptions) => ended(await listRulesCommand(options, io)),
  );

  reaching(
    named(rules, "run", "run a rule now")
      .description("Runs a rule now: copies its repository, or what --source names. Prints the copy's id.")
      .option("--source <reference>", "a repository or an image within the rule's source"),
  ).action(async (name: string, options: RunOptions) => ended(await runRuleCommand(name, options, io)));

  reaching(named(rules, "runs", "list a rule's runs").description("Lists a rule's last runs, newest first.")).action(
    async (name: string, options: AskingOptions) => ended(await listRunsCommand(name, options, io)),
  );

  reaching(
    named(rules, "rotate", "give a rule another address for webhooks").description(
      "Gives a rule another address and prints it, this once. The old one leads nowhere from then on.",
    ),
  ).action(async (name: string, options: AskingOptions) => ended(await rotateRuleCommand(name, options, io)));

  reaching(named(rules, "delete", "delete a rule").description("Deletes a rule. Its copies under way go on.")).action(
    async (name: string, options: AskingOptions) => ended(await deleteRuleCommand(name, options, io)),
  );
}

function named(rules: Command, command: string, summary: string): Command {
  return rules.command(command).summary(summary).argument("<name>", "name of the rule");
}

function reaching(command: Command): Command {
  return command
    .option("--server <url>", "the service (default: `drayage serve` on this machine)")
    .option("--json", "print the service's answer, or what is wrong, as one JSON object on standard output");
}

/** Asks whoever sits at the terminal. */
function personAt(io: CommandIo): Confirm {
  return async (question) => {
    const { stdin, stderr } = io;
    if (!("isTTY" in stdin) || stdin.isTTY !== true) {
      return null;
    }
    const terminal = createInterface({ input: stdin, output: stderr });
    try {
      return await new Promise<boolean>((resolve, reject) => {
        terminal.once("SIGINT", () => {
          stderr.write("\n");
          reject(new Interrupted("SIGINT"));
        });
        // Ctrl-D, or a terminal that is gone: nobody has said yes.
        terminal.once("close", () => resolve(false));
        terminal.question(question, (answer) => resolve(/^y(es)?$/i.test(answer.trim())));
      });
    } finally {
      terminal.close();
    }
  };
}

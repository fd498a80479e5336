/** `drayage keys …` on the command line: its commands, options and help. What they do is in keys.ts. */
import { InvalidArgumentError, type Command } from "commander";
import { ACTIONS } from "../../access/contract.ts";
import type { CommandIo } from "./io.ts";
import {
  createKeyCommand,
  listKeysCommand,
  revokeKeyCommand,
  type CreateKeyOptions,
  type KeysOptions,
} from "./keys.ts";

const KEYS_HELP = `
Keys let others use a running service, each for what it is for: from which sources to which targets, and what.

The service is the one at --server, or \`drayage serve\` on this machine. Making, listing and revoking keys takes the
operator's token or a key with the action "keys": DRAYAGE_TOKEN, or the token of \`drayage serve\`, found by itself.`;

const CREATE_HELP = `
A pattern is HOST/REPOSITORY[:TAG]: * stands for any characters within an element, ** for any elements. It speaks of
whole names: ghcr.io/acme is that repository alone, ghcr.io/acme/** is everything below it.

The key is printed on standard output, this once; what it may do on standard error.

Examples:
  drayage keys create "mirror job" --source 'docker.io/library/*' --target 'registry.example.com/mirror/**'
  KEY=$(drayage keys create ci --source 'ghcr.io/acme/**' --target 'quay.io/acme/**' --expires 90d --per-hour 200)
  drayage keys create dashboard --source '**' --target '**' --action read

Actions: ${ACTIONS.join(", ")}. Unless given: copy, read, cancel.`;

/** Adds the commands; `ended` is told the exit status. */
export function addKeysCommands(program: Command, io: CommandIo, ended: (status: number) => void): void {
  const keys = program
    .command("keys")
    .summary("make, list and revoke API keys of a service")
    .description("Makes, lists and revokes API keys of a service.")
    .addHelpText("after", KEYS_HELP);

  reaching(
    keys
      .command("create")
      .summary("make a key and print it, this once")
      .description("Makes a key and prints it, this once.")
      .argument("<name>", "whose or what it is for")
      .option("--source <pattern>", "where copies may come from; may be repeated", collect, [])
      .option("--target <pattern>", "where copies may go to; may be repeated", collect, [])
      .option("--action <action>", "what it may do; may be repeated", collect, [])
      .option("--expires <when>", "30d, 12h, or a date such as 2027-01-31 (default: never)")
      .option("--at-once <number>", "copies that have not ended", count)
      .option("--per-hour <number>", "copies within 60 minutes", count),
  )
    .addHelpText("after", CREATE_HELP)
    .action(async (name: string, options: CreateKeyOptions) => ended(await createKeyCommand(name, options, io)));

  reaching(
    keys
      .command("list")
      .summary("list keys, newest first")
      .description("Lists keys, newest first: the operator's token shows all, a key those that it made."),
  ).action(async (options: KeysOptions) => ended(await listKeysCommand(options, io)));

  reaching(
    keys
      .command("revoke")
      .summary("revoke a key at once")
      .description("Revokes a key at once and for good, with every key that was made by it.")
      .argument("<id>", "id of the key, as `drayage keys list` shows it"),
  ).action(async (id: string, options: KeysOptions) => ended(await revokeKeyCommand(id, options, io)));
}

function reaching(command: Command): Command {
  return command
    .option("--server <url>", "the service (default: `drayage serve` on this machine)")
    .option("--json", "print the service's answer, or what is wrong, as one JSON object on standard output");
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function count(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) {
    return Number(text);
  }
  throw new InvalidArgumentError("A whole number from 1 on is needed.");
}

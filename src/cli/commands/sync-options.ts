/** `drayage sync` on the command line: its options and help. What it does is in sync.ts. */
import { InvalidArgumentError, Option, type Command } from "commander";
import { SYNC_FORMATS } from "../sync-file/contract.ts";
import type { CommandIo } from "./io.ts";
import type { SyncOptions } from "./sync.ts";

const SYNC_HELP = `
FILE is a list of copies in YAML or JSON; - is standard input. Its format is recognised by what is in it:

  own           Drayage's: version, defaults, copies. A copy has the fields of the API's copy (docs/api.md), and may
                have a list "targets". A source with * is a pattern over the repositories that a registry lists, and
                {repository} in the target their names. \${NAME} is the value of an environment variable. JSON Schema: docs/sync.schema.json
  regsync       regsync.yml: creds, defaults, sync
  skopeo        the file of \`skopeo sync --src yaml\`; where to is said with --to
  image-syncer  its config.json or images.yaml; --to is for rules without a target

  version: 1
  defaults: { existing: backup, backup_tag: "{tag}-{date}" }
  copies:
    - source: docker.io/library/alpine:3.22
      target: registry.example.com/mirror/alpine:3.22
    - source: ghcr.io/org/app
      tags: { semver: ">=2", latest: 10 }
      targets: [registry.example.com/mirror/app, \${SECOND_REGISTRY}/app]
    - source: registry.example.com/team/**
      target: mirror.example.com/{repository}

Nothing is started unless the whole file is right; what is wrong is told with its line and column. All copies are
started at once, and what their registries can take orders them. What a file of another tool has and is not honoured
is told, each thing once. docs/moving-over.md has what differs.

Examples:
  drayage sync copies.yaml
  drayage sync regsync.yml --dry-run
  drayage sync skopeo.yaml --to registry.example.com/mirror --scoped
  drayage sync copies.yaml --json | jq -r '.copies[] | select(.state != "succeeded") | .target'

With --json one object is printed: "copies" has each copy with its line, its state, the copy as the API shows it, and
what became of its tags in "results"; "notes" has what is not honoured.

Exit status:
  0  all copies are done, also when there was nothing to do
  1  a copy failed, or an entry of the file is not served (a registry without a list); the others are done
  2  wrong use: bad options, a file that is wrong; no copy was started
  130, 143  interrupted (Ctrl-C, SIGTERM): the copies were cancelled`;

/**
 * Adds the command; `ended` is told the exit status.
 * @param embedding Adds the options of every command that starts the service itself.
 */
export function addSyncCommand(
  program: Command,
  io: CommandIo,
  ended: (status: number) => void,
  embedding: (command: Command) => Command,
): void {
  embedding(
    program
      .command("sync")
      .summary("make the copies of a file: Drayage's, regsync's, skopeo's")
      .description("Makes the copies of a file once, and reports.")
      .argument("<file>", "the list of copies; - for standard input")
      .addOption(new Option("--format <format>", "take the file for this tool's").choices(SYNC_FORMATS))
      .option("--to <host/prefix>", "where skopeo's files, and rules without a target, go to")
      .option("--scoped", "whole names of sources below --to, as skopeo has them")
      .option("--dry-run", "write nothing; say what would be copied, in tags, blobs and bytes")
      .option("--keep-going", "go on with the others when a copy fails (default)")
      .option("--fail-fast", "end at the first copy or tag that fails")
      .option("--parallel <number>", "have no more copies under way at once", positive)
      .option("--server <url>", "ask a running or deployed service instead of starting one")
      .option("--json", "print one JSON object on standard output, and nothing else")
      .option("--quiet", "print errors only"),
  )
    .addHelpText("after", SYNC_HELP)
    .action(async (file: string, options: SyncOptions) => {
      // Loaded here: it brings the schemas of the API, which no other command needs.
      const { syncCommand } = await import("./sync.ts");
      ended(await syncCommand(file, options, io));
    });
}

function positive(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) {
    return Number(text);
  }
  throw new InvalidArgumentError("It must be a whole number from 1 on.");
}

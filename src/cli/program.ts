/** The command line: commands, options, help. What they do is in `commands/`. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { copyCommand, type CopyOptions } from "./commands/copy.ts";
import { addChoices } from "./commands/copy-options.ts";
import { addDoctorCommand } from "./commands/doctor-options.ts";
import type { CommandIo } from "./commands/io.ts";
import { addKeysCommands } from "./commands/keys-options.ts";
import { addRulesCommands } from "./commands/rules-options.ts";
import { serveCommand, type ServeOptions } from "./commands/serve.ts";
import { addSyncCommand } from "./commands/sync-options.ts";
import { nearest } from "../config/suggest.ts";
import { EXIT_DONE, EXIT_WRONG_USE, problemOfFailure, UsageError } from "./failure.ts";
import { newToken, tokenHash } from "./token.ts";

declare const DRAYAGE_VERSION: string | undefined;

const DEFAULT_PORT = 8585;

const CREDENTIALS_HELP = `Credentials:
  Those of docker: \`docker login\` (podman, skopeo login) once per registry. Read from $REGISTRY_AUTH_FILE, else
  $DOCKER_CONFIG/config.json or ~/.docker/config.json, then $XDG_RUNTIME_DIR/containers/auth.json, with their
  credential helpers (credHelpers, credsStore).`;

const CONFIG_HELP = `Host settings:
  ~/.config/drayage/config.toml, or --config FILE; for example
    [hosts."registry.example.com"]
    tls = "disabled"
    req_concurrent = 8`;

const PROGRAM_HELP = `
Examples:
  drayage copy docker.io/library/alpine:3.22 registry.example.com/mirror/alpine:3.22
  drayage sync copies.yaml
  drayage serve

Exit status:
  0  done, also when there was nothing to do
  1  the copy failed, or the service could not run
  2  wrong use: bad options, malformed references, wrong settings; nothing was started
  130, 143  interrupted (SIGINT, SIGTERM); the copy was cancelled`;

const COPY_HELP = `
SOURCE and TARGET are references: [HOST/]REPOSITORY[:TAG][@DIGEST]; short names mean Docker Hub.
An index is copied with all its platforms. Blobs that are at the target already are not sent again, and the
tag is written last: a copy that fails leaves it as it was.

A SOURCE with neither tag nor digest is a repository: all its tags are copied, or those that --tags, --exclude,
--semver, --latest and --newer-than choose; every one of these conditions must hold. Expressions are RE2's and match
the whole tag. Tags share what they have in common, so it is read and sent once. One that fails does not hold up
the others; the exit status is then 1. Where nothing has changed, tags are compared and nothing is read.

With several TARGETs each gets a copy of its own, at its own pace; the source's manifests are read once for all, and
one that fails does not hold up the others. With --json they are the "copies" of one object.

Names in a template: {tag}, {repository}, {name}, {host}, {digest}, {short}, {platform}, {date}, {time}.

Examples:
  drayage copy alpine:3.22 registry.example.com/mirror/alpine:3.22
  drayage copy 127.0.0.1:5000/app:v1 127.0.0.1:5001/app:v1
  drayage copy --json ghcr.io/org/app@sha256:... registry.example.com/org/app:v1
  drayage copy --server https://drayage.example.com alpine:3.22 registry.example.com/alpine:3.22
  drayage copy alpine:3.22 registry.example.com/alpine:3.22 ghcr.io/org/alpine:3.22
  drayage copy ghcr.io/org/app registry.example.com/mirror/app
  drayage copy ghcr.io/org/app registry.example.com/mirror/app --semver '>=2.0' --latest 10 --dry-run
  drayage copy ghcr.io/org/app registry.example.com/mirror/app --media-type application/vnd.oci.image.index.v1+json
  drayage copy ghcr.io/org/app registry.example.com/mirror/app --tags 'v\\d+\\..*' --exclude '.*-rc.*' --json

With --json a repository's copy has its tags in "results", each with its state: copied, unchanged, skipped, failed …

Registries on this machine are spoken to over plain HTTP, all others over HTTPS, unless --plain-http or the
host settings say otherwise.

${CREDENTIALS_HELP}
  With --server the service's own credentials are used.

${CONFIG_HELP}

Environment:
  DRAYAGE_TOKEN  token for --server; without it, that of a \`drayage serve\` of this user is found by itself
  NO_COLOR       no colours in the progress display

Exit status:
  0  done, also when there was nothing to do
  1  the copy failed, or some tags of a repository did, or the copy to some target; the others are there
  2  wrong use: bad options, malformed references, wrong settings; no copy was started
  130, 143  interrupted (Ctrl-C, SIGTERM): the copy was cancelled. A second Ctrl-C does not wait for that.`;

const SERVE_HELP = `
Runs until Ctrl-C or SIGTERM. Copies under way go on at the next start, also after a crash. The first start makes
a bearer token, prints it once on standard output and keeps it in the state folder, readable by you alone.

Examples:
  drayage serve
  drayage serve --port 9000 --state /var/lib/drayage --verbose
  curl -H "Authorization: Bearer $(cat ~/.local/state/drayage/token)" http://127.0.0.1:${DEFAULT_PORT}/v1/copies

${CREDENTIALS_HELP}

${CONFIG_HELP}

Environment:
  XDG_STATE_HOME, XDG_CONFIG_HOME  where state and configuration are looked for (~/.local/state, ~/.config)

Exit status:
  0  ended by a signal
  1  could not run: port in use, runtime failed
  2  wrong use: bad options, wrong settings, state folder in use`;

const TOKEN_HELP = `
Prints a new token and the hash under which a deployed service knows it: put the hash into TOKENS in wrangler.toml,
give the token to whoever may ask for copies (DRAYAGE_TOKEN). It is stored nowhere.

Example:
  $ drayage token
  token  drayage_...
  hash   sha256:...
  then in wrangler.toml, under [vars]:  TOKENS = ["sha256:..."]`;

/** Runs a command line (without node and script) and answers with the exit status. */
export async function run(argv: readonly string[], io: CommandIo): Promise<number> {
  let status = EXIT_DONE;
  const isJson = argv.includes("--json");
  let wrong = "";
  const complain = (text: string): void => {
    wrong ||= text;
    if (!isJson) {
      io.stderr.write(text);
    }
  };
  const program = newProgram(io, complain, (result) => (status = result));
  try {
    await program.parseAsync([...argv], { from: "user" });
    return status;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      throw error;
    }
    // Help and version come this way too, with status 0.
    if (error.exitCode === 0) {
      return EXIT_DONE;
    }
    if (isJson) {
      const words = wrong.replace(/^drayage: /, "").trim();
      const field = /'(--[\w-]+)/.exec(words)?.[1] ?? "";
      io.stdout.write(`${JSON.stringify(problemOfFailure(new UsageError(field, words)))}\n`);
    }
    return EXIT_WRONG_USE;
  }
}

/** @param complain Takes what is written when the command line is wrong. */
function newProgram(io: CommandIo, complain: (text: string) => void, ended: (status: number) => void): Command {
  const program = new Command("drayage")
    .description("Copies container images and every other OCI artifact from one registry to another.")
    .version(
      typeof DRAYAGE_VERSION === "undefined" ? "0.0.0-source" : DRAYAGE_VERSION,
      "--version",
      "print the version",
    )
    .helpOption("-h, --help", "print this help")
    .addHelpText("after", PROGRAM_HELP)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: complain,
      outputError: (text, write) => write(`drayage: ${text.replace(/^error: /, "")}`),
    })
    .showHelpAfterError("Try `drayage --help`, or `drayage COMMAND --help`.");

  embeddingOptions(
    addChoices(
      program
        .command("copy")
        .summary("copy an image, an artifact or a whole repository")
        .description(
          "Copies an image or artifact, or the tags of a repository, with everything they refer to, and shows it.",
        )
        .argument("<source>", "what to copy")
        .argument("<target>", "where to")
        .argument("[targets...]", "where to besides: up to 16 in all, each gets a copy of its own"),
    )
      .option("--server <url>", "ask a running or deployed service instead of starting one")
      .option("--json", "print one JSON object (the copy, or what is wrong) on standard output, and nothing else")
      .option("--quiet", "print errors only"),
  )
    .addHelpText("after", COPY_HELP)
    .action(async (source: string, target: string, others: string[], options: CopyOptions) => {
      ended(await copyCommand(source, [target, ...others], options, io));
    });

  embeddingOptions(
    program
      .command("serve")
      .summary("keep the service running on this machine")
      .description("Runs the service on this machine, its state on disk, until it is told to stop.")
      .option("--port <number>", "port of the API; 0: a free one", portNumber, DEFAULT_PORT)
      .option("--host <address>", "address to listen on; beyond this machine the API is plain HTTP", "127.0.0.1")
      .option("--state <dir>", "folder for the state (default: ~/.local/state/drayage)"),
  )
    .addHelpText("after", SERVE_HELP)
    .action(async (options: ServeOptions) => {
      ended(await serveCommand(options, io));
    });

  addSyncCommand(program, io, ended, embeddingOptions);

  addKeysCommands(program, io, ended);
  addRulesCommands(program, io, ended);
  addDoctorCommand(program, io, ended, embeddingOptions);

  program
    .command("token")
    .summary("make a bearer token for a deployed service")
    .description("Makes a bearer token for a deployed service.")
    .addHelpText("after", TOKEN_HELP)
    .action(() => {
      const token = newToken();
      io.stdout.write(`token  ${token}\nhash   ${tokenHash(token)}\n`);
    });
  for (const command of [program, ...program.commands.filter(({ commands }) => commands.length > 0)]) {
    addHelpCommand(command);
  }
  return program;
}

/** In place of commander's own, which answers a name that it does not know with the general help, and does not say so. */
function addHelpCommand(parent: Command): void {
  parent
    .helpCommand(false)
    .command("help")
    .description("print the help of a command")
    .argument("[command...]")
    .action((names: string[]) => {
      let asked: Command = parent;
      for (const name of names) {
        const known = asked.commands.find((command) => command.name() === name);
        if (known === undefined) {
          const meant = nearest(
            name,
            asked.commands.map((command) => command.name()),
          );
          const guess = meant === null ? "" : `\n(Did you mean ${meant}?)`;
          asked.error(`error: unknown command '${name}'${guess}`);
        }
        asked = known;
      }
      asked.help();
    });
}

/** Options of every command that starts the service itself. */
function embeddingOptions(command: Command): Command {
  return command
    .option("--verbose", "print the service's log on standard error")
    .addOption(
      new Option("--plain-http <host>", "speak plain HTTP to this registry; may be repeated")
        .argParser(collect)
        .default([], "none"),
    )
    .option("--ca <file>", "trust the certificates in this PEM file too")
    .option("--config <file>", "host settings (default: ~/.config/drayage/config.toml)");
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) {
    return port;
  }
  throw new InvalidArgumentError("A port is a whole number from 0 to 65535.");
}

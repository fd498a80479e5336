/** `drayage serve`: the service on this machine, its state on disk, until it is told to stop. */
import { createServer, isIP } from "node:net";
import { join, resolve as absolute } from "node:path";
import { ServiceClient, ServiceError, warmUp } from "../client.ts";
import { userCredentials } from "../credentials/lookup.ts";
import { problemText } from "../display/problem-text.ts";
import { startEmbedded, type Embedded } from "../embed/embed.ts";
import { EXIT_DONE, EXIT_FAILED, EXIT_WRONG_USE, UsageError, exitStatusOf } from "../failure.ts";
import { defaultStateFolder, readCertificates, readSettings, withPlainHttp } from "../settings.ts";
import { openStateFolder, type StateFolder } from "../state-folder.ts";
import { tokenHash } from "../token.ts";
import { checkSettings } from "./check-settings.ts";
import { logLines, onStopSignal, type CommandIo } from "./io.ts";

export interface ServeOptions {
  port: number;
  host: string;
  state?: string;
  verbose?: true;
  plainHttp: string[];
  ca?: string;
  config?: string;
}

/** Longest wait for the first answer, which loads the Worker. */
const PROBE_LIMIT_MS = 10_000;

/** Runs until a signal, and answers with the exit status. */
export async function serveCommand(options: ServeOptions, io: CommandIo): Promise<number> {
  let state: StateFolder | null = null;
  let service: Embedded | null = null;
  try {
    if (options.host === "") {
      // To the system that is every address there is.
      throw new UsageError("--host", "--host is empty; name an address, such as 127.0.0.1, or 0.0.0.0 for all");
    }
    const settings = withPlainHttp(readSettings(options.config, io.env), options.plainHttp);
    const trustedCertificates = readCertificates(options.ca);
    await checkSettings(settings, io.env);
    state = await openStateFolder(options.state ?? defaultStateFolder(io.env));
    const ip = await checkPort(options.host, options.port);
    const starting = startEmbedded({
      stateFolder: state.storage,
      // Of a name's addresses the one that was tried.
      listen: `${bracketed(ip)}:${options.port}`,
      settings,
      tokenHashes: [tokenHash(state.token)],
      trustedCertificates,
      credentials: userCredentials(io.env),
      onLine: logLines(options.verbose, io),
    });
    warmUp();
    service = await starting;
    const url = `http://${bracketed(reachable(options.host))}:${service.port}`;
    const ownUrl = `http://${bracketed(reachable(ip))}:${service.port}`;
    const client = new ServiceClient({ url: `${ownUrl}/`, token: state.token });
    await Promise.all([service.delivering, client.probe(AbortSignal.timeout(PROBE_LIMIT_MS))]);
    state.announce(ownUrl);
    greet(url, state, options, io);
    const words = await Promise.race([service.died, stopSignal(io)]);
    if (words === null) {
      return EXIT_DONE;
    }
    io.stderr.write(`drayage: The local runtime (workerd) ended by itself: ${words}\n`);
    return EXIT_FAILED;
  } catch (error) {
    return tell(error, io);
  } finally {
    state?.withdraw();
    await service?.stop();
    state?.release();
  }
}

function greet(url: string, state: StateFolder, options: ServeOptions, io: CommandIo): void {
  const folder = options.state ?? defaultStateFolder(io.env);
  io.stderr.write(`drayage listens on ${url}\nIts state is in ${folder}\n`);
  if (state.tokenIsNew) {
    io.stderr.write(`The token, shown this once and kept in ${folder}/token for you alone:\n`);
    io.stdout.write(`${state.token}\n`);
  }
  io.stderr.write(
    `Ask it with: ${howToAsk(url, folder, io.env)}\nCtrl-C ends it; copies under way go on at the next start.\n`,
  );
}

/** The command finds the token by itself in the folder that it would use, and in no other; not for a name that it cannot be sure of. */
export function howToAsk(url: string, folder: string, env: CommandIo["env"]): string {
  const { hostname } = new URL(url);
  const isSure = hostname === "localhost" || isIP(hostname.replace(/^\[(.*)\]$/, "$1")) !== 0;
  const isFound = isSure && absolute(folder) === absolute(defaultStateFolder(env));
  const token = isFound ? "" : `DRAYAGE_TOKEN="$(cat '${join(absolute(folder), "token")}')" `;
  return `${token}drayage copy --server ${url} SOURCE TARGET`;
}

/** Resolves at the first signal; a second one, while the service ends, ends the process at once. */
function stopSignal(io: CommandIo): Promise<null> {
  return new Promise((resolve) => {
    onStopSignal(io, (_signal, count) => {
      if (count > 1) {
        process.exit(EXIT_FAILED);
      }
      resolve(null);
    });
  });
}

/** Tries the port first: workerd's own words on a busy one are no help. Answers with the host's IP address. */
function checkPort(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") {
        reject(
          new Error(`Port ${port} on ${host} is in use. Choose another with --port N, or --port 0 for a free one.`),
        );
      } else if (error.code === "EACCES") {
        reject(new Error(`Port ${port} on ${host} is not allowed to this user. Choose one above 1023 with --port N.`));
      } else {
        reject(new UsageError("--host", `${host}:${port} cannot be listened on: ${notHere(error.code)}`));
      }
    });
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const ip = typeof address === "object" && address !== null ? address.address : host;
      server.close(() => resolve(ip));
    });
  });
}

function notHere(code: string | undefined): string {
  if (code === "EADDRNOTAVAIL") {
    return "this machine has no such address";
  }
  return code === "ENOTFOUND" ? "there is no host of this name" : String(code);
}

function tell(error: unknown, io: CommandIo): number {
  if (error instanceof ServiceError) {
    io.stderr.write(`drayage: ${problemText(error.problem)}\n`);
    return exitStatusOf(error.problem);
  }
  io.stderr.write(`drayage: ${error instanceof Error ? error.message : String(error)}\n`);
  return error instanceof UsageError ? EXIT_WRONG_USE : EXIT_FAILED;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** "Every address" is nothing to connect to. */
function reachable(host: string): string {
  if (host === "0.0.0.0") {
    return "127.0.0.1";
  }
  return host === "::" ? "::1" : host;
}

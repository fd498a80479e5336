/** `drayage copy`: one copy, by a service started for it or by one that runs elsewhere, shown until its end. */
import type { CopyView } from "../../job/contract.ts";
import { CopyError } from "../../registry/errors.ts";
import { parseReference } from "../../registry/reference.ts";
import { ServiceClient, ServiceError, warmUp, type ServiceAddress } from "../client.ts";
import { userCredentials } from "../credentials/lookup.ts";
import { noDisplay, plainDisplay, terminalDisplay, type Display } from "../display/display.ts";
import { failureText, problemText } from "../display/problem-text.ts";
import { startEmbedded, type Embedded } from "../embed/embed.ts";
import { EXIT_DONE, EXIT_FAILED, EXIT_WRONG_USE, UsageError, exitStatusOf, problemOfFailure } from "../failure.ts";
import { defaultStateFolder, readCertificates, readHosts, withPlainHttp } from "../settings.ts";
import { tokenOfServe } from "../state-folder.ts";
import { newToken, tokenHash } from "../token.ts";
import { SIGNAL_STATUS, onStopSignal, type CommandIo, type StopSignal } from "./io.ts";

export interface CopyOptions {
  server?: string;
  json?: true;
  quiet?: true;
  verbose?: true;
  plainHttp: string[];
  ca?: string;
  config?: string;
}

/** How long a cancelled copy may take to say so; then the command ends without having heard it. */
const CANCEL_LIMIT_MS = 2_000;

/** How long lanes may take to close the uploads of a copy that did not succeed: they hear of it within a second. */
const TIDY_LIMIT_MS = 2_000;

/** Runs the command and answers with its exit status. Everything it has to say is written when it returns. */
export async function copyCommand(
  source: string,
  target: string,
  options: CopyOptions,
  io: CommandIo,
): Promise<number> {
  let ended: { view: CopyView; status: number };
  try {
    checkReference(source, "SOURCE");
    checkReference(target, "TARGET");
    ended = await runCopy(source, target, options, io);
  } catch (error) {
    return tellFailure(error, options, io);
  }
  if (options.json === true) {
    io.stdout.write(`${JSON.stringify(ended.view)}\n`);
  } else if (ended.view.state !== "succeeded") {
    io.stderr.write(`${failureText(ended.view)}\n`);
  }
  return ended.status;
}

async function runCopy(
  source: string,
  target: string,
  options: CopyOptions,
  io: CommandIo,
): Promise<{ view: CopyView; status: number }> {
  const giveUp = new AbortController();
  const again = new AbortController();
  const secondSignal = again.signal;
  let stopped: StopSignal | null = null;
  let cancel = (): void => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ignoreSignals = onStopSignal(io, (signal, count) => {
    stopped ??= signal;
    const interrupted = new Interrupted(stopped);
    if (count > 1) {
      again.abort();
      giveUp.abort(interrupted);
      return;
    }
    cancel();
    timer = setTimeout(() => giveUp.abort(interrupted), CANCEL_LIMIT_MS);
  });
  let service: Service | null = null;
  let display: Display | null = null;
  let view: CopyView | null = null;
  try {
    [service, display] = await Promise.all([openService(options, io), displayFor(options, io)]);
    if (stopped !== null) {
      throw new Interrupted(stopped);
    }
    const client = new ServiceClient(service.address);
    const { started, event } = display;
    const work = async (): Promise<CopyView> => {
      const accepted = await client.create(source, target, giveUp.signal);
      // Unheard is as good as heard: the embedded service ends with the command, another one was asked.
      cancel = () => void client.cancel(accepted.id, giveUp.signal).catch(() => undefined);
      if (stopped !== null) {
        cancel();
      }
      started(accepted);
      return client.follow(accepted.id, event, giveUp.signal);
    };
    view = await Promise.race([work(), diedInMidCopy(service)]);
    return { view, status: statusOf(view, stopped) };
  } catch (error) {
    throw giveUp.signal.aborted ? giveUp.signal.reason : error;
  } finally {
    clearTimeout(timer);
    display?.ended(view);
    if (view?.state !== "succeeded" && !secondSignal.aborted) {
      await Promise.race([service?.settled(TIDY_LIMIT_MS), abortion(secondSignal)]);
    }
    await service?.stop();
    ignoreSignals();
  }
}

function abortion(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

async function diedInMidCopy(service: Service): Promise<never> {
  const words = await service.died;
  throw new Error(`The local runtime (workerd) ended in mid-copy: ${words}`);
}

function statusOf(view: CopyView, stopped: StopSignal | null): number {
  if (view.state === "succeeded") {
    return EXIT_DONE;
  }
  return stopped === null ? EXIT_FAILED : SIGNAL_STATUS[stopped];
}

/** Ctrl-C before there was a copy, a second Ctrl-C, or a service that did not answer the first. */
class Interrupted extends Error {
  readonly signal: StopSignal;

  constructor(signal: StopSignal) {
    super("Interrupted.");
    this.signal = signal;
  }
}

interface Service {
  address: ServiceAddress;
  died: Promise<string>;
  settled: (limitMs: number) => Promise<void>;
  stop(): Promise<void>;
}

async function openService(options: CopyOptions, io: CommandIo): Promise<Service> {
  if (options.server === undefined) {
    return openEmbedded(options, io);
  }
  for (const [option, value] of Object.entries({ "--ca": options.ca, "--config": options.config })) {
    if (value !== undefined) {
      refuseWithServer(option);
    }
  }
  if (options.plainHttp.length > 0) {
    refuseWithServer("--plain-http");
  }
  const url = serverUrl(options.server);
  const token = io.env["DRAYAGE_TOKEN"] || tokenOfServe(defaultStateFolder(io.env), url);
  return { address: { url: url.href, token }, ...REMOTE };
}

/** A service elsewhere neither ends with the command nor waits for it. */
const REMOTE = {
  died: new Promise<string>(() => undefined),
  settled: () => Promise.resolve(),
  stop: () => Promise.resolve(),
};

async function openEmbedded(options: CopyOptions, io: CommandIo): Promise<Service> {
  // Good for this run only, and known to this process only.
  const token = newToken();
  const starting = startEmbedded({
    stateFolder: null,
    listen: "127.0.0.1:0",
    hosts: withPlainHttp(readHosts(options.config, io.env), options.plainHttp),
    tokenHashes: [tokenHash(token)],
    trustedCertificates: readCertificates(options.ca),
    credentials: userCredentials(io.env),
    onLine: (line) => {
      if (options.verbose === true) {
        io.stderr.write(`${line}\n`);
      }
    },
  });
  warmUp();
  const embedded: Embedded = await starting;
  return { ...embedded, address: { url: `http://127.0.0.1:${embedded.port}/`, token } };
}

function refuseWithServer(option: string): never {
  throw new UsageError(
    option,
    `${option} belongs to a copy on this machine; the service at --server has its own settings`,
  );
}

function serverUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError("--server", `"${text}" is not a URL such as https://drayage.example.com`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new UsageError("--server", "the URL must not hold a password; put the token into DRAYAGE_TOKEN");
  }
  if (!url.pathname.endsWith("/")) {
    url.pathname += "/";
  }
  return url;
}

function checkReference(text: string, name: string): void {
  try {
    parseReference(text, name);
  } catch (error) {
    if (error instanceof CopyError) {
      throw new UsageError(name, error.detail.message);
    }
    throw error;
  }
}

async function displayFor(options: CopyOptions, io: CommandIo): Promise<Display> {
  if (options.json === true || options.quiet === true) {
    return noDisplay();
  }
  // Lines of the log would break what is drawn in place.
  if (io.stderr.isTTY && options.verbose !== true) {
    return terminalDisplay(io.stderr, io.env);
  }
  return plainDisplay(io.stderr);
}

function tellFailure(error: unknown, options: CopyOptions, io: CommandIo): number {
  if (error instanceof Interrupted) {
    io.stderr.write(options.json === true ? "" : "Interrupted.\n");
    if (options.json === true) {
      io.stdout.write(`${JSON.stringify(problemOfFailure(error))}\n`);
    }
    return SIGNAL_STATUS[error.signal];
  }
  const problem = error instanceof ServiceError ? error.problem : problemOfFailure(error);
  if (options.json === true) {
    io.stdout.write(`${JSON.stringify(problem)}\n`);
  } else {
    io.stderr.write(`drayage: ${error instanceof ServiceError ? problemText(problem) : problem.detail}\n`);
  }
  if (error instanceof ServiceError) {
    return exitStatusOf(problem);
  }
  return error instanceof UsageError ? EXIT_WRONG_USE : EXIT_FAILED;
}

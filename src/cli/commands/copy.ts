/** `drayage copy`: one copy, by a service started for it or by one that runs elsewhere, shown until its end. */
import type { CopyView } from "../../job/contract.ts";
import { CopyError } from "../../registry/errors.ts";
import { parseReference } from "../../registry/reference.ts";
import { ServiceClient, ServiceError } from "../client.ts";
import { noDisplay, plainDisplay, terminalDisplay, type Display } from "../display/display.ts";
import { failureText, problemText } from "../display/problem-text.ts";
import { EXIT_DONE, EXIT_FAILED, EXIT_WRONG_USE, UsageError, exitStatusOf, problemOfFailure } from "../failure.ts";
import { Interrupted, Interruption } from "./interruption.ts";
import { SIGNAL_STATUS, type CommandIo, type StopSignal } from "./io.ts";
import { openService, type Service, type ServiceOptions } from "./service.ts";

export interface CopyOptions extends ServiceOptions {
  json?: true;
  quiet?: true;
}

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
  using interruption = new Interruption(io);
  const { giveUp } = interruption;
  let service: Service | null = null;
  let display: Display | null = null;
  let view: CopyView | null = null;
  try {
    [service, display] = await Promise.all([openService(options, io), displayFor(options, io)]);
    interruption.check();
    const client = new ServiceClient(service.address);
    const { started, event } = display;
    const work = async (): Promise<CopyView> => {
      const accepted = await client.create(source, target, giveUp);
      // Unheard is as good as heard: the embedded service ends with the command, another one was asked.
      interruption.cancelBy = () => void client.cancel(accepted.id, giveUp).catch(() => undefined);
      started(accepted);
      return client.follow(accepted.id, event, giveUp);
    };
    view = await Promise.race([work(), diedInMidCopy(service)]);
    return { view, status: statusOf(view, interruption.signal) };
  } catch (error) {
    throw giveUp.aborted ? giveUp.reason : error;
  } finally {
    display?.ended(view);
    if (view?.state !== "succeeded") {
      await Promise.race([service?.settled(TIDY_LIMIT_MS), interruption.hurry]);
    }
    await service?.stop();
  }
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

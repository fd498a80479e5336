/** `drayage sync`: the copies of a file, made once by a service started for them or by one that runs elsewhere, and reported. */
import { readFileSync } from "node:fs";
import { ServiceClient } from "../client.ts";
import { manyDisplayFor, type ManyDisplay } from "../display/many.ts";
import { EXIT_DONE, EXIT_FAILED, EXIT_WRONG_USE, UsageError, exitStatusOf } from "../failure.ts";
import type { PlannedCopy, SyncFormat } from "../sync-file/contract.ts";
import { isRepository } from "../sync-file/names.ts";
import { withRepositories } from "../sync-file/registry-copies.ts";
import { readSyncFile, WrongFile, type SyncReading } from "../sync-file/read.ts";
import { diedInMidCopy } from "./died.ts";
import { tellFailure } from "./tell-failure.ts";
import { nameOf, readInput } from "./input.ts";
import { Interruption } from "./interruption.ts";
import { SIGNAL_STATUS, type CommandIo, type StopSignal } from "./io.ts";
import { openService, type Service, type ServiceOptions } from "./service.ts";
import { endText, faultLines, faultProblem, noteLines, reportOf, runLine, unservedLine } from "./sync-report.ts";
import { listingsOf } from "./sync-registries.ts";
import { SyncRun, type Outcome } from "./sync-run.ts";

export interface SyncOptions extends ServiceOptions {
  format?: SyncFormat;
  to?: string;
  scoped?: true;
  dryRun?: true;
  json?: true;
  quiet?: true;
  keepGoing?: true;
  failFast?: true;
  parallel?: number;
}

/** How long lanes may take to close the uploads of copies that did not succeed: they hear of it within a second. */
const TIDY_LIMIT_MS = 2_000;

/** Runs the command and answers with its exit status. Everything it has to say is written when it returns. */
export async function syncCommand(file: string, options: SyncOptions, io: CommandIo): Promise<number> {
  const name = nameOf(file);
  try {
    if (options.keepGoing === true && options.failFast === true) {
      throw new UsageError("--fail-fast", "--fail-fast and --keep-going say the opposite; give one of them.");
    }
    return await runFile(name, await readPlan(file, options, io), options, io);
  } catch (error) {
    if (!(error instanceof WrongFile)) {
      return tellFailure(error, options, io);
    }
    if (options.json === true) {
      io.stdout.write(`${JSON.stringify(faultProblem(name, error.faults))}\n`);
    } else {
      io.stderr.write(
        faultLines(name, error.faults)
          .map((line) => `drayage: ${line}\n`)
          .join(""),
      );
    }
    return EXIT_WRONG_USE;
  }
}

async function readPlan(file: string, options: SyncOptions, io: CommandIo): Promise<SyncReading> {
  const text = await readInput(file, io);
  const reading = readSyncFile(text, options.format, {
    ...(options.to === undefined ? {} : { to: options.to }),
    ...(options.scoped === true ? { scoped: true } : {}),
    env: io.env,
    nowMs: Date.now(),
    readFile: (path) => readFileSync(path, "utf8"),
  });
  const { plan } = reading;
  // In the own format, as elsewhere here, who names no tag may have meant an image; the other formats have another way for it.
  const saysSo = plan.format !== "own";
  return { ...reading, plan: { ...plan, copies: plan.copies.map((copy) => asAsked(copy, saysSo, options)) } };
}

const EVERY_TAG = { include: [".*"] };

/**
 * A copy with what the command's options say over the file's.
 * @param saysSo Whether a source without a tag is a repository by the file's own words. Then all tags are asked for by a choice
 * that each of them meets: of those that nobody has chosen the service warns, and a choice without conditions is none to it.
 */
function asAsked(copy: PlannedCopy, saysSo: boolean, { dryRun, failFast }: SyncOptions): PlannedCopy {
  const isOfTags = isRepository(copy.body.source);
  const body = {
    ...(saysSo && isOfTags ? { tags: EVERY_TAG } : {}),
    ...copy.body,
    ...(dryRun === true ? { dry_run: true } : {}),
    ...(failFast === true && isOfTags ? { fail_fast: true } : {}),
  };
  return { ...copy, body };
}

async function runFile(file: string, given: SyncReading, options: SyncOptions, io: CommandIo): Promise<number> {
  const startedAtMs = Date.now();
  let reading = given;
  const { registries, local } = reading.plan;
  const display = await manyDisplayFor(options, io);
  let outcomes: Outcome[] = [];
  let signal: StopSignal | null = null;
  try {
    tellOfPlan(file, reading, display);
    if (options.server !== undefined && (Object.keys(local.hosts).length > 0 || local.credentials.size > 0)) {
      display.say(
        `note: ${file}: what it says of registries is not honoured; the service at --server has its own settings`,
      );
    }
    if (reading.plan.copies.length + registries.length > 0 && goesOn(reading, options)) {
      ({ reading, outcomes, signal } = await runCopies(file, reading, options, io, display));
    } else {
      outcomes = unstarted(reading);
    }
    const report = reportOf(file, reading, outcomes, options.dryRun === true);
    display.say(runLine(report, Date.now() - startedAtMs));
    if (options.json === true) {
      io.stdout.write(`${JSON.stringify(report)}\n`);
    }
  } finally {
    display.close();
  }
  return statusOf(outcomes, reading.plan.unserved.length, signal);
}

/** @param told Of what has been told already. */
function tellOfPlan(file: string, reading: SyncReading, display: ManyDisplay, told?: SyncReading): void {
  const [lines, known] = [noteLines(file, reading), new Set(told === undefined ? [] : noteLines(file, told))];
  for (const line of lines.filter((each) => !known.has(each))) {
    display.say(line);
  }
  for (const entry of reading.plan.unserved.slice(told?.plan.unserved.length ?? 0)) {
    display.complain(unservedLine(file, entry, reading));
  }
}

function goesOn({ plan }: SyncReading, { failFast }: SyncOptions): boolean {
  return failFast !== true || plan.unserved.length === 0;
}

function unstarted({ plan }: SyncReading): Outcome[] {
  return plan.copies.map((copy) => ({ copy, view: null, results: null, problem: null }));
}

/** @returns What became of the copies, and the reading with those of repositories that registries list. */
async function runCopies(
  file: string,
  given: SyncReading,
  options: SyncOptions,
  io: CommandIo,
  display: ManyDisplay,
): Promise<{ reading: SyncReading; outcomes: Outcome[]; signal: StopSignal | null }> {
  using interruption = new Interruption(io);
  const { registries, local } = given.plan;
  let service: Service | null = null;
  let succeeded = false;
  try {
    service = await interruption.orGivenUp(openService(options, io, local));
    interruption.check();
    const client = new ServiceClient(service.address);
    const listings = await Promise.race([
      listingsOf(client, registries, service.explain, interruption.giveUp),
      diedInMidCopy(service),
    ]);
    const reading = withRepositories(given, listings, Date.now(), (copy) => asAsked(copy, true, options));
    tellOfPlan(file, reading, display, given);
    interruption.check();
    if (!goesOn(reading, options)) {
      return { reading, outcomes: unstarted(reading), signal: interruption.signal };
    }
    const run = new SyncRun(
      client,
      display,
      {
        ...(options.parallel === undefined ? {} : { parallel: options.parallel }),
        failFast: options.failFast === true,
        withResults: options.json === true,
        explain: service.explain,
        lookAt: service.lookAt,
      },
      interruption.giveUp,
    );
    interruption.cancelBy = () => run.stop();
    const onEnd = (outcome: Outcome): void => {
      const end = endText(file, outcome, reading);
      if (end !== null) {
        display[end.fine ? "say" : "complain"](end.text);
      }
    };
    const outcomes = await Promise.race([run.all(reading.plan.copies, onEnd), diedInMidCopy(service)]);
    succeeded = outcomes.every(({ view }) => view?.state === "succeeded");
    return { reading, outcomes, signal: interruption.signal };
  } finally {
    if (!succeeded) {
      await Promise.race([service?.settled(TIDY_LIMIT_MS), interruption.hurry]);
    }
    await service?.stop();
  }
}

function statusOf(outcomes: readonly Outcome[], unserved: number, signal: StopSignal | null): number {
  if (unserved === 0 && outcomes.every(({ view }) => view?.state === "succeeded")) {
    return EXIT_DONE;
  }
  if (signal !== null) {
    return SIGNAL_STATUS[signal];
  }
  const nothingStarted = outcomes.every(({ view }) => view === null);
  const asked = outcomes.flatMap(({ problem }) => (problem === null ? [] : [problem]));
  const wrongly = asked.length > 0 && asked.every((problem) => exitStatusOf(problem) === EXIT_WRONG_USE);
  return nothingStarted && wrongly ? EXIT_WRONG_USE : EXIT_FAILED;
}

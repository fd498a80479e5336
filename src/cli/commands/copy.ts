/**
 * `drayage copy`: a copy of an image or of a repository, by a service started for it or by one that runs elsewhere, shown
 * until its end. Several targets are copy-many.ts's.
 */
import type { CopyEvent, CopyView, TagView } from "../../job/contract.ts";
import { CopyError } from "../../registry/errors.ts";
import { parseName, type Reference } from "../../registry/reference.ts";
import { ServiceClient, type CopyBody } from "../client.ts";
import { canRedraw, noDisplay, plainDisplay, quietDisplay, terminalDisplay, type Display } from "../display/display.ts";
import { failureText } from "../display/problem-text.ts";
import { EXIT_DONE, EXIT_FAILED, UsageError } from "../failure.ts";
import { choicesOf, type CopyChoices } from "./copy-options.ts";
import { inOptionsWords } from "./option-names.ts";
import { copyMany } from "./copy-many.ts";
import { diedInMidCopy } from "./died.ts";
import { Interruption } from "./interruption.ts";
import { Lulls } from "./lull.ts";
import { SIGNAL_STATUS, type CommandIo, type StopSignal } from "./io.ts";
import { openService, type Service, type ServiceOptions } from "./service.ts";
import { allExplained, explained } from "../unreached/explain.ts";
import { tellFailure } from "./tell-failure.ts";

export interface CopyOptions extends ServiceOptions, CopyChoices {
  json?: true;
  quiet?: true;
}

/** How long lanes may take to close the uploads of a copy that did not succeed: they hear of it within a second. */
const TIDY_LIMIT_MS = 2_000;

/** Runs the command and answers with its exit status. Everything it has to say is written when it returns. */
export async function copyCommand(
  source: string,
  targets: readonly [string, ...string[]],
  options: CopyOptions,
  io: CommandIo,
): Promise<number> {
  let ended: Ended;
  try {
    const { tag, digest } = checkReference(source, "SOURCE");
    targets.forEach((target) => checkReference(target, "TARGET"));
    if (options.keepGoing === true && options.failFast === true) {
      throw new UsageError("--fail-fast", "--fail-fast and --keep-going say the opposite; give one of them.");
    }
    if (options.pruneMax !== undefined && options.prune === undefined) {
      throw new UsageError(
        "--prune-max",
        "--prune-max bounds what --prune deletes; add --prune delete, or --prune dry.",
      );
    }
    const isRepository = tag === undefined && digest === undefined;
    const [target, ...others] = targets;
    if (others.length > 0) {
      const body = { source, targets: [...targets], ...choicesOf(options) };
      const { report, signal } = await copyMany(body, isRepository, options, io);
      if (options.json === true) {
        io.stdout.write(`${JSON.stringify(report)}\n`);
      }
      return statusOf(report, signal);
    }
    ended = await runCopy({ source, target, ...choicesOf(options) }, isRepository, options, io);
  } catch (error) {
    return tellFailure(options.json === true ? error : inOptionsWords(error), options, io);
  }
  if (options.json === true) {
    const { view, results } = ended;
    io.stdout.write(`${JSON.stringify(results === null ? view : { ...view, results })}\n`);
  } else if (ended.view.state !== "succeeded") {
    io.stderr.write(`${failureText(ended.view)}\n`);
  }
  return ended.status;
}

interface Ended {
  view: CopyView;
  /** Of a repository, with `--json`: what became of each tag. */
  results: TagView[] | null;
  status: number;
}

async function runCopy(body: CopyBody, isRepository: boolean, options: CopyOptions, io: CommandIo): Promise<Ended> {
  using interruption = new Interruption(io);
  const { giveUp } = interruption;
  let service: Service | null = null;
  let display: Display | null = null;
  let view: CopyView | null = null;
  try {
    const opening = Promise.all([openService(options, io), displayFor(options, io)]);
    [service, display] = await interruption.orGivenUp(opening);
    interruption.check();
    const client = new ServiceClient(service.address);
    const { started, event, say } = display;
    const lulls = new Lulls(service.lookAt, say, giveUp);
    const work = async (): Promise<CopyView> => {
      const accepted = await client.create(body, giveUp);
      // Unheard is as good as heard: the embedded service ends with the command, another one was asked.
      interruption.cancelBy = () => void client.cancel(accepted.id, giveUp).catch(() => undefined);
      started(accepted);
      using watch = lulls.of(body.source, body.target);
      const heard = (each: CopyEvent): void => {
        watch.heard();
        event(each);
      };
      return await client.follow(accepted.id, heard, giveUp);
    };
    view = await Promise.race([work(), diedInMidCopy(service)]);
    view = await explained(view, service.explain, giveUp);
    const isListed = isRepository && options.json === true;
    const results = isListed ? await allExplained(await client.tags(view.id, giveUp), service.explain, giveUp) : null;
    return { view, results, status: statusOf(view, interruption.signal) };
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

function statusOf(view: Pick<CopyView, "state">, stopped: StopSignal | null): number {
  if (view.state === "succeeded") {
    return EXIT_DONE;
  }
  return stopped === null ? EXIT_FAILED : SIGNAL_STATUS[stopped];
}

/** What skopeo and others copy from and to besides registries, and paths of files. */
const ELSEWHERE = /^(?:(?:docker|oci)-archive:|docker-daemon:|containers-storage:|(?:oci|dir):[./~]|\.{0,2}\/)/;

function checkReference(text: string, name: string): Reference {
  if (ELSEWHERE.test(text)) {
    throw new UsageError(
      name,
      `${name} "${text}" is not in a registry; copies go from registry to registry only: write HOST/REPOSITORY:TAG`,
    );
  }
  // To docker this is an image of Docker Hub's; nobody means that.
  if (/^(localhost|[^/:@]+\.[^/:@]+)(:\d+)?$/.test(text)) {
    throw new UsageError(
      name,
      `${name} "${text}" is a registry host without a repository; write ${text}/REPOSITORY:TAG`,
    );
  }
  try {
    return parseName(text, name);
  } catch (error) {
    if (error instanceof CopyError) {
      throw new UsageError(name, error.detail.message);
    }
    throw error;
  }
}

async function displayFor(options: CopyOptions, io: CommandIo): Promise<Display> {
  if (options.json === true) {
    return noDisplay();
  }
  if (options.quiet === true) {
    return quietDisplay(io.stderr);
  }
  // Lines of the log would break what is drawn in place.
  if (canRedraw(io.stderr, io.env) && options.verbose !== true) {
    return terminalDisplay(io.stderr, io.env);
  }
  return plainDisplay(io.stderr);
}

/** `drayage copy` with several targets: one request for all of them, a line for each as it ends. */
import { ENDED_STATES, type CopyEvent, type CopyView, type TagView } from "../../job/contract.ts";
import type { GroupedCopy, GroupView } from "../../job/group/contract.ts";
import { copyIn } from "../../job/group/view.ts";
import { ServiceClient, type GroupBody } from "../client.ts";
import { manyDisplayFor, type ManyDisplay } from "../display/many.ts";
import { duration, summaryLine } from "../display/format.ts";
import { failureText } from "../display/problem-text.ts";
import { allExplained, explained } from "../unreached/explain.ts";
import { diedInMidCopy } from "./died.ts";
import { Interruption } from "./interruption.ts";
import type { CommandIo, StopSignal } from "./io.ts";
import { Lulls } from "./lull.ts";
import { openService, type Service, type ServiceOptions } from "./service.ts";

export interface ManyOptions extends ServiceOptions {
  json?: true;
  quiet?: true;
}

/** A copy as `--json` has it: of a repository with what became of each tag. */
type CopyReport = GroupedCopy & { results?: TagView[] };

export interface ManyEnded {
  report: Omit<GroupView, "copies"> & { copies: CopyReport[] };
  /** The signal that has cancelled them, if any. */
  signal: StopSignal | null;
}

/** How long lanes may take to close the uploads of copies that did not succeed: they hear of it within a second. */
const TIDY_LIMIT_MS = 2_000;
/** Seconds that one question for the group's end waits, once its copies have ended: it hears of that within moments. */
const WAIT_SECONDS = 20;

/** Makes the copies and shows them until all have ended. @throws ServiceError, Interrupted, UsageError */
export async function copyMany(
  body: GroupBody,
  isRepository: boolean,
  options: ManyOptions,
  io: CommandIo,
): Promise<ManyEnded> {
  using interruption = new Interruption(io);
  const { giveUp } = interruption;
  let service: Service | null = null;
  let display: ManyDisplay | null = null;
  let group: GroupView | null = null;
  try {
    const opening = Promise.all([openService(options, io), manyDisplayFor(options, io)]);
    [service, display] = await interruption.orGivenUp(opening);
    interruption.check();
    const client = new ServiceClient(service.address);
    const [shown, { explain, lookAt }] = [display, service];
    const work = async (): Promise<GroupView> => {
      const accepted = await client.createGroup(body, giveUp);
      interruption.cancelBy = () => void client.cancel(accepted.id, giveUp).catch(() => undefined);
      await followAll(client, accepted, shown, { explain, lookAt }, giveUp);
      const { copies, ...whole } = await endOf(client, accepted.id, giveUp);
      return {
        ...(await explained(whole, explain, giveUp)),
        copies: await Promise.all(copies.map((copy) => explained(copy, explain, giveUp))),
      };
    };
    group = await Promise.race([work(), diedInMidCopy(service)]);
    display.say(endLine(group));
    const withResults = isRepository && options.json === true;
    const resultsOf = async (id: string): Promise<TagView[]> => {
      return allExplained(await client.tags(id, giveUp), explain, giveUp);
    };
    const copies = withResults
      ? await Promise.all(group.copies.map(async (copy) => ({ ...copy, results: await resultsOf(copy.id) })))
      : group.copies;
    return { report: { ...group, copies }, signal: interruption.signal };
  } catch (error) {
    throw giveUp.aborted ? giveUp.reason : error;
  } finally {
    display?.close();
    if (group?.state !== "succeeded") {
      await Promise.race([service?.settled(TIDY_LIMIT_MS), interruption.hurry]);
    }
    await service?.stop();
  }
}

async function followAll(
  client: ServiceClient,
  group: GroupView,
  display: ManyDisplay,
  { explain, lookAt }: Pick<Service, "explain" | "lookAt">,
  giveUp: AbortSignal,
): Promise<void> {
  const tally = { all: group.copies.length, done: 0, failed: 0 };
  const source = group.source.reference;
  display.say(`copying ${source} → ${group.copies.map(({ target }) => target.reference).join(", ")}`);
  display.tally(tally);
  const lulls = new Lulls(lookAt, (line) => display.say(line), giveUp);
  await Promise.all(
    group.copies.map(async (copy, index) => {
      let view = copyIn(group, copy);
      {
        using watch = lulls.of(source, copy.target.reference);
        const heard = (event: CopyEvent): void => {
          watch.heard();
          view = event.type === "state" ? event.data : view;
          display.event(index, view, event);
        };
        view = await client.follow(copy.id, heard, giveUp);
      }
      view = await explained(view, explain, giveUp);
      const isDone = view.state === "succeeded";
      tally[isDone ? "done" : "failed"] += 1;
      display[isDone ? "say" : "complain"](isDone ? summaryLine(view) : failureText(view));
      display.tally(tally);
    }),
  );
}

/** The group once it has heard of its copies' ends. */
async function endOf(client: ServiceClient, id: string, giveUp: AbortSignal): Promise<GroupView> {
  for (;;) {
    const group = await client.group(id, WAIT_SECONDS, giveUp);
    if (ENDED_STATES.includes(group.state)) {
      return group;
    }
  }
}

/** The last line: how many copies came to which end. */
function endLine({ copies, times }: GroupView): string {
  const count = (state: CopyView["state"]): number => copies.filter((copy) => copy.state === state).length;
  const ends = Object.entries({ done: count("succeeded"), failed: count("failed"), cancelled: count("cancelled") })
    .filter(([, many]) => many > 0)
    .map(([word, many]) => `${many} ${word}`);
  const tookMs = times.doneAt === null ? 0 : Date.parse(times.doneAt) - Date.parse(times.acceptedAt);
  return `${copies.length} copies: ${ends.join(", ")}, in ${duration(tookMs)}`;
}
